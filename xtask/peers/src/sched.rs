//! `sched`: many nodes that nobody runs, many pods that wait for a node, and then the scheduler: how
//! long until all are bound. While nodes and pods are made, the lease of Kubernetes' own scheduler is
//! held, so that wkube's waits; what is measured begins when it is given up.

use crate::Failure;
use crate::args::Args;
use crate::client::{Api, Watch};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const PODS: &str = "/api/v1/namespaces/default/pods";
const NODES: &str = "/api/v1/nodes";
/// Leases by which nodes say that they live; those of the measurement do so for ever.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// The lease that a scheduler holds.
const LOCK: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const JSON: &str = "application/json";
const CONNECTIONS: usize = 16;
/// After this, a scheduler has seen that somebody else holds the lease.
const LOCK_SEEN: Duration = Duration::from_secs(5);
/// Zones that the nodes are in.
const ZONES: usize = 10;
/// A time at which a measurement is over.
const FOR_EVER: &str = "2099-01-01T00:00:00.000000Z";

/// `--nodes` nodes, `--pods` pods of a `--shape` (plain, affinity, anti, spread).
pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    let (nodes, pods): (usize, usize) = (args.get("nodes")?, args.get("pods")?);
    let shape: String = args.get("shape")?;
    let seconds: u64 = args.get("seconds")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        make(&api, LOCK, 1, |_| lock()).await?;
        tokio::time::sleep(LOCK_SEEN).await;
        make(&api, LEASES, nodes, lease).await?;
        make(&api, NODES, nodes, node).await?;
        make(&api, PODS, pods, |number| pod(&shape, number)).await?;
        let mut watch = api.watch(PODS).await?;
        let began = Instant::now();
        let mut conn = api.connect().await?;
        let path = format!("{LOCK}/kube-scheduler");
        conn.ask(Method::DELETE, &path, None).await?;
        let bound = timeout(Duration::from_secs(seconds), all_bound(&mut watch, pods));
        let first = bound
            .await
            .map_err(|_| format!("not all {pods} pods are bound after {seconds} s"))??;
        let took = began.elapsed() - first.saturating_duration_since(began);
        println!("bound_s {:.3}", took.as_secs_f64());
        Ok(())
    })
}

/// Makes objects over several connections.
async fn make(
    api: &Api,
    path: &'static str,
    count: usize,
    body: impl Fn(usize) -> Value,
) -> Result<(), Failure> {
    let mut makers = Vec::new();
    for first in 0..CONNECTIONS.min(count) {
        let bodies: Vec<String> = (first..count)
            .step_by(CONNECTIONS)
            .map(|number| body(number).to_string())
            .collect();
        let api = api.clone();
        makers.push(tokio::spawn(async move {
            let mut conn = api.connect().await?;
            for body in bodies {
                conn.ask(Method::POST, path, Some((JSON, body.into())))
                    .await?;
            }
            Ok::<_, Failure>(())
        }));
    }
    for maker in makers {
        maker.await??;
    }
    Ok(())
}

/// Waits until so many pods are bound; answers when the first was.
async fn all_bound(watch: &mut Watch, count: usize) -> Result<Instant, Failure> {
    let mut bound: HashSet<String> = HashSet::with_capacity(count);
    let mut first = None;
    while bound.len() < count {
        let name = watch.next(|line| {
            let event: Event<'_> = serde_json::from_slice(line)?;
            let is_bound = !event.object.spec.node_name.is_empty();
            Ok(is_bound.then(|| event.object.metadata.name.into_owned()))
        });
        if let Some(name) = name.await? {
            first.get_or_insert_with(Instant::now);
            bound.insert(name);
        }
    }
    Ok(first.unwrap_or_else(Instant::now))
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    object: Pod<'a>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    node_name: Cow<'a, str>,
}

fn lock() -> Value {
    let spec = json!({"holderIdentity": "bench", "leaseDurationSeconds": 3600,
        "acquireTime": FOR_EVER, "renewTime": FOR_EVER});
    let metadata = json!({"name": "kube-scheduler"});
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
}

fn lease(number: usize) -> Value {
    let name = format!("bench-{number}");
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": FOR_EVER});
    let metadata = json!({"name": name, "namespace": "kube-node-lease"});
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
}

fn node(number: usize) -> Value {
    let name = format!("bench-{number}");
    let labels = json!({"kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": format!("zone-{}", number % ZONES)});
    let capacity = json!({"cpu": "4", "memory": "32Gi", "pods": "110"});
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"capacity": capacity, "allocatable": capacity, "conditions": ready}})
}

/// As kube-scheduler's own measurements have them: 100m and 500Mi, in groups of a hundred.
fn pod(shape: &str, number: usize) -> Value {
    let group = format!("group-{}", number / 100);
    let selector = json!({"matchLabels": {"group": group}});
    let term = |key: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": key, "labelSelector": selector}]})
    };
    let requests = json!({"cpu": "100m", "memory": "500Mi"});
    let mut spec = json!({"containers": [{"name": "c", "image": "pause", "resources": {"requests": requests}}]});
    match shape {
        "affinity" => {
            spec["affinity"] = json!({"podAffinity": term("topology.kubernetes.io/zone")})
        }
        "anti" => spec["affinity"] = json!({"podAntiAffinity": term("kubernetes.io/hostname")}),
        "spread" => {
            spec["topologySpreadConstraints"] = json!([{"maxSkew": 5, "labelSelector": selector,
                "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}]);
        }
        _ => {}
    }
    let metadata = json!({"name": format!("bench-{number}"), "labels": {"group": group}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}
