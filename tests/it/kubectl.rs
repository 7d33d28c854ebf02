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
