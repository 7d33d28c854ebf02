//! A cluster in this process: read [`Cluster::start`] from top to bottom to see what there is and
//! in which order it starts; [`Cluster::stop`] is its reverse.

use crate::api::{ApiConfig, ApiServer, GROUP_MASTERS, Limits, TokenTable, UserInfo};
use crate::client::{Client, EventRecorder};
use crate::controllers::{Controllers, ControllersConfig};
use crate::kubelet::{EgressEvents, LocalNodes};
use crate::net::{EgressPolicy, Fabric, FabricConfig};
use crate::resources::Scheme;
use crate::sched::{Scheduler, SchedulerConfig};
use crate::serve::listen::{self, Listening};
use crate::serve::parts::{self, Kept, SharedByNodes};
use crate::serve::{ServeConfig, ServeError, in_process};
use crate::stdx::{Clock, Shutdown};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A running cluster.
pub struct Cluster {
    api: Arc<ApiServer>,
    kept: Kept,
    branches: Branches,
    address: SocketAddr,
    replaced_port: bool,
    kubeconfig: PathBuf,
    /// What is removed when the cluster stops.
    temporary: Option<PathBuf>,
    written_kubeconfig: Option<PathBuf>,
    _scheduler: Scheduler,
    _controllers: Controllers,
}

/// The branches of the shutdown tree, in the order in which they stop.
struct Branches {
    edge: Shutdown,
    control: Shutdown,
    nodes: Shutdown,
    api: Shutdown,
}

/// Starts who acts on the API beside the nodes, each under its own user.
fn start_control(
    api: &Arc<ApiServer>,
    clock: &Clock,
    shutdown: &Shutdown,
) -> (Controllers, Scheduler) {
    let component =
        |user: &str, manager: &str| in_process::client(api, UserInfo::new(user, &[]), manager);
    let controllers = Controllers::start(ControllersConfig {
        client: component("system:kube-controller-manager", "kube-controller-manager"),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
    });
    let scheduler = Scheduler::start(SchedulerConfig {
        client: component("system:kube-scheduler", "kube-scheduler"),
        clock: clock.clone(),
        shutdown: shutdown.clone(),
    });
    (controllers, scheduler)
}

impl Cluster {
    /// Starts everything, in order. When it returns, a pod that is applied in that instant runs.
    pub async fn start(config: ServeConfig) -> Result<Self, ServeError> {
        parts::check(&config)?;
        parts::install_crypto();
        let clock = Clock::real();
        let root = Shutdown::new();
        let branches = Branches {
            edge: root.child(),
            control: root.child(),
            nodes: root.child(),
            api: root.child(),
        };

        // Where things are kept.
        let kept = Kept::open(&config, &clock).await?;
        let listening = listen::bind(config.listen).await?;

        // The API server, which the network and the nodes are reached through. Both know it only
        // as clients, so its side of the two seams comes first.
        let nodes = LocalNodes::new(branches.nodes.clone());
        let egress_events = EgressEvents::new();
        let fabric = Fabric::new(FabricConfig {
            egress: EgressPolicy::parse(&config.egress)
                .map_err(|error| ServeError::Config(format!("--egress: {error}")))?,
            events: Some(egress_events.clone()),
            clock: clock.clone(),
            ..FabricConfig::default()
        });
        let api = ApiServer::start(ApiConfig {
            store: kept.store.clone(),
            scheme: Arc::new(Scheme::builtin()),
            dialer: fabric.clone(),
            nodes: nodes.clone(),
            clock: clock.clone(),
            tokens: TokenTable::new(),
            client_ca: Some(parts::client_authority(&kept.authority)?),
            shutdown: branches.api.clone(),
            limits: Limits::default(),
        })
        .await
        .map_err(|error| ServeError::Start(format!("the API server: {error}")))?;
        egress_events.record_by(EventRecorder::start(
            in_process::client(
                &api,
                UserInfo::new("system:apiserver", &[GROUP_MASTERS]),
                "kubelet",
            ),
            "kubelet",
            "",
            clock.clone(),
            &branches.nodes,
        ));

        // Who acts on it.
        let (controllers, scheduler) = start_control(&api, &clock, &branches.control);
        let runtime = parts::pod_runtime(&config, &kept, &clock)?;
        let shared = SharedByNodes {
            api: &api,
            fabric: &fabric,
            runtime: &runtime,
            clock: &clock,
        };
        parts::start_nodes(&config, &shared, &branches.nodes, &nodes).await?;
        if !(scheduler.ready().await && controllers.ready().await) {
            return Err(ServeError::Start("stopped before it was ready".to_owned()));
        }

        // Last the door, so that whoever gets in finds everything there.
        let Listening {
            listener,
            address,
            replaced,
        } = listening;
        let tls = parts::server_tls(&kept.authority, address)?;
        let (served, edge) = (api.clone(), branches.edge.clone());
        branches.edge.spawn(async move {
            if let Err(error) = crate::api::serve(served, listener, &tls, edge).await {
                tracing::error!(%error, "the API is not served");
            }
        });
        let written = parts::write_kubeconfigs(&config, &kept, address)?;
        Ok(Self {
            api,
            kept,
            branches,
            address,
            replaced_port: replaced,
            kubeconfig: written.own,
            temporary: written.temporary,
            written_kubeconfig: written.asked_for,
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
        in_process::client(&self.api, admin, manager)
    }

    /// Why the store is read-only, if it is.
    pub fn read_only(&self) -> Option<String> {
        self.kept.store.read_only()
    }

    /// Stops everything, in the reverse order of the start: no new requests, nobody who acts, the
    /// nodes, the watches, and last the store, which writes out what it has.
    pub async fn stop(self) {
        self.branches.edge.stop();
        self.branches.control.stop();
        self.branches.control.drained().await;
        self.branches.nodes.stop();
        self.branches.nodes.drained().await;
        self.branches.api.stop();
        self.branches.edge.drained().await;
        self.kept.store.close().await;
        parts::clean_up(
            self.temporary.as_deref(),
            self.written_kubeconfig.as_deref(),
        );
    }
}
