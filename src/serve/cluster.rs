//! A cluster in this process: read [`Cluster::start`] from top to bottom to see what there is and
//! in which order it starts; [`Cluster::stop`] is its reverse.

use crate::api::{
    AccountTokens, Admission, Advertised, ApiConfig, ApiServer, Audit, GROUP_MASTERS, Guard,
    Limits, TokenTable, UserInfo,
};
use crate::client::{Client, ClientError, Query};
use crate::controllers::{Controllers, ControllersConfig, NODE_CONTROLLER, Trust, mark_silent};
use crate::kubelet::{EgressEvents, KubeletMetrics, LocalNodes};
use crate::meta::GroupVersionResource;
use crate::net::{EgressPolicy, Fabric, FabricConfig};
use crate::resources::Scheme;
use crate::sched::{Scheduler, SchedulerConfig};
use crate::serve::added_nodes::{ADDED_NODE, AddedNodes};
use crate::serve::in_process::Clients;
use crate::serve::listen::{self, Listening};
use crate::serve::parts::{self, Kept, LeftBehind, NodeMaker};
use crate::serve::token_file;
use crate::serve::{ServeConfig, ServeError};
use crate::stdx::{Clock, Metrics, Shutdown, register_process_metrics};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Node;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Who runs the controllers; each acts as a service account of its own.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// A running cluster.
pub struct Cluster {
    clients: Clients,
    api: Arc<ApiServer>,
    audit: Option<Arc<Audit>>,
    clock: Clock,
    shutdown_delay: Duration,
    kept: Kept,
    branches: Branches,
    address: SocketAddr,
    replaced_port: bool,
    kubeconfig: PathBuf,
    /// Why the cluster cannot go on, if it cannot.
    failed: watch::Receiver<Option<String>>,
    /// What is removed when the cluster stops.
    _left_behind: LeftBehind,
    _scheduler: Option<Scheduler>,
    _controllers: Controllers,
}

/// The branches of the shutdown tree, in the order in which they stop.
struct Branches {
    edge: Shutdown,
    control: Shutdown,
    nodes: Shutdown,
    api: Shutdown,
}

impl Branches {
    fn new() -> Self {
        let root = Shutdown::new();
        Self {
            edge: root.child(),
            control: root.child(),
            nodes: root.child(),
            api: root.child(),
        }
    }
}

/// What every part is told.
struct Ground<'a> {
    config: &'a ServeConfig,
    kept: &'a Kept,
    branches: &'a Branches,
    clock: Clock,
    metrics: Metrics,
}

/// What the nodes and their pods are on.
struct World {
    nodes: Arc<LocalNodes>,
    fabric: Arc<Fabric>,
    api: Arc<ApiServer>,
    clients: Clients,
    accounts: Arc<AccountTokens>,
    audit: Option<Arc<Audit>>,
}

/// Starts the network and the API server. Nodes and addresses are reached through the server's
/// side of the two seams, so that comes first.
async fn start_world(ground: &Ground<'_>, address: SocketAddr) -> Result<World, ServeError> {
    let nodes = LocalNodes::new(ground.branches.nodes.clone());
    let fabric = Fabric::new(FabricConfig {
        egress: EgressPolicy::parse(&ground.config.egress)
            .map_err(|error| ServeError::Config(format!("--egress: {error}")))?,
        events: Some(EgressEvents::new(&nodes)),
        clock: ground.clock.clone(),
        ..FabricConfig::default()
    });
    fabric.register(&ground.metrics);
    let mut scheme = Scheme::builtin();
    if ground.config.hide_retired_apis {
        scheme = scheme.without_retired();
    }
    let accounts = Arc::new(ground.kept.account_tokens(address)?);
    let access = &ground.config.access;
    let tokens = match &access.token_auth_file {
        None => TokenTable::new(),
        Some(file) => token_file::read(file)
            .map_err(|error| ServeError::Config(format!("--token-auth-file: {error}")))?,
    };
    let admission = Admission::without(&access.disabled_admission_plugins)
        .map_err(|error| ServeError::Config(format!("--disable-admission-plugins: {error}")))?;
    let audit = match &ground.config.audit {
        None => None,
        Some(audit) => {
            let (clock, metrics) = (&ground.clock, &ground.metrics);
            let opened = Audit::open(&audit.policy, &audit.log, clock, metrics);
            Some(opened.map_err(|error| ServeError::Config(format!("the audit log: {error}")))?)
        }
    };
    let api = ApiServer::start(ApiConfig {
        audit: audit.clone(),
        store: ground.kept.store.clone(),
        scheme: Arc::new(scheme),
        dialer: fabric.clone(),
        nodes: nodes.clone(),
        clock: ground.clock.clone(),
        tokens,
        authorization: access.authorization.clone(),
        admission,
        accounts: accounts.clone(),
        client_ca: Some(parts::client_authority(
            &ground.kept.authority,
            access.client_ca_file.as_deref(),
        )?),
        service_range: ground.config.service_range.clone(),
        advertised: Some(Advertised {
            address,
            client_ca_pem: parts::client_authority_pem(
                &ground.kept.authority,
                access.client_ca_file.as_deref(),
            )?,
        }),
        shutdown: ground.branches.api.clone(),
        limits: Limits {
            mutating_in_flight_max: ground.config.max_mutating_requests_inflight,
            reading_in_flight_max: ground.config.max_requests_inflight,
            ..Limits::default()
        },
        metrics: ground.metrics.clone(),
    })
    .await
    .map_err(|error| ServeError::Start(format!("the API server: {error}")))?;
    Ok(World {
        audit,
        clients: Clients::new(&api, &ground.metrics),
        accounts,
        nodes,
        fabric,
        api,
    })
}

/// A node of an earlier start that is not started now is nowhere, before anyone can choose it.
async fn say_silent_nodes(ground: &Ground<'_>, clients: &Clients) -> Result<(), ServeError> {
    let client = clients.controller(NODE_CONTROLLER, CONTROLLER_MANAGER);
    let told = |error: ClientError| ServeError::Start(format!("the nodes: {error}"));
    let all = GroupVersionResource::new("", "v1", "nodes");
    let all = client.list::<Node>(&all, "", &Query::new()).await;
    let names = all.map_err(told)?.items.into_iter();
    // Those that somebody has added are started whatever the number of the others.
    let added = |node: &Node| {
        let labels = node.metadata.labels.as_ref();
        labels.is_some_and(|labels| labels.contains_key(ADDED_NODE))
    };
    let names = names.filter(|node| !added(node));
    let names = names.filter_map(|node| node.metadata.name);
    for name in names.filter(|name| parts::is_left_out(name, ground.config.nodes)) {
        tracing::warn!(
            node = name,
            "not started (--nodes {}): its pods wait for a start with as many nodes as before, or \
             go when the node is deleted",
            ground.config.nodes
        );
        mark_silent(&client, &name, ground.clock.now())
            .await
            .map_err(told)?;
    }
    Ok(())
}

/// Starts who acts on the API beside the nodes, each under its own user.
fn start_control(ground: &Ground<'_>, world: &World) -> (Controllers, Option<Scheduler>) {
    let (clients, accounts) = (&world.clients, world.accounts.clone());
    let shutdown = &ground.branches.control;
    let component = |user: &str, manager: &str| clients.client(UserInfo::new(user, &[]), manager);
    let controllers = Controllers::start(ControllersConfig {
        client: component("system:kube-controller-manager", CONTROLLER_MANAGER),
        account: {
            let clients = clients.clone();
            Arc::new(move |account| clients.controller(account, CONTROLLER_MANAGER))
        },
        trust: Trust {
            ca_pem: ground.kept.authority.certificate_pem().to_owned(),
            sign: Box::new(move |namespace, secret, whose| accounts.kept(namespace, secret, whose)),
        },
        clock: ground.clock.clone(),
        shutdown: shutdown.clone(),
        metrics: ground.metrics.clone(),
    });
    let scheduler = ground.config.scheduler.then(|| {
        Scheduler::start(SchedulerConfig {
            client: component("system:kube-scheduler", "kube-scheduler"),
            clock: ground.clock.clone(),
            shutdown: shutdown.clone(),
            metrics: ground.metrics.clone(),
        })
    });
    (controllers, scheduler)
}

/// Starts the nodes; returns when they follow their pods.
async fn start_nodes(ground: &Ground<'_>, world: &World) -> Result<(), ServeError> {
    let Ground { config, kept, .. } = ground;
    let runtime = parts::pod_runtime(config, kept, &ground.clock, &ground.metrics)?;
    let (clock, shutdown) = (&ground.clock, &ground.branches.nodes);
    let maker = NodeMaker {
        clients: world.clients.clone(),
        fabric: world.fabric.clone(),
        runtime,
        clock: clock.clone(),
        metrics: KubeletMetrics::new(&ground.metrics, &world.nodes),
        data_dir: config.data_dir.clone(),
    };
    parts::start_nodes(config, &maker, shutdown, &world.nodes).await?;
    let (own, nodes) = (
        (config.nodes, config.node_shape.clone()),
        world.nodes.clone(),
    );
    let life = (clock.clone(), shutdown.clone());
    AddedNodes::new(&world.clients, maker, own, nodes, life).start();
    Ok(())
}

/// Opens the door; the answer says later if it has closed by itself.
fn open_door(
    ground: &Ground<'_>,
    world: &World,
    listening: Listening,
) -> Result<watch::Receiver<Option<String>>, ServeError> {
    let tls = parts::server_tls(
        &ground.kept.authority,
        listening.address,
        world.api.service_range().api_server(),
    )?;
    let guard = Guard::new(listening.address, &ground.config.accept_hosts);
    let (served, edge) = (world.api.clone(), ground.branches.edge.clone());
    let (tell, failed) = watch::channel(None);
    ground.branches.edge.spawn(async move {
        let serving = crate::api::serve(served, listening.listener, &tls, guard, edge.clone());
        let why = match AssertUnwindSafe(serving).catch_unwind().await {
            Ok(Ok(())) if edge.is_stopped() => return,
            Ok(Ok(())) => "it has ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        tell.send_replace(Some(format!("the API is no longer served: {why}")));
    });
    Ok(failed)
}

impl Cluster {
    /// Starts everything, in order. When it returns, a pod that is applied in that instant runs.
    pub async fn start(config: ServeConfig) -> Result<Self, ServeError> {
        parts::check(&config)?;
        parts::install_crypto();
        parts::take_open_files();
        let clock = Clock::real();
        let metrics = Metrics::default();
        register_process_metrics(&metrics);
        let branches = Branches::new();

        // Where things are kept.
        let kept = Kept::open(&config, &clock).await?;
        let listening = listen::bind(config.listen).await?;
        let (address, replaced_port) = (listening.address, listening.replaced);
        let ground = Ground {
            config: &config,
            kept: &kept,
            branches: &branches,
            clock,
            metrics,
        };

        // The network and the API server; who acts on it; the nodes.
        let world = start_world(&ground, address).await?;
        say_silent_nodes(&ground, &world.clients).await?;
        let (controllers, scheduler) = start_control(&ground, &world);
        start_nodes(&ground, &world).await?;
        let scheduling = match &scheduler {
            Some(scheduler) => scheduler.ready().await,
            None => true,
        };
        if !(scheduling && controllers.ready().await) {
            return Err(ServeError::Start("stopped before it was ready".to_owned()));
        }

        // Last the door, so that whoever gets in finds everything there.
        let failed = open_door(&ground, &world, listening)?;
        let written = parts::write_kubeconfigs(&config, &kept, address)?;
        Ok(Self {
            api: world.api,
            clock: ground.clock,
            shutdown_delay: config.shutdown_delay,
            clients: world.clients,
            audit: world.audit,
            kept,
            branches,
            address,
            replaced_port,
            kubeconfig: written.own,
            failed,
            _left_behind: written.left_behind,
            _scheduler: scheduler,
            _controllers: controllers,
        })
    }

    /// The address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the default port was taken and another one is used.
    pub fn replaced_port(&self) -> bool {
        self.replaced_port
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client of this process that acts as the admin; `manager` owns what it writes.
    pub fn client(&self, manager: &str) -> Client {
        let admin = UserInfo::new(parts::ADMIN, &[GROUP_MASTERS]);
        self.clients.client(admin, manager)
    }

    /// Why the store is read-only, if it is.
    pub fn read_only(&self) -> Option<String> {
        self.kept.store.read_only()
    }

    /// Resolves with the reason if the cluster cannot go on.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // The door was closed in order.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops everything, in the reverse order of the start: who asks is told that the end comes; no
    /// new requests, nobody who acts, the nodes, the watches, and last the store, which writes out
    /// what it has.
    pub async fn stop(self) {
        self.api.announce_end();
        self.clock.sleep(self.shutdown_delay).await;
        self.api.refuse_new();
        self.branches.edge.stop();
        self.branches.control.stop();
        self.branches.control.drained().await;
        self.branches.nodes.stop();
        self.branches.nodes.drained().await;
        self.branches.api.stop();
        self.branches.edge.drained().await;
        if let Some(audit) = &self.audit {
            audit.close().await;
        }
        self.kept.store.close().await;
    }
}
