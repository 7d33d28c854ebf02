//! The node agent against a real API server in this process, with the mock runtime.

pub(crate) mod cluster;
mod hooks;
mod probes;
mod wasm;

use cluster::{Cluster, condition, is_ready, phase_is, pods};
use serde_json::{Value, json};
use std::time::Duration;
use wkube::meta::GroupVersionResource;
use wkube::stdx::NodeTransport;

fn status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_is_reported_as_kubernetes_does() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster.pod("web", &[], json!({})).await;
    let pod = cluster.until("web", is_ready).await;
    let told = &pod["status"];
    assert_eq!(told["phase"], "Running");
    assert_eq!(told["podIP"], "10.1.0.2");
    assert_eq!(told["podIPs"], json!([{"ip": "10.1.0.2"}]));
    assert_eq!(told["hostIP"], "10.1.0.1");
    assert_eq!(told["qosClass"], "BestEffort");
    assert!(told["startTime"].is_string());
    for kind in [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    // Why a condition was false is gone when it is true.
    for condition in told["conditions"].as_array().unwrap() {
        assert_eq!(condition.get("reason"), None, "{condition}");
        assert_eq!(condition.get("message"), None, "{condition}");
    }
    let container = status(&pod);
    assert!(container["state"]["running"]["startedAt"].is_string());
    assert_eq!(container["lastState"], json!({}));
    assert_eq!(container["restartCount"], 0);
    assert_eq!(container["ready"], true);
    assert_eq!(container["started"], true);
    assert_eq!(container["image"], "app:1");
    let id = container["containerID"].as_str().unwrap();
    assert_eq!(id.strip_prefix("wasm://").unwrap().len(), 64);
    let events = cluster.events("web").await;
    let shown: Vec<&str> = events.iter().map(String::as_str).collect();
    let pulled = "Normal Pulled: Successfully pulled image \"app:1\" in 0ms (0ms including \
                  waiting). Image size: 5 bytes.";
    let wanted = [
        "Normal Pulling: Pulling image \"app:1\"",
        pulled,
        "Normal Created: Container created",
        "Normal Started: Container started",
    ];
    assert_eq!(shown, wanted);
    // The second pod has the image already.
    cluster.pod("web2", &[], json!({})).await;
    cluster.until("web2", is_ready).await;
    let events = cluster.events("web2").await;
    let wanted = "Normal Pulled: Container image \"app:1\" already present on machine and can be \
                  accessed by the pod";
    assert_eq!(events[0], wanted);
}

#[tokio::test(start_paused = true)]
async fn the_node_is_registered_and_holds_its_lease() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    let node: Value = cluster.admin.get(&nodes, "", "n1").await.unwrap();
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "linux");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(node["status"]["capacity"]["cpu"], "4");
    assert_eq!(node["status"]["allocatable"]["pods"], "500");
    assert_eq!(
        node["status"]["nodeInfo"]["kubeletVersion"],
        "v1.36.2+wkube"
    );
    assert_eq!(node["spec"]["podCIDR"], "10.1.0.0/16");
    let ready = node["status"]["conditions"].as_array().unwrap();
    let ready = ready.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let lease = async || -> Value {
        let at = "kube-node-lease";
        cluster.admin.get(&leases, at, "n1").await.unwrap()
    };
    cluster.clock.sleep(Duration::from_secs(1)).await;
    let first = lease().await;
    assert_eq!(first["spec"]["holderIdentity"], "n1");
    cluster.clock.sleep(Duration::from_secs(11)).await;
    let next = lease().await;
    assert_ne!(first["spec"]["renewTime"], next["spec"]["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_pod_backs_off_and_a_finished_one_stays() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let crash = [("run-for", "1s"), ("exit-code", "3"), ("print", "boo")];
    cluster.pod("bad", &crash, json!({})).await;
    let pod = cluster
        .until("bad", |pod| {
            status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                && status(pod)["restartCount"] == 2
        })
        .await;
    assert_eq!(pod["status"]["phase"], "Running");
    let last = &status(&pod)["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&json!(3), &json!("Error"))
    );
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let message = status(&pod)["state"]["waiting"]["message"]
        .as_str()
        .unwrap();
    let wanted = format!("back-off 20s restarting failed container=c pod=bad_default({uid})");
    assert_eq!(message, wanted);
    let events = cluster.events("bad").await;
    let wanted = format!(
        "Warning BackOff: Back-off restarting failed container c in pod bad_default({uid})"
    );
    assert!(events.contains(&wanted), "{events:#?}");
    assert_eq!(cluster.log("bad", "previous=true").await.unwrap(), "boo\n");
    for (name, policy, code, phase) in [
        ("ok", "Never", "0", "Succeeded"),
        ("no", "Never", "1", "Failed"),
        ("ok2", "OnFailure", "0", "Succeeded"),
    ] {
        let mock = [("run-for", "2s"), ("exit-code", code)];
        let policy = json!({"restartPolicy": policy});
        cluster.pod(name, &mock, policy).await;
        let pod = cluster.until(name, phase_is(phase)).await;
        let code: i64 = code.parse().unwrap();
        assert_eq!(status(&pod)["state"]["terminated"]["exitCode"], code);
        assert_eq!(condition(&pod, "Ready"), "False");
    }
    cluster.clock.sleep(Duration::from_secs(1_000)).await;
    let starts = cluster.runtime.starts();
    let of = |name: &str| starts.iter().filter(|s| s.starts_with(name)).count();
    assert_eq!((of("ok/"), of("no/"), of("ok2/")), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_fails_is_tried_again() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster.pod("p", &[("fail-pull", "1")], json!({})).await;
    let waits = |reason: &'static str| {
        move |pod: &Value| status(pod)["state"]["waiting"]["reason"] == reason
    };
    cluster.until("p", waits("ErrImagePull")).await;
    let pod = cluster.until("p", waits("ImagePullBackOff")).await;
    assert_eq!(pod["status"]["phase"], "Pending");
    cluster.until("p", is_ready).await;
    let events = cluster.events("p").await;
    assert!(events.contains(&"Warning Failed: Error: ErrImagePull".to_owned()));
    assert!(events.contains(&"Normal BackOff: Back-off pulling image \"app:1\"".to_owned()));
    let never = json!({"containers": [
        {"name": "c", "image": "other:1", "imagePullPolicy": "Never"}]});
    cluster.pod("never", &[], never).await;
    let pod = cluster.until("never", waits("ErrImageNeverPull")).await;
    assert_eq!(
        status(&pod)["state"]["waiting"]["message"],
        "Container image \"other:1\" is not present with pull policy of Never"
    );
}

/// The whole series, as a client would see it: what a pod's restarts and an image's pulls wait.
#[tokio::test(start_paused = true)]
async fn restarts_and_pulls_wait_as_long_as_kubernetes_has_it() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let crash = [("run-for", "1s"), ("exit-code", "1")];
    cluster.pod("crash", &crash, json!({})).await;
    let recovers = [("run-for", "1s,1s,1s,601s,1s"), ("exit-code", "1")];
    cluster.pod("recovers", &recovers, json!({})).await;
    let nearly = [("run-for", "1s,1s,1s,599s,1s"), ("exit-code", "1")];
    cluster.pod("nearly", &nearly, json!({})).await;
    let other = json!({"containers": [{"name": "c", "image": "other:1"}]});
    let pull = cluster.pod("pull", &[("fail-pull", "99")], other).await;
    let uid = pull["metadata"]["uid"].as_str().unwrap();

    let began = cluster.clock.instant();
    let mut seen = [const { Vec::new() }; 4];
    while began.elapsed() < Duration::from_secs(1_300) {
        let starts = cluster.runtime.starts();
        let of = |name: &str| starts.iter().filter(|s| s.starts_with(name)).count();
        let counts = [
            of("crash/"),
            of("recovers/"),
            of("nearly/"),
            cluster.runtime.pulls(uid) as usize,
        ];
        for (times, count) in seen.iter_mut().zip(counts) {
            let now = began.elapsed().as_secs();
            times.resize(count, now);
        }
        cluster.clock.sleep(Duration::from_millis(100)).await;
    }
    let [crash, recovers, nearly, pulls] = seen;
    // Runs of a second: at once, then 10, 20, 40, 80, 160 and 300 seconds after each exit.
    assert_eq!(crash, [0, 1, 12, 33, 74, 155, 316, 617, 918, 1219]);
    // More than ten minutes after the last start the series begins anew; before that it goes on.
    let anew = [0, 1, 12, 33, 634, 645, 666, 707, 788, 949, 1250];
    assert_eq!(recovers, anew);
    assert_eq!(nearly, [0, 1, 12, 33, 672, 753, 914, 1215]);
    // 10, 20, 40, 80, 160 and 300 seconds after each failure.
    assert_eq!(pulls, [0, 10, 30, 70, 150, 310, 610, 910, 1210]);
    let pod = cluster.get("pull").await.unwrap();
    assert_eq!(
        status(&pod)["state"]["waiting"]["reason"],
        "ImagePullBackOff"
    );
    let pod = cluster.get("crash").await.unwrap();
    let message = &status(&pod)["state"]["waiting"]["message"];
    let message = message.as_str().unwrap();
    assert!(message.starts_with("back-off 5m0s restarting"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn init_containers_come_first() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let spec = json!({"initContainers": [{"name": "i", "image": "app:1"}]});
    cluster.pod("p", &[("run-for.i", "5s")], spec).await;
    let waits = |pod: &Value| status(pod)["state"]["waiting"]["reason"] == "PodInitializing";
    let pod = cluster.until("p", waits).await;
    assert_eq!(condition(&pod, "Initialized"), "False");
    let pod = cluster.until("p", is_ready).await;
    let init = &pod["status"]["initContainerStatuses"][0];
    assert_eq!(init["state"]["terminated"]["reason"], "Completed");
    assert_eq!(init["ready"], true);
    assert_eq!(cluster.runtime.starts(), ["p/i#0", "p/c#0"]);
}

#[tokio::test(start_paused = true)]
async fn deleted_pods_stop_within_their_grace_and_go() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster.pod("polite", &[], json!({})).await;
    let deaf = json!({"terminationGracePeriodSeconds": 5});
    cluster.pod("deaf", &[("ignore-stop", "true")], deaf).await;
    for name in ["polite", "deaf"] {
        cluster.until(name, is_ready).await;
    }
    let begun = cluster.clock.now();
    cluster.delete("polite", Value::Null).await;
    cluster.until_gone("polite").await;
    let took = cluster.clock.now().duration_since(begun);
    assert!(took.as_secs() < 1, "{took}");
    cluster.delete("deaf", Value::Null).await;
    let pod = cluster
        .until("deaf", |pod| condition(pod, "Ready") == "False")
        .await;
    assert!(status(&pod)["state"]["running"].is_object());
    cluster.until_gone("deaf").await;
    let took = cluster.clock.now().duration_since(begun);
    assert!((5..8).contains(&took.as_secs()), "{took}");
    let events = cluster.events("deaf").await;
    assert!(events.contains(&"Normal Killing: Stopping container c".to_owned()));
    // One whose container is still being started does not wait for that.
    cluster
        .pod("slow", &[("start-takes", "60s")], json!({}))
        .await;
    while cluster.runtime.starts().last().unwrap() != "slow/c#0" {
        tokio::task::yield_now().await;
    }
    let begun = cluster.clock.now();
    cluster.delete("slow", Value::Null).await;
    cluster.until_gone("slow").await;
    let took = cluster.clock.now().duration_since(begun);
    assert!(took.as_secs() < 2, "{took}");
    // A pod whose object is removed by force is ended as well.
    cluster.pod("forced", &[], json!({})).await;
    cluster.until("forced", is_ready).await;
    cluster
        .delete("forced", json!({"gracePeriodSeconds": 0}))
        .await;
    cluster.until_gone("forced").await;
    cluster.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.nodes.list()[0].pod_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_container_refers_to_must_be_there() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let spec = json!({"containers": [{"name": "c", "image": "app:1",
        "envFrom": [{"configMapRef": {"name": "settings"}}]}]});
    cluster.pod("p", &[], spec).await;
    let pod = cluster
        .until("p", |pod| {
            status(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        })
        .await;
    let message = &status(&pod)["state"]["waiting"]["message"];
    assert_eq!(message, "configmap \"settings\" not found");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
        "data": {"A": "1"}});
    let maps = GroupVersionResource::new("", "v1", "configmaps");
    let made: Value = cluster
        .admin
        .create(&maps, "default", None, &map)
        .await
        .unwrap();
    assert_eq!(made["data"]["A"], "1");
    let pod = cluster.until("p", is_ready).await;
    assert_eq!(status(&pod)["restartCount"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_fit_is_rejected_in_kubernetes_words() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let ask = |cpu: &str| {
        json!({"containers": [{"name": "c", "image": "app:1",
            "resources": {"requests": {"cpu": cpu}}}]})
    };
    cluster.pod("first", &[], ask("3")).await;
    cluster.until("first", is_ready).await;
    cluster.pod("second", &[], ask("1500m")).await;
    let pod = cluster.until("second", phase_is("Failed")).await;
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    assert_eq!(
        pod["status"]["message"],
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 3000, \
         capacity: 4000"
    );
}

#[tokio::test(start_paused = true)]
async fn fields_that_are_not_honoured_are_named_once() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let spec = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "app:1",
        "tty": true}]});
    cluster.pod("p", &[], spec).await;
    cluster.until("p", is_ready).await;
    let events = cluster.events("p").await;
    let wanted = "Warning FieldNotHonored: wkube does not honour yet: spec.hostNetwork, \
                  spec.containers[0].tty";
    assert!(events.contains(&wanted.to_owned()), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn logs_are_read_through_the_server() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster
        .pod("p", &[("print", "one\ntwo\nthree")], json!({}))
        .await;
    cluster.until("p", is_ready).await;
    assert_eq!(cluster.log("p", "").await.unwrap(), "one\ntwo\nthree\n");
    assert_eq!(cluster.log("p", "tailLines=1").await.unwrap(), "three\n");
    let limited = cluster.log("p", "container=c&limitBytes=3").await;
    assert_eq!(limited.unwrap(), "one");
    let timed = cluster.log("p", "timestamps=true&tailLines=1").await;
    assert!(timed.unwrap().starts_with("2027-01-15T08:00:0"));
    let previous = cluster.log("p", "previous=true").await.unwrap_err();
    let wanted = "previous terminated container \"c\" in pod \"p\" not found";
    assert!(previous.contains(wanted), "{previous}");
    let other = json!({"containers": [{"name": "c", "image": "other:1"}]});
    cluster.pod("q", &[("fail-pull", "9")], other).await;
    cluster
        .until("q", |pod| {
            status(pod)["state"]["waiting"]["reason"] == "ImagePullBackOff"
        })
        .await;
    let waiting = cluster.log("q", "").await.unwrap_err();
    let wanted =
        "container \"c\" in pod \"q\" is waiting to start: trying and failing to pull image";
    assert!(waiting.contains(wanted), "{waiting}");
}

#[tokio::test(start_paused = true)]
async fn the_nodes_server_wants_its_token_and_says_what_is_not_built() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let ask = async |path: &str, token: &str| {
        let stream = cluster.nodes.connect("n1").await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let serving = tokio::spawn(connection);
        let request = http::Request::get(path)
            .header("host", "n1")
            .header("authorization", token)
            .body(String::new())
            .unwrap();
        let status = sender
            .send_request(request)
            .await
            .unwrap()
            .status()
            .as_u16();
        serving.abort();
        status
    };
    let token = cluster.nodes.authorization("n1");
    assert_eq!(ask("/healthz", &token).await, 200);
    assert_eq!(ask("/pods", &token).await, 200);
    assert_eq!(ask("/stats/summary", &token).await, 200);
    assert_eq!(ask("/exec/default/p/c", &token).await, 400);
    assert_eq!(ask("/exec/default/p/c?output=1", &token).await, 404);
    assert_eq!(ask("/attach/default/p/c?output=1", "").await, 401);
    assert_eq!(ask("/portForward/default/p", &token).await, 404);
    assert_eq!(ask("/run/default/p/c", &token).await, 501);
    assert_eq!(ask("/nowhere", &token).await, 404);
    assert_eq!(ask("/pods", "Bearer guess").await, 401);
    assert!(cluster.nodes.connect("n2").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_pods_go_on_as_their_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start().await;
    let node = cluster.node(Some(folder.path())).await;
    let print = ("print", "first life");
    cluster.pod("gone", &[], json!({})).await;
    cluster.pod("always", &[print], json!({})).await;
    let never = json!({"restartPolicy": "Never"});
    cluster.pod("never", &[print], never.clone()).await;
    cluster
        .pod("done", &[print, ("run-for", "1s")], never)
        .await;
    let before = cluster.until("always", is_ready).await;
    for name in ["gone", "never"] {
        cluster.until(name, is_ready).await;
    }
    cluster.until("done", phase_is("Succeeded")).await;
    node.stop().await;
    // While the node is away nothing changes, and one pod is removed by force.
    assert!(is_ready(&cluster.get("always").await.unwrap()));
    let force = json!({"gracePeriodSeconds": 0});
    cluster.delete("gone", force).await;
    let _node = cluster.node(Some(folder.path())).await;
    let again = |pod: &Value| is_ready(pod) && status(pod)["restartCount"] == 1;
    let after = cluster.until("always", again).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["status"]["podIP"], before["status"]["podIP"]);
    let last = &status(&after)["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    assert_eq!(last["reason"], "ContainerStatusUnknown");
    let previous = cluster.log("always", "previous=true").await.unwrap();
    assert_eq!(previous, "first life\n");
    let pod = cluster.until("never", phase_is("Failed")).await;
    assert_eq!(status(&pod)["state"]["terminated"]["exitCode"], 137);
    cluster.clock.sleep(Duration::from_secs(60)).await;
    let done = cluster.get("done").await.unwrap();
    assert_eq!(done["status"]["phase"], "Succeeded");
    assert_eq!(cluster.log("done", "").await.unwrap(), "first life\n");
    let starts = cluster.runtime.starts();
    let of = |name: &str| starts.iter().filter(|s| s.starts_with(name)).count();
    assert_eq!(
        (of("always/"), of("never/"), of("done/"), of("gone/")),
        (2, 1, 1, 1)
    );
    let logs = std::fs::read_dir(folder.path().join("nodes/n1/logs")).unwrap();
    assert_eq!(logs.count(), 3, "logs of the removed pod are gone");
}

#[tokio::test(start_paused = true)]
async fn pods_by_the_hundred_run_with_one_status_each() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start().await;
    let _node = cluster.node(Some(folder.path())).await;
    cluster.pod("first", &[], json!({})).await;
    cluster.until("first", is_ready).await;
    for n in 0..300 {
        cluster.pod(&format!("p{n}"), &[], json!({})).await;
    }
    for n in 0..300 {
        let pod = cluster.until(&format!("p{n}"), is_ready).await;
        // Created, then one status: generation 1 and nothing in between that a client must read.
        let created: u64 = pod["metadata"]["generation"].as_u64().unwrap();
        assert_eq!(created, 1);
    }
    let mut addresses: Vec<String> = Vec::new();
    let list = cluster
        .admin
        .list::<Value>(&pods(), "default", &wkube::client::Query::new())
        .await
        .unwrap();
    for pod in &list.items {
        addresses.push(pod["status"]["podIP"].as_str().unwrap().to_owned());
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 301);
}

#[tokio::test(start_paused = true)]
async fn what_others_write_over_a_status_is_set_right() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster.pod("web", &[], json!({})).await;
    cluster.until("web", is_ready).await;
    // As the node lifecycle controller does with the pods of a node that it believes lost.
    let over = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let (kind, place) = (wkube::client::PatchKind::Strategic, ("default", "web"));
    let (client, resource) = (&cluster.admin, pods());
    let written = client.patch::<Value>(&resource, place, "status", kind, &over);
    assert!(!is_ready(&written.await.unwrap()));
    cluster.until("web", is_ready).await;
}
