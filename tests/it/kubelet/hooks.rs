//! Hooks and sidecars of running pods: when they are called, what their failure means, who ends
//! when, and with which words.

use super::cluster::{Cluster, is_ready};
use super::probes::{Server, ok};
use super::status;
use serde_json::{Value, json};

fn container(lifecycle: Value) -> Value {
    json!({"containers": [{"name": "c", "image": "app:1", "lifecycle": lifecycle}]})
}

#[tokio::test(start_paused = true)]
async fn hooks_are_called_after_the_start_and_before_the_end() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    // One pod hears what the other's hooks say.
    let ear = cluster.pod("ear", &[], json!({})).await;
    let ear_status = cluster.until("ear", is_ready).await;
    let server = Server::start(&cluster, &ear, 80, |_| ok()).await;
    let host = &ear_status["status"]["podIP"];
    let hook = |path: &str| {
        json!({"httpGet": {"host": host, "port": 80, "path": path,
            "httpHeaders": [{"name": "X-Who", "value": "me"}]}})
    };
    let spec = container(json!({"postStart": hook("/begun"), "preStop": hook("/ends")}));
    cluster.pod("p", &[], spec).await;
    cluster.until("p", is_ready).await;
    cluster.delete("p", Value::Null).await;
    cluster.until_gone("p").await;
    let heard = server.requests();
    let heard: Vec<(&str, &str)> = heard
        .iter()
        .map(|of| (of.path.as_str(), of.headers["user-agent"].to_str().unwrap()))
        .collect();
    let agent = "kube-lifecycle/1.36";
    assert_eq!(heard, [("/begun", agent), ("/ends", agent)]);
    assert_eq!(server.requests()[0].headers["x-who"], "me");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_sleeps_keeps_the_pod_within_its_grace() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    for (name, sleep, grace, took) in [("short", 4, 30, 4), ("long", 8, 9, 8)] {
        let mut spec = container(json!({"preStop": {"sleep": {"seconds": sleep}}}));
        spec["terminationGracePeriodSeconds"] = json!(grace);
        cluster.pod(name, &[], spec).await;
        cluster.until(name, is_ready).await;
        let begun = cluster.clock.now();
        cluster.delete(name, Value::Null).await;
        // Out of the endpoints before the hook is done, and running until it is.
        let pod = cluster.until(name, |pod| !is_ready(pod)).await;
        assert!(status(&pod)["state"]["running"].is_object());
        cluster.until_gone(name).await;
        let seconds = cluster.clock.now().duration_since(begun).as_secs();
        assert!((took..=took + 1).contains(&seconds), "{name}: {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_hook_fails_after_its_start_is_stopped() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let hook = json!({"postStart": {"httpGet": {"port": 80}}});
    cluster.pod("p", &[], container(hook)).await;
    let restarted = |pod: &Value| status(pod)["restartCount"] == 1;
    let pod = cluster.until("p", restarted).await;
    assert!(!is_ready(&pod));
    let events = cluster.events("p").await;
    for wanted in [
        "Warning FailedPostStartHook: PostStartHook failed",
        "Normal Killing: FailedPostStartHook",
    ] {
        assert!(events.contains(&wanted.to_owned()), "{events:#?}");
    }
    // A command that the runtime cannot run is told in clear words, and the end goes on.
    let hook = json!({"preStop": {"exec": {"command": ["/bin/sleep", "5"]}}});
    cluster.pod("q", &[], container(hook)).await;
    cluster.until("q", is_ready).await;
    cluster.delete("q", Value::Null).await;
    cluster.until_gone("q").await;
    let events = cluster.events("q").await;
    let wanted = "Warning FailedPreStopHook: PreStopHook failed: exec: \"/bin/sleep\": executable \
                  file not found";
    assert!(events.contains(&wanted.to_owned()), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_is_up_before_the_rest_and_does_not_hold_up_the_end() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let spec = json!({"restartPolicy": "Never", "initContainers": [
        {"name": "s", "image": "app:1", "restartPolicy": "Always",
         "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
         "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1}}]});
    let made = cluster.pod("p", &[("run-for.c", "20s")], spec).await;
    let begun =
        |pod: &Value| pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object();
    let pod = cluster.until("p", begun).await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["started"], false);
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(cluster.runtime.starts(), ["p/s#0"]);
    let server = Server::start(&cluster, &made, 80, |_| ok()).await;
    let pod = cluster.until("p", is_ready).await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["ready"], true);
    // Its readiness counts.
    server.close();
    let pod = cluster.until("p", |pod| !is_ready(pod)).await;
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["message"], "containers with unready status: [s]");
    let done = cluster.until("p", super::phase_is("Succeeded")).await;
    let state = &done["status"]["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], 143);
    assert_eq!(cluster.runtime.starts(), ["p/s#0", "p/c#0"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_active_too_long_fails() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    cluster
        .pod("p", &[], json!({"activeDeadlineSeconds": 5}))
        .await;
    cluster.until("p", is_ready).await;
    let pod = cluster.until("p", super::phase_is("Failed")).await;
    let words = "Pod was active on the node longer than the specified deadline";
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    assert_eq!(pod["status"]["message"], words);
    assert!(!is_ready(&pod));
    let events = cluster.events("p").await;
    let wanted = format!("Normal DeadlineExceeded: {words}");
    assert!(events.contains(&wanted), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_log_is_the_message_of_who_failed_and_asks_for_it() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
    let (short, long) = (lines.join("\n"), "x".repeat(5_000));
    let fallback = "FallbackToLogsOnError";
    for (name, policy, code, print, wanted) in [
        ("file", "File", "1", &short, String::new()),
        ("good", fallback, "0", &short, String::new()),
        (
            "lines",
            fallback,
            "1",
            &short,
            lines[20..].join("\n") + "\n",
        ),
        ("bytes", fallback, "1", &long, "x".repeat(2_047) + "\n"),
    ] {
        let mock = [("run-for", "1s"), ("exit-code", code), ("print", print)];
        let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c",
            "image": "app:1", "terminationMessagePolicy": policy}]});
        cluster.pod(name, &mock, spec).await;
        let ended = |pod: &Value| status(pod)["state"]["terminated"].is_object();
        let pod = cluster.until(name, ended).await;
        let message = status(&pod)["state"]["terminated"]["message"].as_str();
        assert_eq!(message.unwrap_or_default(), wanted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_readiness_gates_is_ready_when_they_are_open() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let gates = json!({"readinessGates": [{"conditionType": "example.com/gate"}]});
    cluster.pod("p", &[], gates).await;
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        let found = conditions
            .into_iter()
            .flatten()
            .find(|c| c["type"] == "Ready");
        found.map(|c| (c["reason"].clone(), c["message"].clone()))
    };
    let told = |pod: &Value| super::condition(pod, "ContainersReady") == "True";
    let pod = cluster.until("p", told).await;
    let reason = json!("ReadinessGatesNotReady");
    let words =
        "corresponding condition of pod readiness gate \"example.com/gate\" does not exist.";
    assert_eq!(ready(&pod), Some((reason.clone(), json!(words))));
    let set = async |status: &str| {
        let condition = json!({"type": "example.com/gate", "status": status});
        let patch = json!({"status": {"conditions": [condition]}});
        let kind = wkube::client::PatchKind::Strategic;
        let at = ("default", "p");
        let pods = super::pods();
        let client = &cluster.admin;
        let sent = client.patch::<Value>(&pods, at, "status", kind, &patch);
        sent.await.unwrap();
    };
    set("Unknown").await;
    let words =
        "the status of pod readiness gate \"example.com/gate\" is not \"True\", but Unknown";
    let wanted = Some((reason, json!(words)));
    cluster.until("p", |pod| ready(pod) == wanted).await;
    set("True").await;
    cluster.until("p", is_ready).await;
    set("False").await;
    cluster.until("p", |pod| !is_ready(pod)).await;
}
