//! What the admission plugins do to what is written, in Kubernetes' words.

use super::harness::Cluster;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str, spec: Value) -> Value {
    let mut body = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "echo"}]}});
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    body
}

#[tokio::test]
async fn pods_keep_to_the_standard_of_their_namespace() {
    let cluster = Cluster::start().await;
    let label = |mode: &str| format!("pod-security.kubernetes.io/{mode}");
    let wrong = json!({"metadata": {"name": "bad", "labels": {label("enforce"): "none"}}});
    assert_eq!(
        cluster
            .post("/api/v1/namespaces", &wrong)
            .await
            .message(422),
        "Namespace \"bad\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid \
         value: \"none\": must be one of privileged, baseline, restricted"
    );
    let labels = json!({label("enforce"): "baseline", label("warn"): "restricted"});
    let namespace = json!({"metadata": {"name": "safe", "labels": labels}});
    cluster
        .post("/api/v1/namespaces", &namespace)
        .await
        .expect(201);
    let pods = "/api/v1/namespaces/safe/pods";
    let shared = pod("shared", json!({"hostNetwork": true}));
    assert_eq!(
        cluster.post(pods, &shared).await.message(403),
        "pods \"shared\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces \
         (hostNetwork=true)"
    );
    let plain = cluster.post(pods, &pod("plain", json!({}))).await;
    let warnings = plain.warnings();
    plain.expect(201);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains(
            "would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation"
        ),
        "{warnings:?}"
    );
    let deployment = json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": shared["spec"]},
    }});
    let made = cluster
        .post("/apis/apps/v1/namespaces/safe/deployments", &deployment)
        .await;
    assert!(made.warnings()[0].contains("host namespaces (hostNetwork=true)"));
    made.expect(201);
    // What it is already is told when more is asked.
    let stricter = json!({"metadata": {"labels": {label("enforce"): "restricted"}}});
    let patched = cluster
        .patch("/api/v1/namespaces/safe", "merge-patch+json", &stricter)
        .await;
    let warnings = patched.warnings();
    patched.expect(200);
    assert!(warnings[0].contains("existing pods in namespace \\\"safe\\\" violate the new PodSecurity enforce level \\\"restricted:latest\\\""), "{warnings:?}");
    assert!(
        warnings[1].contains("plain: allowPrivilegeEscalation != false, unrestricted capabilities")
    );
    // An update that changes nothing that is checked is let through.
    let labelled = json!({"metadata": {"labels": {"x": "y"}}});
    cluster
        .patch(&format!("{pods}/plain"), "merge-patch+json", &labelled)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_new_node_takes_no_pods_before_it_says_that_it_is_ready() {
    let cluster = Cluster::start().await;
    let node = |name: &str, status: &str| {
        json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        })
    };
    for (name, status, taints) in [
        (
            "new",
            "Unknown",
            json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]),
        ),
        ("ready", "True", Value::Null),
    ] {
        let made = cluster.post("/api/v1/nodes", &node(name, status)).await;
        assert_eq!(made.expect(201)["spec"]["taints"], taints, "{name}");
    }
}

#[tokio::test]
async fn limit_ranges_fill_in_and_bound() {
    let cluster = Cluster::start().await;
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"},
            "max": {"cpu": "1"}, "min": {"cpu": "50m"}, "maxLimitRequestRatio": {"cpu": "10"}},
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
    ]}});
    let uri = "/api/v1/namespaces/default/limitranges";
    cluster.post(uri, &range).await.expect(201);
    let asks = |memory: &str, cpu: Value| {
        let mut body = pod("p", json!({}));
        body["spec"]["containers"][0]["resources"] =
            json!({"limits": {"memory": memory}, "requests": {}});
        if !cpu.is_null() {
            body["spec"]["containers"][0]["resources"]["limits"]["cpu"] = cpu;
        }
        body
    };
    let made = cluster
        .post(PODS, &asks("1Gi", Value::Null))
        .await
        .expect(201);
    let resources = &made["spec"]["containers"][0]["resources"];
    assert_eq!(resources["limits"], json!({"cpu": "500m", "memory": "1Gi"}));
    assert_eq!(
        resources["requests"],
        json!({"cpu": "100m", "memory": "1Gi"})
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container a; cpu limit for container a"
    );
    assert_eq!(made["status"]["qosClass"], "Burstable");
    let mut two = asks("2Gi", json!("2"));
    two["metadata"]["name"] = json!("two");
    assert_eq!(
        cluster.post(PODS, &two).await.message(403),
        "pods \"two\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory \
         usage per Pod is 1Gi, but limit is 2Gi]"
    );
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Gi"}}}});
    assert_eq!(
        cluster
            .post("/api/v1/namespaces/default/persistentvolumeclaims", &claim)
            .await
            .message(403),
        "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is \
         1Gi, but request is 2Gi"
    );
}

#[tokio::test]
async fn classes_are_filled_in_and_runtime_classes_are_honoured() {
    let cluster = Cluster::start().await;
    for (name, mark) in [("slow", "false"), ("fast", "true")] {
        let class = json!({"metadata": {"name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": mark}}, "provisioner": "x"});
        cluster
            .post("/apis/storage.k8s.io/v1/storageclasses", &class)
            .await
            .expect(201);
    }
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let made = cluster.post(claims, &claim).await.expect(201);
    assert_eq!(made["spec"]["storageClassName"], "fast");
    assert_eq!(
        made["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    let class = json!({"metadata": {"name": "edge",
        "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "x/y"}});
    cluster
        .post("/apis/networking.k8s.io/v1/ingressclasses", &class)
        .await
        .expect(201);
    let ingress = json!({"metadata": {"name": "i"}, "spec": {"defaultBackend":
        {"service": {"name": "s", "port": {"number": 80}}}}});
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let made = cluster.post(ingresses, &ingress).await.expect(201);
    assert_eq!(made["spec"]["ingressClassName"], "edge");

    let class = json!({"metadata": {"name": "wasm"}, "handler": "wasm",
        "overhead": {"podFixed": {"cpu": "10m"}},
        "scheduling": {"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "wasm", "operator": "Exists"}]}});
    cluster
        .post("/apis/node.k8s.io/v1/runtimeclasses", &class)
        .await
        .expect(201);
    let named = pod("named", json!({"runtimeClassName": "wasm"}));
    let made = cluster.post(PODS, &named).await.expect(201);
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "10m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"zone": "a"}));
    let tolerations = made["spec"]["tolerations"].as_array().unwrap();
    assert!(
        tolerations
            .iter()
            .any(|toleration| toleration["key"] == "wasm")
    );
    for (spec, why) in [
        (
            json!({"runtimeClassName": "none"}),
            "pod rejected: RuntimeClass \"none\" not found",
        ),
        (
            json!({"runtimeClassName": "wasm", "nodeSelector": {"zone": "b"}}),
            "conflict: runtimeClass.scheduling.nodeSelector[zone] = a; pod.spec.nodeSelector[zone] = b",
        ),
        (
            json!({"overhead": {"cpu": "1"}}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
    ] {
        let message = cluster.post(PODS, &pod("p", spec)).await.message(403);
        assert_eq!(message, format!("pods \"p\" is forbidden: {why}"));
    }
}

#[tokio::test]
async fn quotas_are_charged_and_given_back() {
    let cluster = Cluster::start().await;
    let controllers = cluster.controllers();
    assert!(controllers.ready().await);
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let one = format!("{quotas}/q");
    let mut watch = cluster.watch(&format!("{quotas}?watch=1")).await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {
        "pods": "2", "requests.cpu": "1", "secrets": "5", "count/deployments.apps": "1",
    }}});
    cluster.post(quotas, &quota).await.expect(201);
    let used = loop {
        let frame = watch.next().await.unwrap();
        if frame["object"]["status"]["used"].is_object() {
            break frame["object"]["status"].clone();
        }
    };
    assert_eq!(used["hard"], quota["spec"]["hard"]);
    assert_eq!(
        used["used"],
        json!({"count/deployments.apps": "0", "pods": "0", "requests.cpu": "0", "secrets": "0"})
    );
    let asks = |name: &str, cpu: &str| {
        let mut body = pod(name, json!({}));
        body["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        body
    };
    assert_eq!(
        cluster
            .post(PODS, &pod("mute", json!({})))
            .await
            .message(403),
        "pods \"mute\" is forbidden: failed quota: q: must specify requests.cpu for: a"
    );
    cluster.post(PODS, &asks("a", "600m")).await.expect(201);
    assert_eq!(
        cluster.post(PODS, &asks("b", "600m")).await.message(403),
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: \
         requests.cpu=600m, limited: requests.cpu=1"
    );
    let dry = format!("{PODS}?dryRun=All");
    cluster.post(&dry, &asks("b", "100m")).await.expect(201);
    cluster.post(PODS, &asks("b", "100m")).await.expect(201);
    let used = async |name: &str| {
        let quota = cluster.get(&one).await.expect(200);
        quota["status"]["used"][name].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (used("pods").await, used("requests.cpu").await),
        ("2".into(), "700m".into())
    );
    assert_eq!(
        cluster.post(PODS, &asks("c", "1m")).await.message(403),
        "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    // What exists already is charged once.
    assert!(
        cluster
            .post(PODS, &asks("b", "100m"))
            .await
            .message(403)
            .contains("exceeded quota")
    );
    // What has ended uses nothing.
    let ended = json!({"status": {"phase": "Succeeded"}});
    cluster
        .patch(&format!("{PODS}/a/status"), "merge-patch+json", &ended)
        .await
        .expect(200);
    assert_eq!(
        (used("pods").await, used("requests.cpu").await),
        ("1".into(), "100m".into())
    );
    cluster
        .delete(&format!("{PODS}/b?gracePeriodSeconds=0"))
        .await
        .expect(200);
    assert_eq!(
        (used("pods").await, used("requests.cpu").await),
        ("0".into(), "0".into())
    );
    let deployment = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("x", json!({}))["spec"]},
        }})
    };
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    cluster
        .post(deployments, &deployment("d"))
        .await
        .expect(201);
    assert_eq!(
        cluster
            .post(deployments, &deployment("e"))
            .await
            .message(403),
        "deployments.apps \"e\" is forbidden: exceeded quota: q, requested: \
         count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1"
    );
    // Many at once do not overdraw it.
    let secrets = "/api/v1/namespaces/default/secrets";
    let bodies: Vec<Value> = (0..10)
        .map(|n| json!({"metadata": {"name": format!("s{n}")}}))
        .collect();
    let posts = bodies.iter().map(|body| cluster.post(secrets, body));
    let answers = futures::future::join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 5);
    assert_eq!(used("secrets").await, "5");
}

#[tokio::test]
async fn a_pod_s_service_account_is_there_and_lends_its_pull_secrets() {
    let cluster = Cluster::start().await;
    let named = |name: &str| pod(name, json!({"serviceAccountName": "robot"}));
    assert_eq!(
        cluster.post(PODS, &named("early")).await.message(403),
        "pods \"early\" is forbidden: error looking up service account default/robot: \
         serviceaccount \"robot\" not found"
    );
    let account =
        json!({"metadata": {"name": "robot"}, "imagePullSecrets": [{"name": "registry"}]});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.post(accounts, &account).await.expect(201);
    let made = cluster.post(PODS, &named("a")).await.expect(201);
    assert_eq!(
        made["spec"]["imagePullSecrets"],
        json!([{"name": "registry"}])
    );
    let mut own = named("b");
    own["spec"]["imagePullSecrets"] = json!([{"name": "mine"}]);
    let made = cluster.post(PODS, &own).await.expect(201);
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "mine"}]));
    // The account of all others may come later.
    cluster
        .post(PODS, &pod("plain", json!({})))
        .await
        .expect(201);
}
