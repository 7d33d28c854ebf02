//! The flags that the API server has from kube-apiserver, on an API with no node and no scheduler:
//! what test suites start their own controllers and schedulers against.

use crate::kubectl::kubectls;
use crate::server::Server;

#[test]
fn a_bare_api_believes_the_tokens_of_a_file_and_lets_them_do_what_the_mode_allows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.csv");
    let lines = "admin-token,admin,,\"system:masters\"\nguest-token,guest,42,\"one,two\"\n";
    std::fs::write(&file, lines).unwrap();
    let data = folder.path().join("data");
    let server = Server::start(
        &data,
        &[
            "--nodes",
            "0",
            "--scheduler=false",
            "--authorization-mode",
            "RBAC,AlwaysAllow",
            "--disable-admission-plugins",
            "ServiceAccount",
            "--token-auth-file",
            file.to_str().unwrap(),
        ],
    );
    for kubectl in kubectls() {
        let address = [
            "config",
            "view",
            "-o",
            "jsonpath={.clusters[0].cluster.server}",
        ];
        let address = server.ok(&kubectl, &address);
        let guest = [
            "--kubeconfig",
            "/dev/null",
            "--insecure-skip-tls-verify",
            "--server",
            &address,
            "--token",
            "guest-token",
        ];
        let ok = |args: &[&str]| server.ok(&kubectl, &[args, &guest].concat());
        assert_eq!(ok(&["get", "nodes", "-o", "name"]), "");
        // Nobody gives the pod an account or a node.
        ok(&["run", "bare", "--image", "none", "--restart", "Never"]);
        let spec = "jsonpath=[{.spec.serviceAccountName}][{.spec.nodeName}][{.status.phase}]";
        let bare = ok(&["get", "pod", "bare", "-o", spec]);
        assert_eq!(bare, "[][][Pending]");
        ok(&["delete", "pod", "bare"]);
        assert_eq!(ok(&["auth", "can-i", "delete", "secrets"]), "yes\n");
    }
}
