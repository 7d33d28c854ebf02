//! The verbs that change what is there, by kubectl and by wkube: the same words, the same exit codes.

use super::compare::{OURS, THEIRS, kubectl, said, twice};
use crate::server::{Server, WKUBE};
use std::path::Path;

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: p1, labels: {app: x}}
spec:
  containers:
  - name: a
    image: gihyodocker/echo:latest
    ports: [{containerPort: 8080}]
    env: [{name: A, value: \"1\"}]
";
const CONFIG_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1}\ndata: {a: \"1\"}\n";

/// The seed's Deployment.
const DEPLOYMENT: &str = include_str!("../../seed/simple-deployment.yaml");

const OF_ROLLOUTS: &[&str] = &[
    "rollout history deployment echo",
    "rollout history deployment/echo --revision=7",
    "rollout history deployment/none",
    "rollout history pod/p1",
    "rollout status pod/p1",
    "rollout pause deployment echo",
    "rollout pause deployment echo",
    "rollout restart deployment echo",
    "rollout resume deployment echo",
    "rollout resume deployment echo",
    "rollout resume pod p1",
    "rollout restart pod p1",
    "rollout pause",
    "set image deployment/echo nosuch=gihyodocker/echo:latest",
    "set image deployment/echo nginx=gihyodocker/nginx:v2 --dry-run=client",
    "set image deployment/echo nginx=gihyodocker/nginx:v2 --dry-run=server",
    "set image deployment/echo",
    "set image deployment echo nginx=gihyodocker/nginx:latest",
    "set image deployment/none nginx=x",
    "set env deployment/echo A=1 B=2",
    "set env pod/p1 --list",
    "set env pod/p1 A-",
    "set env deployment/echo A- C=3 --overwrite=false",
    "set env deployment/echo C=4 --overwrite=false",
    "set env cm/kube-root-ca.crt X=1",
    "set resources deployment echo --limits=cpu=200m,memory=64Mi",
    "set resources deployment echo -c=nosuch --limits=cpu=200m",
    "set resources deployment echo",
    "set resources deployment echo -c=nginx --requests=cpu=10m -o name",
    "set serviceaccount deployment echo default",
    "scale deployment echo --replicas=2",
    "scale deployment echo --replicas=-1",
    "scale --current-replicas=5 --replicas=1 deployment/echo",
    "scale --current-replicas=2 --replicas=1 deployment/echo",
    "scale pod p1 --replicas=1",
    "scale deployment echo --replicas=3 --dry-run=client",
    "scale deployment echo --replicas=3 --dry-run=server",
    "scale deployment --all --replicas=1",
    "autoscale deployment echo --max=1 --min=2",
    "autoscale pod p1 --max=3",
    "expose deployment echo --port=80 --target-port=8000",
    "expose deployment echo --port=80 --target-port=8000",
    "expose pod p1 --name=e3",
    "expose pod p1 --name=e4 --type=NodePort --dry-run=server",
    "expose cm kube-root-ca.crt --port=80",
    "get svc e3 -o jsonpath={.spec.ports}",
];

const OF_OBJECTS: &[&str] = &[
    "run r1 --image=gihyodocker/echo:latest",
    "run r1 --image=gihyodocker/echo:latest",
    "run --image=x",
    "run r6 --image=x --restart=Bad",
    "run r7 --image=gihyodocker/echo:latest --port=8080 --expose",
    "label pod p1 k=v",
    "label pod p1 k=v",
    "label pod p1 k=w",
    "label pod p1 k=w --overwrite",
    "label pod p1 k-",
    "label pod p1 k-",
    "label pod p1",
    "label pod",
    "label pods -l app=x z=1",
    "label pod none k=v",
    "label pod p1 k=v --dry-run=client",
    "label pod p1 k=v --dry-run=server -o name",
    "label pod p1 k=v --resource-version=1",
    "label -f pod.yaml local=1 --local -o jsonpath={.metadata.labels}",
    "label pod p1 k=not,ok",
    "label pods -l app=x q=r",
    "annotate pod p1 k=v",
    "annotate pod p1 k=v",
    "annotate pod p1 k=w",
    "annotate pod p1 k=w --overwrite",
    "annotate pod p1 k-",
    "annotate pod p1",
    "annotate pods -l app=x d=e",
    "taint node wkube-0",
    "taint node wkube-0 k=v:Bad",
    "taint pod x k=v:NoSchedule",
    "cordon nosuch",
    "wait --for=condition=Ready pod/p1 --timeout=60s",
    "wait --for=delete pod/nosuch --timeout=1s",
    "wait --for=jsonpath={.status.phase}=Running pod/p1 --timeout=60s",
    "wait --for=bogus pod/p1",
    "wait --for=condition=Ready pod/nosuch --timeout=1s",
    "wait --for=condition=Ready pods -l app=x --timeout=60s",
    "wait --for=condition=Nope pod/p1 --timeout=1s",
    "patch pod p1 -p {\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
    "patch pod p1 -p {\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
    "patch pod p1 --type=json -p [{\"op\":\"replace\",\"path\":\"/metadata/labels/a\",\"value\":\"z\"}]",
    "patch pod p1 --type=merge -p {\"metadata\":{\"labels\":{\"a\":null}}} -o name",
    "patch pod p1",
    "patch pod p1 --type=bad -p {}",
    "patch pod nosuch -p {}",
    "patch pod p1 -p {\"metadata\":{\"labels\":{\"a\":\"q\"}}} --dry-run=server",
    "patch pod p1 -p {\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"\"}]}}",
    "replace -f nosuch.yaml",
    "replace",
    "replace -f cm.yaml",
    "replace --force -f cm.yaml",
    "replace -f cm.yaml",
    "diff -f cm.yaml",
    "diff",
    "events --for pod/nosuch",
    "explain pods",
    "explain pod.spec.containers",
    "explain deployment --recursive",
    "explain pods.nosuch",
    "explain cronjob.spec.concurrencyPolicy",
];

fn prepared(folder: &Path, lines: &[&str]) {
    let Some(kubectl) = kubectl() else {
        eprintln!("no kubectl on this machine: there is nothing to compare with");
        return;
    };
    let server = Server::start(folder, &[]);
    for (name, text) in [
        ("pod.yaml", POD),
        ("cm.yaml", CONFIG_MAP),
        ("dep.yaml", DEPLOYMENT),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    for namespace in [THEIRS, OURS] {
        server.ok(WKUBE, &["create", "namespace", namespace]);
        let ok = |words: &str| {
            let mut args = vec!["-n", namespace];
            args.extend(words.split_whitespace());
            let said = said(&server, folder, WKUBE, &args);
            assert_eq!(said.code, Some(0), "{words}: {said:?}");
            said.stdout
        };
        ok("apply -f dep.yaml -f pod.yaml");
        let told = ok("rollout status deployment echo --timeout=60s");
        assert!(told.ends_with("deployment \"echo\" successfully rolled out\n"));
    }
    twice(&server, &kubectl, folder, lines);
}

#[test]
fn what_is_rolled_out_is_changed_as_by_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path(), OF_ROLLOUTS);
}

#[test]
fn objects_are_changed_as_by_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    prepared(folder.path(), OF_OBJECTS);
}

/// The seed's chapter of Deployments by wkube alone: revisions, an image that is not there, undo.
#[test]
fn the_seed_s_rollout_by_wkube() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let manifest = folder.path().join("dep-test.yaml");
    std::fs::write(&manifest, DEPLOYMENT).unwrap();
    let manifest = manifest.to_str().unwrap();
    let ok = |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        server.ok(WKUBE, &args)
    };
    ok(&format!("apply -f {manifest} --record"));
    assert!(ok("rollout status deployment echo").ends_with("successfully rolled out\n"));
    assert!(ok("rollout history deployment echo").contains("\n1  "));
    ok("set image deployment/echo nginx=gihyodocker/nginx:latest echo1=gihyodocker/echo:none");
    server.until(WKUBE, &["get", "pods"], |text| {
        text.contains("ImagePullBackOff")
    });
    assert!(ok("rollout history deployment echo").contains("\n2  "));
    let described = ok("rollout history deployment echo --revision=2");
    assert!(described.contains("with revision #2\nPod Template:\n  Labels:\tapp=echo\n"));
    assert_eq!(
        ok("rollout undo deployment echo"),
        "deployment.apps/echo rolled back\n"
    );
    assert!(ok("rollout status deployment echo").ends_with("successfully rolled out\n"));
    let history = ok("rollout history deployment echo");
    assert!(
        history.contains("\n3  ") && !history.contains("\n1  "),
        "{history}"
    );
    assert_eq!(
        ok("rollout restart deployment echo"),
        "deployment.apps/echo restarted\n"
    );
    ok("rollout status deployment echo");
}
