//! Nodes, with what runs on them. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, is_true, joined, list, or_none, time};
use crate::client::Query;
use crate::meta::time::age;
use crate::meta::{GroupVersionResource, Quantity};
use serde_json::Value;

/// What a role's label begins with.
const ROLE: &str = "node-role.kubernetes.io/";

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    let name = at(object, "/metadata/name");
    out.field(0, "Name", name);
    out.field(0, "Roles", or_none(&roles(object)));
    out.labels_and_annotations(object);
    let created = time(at(object, "/metadata/creationTimestamp"));
    out.field(0, "CreationTimestamp", created);
    let taints = list(object, "/spec/taints").iter().map(|taint| {
        let value = match at(taint, "/value") {
            "" => String::new(),
            value => format!("={value}"),
        };
        format!("{}{value}:{}", at(taint, "/key"), at(taint, "/effect"))
    });
    out.column("Taints", &taints.collect::<Vec<_>>());
    let unschedulable = is_true(object, "/spec/unschedulable").to_string();
    out.field(0, "Unschedulable", unschedulable);
    describe_lease(scene, name, out).await;
    describe_conditions(list(object, "/status/conditions"), out);
    out.line(0, "Addresses:");
    for address in list(object, "/status/addresses") {
        out.field(1, at(address, "/type"), at(address, "/address"));
    }
    out.amounts(0, "Capacity", object.pointer("/status/capacity"));
    out.amounts(0, "Allocatable", object.pointer("/status/allocatable"));
    describe_system(object, out);
    out.field_if(0, "PodCIDR", at(object, "/spec/podCIDR"));
    out.field_if(0, "PodCIDRs", joined(object, "/spec/podCIDRs"));
    out.field_if(0, "ProviderID", at(object, "/spec/providerID"));
    let selector = format!("spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed");
    let query = Query::new().with("fieldSelector", &selector);
    match scene.list(("", "v1", "pods"), "", &query).await {
        Some(pods) => describe_pods(scene, object, &pods, out),
        None => out.field(0, "Pods", "not authorized"),
    }
}

fn roles(object: &Value) -> String {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let roles =
        labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| match key.strip_prefix(ROLE) {
                Some(role) => Some(role).filter(|role| !role.is_empty()),
                None if key == "kubernetes.io/role" => value.as_str(),
                None => None,
            });
    roles.collect::<Vec<_>>().join(",")
}

async fn describe_lease(scene: &Scene<'_>, name: &str, out: &mut Text) {
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let lease = scene.client.get::<Value>(&leases, "kube-node-lease", name);
    out.line(0, "Lease:");
    let lease = match lease.await {
        Ok(lease) => lease,
        Err(error) => {
            out.field(1, "Failed to get lease", error.to_string());
            return;
        }
    };
    let unset = |text: String| match text.is_empty() {
        true => "<unset>".to_owned(),
        false => text,
    };
    let holder = at(&lease, "/spec/holderIdentity").to_owned();
    out.field(1, "HolderIdentity", unset(holder));
    for (title, field) in [("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")] {
        let shown = time(at(&lease, &format!("/spec/{field}")));
        out.field(1, title, unset(shown));
    }
}

fn describe_conditions(conditions: &[Value], out: &mut Text) {
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.line(
        1,
        "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage",
    );
    out.line(
        1,
        "----\t------\t-----------------\t------------------\t------\t-------",
    );
    for condition in conditions {
        let line = [
            at(condition, "/type"),
            at(condition, "/status"),
            &time(at(condition, "/lastHeartbeatTime")),
            &time(at(condition, "/lastTransitionTime")),
            at(condition, "/reason"),
            at(condition, "/message"),
        ];
        out.line(1, line.join(" \t"));
    }
}

fn describe_system(object: &Value, out: &mut Text) {
    out.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ] {
        out.field(1, title, at(object, &format!("/status/nodeInfo/{field}")));
    }
}

/// What a pod asks for or may use of one resource: its containers together, or the one that
/// initializes it and needs more. Kubernetes: `PodRequestsAndLimits`.
fn of_pod(pod: &Value, which: &str, resource: &str) -> Option<Quantity> {
    let pointer = format!("/resources/{which}/{resource}");
    let amount = |container: &Value| Quantity::parse(at(container, &pointer)).ok();
    let mut total: Option<Quantity> = None;
    let sum = |a: Option<Quantity>, b: Quantity| Some(a.map_or(b, |a| a.plus(&b)));
    for container in list(pod, "/spec/containers").iter().filter_map(amount) {
        total = sum(total, container);
    }
    let mut sidecars: Option<Quantity> = None;
    let mut most: Option<Quantity> = None;
    for container in list(pod, "/spec/initContainers") {
        let Some(own) = amount(container) else {
            continue;
        };
        if at(container, "/restartPolicy") == "Always" {
            sidecars = sum(sidecars, own);
            most = most.max(sidecars);
        } else {
            most = most.max(sum(sidecars, own));
        }
    }
    if let Some(sidecars) = sidecars {
        total = sum(total, sidecars);
    }
    total = total.max(most);
    match (
        Quantity::parse(at(pod, &format!("/spec/overhead/{resource}"))),
        total,
    ) {
        (Ok(overhead), Some(own)) => Some(own.plus(&overhead)),
        (Ok(overhead), None) if which == "requests" => Some(overhead),
        (_, total) => total,
    }
}

/// `10m (0%)`.
fn share(amount: Option<Quantity>, node: &Value, resource: &str) -> String {
    let of = ["/status/allocatable", "/status/capacity"];
    let of = of
        .into_iter()
        .find_map(|path| node.pointer(path)?.get(resource)?.as_str());
    let all = of.and_then(|text| Quantity::parse(text).ok());
    let millis = |amount: Option<Quantity>| amount.map_or(0, |amount| amount.millis());
    let percent = millis(amount)
        .saturating_mul(100)
        .checked_div(millis(all))
        .unwrap_or(0);
    let shown = amount.map_or_else(|| "0".to_owned(), |amount| amount.to_string());
    format!("{shown} ({percent}%)")
}

fn describe_pods(scene: &Scene<'_>, node: &Value, pods: &[Value], out: &mut Text) {
    let columns = [
        ("requests", "cpu"),
        ("limits", "cpu"),
        ("requests", "memory"),
        ("limits", "memory"),
    ];
    out.field(
        0,
        "Non-terminated Pods",
        format!("({} in total)", pods.len()),
    );
    let titles = "CPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge";
    out.line(1, format!("Namespace\tName\t\t{titles}"));
    out.line(
        1,
        "---------\t----\t\t------------\t----------\t---------------\t-------------\t---",
    );
    for pod in pods {
        let (namespace, name) = (at(pod, "/metadata/namespace"), at(pod, "/metadata/name"));
        let shares = columns
            .iter()
            .map(|(which, resource)| share(of_pod(pod, which, resource), node, resource));
        let shares = shares.collect::<Vec<_>>().join("\t");
        let age = age(at(pod, "/metadata/creationTimestamp"), scene.now);
        out.line(1, format!("{namespace}\t{name}\t\t{shares}\t{age}"));
    }
    out.line(0, "Allocated resources:");
    out.line(
        1,
        "(Total limits may be over 100 percent, i.e., overcommitted.)",
    );
    out.line(1, "Resource\tRequests\tLimits");
    out.line(1, "--------\t--------\t------");
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let total = |which: &str| {
            let amounts = pods.iter().filter_map(|pod| of_pod(pod, which, resource));
            amounts.reduce(|a, b| a.plus(&b))
        };
        let (requests, limits) = (total("requests"), total("limits"));
        let (requests, limits) = (
            share(requests, node, resource),
            share(limits, node, resource),
        );
        out.line(1, format!("{resource}\t{requests}\t{limits}"));
    }
}
