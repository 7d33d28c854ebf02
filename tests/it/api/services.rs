//! Services get addresses and ports of their own, and give them back.

use super::harness::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use wkube::api::Limits;
use wkube::stdx::Clock;
use wkube::store::{MemoryStore, StoreOptions};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

fn service(name: &str, spec: Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": spec })
}

async fn addresses(cluster: &Cluster) -> Vec<String> {
    let list = cluster.get(ADDRESSES).await.expect(200);
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn an_address_is_given_and_taken_back() {
    let cluster = Cluster::start().await;
    let ports = json!([{ "port": 80 }]);
    let dry = format!("{SERVICES}?dryRun=All");
    let body = service("a", json!({ "ports": ports }));
    let dry = cluster.post(&dry, &body);
    assert!(dry.await.expect(201)["spec"]["clusterIP"].is_string());
    assert!(addresses(&cluster).await.is_empty(), "it was only asked");

    let made = cluster.post(SERVICES, &body).await.expect(201);
    let ip = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(made["spec"]["clusterIPs"], json!([ip]));
    assert!(ip.starts_with("10."));
    let object = cluster.get(&format!("{ADDRESSES}/{ip}")).await.expect(200);
    let parent =
        json!({ "group": "", "resource": "services", "namespace": "default", "name": "a" });
    assert_eq!(object["spec"]["parentRef"], parent);

    let same = json!({ "clusterIP": ip, "ports": ports });
    let refused = cluster
        .post(SERVICES, &service("b", same))
        .await
        .message(422);
    let why = format!("failed to allocate IP {ip}: provided IP is already allocated");
    assert!(refused.ends_with(&why), "{refused}");
    let outside = json!({ "clusterIP": "192.0.2.1", "ports": ports });
    let refused = cluster.post(SERVICES, &service("b", outside)).await;
    assert!(refused.message(422).contains("is not in the valid range"));

    let headless = json!({ "clusterIP": "None", "ports": ports });
    let made = cluster
        .post(SERVICES, &service("none", headless))
        .await
        .expect(201);
    assert_eq!(made["spec"]["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(addresses(&cluster).await, [ip]);

    let uri = format!("{SERVICES}/a");
    let named = json!({ "spec": { "type": "ExternalName", "externalName": "x.test" } });
    let named = cluster
        .patch(&uri, "merge-patch+json", &named)
        .await
        .expect(200);
    assert_eq!(named["spec"].get("clusterIP"), None);
    assert_eq!(named["spec"].get("ipFamilyPolicy"), None);
    assert!(addresses(&cluster).await.is_empty());
    let back = json!({ "spec": { "type": "ClusterIP", "externalName": null } });
    cluster
        .patch(&uri, "merge-patch+json", &back)
        .await
        .expect(200);
    assert_eq!(addresses(&cluster).await.len(), 1);
    cluster.delete(&uri).await.expect(200);
    assert!(addresses(&cluster).await.is_empty());
}

#[tokio::test]
async fn ports_of_the_nodes_are_given_once() {
    let cluster = Cluster::start().await;
    let spec = json!({ "type": "NodePort", "ports": [{ "name": "a", "port": 80 },
        { "name": "b", "port": 81 }] });
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let bodies: Vec<Value> = names
        .iter()
        .map(|name| service(name, spec.clone()))
        .collect();
    let made = bodies.iter().map(|body| cluster.post(SERVICES, body));
    let made = futures::future::join_all(made).await;
    let mut ports = BTreeSet::new();
    for service in made {
        for port in service.expect(201)["spec"]["ports"].as_array().unwrap() {
            ports.insert(port["nodePort"].as_i64().unwrap());
        }
    }
    assert_eq!(ports.len(), 40);
    let first = *ports.first().unwrap();
    assert!(first >= 30_000 && *ports.last().unwrap() <= 32_767);

    let taken = json!({ "type": "NodePort", "ports": [{ "port": 80, "nodePort": first }] });
    let refused = cluster
        .post(SERVICES, &service("x", taken))
        .await
        .message(422);
    let why = format!(
        "spec.ports[0].nodePort: Invalid value: {first}: provided port is already allocated"
    );
    assert!(refused.ends_with(&why), "{refused}");
    let outside = json!({ "type": "NodePort", "ports": [{ "port": 80, "nodePort": 80 }] });
    let refused = cluster
        .post(SERVICES, &service("x", outside))
        .await
        .message(422);
    assert!(
        refused.ends_with("The range of valid ports is 30000-32767"),
        "{refused}"
    );
    // What a plain service has no use for goes with its type.
    let plain = json!({ "spec": { "type": "ClusterIP" } });
    let uri = format!("{SERVICES}/s0");
    let plain = cluster
        .patch(&uri, "merge-patch+json", &plain)
        .await
        .expect(200);
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(plain["spec"].get("externalTrafficPolicy"), None);
}

#[tokio::test]
async fn a_new_start_makes_addresses_and_services_agree() {
    let store = Arc::new(MemoryStore::new(StoreOptions::default()));
    let (limits, clock) = (Limits::default(), Clock::real());
    let first = Cluster::on(store.clone(), limits.clone(), clock.clone()).await;
    let body = service("a", json!({ "ports": [{ "port": 80 }] }));
    let made = first.post(SERVICES, &body).await.expect(201);
    let ip = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    first.delete(&format!("{ADDRESSES}/{ip}")).await.expect(200);
    let left = json!({
        "metadata": { "name": "10.100.0.9", "labels":
            { "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io" } },
        "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": "x" } },
    });
    first.post(ADDRESSES, &left).await.expect(201);
    let second = Cluster::on(store, limits, clock).await;
    assert_eq!(addresses(&second).await, [ip]);
}

#[tokio::test]
async fn a_cluster_keeps_the_range_that_it_was_made_with() {
    let store = Arc::new(MemoryStore::new(StoreOptions::default()));
    let cluster = Cluster::of_range(store.clone(), "10.7.0.0/24")
        .await
        .unwrap();
    let cidr = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes";
    let told = cluster.get(cidr).await.expect(200);
    assert_eq!(told["spec"]["cidrs"], json!(["10.7.0.0/24"]));
    let own = cluster.server.service_range().api_server();
    assert_eq!(own.to_string(), "10.7.0.1");
    let ports = json!([{ "port": 80 }]);
    for number in 0..30 {
        let body = service(&format!("a{number}"), json!({ "ports": ports }));
        let made = cluster.post(SERVICES, &body).await.expect(201);
        let ip = made["spec"]["clusterIP"].as_str().unwrap();
        assert!(ip.starts_with("10.7.0."), "{ip}");
    }
    let asked = json!({ "clusterIP": "10.96.0.9", "ports": ports });
    let refused = cluster.post(SERVICES, &service("b", asked)).await;
    let refused = refused.message(422);
    assert!(
        refused.ends_with("The range of valid IPs is 10.7.0.0/24"),
        "{refused}"
    );
    drop(cluster);

    // Another range would leave the Services with addresses that are nobody's.
    let other = Cluster::of_range(store.clone(), "10.8.0.0/24").await;
    let why = other.err().unwrap().to_string();
    assert!(
        why.contains("are 10.7.0.0/24: they cannot be 10.8.0.0/24"),
        "{why}"
    );
    let same = Cluster::on(store, Limits::default(), Clock::real()).await;
    assert_eq!(same.server.service_range().to_string(), "10.7.0.0/24");
}
