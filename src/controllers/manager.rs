//! Runs the controllers of the list: informers fill a queue of keys, workers empty it, failures
//! come again later. A controller that panics on a key loses that key's turn, not the house.

use crate::client::{Change, Client, HasMeta, Informer, InformerConfig, QueueStats, WorkQueue};
use crate::controllers::def::{Context, ControllerDef, Next, Trust};
use crate::controllers::{CONTROLLERS, garbage_collector};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use crate::stdx::{Clock, Metrics, Samples, Shutdown};
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What the controllers are made of.
pub struct ControllersConfig {
    /// Acts as `system:kube-controller-manager`.
    pub client: Client,
    /// Makes a client that acts as a service account of `kube-system`.
    pub account: Arc<dyn Fn(&'static str) -> Client + Send + Sync>,
    /// By what others know the cluster.
    pub trust: Trust,
    /// The clock.
    pub clock: Clock,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Where their figures go.
    pub metrics: Metrics,
}

/// The running controllers.
pub struct Controllers {
    followed: Vec<Informer<Followed>>,
}

/// An object as controllers see it: metadata and all else, without a type of its own.
#[derive(Debug)]
struct Followed(Object);

impl<'de> Deserialize<'de> for Followed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::<String, Value>::deserialize(deserializer).map(|fields| Self(Object::new(fields)))
    }
}

impl HasMeta for Followed {
    fn key(&self) -> ObjectKey {
        self.0.key()
    }

    fn resource_version(&self) -> &str {
        self.0.resource_version()
    }
}

impl Controllers {
    /// Starts all controllers, until `shutdown`.
    pub fn start(config: ControllersConfig) -> Self {
        let started = config.clock.now();
        let trust = Arc::new(config.trust);
        let context_of = |account: Option<&'static str>| Context {
            client: account.map_or_else(
                || config.client.clone(),
                |account| (config.account)(account),
            ),
            shared: config.client.clone(),
            trust: trust.clone(),
            started,
            clock: config.clock.clone(),
        };
        let mut followed = Vec::new();
        let mut queues = Vec::new();
        for def in CONTROLLERS {
            let context = context_of(def.account);
            let queue = WorkQueue::new(context.clock.clone());
            for watched in def.watches {
                let (group, version, plural) = watched.resource;
                let resource = GroupVersionResource::new(group, version, plural);
                let (queue, key) = (queue.clone(), watched.key);
                followed.push(Informer::start(
                    context.shared.clone(),
                    InformerConfig {
                        field_selector: watched.fields.to_owned(),
                        ..InformerConfig::all(resource)
                    },
                    context.clock.clone(),
                    &config.shutdown,
                    move |change: Change<Followed>| {
                        let object = match &change {
                            Change::Applied(object, _) | Change::Deleted(object) => &object.0,
                            Change::Synced => return,
                        };
                        if let Some(key) = key(object) {
                            queue.add(key);
                        }
                    },
                ));
            }
            for _ in 0..def.workers {
                let worker = work(def, context.clone(), queue.clone());
                config.shutdown.spawn_until_stopped(worker);
            }
            queues.push((def.name, queue));
        }
        let context = context_of(Some(garbage_collector::ACCOUNT));
        let collector = garbage_collector::start(context, &config.shutdown);
        let mut reads = vec![(garbage_collector::NAME, Arc::new(collector) as ReadStats)];
        for (name, queue) in queues {
            reads.push((name, Arc::new(move || queue.stats())));
        }
        register(&config.metrics, reads);
        Self { followed }
    }

    /// Waits until all caches are filled.
    pub async fn ready(&self) -> bool {
        for informer in &self.followed {
            if !informer.synced().await {
                return false;
            }
        }
        true
    }
}

/// Asks a queue what it has done.
type ReadStats = Arc<dyn Fn() -> QueueStats + Send + Sync>;

/// Enters the figures of the queues, with Kubernetes' names.
fn register(metrics: &Metrics, queues: Vec<(&'static str, ReadStats)>) {
    let read = |figure: fn(QueueStats) -> u64| {
        let queues = queues.clone();
        move || -> Samples {
            let of = |(name, read): &(&str, ReadStats)| {
                let labels = vec![("name", (*name).to_owned())];
                (labels, figure(read()) as f64)
            };
            queues.iter().map(of).collect()
        }
    };
    metrics.gauges(
        "workqueue_depth",
        "Current depth of workqueue",
        read(|stats| stats.depth),
    );
    metrics.counts(
        "workqueue_adds",
        "Total number of adds handled by workqueue",
        read(|stats| stats.adds),
    );
    metrics.counts(
        "workqueue_retries",
        "Total number of retries handled by workqueue",
        read(|stats| stats.retries),
    );
}

async fn work(def: &'static ControllerDef, context: Context, queue: WorkQueue<ObjectKey>) {
    while let Some(key) = queue.next().await {
        let turn = AssertUnwindSafe((def.reconcile)(context.clone(), key.clone())).catch_unwind();
        match turn.await {
            Ok(Ok(Next::Wait)) => queue.succeeded(&key),
            Ok(Ok(Next::After(delay))) => {
                queue.succeeded(&key);
                queue.add_after(key.clone(), delay);
            }
            Ok(Err(error)) => {
                // Somebody else was quicker: the next turn reads what they wrote.
                if !error.is_conflict() {
                    tracing::warn!(controller = def.name, %key, %error, "trying again");
                }
                queue.add_failed(key.clone());
            }
            Err(_) => {
                tracing::error!(controller = def.name, %key, "the reconciler panicked");
                queue.add_failed(key.clone());
            }
        }
        queue.done(&key);
    }
}
