//! The cluster of a simulation: what runs in it can die and come back.

use super::faults::Faults;
use super::watch::Watcher;
use crate::kubelet::cluster::{Node, NodeOf, api_server, client, fabric};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wkube::api::{ApiServer, UserInfo};
use wkube::client::{Client, PatchKind, Query};
use wkube::controllers::{Controllers, ControllersConfig, Trust};
use wkube::kubelet::{LocalNodes, MockRuntime, PodRuntime};
use wkube::meta::GroupVersionResource;
use wkube::sched::{Scheduler, SchedulerConfig};
use wkube::stdx::{Clock, Shutdown};

/// How long nothing may have changed before it is called quiet: longer than every back-off.
const QUIET: Duration = Duration::from_secs(11 * 60);
/// How long it may take until it is quiet.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);
/// How often it is looked.
const GLANCE: Duration = Duration::from_secs(20);

/// What was started, and how it is ended.
struct Running<T> {
    _what: T,
    shutdown: Shutdown,
}

impl<T> Running<T> {
    async fn crash(self) {
        self.shutdown.stop();
        self.shutdown.drained().await;
    }
}

pub(super) struct World {
    server: Arc<ApiServer>,
    pub(super) admin: Client,
    pub(super) clock: Clock,
    pub(super) faults: Arc<Faults>,
    pub(super) watcher: Arc<Watcher>,
    nodes: Arc<LocalNodes>,
    controllers: Option<Running<Controllers>>,
    scheduler: Option<Running<Scheduler>>,
    kubelets: BTreeMap<u8, Node>,
    shutdown: Shutdown,
}

/// `apps/v1 deployments`.
pub(super) fn resource(plural: &str) -> GroupVersionResource {
    let group = match plural {
        "pods" | "nodes" => "",
        "jobs" | "cronjobs" => "batch",
        _ => "apps",
    };
    GroupVersionResource::new(group, "v1", plural)
}

impl World {
    pub(super) async fn start(faults: Arc<Faults>, nodes: u8) -> Self {
        let clock = Clock::virtual_from(Timestamp::from_second(1_800_000_000).unwrap());
        let shutdown = Shutdown::new();
        let local = LocalNodes::new(shutdown.child());
        let server = api_server(&clock, &local, &shutdown).await;
        let admin = client(&server, UserInfo::new("admin", &["system:masters"]), "test");
        let watcher = Watcher::start(&admin);
        let mut world = Self {
            admin,
            watcher,
            faults,
            nodes: local,
            controllers: None,
            scheduler: None,
            kubelets: BTreeMap::new(),
            server,
            clock,
            shutdown,
        };
        world.start_controllers();
        world.start_scheduler();
        for number in 1..=nodes {
            world.node_up(number).await;
        }
        world
    }

    fn start_controllers(&mut self) {
        let shutdown = Shutdown::new();
        let (faults, server, clock) =
            (self.faults.clone(), self.server.clone(), self.clock.clone());
        let manager = UserInfo::new("system:kube-controller-manager", &[]);
        let what = Controllers::start(ControllersConfig {
            client: faults.client(&server, &clock, &manager, "kube-controller-manager"),
            account: Arc::new(move |name| {
                let account = UserInfo::service_account("kube-system", name);
                faults.client(&server, &clock, &account, "kube-controller-manager")
            }),
            trust: Trust {
                ca_pem: String::new(),
                sign: Box::new(|_, _, _| Err("a test signs none".to_owned())),
            },
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
            metrics: Default::default(),
        });
        self.controllers = Some(Running {
            _what: what,
            shutdown,
        });
    }

    fn start_scheduler(&mut self) {
        let shutdown = Shutdown::new();
        let user = UserInfo::new("system:kube-scheduler", &[]);
        let what = Scheduler::start(SchedulerConfig {
            client: self
                .faults
                .client(&self.server, &self.clock, &user, "kube-scheduler"),
            clock: self.clock.clone(),
            shutdown: shutdown.clone(),
            metrics: Default::default(),
        });
        self.scheduler = Some(Running {
            _what: what,
            shutdown,
        });
    }

    /// The controllers die wherever they are, and come back after a while.
    pub(super) async fn crash_controllers(&mut self, away: Duration) {
        if let Some(controllers) = self.controllers.take() {
            controllers.crash().await;
        }
        self.clock.sleep(away).await;
        self.start_controllers();
    }

    pub(super) async fn crash_scheduler(&mut self, away: Duration) {
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.crash().await;
        }
        self.clock.sleep(away).await;
        self.start_scheduler();
    }

    /// A node comes, or comes back.
    pub(super) async fn node_up(&mut self, number: u8) {
        if self.kubelets.contains_key(&number) {
            return;
        }
        let name = format!("system:node:n{number}");
        let user = UserInfo::new(&name, &["system:nodes"]);
        // Nothing of an earlier life is left: as a machine that was off.
        let runtime: Arc<dyn PodRuntime> = Arc::new(MockRuntime::new(self.clock.clone()));
        let node = NodeOf {
            number,
            // What a node writes may fail once it runs; to join it needs its first writes.
            client: client(&self.server, user, "kubelet"),
            runtime: &runtime,
            fabric: &fabric(&self.clock),
            nodes: &self.nodes,
            clock: &self.clock,
            data_dir: None,
        };
        let node = node.start().await;
        self.kubelets.insert(number, node);
    }

    /// A node is gone without a word.
    pub(super) async fn node_down(&mut self, number: u8) {
        if let Some(node) = self.kubelets.remove(&number) {
            node.stop().await;
        }
    }

    pub(super) async fn make(&self, plural: &str, object: &Value) {
        let resource = resource(plural);
        let made = self
            .admin
            .create::<Value>(&resource, "default", None, object);
        made.await.unwrap();
    }

    /// A merge patch.
    pub(super) async fn patch(&self, plural: &str, name: &str, patch: &Value) {
        let namespace = if plural == "nodes" { "" } else { "default" };
        let (resource, place) = (resource(plural), (namespace, name));
        let (client, kind) = (&self.admin, PatchKind::Merge);
        let patched = client.patch::<Value>(&resource, place, "", kind, patch);
        patched.await.unwrap();
    }

    pub(super) async fn delete(&self, plural: &str, name: &str) {
        let namespace = if plural == "nodes" { "" } else { "default" };
        let options = json!({ "propagationPolicy": "Background" });
        let resource = resource(plural);
        match self
            .admin
            .delete(&resource, namespace, name, &options)
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn list(&self, plural: &str) -> Vec<Value> {
        let namespace = if plural == "nodes" { "" } else { "default" };
        let resource = resource(plural);
        let list = self
            .admin
            .list::<Value>(&resource, namespace, &Query::new())
            .await;
        list.unwrap().items
    }

    /// Waits until nothing changes any more.
    pub(super) async fn until_quiet(&self) -> Result<(), String> {
        let (mut last, mut since) = (self.watcher.changes(), Duration::ZERO);
        let mut waited = Duration::ZERO;
        while since < QUIET {
            if waited > PATIENCE {
                return Err(format!("it is never quiet: {}", self.watcher.latest()));
            }
            self.clock.sleep(GLANCE).await;
            waited += GLANCE;
            let now = self.watcher.changes();
            since = if now == last {
                since + GLANCE
            } else {
                Duration::ZERO
            };
            last = now;
        }
        Ok(())
    }

    pub(super) async fn end(mut self) {
        for number in self.kubelets.keys().copied().collect::<Vec<_>>() {
            self.node_down(number).await;
        }
        if let Some(controllers) = self.controllers.take() {
            controllers.crash().await;
        }
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.crash().await;
        }
        self.shutdown.stop();
        self.server.close();
    }
}
