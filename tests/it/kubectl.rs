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
