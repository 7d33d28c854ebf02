//! What pods use, and what lives on it: `kubectl top`, an autoscaler, a disruption budget; with real
//! pods, by the real kubectl.

use crate::kubectl::kubectls;
use crate::server::{Server, WKUBE};

const TOOL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/guests/prebuilt/tool-p1.wasm"
);

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      containers:
        - name: c
          image: tool:1
          args: ['spin']
          resources: {requests: {cpu: 10m, memory: 1Mi}, limits: {cpu: 50m}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: busy}
spec: {minAvailable: 1, selector: {matchLabels: {app: busy}}}
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers:
    - name: c
      image: tool:1
      args: ['spin']
      resources: {requests: {cpu: 10m}, limits: {cpu: 10m}}
";

const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  maxReplicas: 3
  metrics:
    - type: Resource
      resource: {name: memory, target: {type: AverageValue, averageValue: 1k}}
    - type: Pods
      pods: {metric: {name: hits}, target: {type: AverageValue, averageValue: 1k}}
";

#[test]
fn what_pods_use_is_told_and_scales_them() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let build = std::process::Command::new(WKUBE)
            .args(["image", "build", "--data-dir", data, "-t", "tool:1", TOOL])
            .output()
            .unwrap();
        assert!(build.status.success(), "{build:?}");
        let server = Server::start(folder.path(), &[]);
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        let until =
            |args: &[&str], words: &str| server.until(&kubectl, args, |text| text.contains(words));
        let file = |name: &str, text: &str| {
            let path = server.kubeconfig.with_file_name(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        ok(&["apply", "-f", &file("busy.yaml", MANIFEST)]);
        ok(&["rollout", "status", "deployment", "busy"]);
        // One must stay, and one there is.
        let budget = "jsonpath={.status.disruptionsAllowed}/{.status.currentHealthy}";
        let budget = ["get", "pdb", "busy", "-o", budget];
        until(&budget, "0/1");
        let pods = until(&["top", "pods"], "busy-");
        assert!(pods.contains("CPU(cores)") && pods.contains("Mi"), "{pods}");
        let nodes = until(&["top", "nodes"], "wkube-0");
        assert!(nodes.contains("Mi") && nodes.contains('%'), "{nodes}");
        let proxied = "/api/v1/nodes/wkube-0/proxy/metrics/cadvisor";
        let figures = ok(&["get", "--raw", proxied]);
        let name = "container_cpu_usage_seconds_total{container=\"c\"";
        assert!(figures.contains(name), "{figures}");
        ok(&["apply", "-f", &file("hpa.yaml", AUTOSCALER)]);
        let replicas = ["get", "deploy", "busy", "-o", "jsonpath={.spec.replicas}"];
        server.until(&kubectl, &replicas, |text| text == "3");
        let described = until(&["describe", "hpa", "busy"], "SuccessfulRescale");
        for words in [
            "New size: 3; reason: memory resource above target",
            "no custom metrics API (custom.metrics.k8s.io) registered",
        ] {
            assert!(described.contains(words), "{described}");
        }
        let raw = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/busy";
        let raw = ok(&["get", "--raw", raw]);
        assert!(raw.contains("TooManyReplicas"), "{raw}");
        until(&budget, "2/3");
        // Other limits hold at once, without a restart; what the node has not, it says.
        ok(&["delete", "hpa,deploy,pdb", "busy"]);
        ok(&["apply", "-f", &file("one.yaml", POD)]);
        until(&["get", "pod", "one"], "Running");
        // The old kubectl knows no such subresource.
        let newest = kubectls().remove(0);
        let resize = |cpu: &str| {
            let resources =
                format!(r#"{{"requests":{{"cpu":"{cpu}"}},"limits":{{"cpu":"{cpu}"}}}}"#);
            let containers = format!(r#"[{{"name":"c","resources":{resources}}}]"#);
            let patch = format!(r#"{{"spec":{{"containers":{containers}}}}}"#);
            let args = [
                "patch",
                "pod",
                "one",
                "--subresource",
                "resize",
                "-p",
                &patch,
            ];
            server.ok(&newest, &args);
        };
        resize("20m");
        let given = "jsonpath={.status.containerStatuses[0].resources.limits.cpu}/\
                     {.status.containerStatuses[0].restartCount}/{.status.conditions[*].type}";
        let given = ["get", "pod", "one", "-o", given];
        let text = until(&given, "20m/0/");
        assert!(!text.contains("PodResize"), "{text}");
        resize("9999");
        let pending = "jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}";
        until(&["get", "pod", "one", "-o", pending], "Infeasible");
        resize("30m");
        let text = until(&given, "30m/0/");
        assert!(!text.contains("PodResize"), "{text}");
    }
}
