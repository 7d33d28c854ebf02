//! The start of one container: what its configuration needs is gathered, the runtime is called.
//!
//! Kubernetes: kubelet `startContainer`, `generateContainerConfig`.

use crate::client::ClientError;
use crate::kubelet::env::{self, Place, Sources, Values};
use crate::kubelet::logs::{ContainerLog, LogKey};
use crate::kubelet::node::Node;
use crate::kubelet::pod_spec;
use crate::kubelet::records::Commit;
use crate::kubelet::runtime::{ContainerStart, ImageInfo, RunningContainer};
use crate::meta::GroupVersionResource;
use crate::net::PodNet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use std::io;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where an HTTP handler listens if its container names no port.
const HTTP_PORT_DEFAULT: u16 = 8080;

/// What is said of a start that nobody waits for any more.
pub(super) const GIVEN_UP: &str = "the container was stopped before it had started";

/// The outcome of a start; the error is for people.
pub(super) type Started = Result<Arc<dyn RunningContainer>, String>;

/// What a configuration is made of.
pub(super) struct Parts {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) image: ImageInfo,
    pub(super) net: Arc<PodNet>,
}

/// A container that can be started.
pub(super) struct Configured {
    pod: Arc<Pod>,
    net: Arc<PodNet>,
    container: String,
    image: String,
    id: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    working_dir: Option<String>,
    stdin: bool,
    memory_bytes_limit: Option<u64>,
    cpu_millis_limit: Option<u32>,
    tcp_ports: Vec<u16>,
    command_set: bool,
}

impl Configured {
    /// `status.containerStatuses[].containerID`.
    pub(super) fn id(&self) -> String {
        format!("wasm://{}", self.id)
    }
}

/// The name under which a container's logs are kept.
pub(super) fn log_key(pod: &Pod, container: &str) -> LogKey {
    LogKey {
        namespace: pod_spec::namespace(pod).to_owned(),
        pod: pod_spec::name(pod).to_owned(),
        uid: pod_spec::uid(pod).to_owned(),
        container: container.to_owned(),
    }
}

/// Whether the configuration of `container` can be made from the pod alone.
pub(super) fn needs_nothing(container: &Container) -> bool {
    let (config_maps, secrets) = env::references(container);
    config_maps.is_empty() && secrets.is_empty()
}

/// Fetches what the configuration refers to, and makes it.
pub(super) async fn gather(parts: &Parts) -> Result<Configured, String> {
    let namespace = pod_spec::namespace(&parts.pod);
    let client = &parts.node.client;
    let (config_maps, secrets) = env::references(&parts.container);
    let mut sources = Sources::default();
    for name in config_maps {
        let of = GroupVersionResource::new("", "v1", "configmaps");
        let found = client.get::<ConfigMap>(&of, namespace, &name).await;
        let values = present(found)?.map(|map| -> Values {
            let text = map.data.into_iter().flatten();
            let text = text.map(|(key, value)| (key, value.into_bytes()));
            let binary = map.binary_data.into_iter().flatten();
            text.chain(binary.map(|(key, value)| (key, value.0)))
                .collect()
        });
        sources.config_maps.insert(name, values);
    }
    for name in secrets {
        let of = GroupVersionResource::new("", "v1", "secrets");
        let found = client.get::<Secret>(&of, namespace, &name).await;
        let values = present(found)?.map(|secret| -> Values {
            let data = secret.data.into_iter().flatten();
            data.map(|(key, value)| (key, value.0)).collect()
        });
        sources.secrets.insert(name, values);
    }
    configured(parts, &sources)
}

fn present<T>(found: Result<T, ClientError>) -> Result<Option<T>, String> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Makes the configuration from what was gathered. The error is the message of
/// `CreateContainerConfigError`.
pub(super) fn configured(parts: &Parts, sources: &Sources) -> Result<Configured, String> {
    let container = &parts.container;
    let place = Place {
        pod_ips: parts.net.addresses(),
        host_ips: &parts.node.host_ips,
        allocatable: &parts.node.allocatable,
    };
    let image = &parts.image;
    let env = env::environment(&parts.pod, container, sources, &place, &image.defaults)?;
    let args = env::command_line(container, &image.defaults, &env);
    let limits = container.resources.as_ref().and_then(|r| r.limits.as_ref());
    let limit = |name: &str| Some(pod_spec::amount(limits, name)).filter(|amount| *amount > 0);
    let tcp = |port: &&k8s_openapi::api::core::v1::ContainerPort| {
        matches!(port.protocol.as_deref(), None | Some("TCP"))
    };
    let tcp_ports = container.ports.iter().flatten().filter(tcp);
    let tcp_ports = tcp_ports.filter_map(|port| u16::try_from(port.container_port).ok());
    let id = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    Ok(Configured {
        pod: parts.pod.clone(),
        net: parts.net.clone(),
        container: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        id,
        args,
        env,
        working_dir: container
            .working_dir
            .clone()
            .filter(|dir| !dir.is_empty())
            .or_else(|| image.working_dir.clone()),
        stdin: container.stdin == Some(true),
        memory_bytes_limit: limit("memory").and_then(|m| u64::try_from(m / 1_000).ok()),
        cpu_millis_limit: limit("cpu").and_then(|c| u32::try_from(c).ok()),
        tcp_ports: tcp_ports.collect(),
        command_set: container.command.as_ref().is_some_and(|c| !c.is_empty()),
    })
}

/// Calls the runtime, until `given_up`. The record of the start is durable before the guest runs:
/// a crash in between must not lose that it ran.
pub(super) async fn run(
    node: &Node,
    configured: Configured,
    log: Arc<ContainerLog>,
    restarts: u32,
    commit: io::Result<Commit>,
    given_up: &CancellationToken,
) -> Started {
    let start = ContainerStart {
        pod: configured.pod,
        container: configured.container,
        id: configured.id,
        image: configured.image,
        args: configured.args,
        env: configured.env,
        working_dir: configured.working_dir,
        stdin: configured.stdin,
        output: log,
        memory_bytes_limit: configured.memory_bytes_limit,
        cpu_millis_limit: configured.cpu_millis_limit,
        net: configured.net,
        http_port: configured
            .tcp_ports
            .first()
            .copied()
            .unwrap_or(HTTP_PORT_DEFAULT),
        tcp_ports: configured.tcp_ports,
        command_set: configured.command_set,
        budget: node.budget.clone(),
        restarts,
    };
    let durable = match commit {
        Ok(commit) => commit.done().await,
        Err(error) => Err(error),
    };
    durable.map_err(|error| format!("the start cannot be recorded: {error}"))?;
    // A module may take long to compile; what it was for may be gone before it is.
    tokio::select! {
        biased;
        started = node.runtime.start(start) => started,
        () = given_up.cancelled() => Err(GIVEN_UP.to_owned()),
    }
}
