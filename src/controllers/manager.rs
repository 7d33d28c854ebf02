//! Runs the controllers of the list: one informer a resource fills their queues of keys, workers
//! empty them, failures come again later. A controller that panics on a key loses that key's turn, not the house.

use crate::client::{
    Change, Client, EventRecorder, HasMeta, Informer, InformerConfig, Meta, Progress, QueueStats,
    WorkQueue,
};
use crate::controllers::def::{Caches, Context, ControllerDef, Next, Trust, Watched};
use crate::controllers::{CONTROLLERS, garbage_collector};
use crate::meta::{GroupVersionResource, Object, ObjectKey, time};
use crate::stdx::{Clock, Metrics, Samples, Shutdown};
use futures::FutureExt;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The longest wait for a foreign lease to run out before it is looked at again.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(15);

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

/// An object as controllers follow it: not more is kept of it than whom its changes concern. What a
/// reconciler reads, it asks for when its turn comes.
#[derive(Debug)]
struct Followed {
    meta: Meta,
    /// Until it is known whom it concerns.
    object: Mutex<Option<Object>>,
    concerned: OnceLock<Box<[Concerned]>>,
}

/// Which of those who follow a resource, and the key that it is to look at.
type Concerned = (usize, ObjectKey);

impl<'de> Deserialize<'de> for Followed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Object::new(Map::<String, Value>::deserialize(deserializer)?);
        Ok(Self {
            meta: Meta {
                name: object.name().to_owned(),
                namespace: object.namespace().to_owned(),
                uid: String::new(),
                resource_version: object.resource_version().to_owned(),
            },
            object: Mutex::new(Some(object)),
            concerned: OnceLock::new(),
        })
    }
}

impl HasMeta for Followed {
    fn key(&self) -> ObjectKey {
        ObjectKey::new(self.meta.namespace.as_str(), self.meta.name.as_str())
    }

    fn resource_version(&self) -> &str {
        &self.meta.resource_version
    }
}

/// Who wants to know of a resource's changes: the function that finds the key, and where it goes.
type Follower = (fn(&Object) -> Option<ObjectKey>, WorkQueue<ObjectKey>);

impl Followed {
    /// Whom it concerns. `first` sees the whole object, once.
    fn concerned(&self, followers: &[Follower], first: impl FnOnce(&Object)) -> &[Concerned] {
        self.concerned.get_or_init(|| {
            let Some(object) = self.object.lock().take() else {
                return Box::default();
            };
            first(&object);
            let keys = followers.iter().enumerate();
            keys.filter_map(|(who, (key, _))| Some((who, key(&object)?)))
                .collect()
        })
    }
}

/// A resource, and all who follow it: one informer serves them.
struct Feed {
    resource: (&'static str, &'static str, &'static str),
    fields: &'static str,
    followers: Vec<Follower>,
}

impl Feed {
    /// One that nobody follows yet.
    fn of(resource: (&'static str, &'static str, &'static str)) -> Self {
        Self {
            resource,
            fields: "",
            followers: Vec::new(),
        }
    }

    /// Adds one who follows to the feed of what it follows.
    fn add(feeds: &mut Vec<Self>, watched: &Watched, queue: WorkQueue<ObjectKey>) {
        let follower = (watched.key, queue);
        let of =
            |feed: &&mut Self| (feed.resource, feed.fields) == (watched.resource, watched.fields);
        match feeds.iter_mut().find(of) {
            Some(feed) => feed.followers.push(follower),
            None => feeds.push(Self {
                resource: watched.resource,
                fields: watched.fields,
                followers: vec![follower],
            }),
        }
    }

    fn start(
        self,
        client: Client,
        clock: Clock,
        caches: Arc<Caches>,
        shutdown: &Shutdown,
    ) -> Informer<Followed> {
        let (group, version, plural) = self.resource;
        // What is kept is all of a resource, not what a field selector leaves of it.
        let kept = self.fields.is_empty();
        let progress = caches.members(plural).filter(|_| kept);
        let config = InformerConfig {
            field_selector: self.fields.to_owned(),
            progress: progress.map_or_else(Progress::default, |members| members.progress().clone()),
            ..InformerConfig::all(GroupVersionResource::new(group, version, plural))
        };
        let followers = self.followers;
        let tell = move |change: Change<Followed>| {
            let members = caches.members(plural).filter(|_| kept);
            let selectors = caches.selectors(plural).filter(|_| kept);
            let first = |object: &Object| {
                selectors.inspect(|selectors| selectors.applied(object));
                members.inspect(|members| members.applied(object));
            };
            let concerned = match &change {
                Change::Applied(object, _) => object.concerned(&followers, first),
                Change::Deleted(object) => {
                    selectors.inspect(|selectors| selectors.removed(&object.key()));
                    members.inspect(|members| members.removed(&object.key()));
                    // Its last state may come from a second list, unseen: it is not to come back.
                    object.concerned(&followers, |_| {})
                }
                Change::Synced => return,
            };
            for (who, key) in concerned {
                if let Some((_, queue)) = followers.get(*who) {
                    queue.add(key.clone());
                }
            }
        };
        Informer::start(client, config, clock, shutdown, tell)
    }
}

impl Controllers {
    /// Starts all controllers, until `shutdown`.
    pub fn start(config: ControllersConfig) -> Self {
        let started = config.clock.now();
        let trust = Arc::new(config.trust);
        let caches = Arc::new(Caches::default());
        let recorder = |client: &Client, component: &str| {
            let clock = config.clock.clone();
            EventRecorder::start(client.clone(), component, "", clock, &config.shutdown)
        };
        let context_of = |account: Option<&'static str>| {
            let client = account.map_or_else(
                || config.client.clone(),
                |account| (config.account)(account),
            );
            Context {
                events: recorder(&client, account.unwrap_or("controller-manager")),
                client,
                shared: config.client.clone(),
                trust: trust.clone(),
                caches: caches.clone(),
                started,
                clock: config.clock.clone(),
            }
        };
        let mut feeds: Vec<Feed> = Caches::RESOURCES.iter().copied().map(Feed::of).collect();
        let mut queues = Vec::new();
        for def in CONTROLLERS {
            let context = context_of(def.account);
            let queue = WorkQueue::new(context.clock.clone());
            for watched in def.watches {
                Feed::add(&mut feeds, watched, queue.clone());
            }
            if let Some(listen) = def.listen {
                listen(&caches, queue.clone());
            }
            for _ in 0..def.workers {
                let worker = work(def, context.clone(), queue.clone());
                config.shutdown.spawn_until_stopped(worker);
            }
            queues.push((def.name, queue));
        }
        let follow = |feed: Feed| {
            let (client, clock) = (config.client.clone(), config.clock.clone());
            feed.start(client, clock, caches.clone(), &config.shutdown)
        };
        let followed = feeds.into_iter().map(follow).collect();
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
    if def.listen.is_some() {
        // Who counts members must have seen them all.
        for &(_, _, resource) in Caches::RESOURCES {
            if let Some(members) = context.caches.members(resource) {
                members.progress().reached(1).await;
            }
        }
    }
    while let Some(key) = queue.next().await {
        if def.listen.is_some()
            && let Some(wait) = rival(&context).await
        {
            queue.add_after(key.clone(), wait);
            queue.done(&key);
            continue;
        }
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

/// How long somebody else leads the controllers: a controller manager of Kubernetes that was started
/// beside us. Two that make pods for the same set would undo each other's work, so ours wait, as the
/// second of two managers does. Kubernetes: leader election by this lease.
async fn rival(context: &Context) -> Option<Duration> {
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let lease = context
        .shared
        .get::<Value>(&leases, "kube-system", "kube-controller-manager");
    let lease = Object::from_value(lease.await.ok()?)?;
    let number = |name: &str| lease.get(&["spec", name]).and_then(Value::as_i64);
    let renewed = time::parse(lease.str_at(&["spec", "renewTime"]))?;
    let valid = SignedDuration::from_secs(number("leaseDurationSeconds")?);
    let held = !lease.str_at(&["spec", "holderIdentity"]).is_empty();
    let left = valid.saturating_sub(context.clock.now().duration_since(renewed));
    let left = Duration::try_from(left)
        .ok()
        .filter(|left| held && !left.is_zero())?;
    Some(left.min(LEASE_WAIT_MAX))
}
