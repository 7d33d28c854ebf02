//! The real binary killed while clients write to it: what was acknowledged is there afterwards, no
//! revision is given out again, and pods go on.

use crate::server::{SIMPLE_POD, Server, WKUBE};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wkube::client::{Client, Connection, Query, connect};
use wkube::meta::GroupVersionResource;

/// Kills of one run; `cargo xtask soak` runs more.
const KILLS: u64 = 50;
/// Clients that write at the same time.
const WRITERS: u64 = 4;

fn config_maps() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "configmaps")
}

async fn client(server: &Server) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        kubeconfig: Some(server.kubeconfig.clone()),
        ..Connection::default()
    };
    connect(&connection, "test").await.unwrap().0
}

fn revision(object: &Value) -> u64 {
    object
        .pointer("/metadata/resourceVersion")
        .unwrap()
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Writes until the server is gone; answers what was acknowledged, with the revisions.
async fn write(
    client: Client,
    round: u64,
    writer: u64,
    done: Arc<AtomicU64>,
) -> Vec<(String, u64)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("c{round}-{writer}-{number}");
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        match client
            .create::<Value>(&config_maps(), "default", None, &body)
            .await
        {
            Ok(made) => {
                acknowledged.push((name, revision(&made)));
                done.fetch_add(1, Relaxed);
            }
            Err(_) => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_no_revision_comes_twice() {
    for seed in super::seeds("kill", [0]) {
        kills(seed).await;
    }
}

async fn kills(seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, mut highest): (Vec<String>, u64) = (Vec::new(), 0);
    for round in 0..KILLS {
        let server = Server::start(folder.path(), &["--mock-runtime"]);
        let client = client(&server).await;
        let list = client
            .list::<Value>(&config_maps(), "default", &Query::new())
            .await
            .unwrap();
        let names: std::collections::HashSet<&str> = list
            .items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap())
            .collect();
        for name in &kept {
            assert!(
                names.contains(name.as_str()),
                "seed {seed}, round {round}: {name} was acknowledged"
            );
        }
        let at: u64 = list.metadata.resource_version.parse().unwrap();
        assert!(
            at >= highest,
            "seed {seed}, round {round}: revision {at} after {highest}"
        );
        let done = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(client.clone(), round, writer, done.clone())))
            .collect();
        // A different moment each round: after so many writes, wherever the others then are.
        let writes = rng.random_range(1..24);
        while done.load(Relaxed) < writes {
            assert!(
                writers.iter().any(|writer| !writer.is_finished()),
                "nobody writes any more"
            );
            tokio::task::yield_now().await;
        }
        server.kill();
        for (name, at) in join_all(writers).await.into_iter().flat_map(Result::unwrap) {
            assert!(
                at > highest || round == 0,
                "seed {seed}, round {round}: revision {at} came again"
            );
            kept.push(name);
        }
        highest = highest.max(at);
    }
    assert!(kept.len() as u64 >= KILLS);
}

#[test]
fn a_killed_server_s_pod_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.ok(WKUBE, &["apply", "-f", SIMPLE_POD]);
    server.until(WKUBE, &["get", "pods"], |text| text.contains("2/2"));
    let facts = "jsonpath={.metadata.uid} {.status.podIP}";
    let before = server.ok(WKUBE, &["get", "pod", "simple-echo", "-o", facts]);
    server.kill();
    let server = Server::start(folder.path(), &[]);
    let restarts = "jsonpath={.status.containerStatuses[*].restartCount}";
    server.until(
        WKUBE,
        &["get", "pod", "simple-echo", "-o", restarts],
        |text| text.trim_end() == "1 1",
    );
    server.until(WKUBE, &["get", "pods"], |text| text.contains("2/2"));
    assert_eq!(
        server.ok(WKUBE, &["get", "pod", "simple-echo", "-o", facts]),
        before
    );
    let logs = server.ok(WKUBE, &["logs", "simple-echo", "-c", "echo", "--previous"]);
    assert!(logs.contains("start server"), "{logs}");
}
