//! The Python client of Kubernetes against the real binary: `python/conversation.py` says what. It needs
//! a Python that has the package `kubernetes`, named by `WKUBE_TEST_PYTHON`; `.ci/run` makes one.

use crate::server::{SIMPLE_POD, Server};

const CONVERSATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/python/conversation.py"
);

#[test]
fn the_python_client_does_what_its_users_do() {
    let Ok(python) = std::env::var("WKUBE_TEST_PYTHON") else {
        eprintln!("WKUBE_TEST_PYTHON IS NOT SET: the Python client was not tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let said = server.ok(&python, &[CONVERSATION, SIMPLE_POD]);
    assert_eq!(said, "all said\n");
}
