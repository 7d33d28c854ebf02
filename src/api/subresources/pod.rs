//! What logs, exec, port-forward and proxy ask of a pod: which container, which node, which
//! address, in Kubernetes' words when there is none.
//! Kubernetes: registry `core/pod` strategy (LogLocation, streamLocation, ResourceLocation).

use crate::api::ApiServer;
use crate::api::verbs::Target;
use crate::meta::{ApiError, Object};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The annotation by which a pod says which container is meant if none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod that a target names.
pub(super) fn find(server: &ApiServer, target: &Target, name: &str) -> Result<Object, ApiError> {
    let (pod, _) = server.registry.get(&target.def, &target.namespace, name)?;
    Ok(pod)
}

fn names<'a>(pod: &'a Object, list: &str) -> Vec<&'a str> {
    let containers = pod.get(&["spec", list]).and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("name")?.as_str())
        .collect()
}

/// The container that is meant: the named one, the only one, or the pod's default.
pub(super) fn container(pod: &Object, named: &str) -> Result<String, ApiError> {
    let containers = names(pod, "containers");
    let init = names(pod, "initContainers");
    let ephemeral = names(pod, "ephemeralContainers");
    if !named.is_empty() {
        let known = [&containers, &init, &ephemeral]
            .iter()
            .any(|list| list.contains(&named));
        return if known {
            Ok(named.to_owned())
        } else {
            Err(ApiError::bad_request(format!(
                "container {named} is not valid for pod {}",
                pod.name()
            )))
        };
    }
    if let [only] = containers.as_slice() {
        return Ok((*only).to_owned());
    }
    let marked = pod.annotation(DEFAULT_CONTAINER).unwrap_or_default();
    if containers.contains(&marked) {
        return Ok(marked.to_owned());
    }
    let mut text = format!(
        "a container name must be specified for pod {}, choose one of: [{}]",
        pod.name(),
        containers.join(" ")
    );
    if !init.is_empty() {
        text += &format!(" or one of the init containers: [{}]", init.join(" "));
    }
    if !ephemeral.is_empty() {
        text += &format!(
            " or one of the ephemeral containers: [{}]",
            ephemeral.join(" ")
        );
    }
    Err(ApiError::bad_request(text))
}

/// The node that runs the pod; empty while it has none.
pub(super) fn node(pod: &Object) -> &str {
    pod.str_at(&["spec", "nodeName"])
}

/// 400: the pod is on no node.
pub(super) fn no_host(pod: &Object) -> ApiError {
    ApiError::bad_request(format!("pod {} does not have a host assigned", pod.name()))
}

/// The pod's address.
pub(super) fn ip(pod: &Object) -> Result<IpAddr, ApiError> {
    let first = pod
        .get(&["status", "podIPs"])
        .and_then(|list| list.get(0)?.get("ip")?.as_str());
    let text = first.unwrap_or_else(|| pod.str_at(&["status", "podIP"]));
    let address = text.parse::<IpAddr>().ok();
    address
        .filter(|address| is_proxyable(*address))
        .ok_or_else(|| ApiError::bad_request("address not allowed"))
}

/// A pod may claim any address in its status; those that are the server's own are never dialed.
fn is_proxyable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}

/// Where a proxied request goes: the port that is named by number or by name, else the first port
/// that the pod's containers declare, else HTTP's own.
pub(super) fn address(pod: &Object, port: &str) -> Result<SocketAddr, ApiError> {
    let ip = ip(pod)?;
    let containers = pod.get(&["spec", "containers"]).and_then(Value::as_array);
    let mut ports = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    let number = |port: &Value| {
        let number = port.get("containerPort")?.as_u64()?;
        u16::try_from(number).ok()
    };
    let found = if port.is_empty() {
        Some(ports.next().and_then(number).unwrap_or(80))
    } else if let Ok(number) = port.parse::<u16>() {
        Some(number).filter(|number| *number > 0)
    } else {
        ports
            .find(|own| own.get("name").and_then(Value::as_str) == Some(port))
            .and_then(number)
    };
    let found = found.ok_or_else(|| {
        ApiError::bad_request(format!("invalid pod request \"{}:{port}\"", pod.name()))
    })?;
    Ok(SocketAddr::new(ip, found))
}
