//! The real kubectl against the real binary: the seed's commands on a pod, word for word. Every
//! kubectl that is found is used: the one of the machine, and an old one named by
//! `WKUBE_TEST_KUBECTL_OLD`.

use crate::server::{SIMPLE_POD, Server};

pub(crate) fn kubectls() -> Vec<String> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.is_file());
    let old = std::env::var("WKUBE_TEST_KUBECTL_OLD").ok();
    let found: Vec<String> = on_path
        .map(|path| path.display().to_string())
        .into_iter()
        .chain(old)
        .collect();
    if found.is_empty() {
        eprintln!("NO KUBECTL FOUND: its conversations were not tested");
    }
    found
}

#[test]
fn the_seed_s_commands_on_a_pod() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &[]);
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        assert!(
            ok(&["get", "nodes"]).contains("wkube-0   Ready"),
            "{kubectl}"
        );
        let namespaces = ok(&["get", "namespace"]);
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            assert!(namespaces.contains(name), "{namespaces}");
        }
        assert_eq!(
            ok(&["apply", "-f", SIMPLE_POD]),
            "pod/simple-echo created\n"
        );
        let shown = server.until(&kubectl, &["get", "pod"], |text| text.contains("2/2"));
        assert!(
            shown.starts_with("NAME          READY   STATUS    RESTARTS   AGE\n"),
            "{shown}"
        );
        assert!(ok(&["get", "pod", "-o", "wide"]).contains("wkube-0"));
        let proxy = "/api/v1/namespaces/default/pods/simple-echo:80/proxy/";
        let answer = server.until(&kubectl, &["get", "--raw", proxy], |text| !text.is_empty());
        assert_eq!(answer.trim_end(), "Hello Docker!!");
        let logs = server.until(&kubectl, &["logs", "simple-echo", "-c", "echo"], |text| {
            text.contains("received request")
        });
        assert!(logs.starts_with("start server"), "{logs}");
        let described = ok(&["describe", "pod", "simple-echo"]);
        for words in [
            "BACKEND_HOST:  localhost:8080",
            "Successfully assigned default/simple-echo",
        ] {
            assert!(described.contains(words), "{described}");
        }
        assert_eq!(
            ok(&["apply", "-f", SIMPLE_POD]),
            "pod/simple-echo unchanged\n"
        );
        assert!(ok(&["delete", "pod", "simple-echo"]).contains("pod \"simple-echo\" deleted"));
        assert_eq!(ok(&["get", "pod"]), "");
        ok(&["apply", "-f", SIMPLE_POD]);
        assert!(ok(&["delete", "-f", SIMPLE_POD]).contains("pod \"simple-echo\" deleted"));
    }
}

/// Since 1.32 kubectl makes some objects by its typed clients, which send protobuf; older ones send
/// JSON. What comes of it is the same. (The old one makes disruption budgets in a version that
/// Kubernetes 1.36 has no more.)
#[test]
fn what_is_made_without_a_file() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &["--mock-runtime"]);
        for (args, wanted) in [
            ("namespace n", "namespace/n created"),
            ("configmap c --from-literal=a=b", "configmap/c created"),
            ("secret generic s --from-literal=a=b", "secret/s created"),
            ("serviceaccount sa", "serviceaccount/sa created"),
            ("quota q --hard=pods=5", "resourcequota/q created"),
            ("service clusterip svc --tcp=80:8080", "service/svc created"),
            (
                "deployment d --image=x --replicas=2",
                "deployment.apps/d created",
            ),
            ("job j --image=x", "job.batch/j created"),
            (
                "role r --verb=get --resource=pods",
                "role.rbac.authorization.k8s.io/r created",
            ),
            (
                "rolebinding rb --role=r --user=u",
                "rolebinding.rbac.authorization.k8s.io/rb created",
            ),
            (
                "clusterrole cr --verb=get --resource=nodes",
                "clusterrole.rbac.authorization.k8s.io/cr created",
            ),
            (
                "clusterrolebinding crb --clusterrole=cr --user=u",
                "clusterrolebinding.rbac.authorization.k8s.io/crb created",
            ),
            (
                "priorityclass pc --value=100",
                "priorityclass.scheduling.k8s.io/pc created",
            ),
            (
                "ingress i --rule=a.example/*=svc:80",
                "ingress.networking.k8s.io/i created",
            ),
        ] {
            let args: Vec<&str> = std::iter::once("create").chain(args.split(' ')).collect();
            assert_eq!(server.ok(&kubectl, &args).trim_end(), wanted, "{kubectl}");
        }
        let replicas = [
            "get",
            "deployment",
            "d",
            "-o",
            "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}",
        ];
        assert_eq!(server.ok(&kubectl, &replicas), "2 x");
        let data = ["get", "configmap", "c", "-o", "jsonpath={.data}"];
        assert!(server.ok(&kubectl, &data).contains("a"));
        let secret = ["get", "secret", "s", "-o", "jsonpath={.data.a}"];
        assert_eq!(server.ok(&kubectl, &secret), "Yg==");
        assert_eq!(
            server.ok(&kubectl, &["auth", "can-i", "list", "pods"]),
            "yes\n"
        );
    }
}

/// The seed's manifest of a name, word for word.
fn seed(name: &str) -> String {
    format!("{}/tests/seed/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_seed_s_replica_set_keeps_three_pods() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &[]);
        let (manifest, ok) = (seed("simple-replicaset"), |args: &[&str]| {
            server.ok(&kubectl, args)
        });
        let names = ["get", "pods", "-l", "app=echo", "-o", "name"];
        let three = |text: &str| text.lines().count() == 3;
        assert_eq!(
            ok(&["apply", "-f", &manifest]),
            "replicaset.apps/echo created\n"
        );
        let ready = "jsonpath={.status.readyReplicas}";
        let status = ["get", "rs", "echo", "-o", ready];
        server.until(&kubectl, &status, |text| text == "3");
        let before = ok(&names);
        let victim = before.lines().next().unwrap();
        ok(&["delete", victim]);
        let after = server.until(&kubectl, &names, |text| {
            three(text) && !text.contains(victim)
        });
        assert_ne!(before, after);
        // One that bears other labels is let go, and another takes its place.
        let released = after.lines().next().unwrap();
        ok(&["label", released, "app=other", "--overwrite"]);
        server.until(&kubectl, &names, three);
        let owners = [
            "get",
            released,
            "-o",
            "jsonpath={.metadata.ownerReferences}",
        ];
        server.until(&kubectl, &owners, str::is_empty);
        // One that comes back is adopted, and one of the four goes.
        ok(&["label", released, "app=echo", "--overwrite"]);
        server.until(&kubectl, &status, |text| text == "3");
        server.until(&kubectl, &names, three);
        let described = ok(&["describe", "rs", "echo"]);
        for words in [
            "3 current / 3 desired",
            "SuccessfulCreate",
            "Created pod: echo-",
        ] {
            assert!(described.contains(words), "{described}");
        }
        ok(&["delete", "-f", &manifest]);
        server.until(&kubectl, &names, str::is_empty);
    }
}

#[test]
fn the_seed_s_deployment_rolls_forward_and_back() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &[]);
        let (manifest, ok) = (seed("simple-deployment"), |args: &[&str]| {
            server.ok(&kubectl, args)
        });
        let rolled = || {
            let said = ok(&["rollout", "status", "deployment", "echo"]);
            let end = "deployment \"echo\" successfully rolled out\n";
            assert!(said.ends_with(end), "{said}");
        };
        let history = || -> Vec<String> {
            let said = ok(&["rollout", "history", "deployment", "echo"]);
            let numbers = said
                .lines()
                .skip(2)
                .filter_map(|line| line.split(' ').next());
            let numbers = numbers.filter(|number| !number.is_empty());
            numbers.map(str::to_owned).collect()
        };
        ok(&["apply", "-f", &manifest, "--record"]);
        rolled();
        let said = ok(&["rollout", "history", "deployment", "echo"]);
        assert!(said.contains("1         kubectl apply "), "{said}");
        // Another size alone is no revision.
        ok(&["scale", "deployment", "echo", "--replicas=4"]);
        rolled();
        assert_eq!(history(), ["1"]);
        ok(&[
            "set",
            "image",
            "deployment/echo",
            "echo1=gihyodocker/echo:0.1",
        ]);
        let stuck = "jsonpath={.status.updatedReplicas}";
        server.until(&kubectl, &["get", "deploy", "echo", "-o", stuck], |text| {
            !text.is_empty()
        });
        assert_eq!(history(), ["1", "2"]);
        let said = ok(&["rollout", "history", "deployment", "echo", "--revision=1"]);
        assert!(
            said.contains("with revision #1") && said.contains("echo:latest"),
            "{said}"
        );
        // What cannot be pulled takes nothing away that is needed.
        let available = "jsonpath={.status.availableReplicas}";
        let count = ok(&["get", "deploy", "echo", "-o", available]);
        assert!(count.parse::<i32>().unwrap() >= 3, "{count}");
        let said = ok(&["rollout", "undo", "deployment", "echo"]);
        assert_eq!(said, "deployment.apps/echo rolled back\n");
        rolled();
        assert_eq!(history(), ["2", "3"]);
        ok(&["rollout", "pause", "deployment", "echo"]);
        ok(&["rollout", "resume", "deployment", "echo"]);
        ok(&["rollout", "restart", "deployment", "echo"]);
        rolled();
        let described = ok(&["describe", "deployment", "echo"]);
        for words in [
            "4 desired | 4 updated | 4 total | 4 available | 0 unavailable",
            "25% max unavailable, 25% max surge",
            "Progressing    True    NewReplicaSetAvailable",
            "Available      True    MinimumReplicasAvailable",
            "from 0 to 3",
        ] {
            assert!(described.contains(words), "{described}");
        }
        ok(&["delete", "-f", &manifest]);
        let all = ["get", "rs,pods", "-o", "name"];
        server.until(&kubectl, &all, str::is_empty);
    }
}

/// A manifest of our own: the seed names StatefulSets and has none.
fn manifest(name: &str) -> String {
    format!("{}/tests/manifests/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// The numbers that `rollout history` shows.
fn revisions(history: &str) -> Vec<String> {
    let numbers = history
        .lines()
        .skip(2)
        .filter_map(|line| line.split(' ').next());
    let numbers = numbers.filter(|number| !number.is_empty());
    numbers.map(str::to_owned).collect()
}

#[test]
fn a_stateful_set_keeps_names_and_rolls_in_order() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &[]);
        let (manifest, ok) = (manifest("simple-statefulset"), |args: &[&str]| {
            server.ok(&kubectl, args)
        });
        let names = ["get", "pods", "-l", "app=echo", "-o", "name"];
        let rolled = || {
            let said = ok(&["rollout", "status", "sts", "echo"]);
            assert!(said.contains("roll out complete: 2 new pods"), "{said}");
        };
        let history = || revisions(&ok(&["rollout", "history", "sts", "echo"]));
        assert_eq!(
            ok(&["apply", "-f", &manifest]),
            "statefulset.apps/echo created\n"
        );
        rolled();
        assert_eq!(ok(&names), "pod/echo-0\npod/echo-1\n");
        let uid = ["get", "pod", "echo-0", "-o", "jsonpath={.metadata.uid}"];
        let before = ok(&uid);
        ok(&["delete", "pod", "echo-0"]);
        let again = ["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"];
        server.until(&kubectl, &again, |text| {
            !text.contains(&before) && text.split(' ').count() == 2
        });
        let ready = "jsonpath={.status.readyReplicas}";
        let status = ["get", "sts", "echo", "-o", ready];
        server.until(&kubectl, &status, |text| text == "2");
        ok(&["rollout", "restart", "sts", "echo"]);
        rolled();
        assert_eq!(history(), ["1", "2"]);
        ok(&["rollout", "undo", "sts", "echo"]);
        rolled();
        assert_eq!(history(), ["2", "3"]);
        ok(&["scale", "sts", "echo", "--replicas=1"]);
        server.until(&kubectl, &names, |text| text == "pod/echo-0\n");
        let described = ok(&["describe", "sts", "echo"]);
        for words in [
            "create Pod echo-0 in StatefulSet echo successful",
            "delete Pod echo-1 in StatefulSet echo successful",
        ] {
            assert!(described.contains(words), "{described}");
        }
        ok(&["delete", "-f", &manifest]);
        let all = ["get", "controllerrevisions,pods", "-o", "name"];
        server.until(&kubectl, &all, str::is_empty);
    }
}

#[test]
fn a_daemon_set_runs_on_each_node_and_rolls() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &["--nodes", "3"]);
        let (manifest, ok) = (manifest("simple-daemonset"), |args: &[&str]| {
            server.ok(&kubectl, args)
        });
        let rolled = || {
            let said = ok(&["rollout", "status", "ds", "echo"]);
            let end = "daemon set \"echo\" successfully rolled out\n";
            assert!(said.ends_with(end), "{said}");
        };
        assert_eq!(
            ok(&["apply", "-f", &manifest]),
            "daemonset.apps/echo created\n"
        );
        rolled();
        let on = "jsonpath={range .items[*]}{.spec.nodeName} {end}";
        let nodes = ["get", "pods", "-o", on];
        let all_three = |text: &str| {
            let mut nodes: Vec<&str> = text.split_whitespace().collect();
            nodes.sort_unstable();
            nodes == ["wkube-0", "wkube-1", "wkube-2"]
        };
        assert!(all_three(&ok(&nodes)));
        // Pods of DaemonSets endure a cordon; a taint of one's own they do not.
        ok(&["cordon", "wkube-1"]);
        ok(&["taint", "node", "wkube-2", "own=x:NoExecute"]);
        server.until(&kubectl, &nodes, |text| {
            text.split_whitespace().count() == 2
        });
        ok(&["taint", "node", "wkube-2", "own-"]);
        server.until(&kubectl, &nodes, all_three);
        ok(&["rollout", "restart", "ds", "echo"]);
        rolled();
        ok(&["rollout", "undo", "ds", "echo"]);
        rolled();
        let history = revisions(&ok(&["rollout", "history", "ds", "echo"]));
        assert_eq!(history, ["2", "3"]);
        let described = ok(&["describe", "ds", "echo"]);
        for words in [
            "Desired Number of Nodes Scheduled: 3",
            "Number of Nodes Scheduled with Up-to-date Pods: 3",
            "SuccessfulCreate",
            "Created pod: echo-",
        ] {
            assert!(described.contains(words), "{described}");
        }
        ok(&["delete", "-f", &manifest]);
        server.until(&kubectl, &nodes, str::is_empty);
    }
}
