//! An API server on a memory store in this process, and nodes with the mock runtime, in virtual
//! time: whatever waits, waits no time.

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wkube::api::{
    AccountTokens, ApiConfig, ApiServer, Body, InProcessIdentity, Limits, TokenTable, UserInfo,
};
use wkube::client::{Client, InProcess, Query};
use wkube::kubelet::{
    Capacity, Kubelet, KubeletConfig, KubeletMetrics, LocalNodes, MockRuntime, PodRuntime,
};
use wkube::meta::GroupVersionResource;
use wkube::net::{EgressPolicy, Fabric, FabricConfig, NodeIpam};
use wkube::resources::Scheme;
use wkube::stdx::{BoxStream, Clock, Dialer, Metrics, Shutdown};
use wkube::store::{MemoryStore, StoreOptions};

struct NoDialer;

#[async_trait::async_trait]
impl Dialer for NoDialer {
    async fn dial(&self, _to: SocketAddr) -> io::Result<BoxStream> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

pub(crate) fn fabric(clock: &Clock) -> Arc<Fabric> {
    Fabric::new(FabricConfig {
        egress: EgressPolicy::default(),
        events: None,
        clock: clock.clone(),
        resolver: None,
    })
}

pub(crate) fn client(server: &Arc<ApiServer>, user: UserInfo, manager: &str) -> Client {
    let server = server.clone();
    let transport = InProcess::new(move |request: http::Request<Bytes>| {
        let server = server.clone();
        let user = user.clone();
        async move {
            let mut request = request.map(Body::from);
            request.extensions_mut().insert(InProcessIdentity(user));
            let response = server.handle(request).await;
            response.map(|body| {
                let parts = BodyExt::into_data_stream(body);
                parts.map(|part| part.map_err(io::Error::other)).boxed()
            })
        }
        .boxed()
    });
    Client::new(Arc::new(transport), manager)
}

pub(super) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

pub(super) struct Cluster {
    server: Arc<ApiServer>,
    pub(super) admin: Client,
    pub(super) nodes: Arc<LocalNodes>,
    pub(super) runtime: Arc<MockRuntime>,
    pub(super) fabric: Arc<Fabric>,
    runs_pods: Arc<dyn PodRuntime>,
    pub(super) clock: Clock,
    _shutdown: Shutdown,
}

/// An API server on a memory store.
pub(crate) async fn api_server(
    clock: &Clock,
    nodes: &Arc<LocalNodes>,
    shutdown: &Shutdown,
) -> Arc<ApiServer> {
    let started = ApiServer::start(ApiConfig {
        service_range: None,
        metrics: Default::default(),
        audit: None,
        store: Arc::new(MemoryStore::new(StoreOptions::default())),
        scheme: Arc::new(Scheme::builtin()),
        dialer: Arc::new(NoDialer),
        nodes: nodes.clone(),
        clock: clock.clone(),
        tokens: TokenTable::new(),
        accounts: Arc::new(AccountTokens::ephemeral("https://test").unwrap()),
        admission: wkube::api::Admission::default(),
        authorization: wkube::api::STANDARD_MODES.to_vec(),
        client_ca: None,
        advertised: None,
        shutdown: shutdown.clone(),
        limits: Limits::default(),
    });
    started.await.unwrap()
}

/// A node that can be stopped.
pub(crate) struct Node {
    _kubelet: Arc<Kubelet>,
    shutdown: Shutdown,
}

impl Node {
    /// Ends the node's process, as far as the rest of the cluster can see.
    pub(crate) async fn stop(self) {
        self.shutdown.stop();
        self.shutdown.drained().await;
    }
}

pub(super) const CAPACITY: Capacity = Capacity {
    cpu_millis: 4_000,
    memory_bytes: 8 << 30,
    storage_bytes: 100 << 30,
    pods: 500,
};

/// What a node is started with.
pub(crate) struct NodeOf<'a> {
    pub(crate) number: u8,
    pub(crate) client: Client,
    pub(crate) runtime: &'a Arc<dyn PodRuntime>,
    pub(crate) fabric: &'a Arc<Fabric>,
    pub(crate) nodes: &'a Arc<LocalNodes>,
    pub(crate) clock: &'a Clock,
    pub(crate) data_dir: Option<&'a Path>,
}

impl NodeOf<'_> {
    /// Starts it.
    pub(crate) async fn start(self) -> Node {
        let shutdown = Shutdown::new();
        let network = format!("10.{}.0.0/16", self.number);
        let kubelet = Kubelet::start(KubeletConfig {
            node_name: format!("n{}", self.number),
            client: self.client,
            runtime: self.runtime.clone(),
            fabric: self.fabric.clone(),
            ipam: Arc::new(NodeIpam::new(network.parse().unwrap(), None)),
            addresses: Vec::new(),
            data_dir: self.data_dir.map(Path::to_path_buf),
            clock: self.clock.clone(),
            capacity: CAPACITY,
            labels: BTreeMap::new(),
            shutdown: shutdown.clone(),
            metrics: KubeletMetrics::new(&Metrics::default(), self.nodes),
        })
        .await
        .unwrap();
        self.nodes.add(kubelet.clone());
        Node {
            _kubelet: kubelet,
            shutdown,
        }
    }
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let clock = Clock::virtual_from(Timestamp::from_second(1_800_000_000).unwrap());
        let mock = Arc::new(MockRuntime::new(clock.clone()));
        Self::with(clock, mock.clone(), mock).await
    }

    /// With a runtime that really runs pods, in real time.
    pub(super) async fn real(runs_pods: Arc<dyn PodRuntime>) -> Self {
        let clock = Clock::real();
        let mock = Arc::new(MockRuntime::new(clock.clone()));
        Self::with(clock, mock, runs_pods).await
    }

    async fn with(clock: Clock, runtime: Arc<MockRuntime>, runs_pods: Arc<dyn PodRuntime>) -> Self {
        let shutdown = Shutdown::new();
        let nodes = LocalNodes::new(shutdown.child());
        let server = api_server(&clock, &nodes, &shutdown).await;
        let admin = UserInfo::new("admin", &["system:masters"]);
        Self {
            admin: client(&server, admin, "test"),
            server,
            nodes,
            runtime,
            runs_pods,
            fabric: fabric(&clock),
            clock,
            _shutdown: shutdown,
        }
    }

    /// Starts node `n1`.
    pub(super) async fn node(&self, data_dir: Option<&Path>) -> Node {
        let user = UserInfo::new("system:node:n1", &["system:nodes"]);
        let node = NodeOf {
            number: 1,
            client: client(&self.server, user, "kubelet"),
            runtime: &self.runs_pods,
            fabric: &self.fabric,
            nodes: &self.nodes,
            clock: &self.clock,
            data_dir,
        };
        node.start().await
    }

    /// Creates a pod on `n1`; `mock` are the mock's annotations without their prefix.
    pub(super) async fn pod(&self, name: &str, mock: &[(&str, &str)], spec: Value) -> Value {
        let annotations: BTreeMap<String, &str> = mock
            .iter()
            .map(|(what, value)| (format!("mock.wkube.io/{what}"), *value))
            .collect();
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "app:1"}]},
        });
        for (field, value) in spec.as_object().unwrap() {
            pod["spec"][field] = value.clone();
        }
        self.admin
            .create(&pods(), "default", None, &pod)
            .await
            .unwrap()
    }

    pub(super) async fn get(&self, name: &str) -> Option<Value> {
        match self.admin.get::<Value>(&pods(), "default", name).await {
            Ok(pod) => Some(pod),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Lets time pass until the pod is as wanted; 20 minutes are too long.
    #[track_caller]
    pub(super) fn until(
        &self,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let mut last = None;
            for _ in 0..24_000 {
                last = self.get(name).await;
                if let Some(pod) = last.as_ref().filter(|pod| wanted(pod)) {
                    return pod.clone();
                }
                self.clock.sleep(Duration::from_millis(50)).await;
            }
            panic!("{at}: pod {name} is not as wanted: {last:#?}");
        }
    }

    #[track_caller]
    pub(super) fn until_gone(&self, name: &str) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            for _ in 0..24_000 {
                if self.get(name).await.is_none() {
                    return;
                }
                self.clock.sleep(Duration::from_millis(50)).await;
            }
            panic!("{at}: pod {name} is not gone: {:#?}", self.get(name).await);
        }
    }

    pub(super) async fn delete(&self, name: &str, options: Value) {
        self.admin
            .delete(&pods(), "default", name, &options)
            .await
            .unwrap();
    }

    /// Reasons and messages of a pod's Events, in the order of their recording.
    pub(super) async fn events(&self, name: &str) -> Vec<String> {
        // The recorder writes by itself.
        self.clock.sleep(Duration::from_millis(200)).await;
        let events = GroupVersionResource::new("", "v1", "events");
        let list = self
            .admin
            .list::<Value>(&events, "default", &Query::new())
            .await
            .unwrap();
        let mut of_pod: Vec<(String, String)> = list
            .items
            .iter()
            .filter(|event| event["involvedObject"]["name"] == name)
            .map(|event| {
                let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                let line = format!("{} {}: {}", text("type"), text("reason"), text("message"));
                (event["metadata"]["name"].as_str().unwrap().to_owned(), line)
            })
            .collect();
        of_pod.sort();
        of_pod.into_iter().map(|(_, line)| line).collect()
    }

    /// The log of a pod through the API server; the status and the text.
    pub(super) async fn log(&self, name: &str, query: &str) -> Result<String, String> {
        let path = format!("/api/v1/namespaces/default/pods/{name}/log?{query}");
        let answer = self.admin.call(Method::GET, &path, None).await;
        match answer {
            Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }
}

pub(super) fn phase_is(phase: &str) -> impl Fn(&Value) -> bool {
    move |pod| pod["status"]["phase"] == phase
}

pub(super) fn condition(pod: &Value, kind: &str) -> String {
    let conditions = pod["status"]["conditions"].as_array();
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    found.map_or(String::new(), |condition| {
        condition["status"].as_str().unwrap().to_owned()
    })
}

pub(super) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready") == "True"
}
