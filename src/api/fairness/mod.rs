//! API priority and fairness: every request belongs to a flow of a schema, whose priority level has
//! so many seats; what comes beyond waits in the flow's queue or is refused with 429. Reads the
//! FlowSchemas and PriorityLevelConfigurations out of the cache. Must not know what requests do.
//!
//! Kubernetes: apiserver `server/filters/priority-and-fairness.go`, `util/flowcontrol`.

mod config;
mod estimate;
mod figures;
mod keeper;
pub(crate) mod mandatory;
mod queues;

pub(crate) use config::Schema;
pub(crate) use estimate::list_seats;
pub(crate) use keeper::{corrected, keep};

use crate::api::Limits;
use crate::api::context::Context;
use crate::api::registry::{Cache, ResourceCache, served};
use crate::meta::Object;
use crate::resources::Scheme;
use crate::stdx::{Clock, Metrics};
use config::{Config, Distinguisher};
use figures::Figures;
use parking_lot::{Mutex, RwLock};
use queues::{Arrival, Dispatched, Levels, Running};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The group and version of both kinds.
pub(crate) const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// The part of a request's time for which it may wait for a seat. Kubernetes: a quarter.
const WAIT_PART: u64 = 4;
/// The longest time after which a refused client is asked to come again, in seconds.
const RETRY_SECONDS_MAX: u64 = 64;

/// What is configured now, and by which writes.
struct Current {
    config: Config,
    revisions: [u64; 2],
}

struct State {
    levels: Levels,
    /// Those who wait, by their tickets.
    waiting: HashMap<u64, oneshot::Sender<Running>>,
    /// How often each level has refused of late, by its name.
    refusals: HashMap<Arc<str>, Refusals>,
}

/// When to ask a refused client to come again: later while many are refused.
struct Refusals {
    seconds: u64,
    since: Instant,
    count: u64,
}

/// Lets requests in.
pub(crate) struct Fairness {
    kinds: Vec<Arc<ResourceCache>>,
    total: u32,
    wait_max: Duration,
    current: RwLock<Arc<Current>>,
    state: Mutex<State>,
    tickets: AtomicU64,
    /// Requests that are served, by whether they change anything.
    in_flight: [AtomicUsize; 2],
    clock: Clock,
    began: Instant,
    figures: Figures,
}

/// A request's place, until it is dropped.
pub(crate) struct Turn {
    fairness: Arc<Fairness>,
    running: Option<Running>,
    mutating: bool,
}

/// A request that is not served: when it may come again, in seconds.
pub(crate) struct Refused(pub(crate) u64);

impl Drop for Turn {
    fn drop(&mut self) {
        let kind = usize::from(self.mutating);
        if let Some(count) = self.fairness.in_flight.get(kind) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(running) = self.running.take() {
            self.fairness.finish(&running);
        }
    }
}

impl Fairness {
    pub(crate) fn new(
        cache: &Cache,
        scheme: &Scheme,
        limits: &Limits,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let kinds = ["flowschemas", "prioritylevelconfigurations"].iter();
        let kinds = kinds.filter_map(|plural| {
            let def = scheme.resource(GROUP, "v1", plural)?;
            cache.kind(&def.storage_prefix)
        });
        let total = limits.mutating_in_flight_max + limits.reading_in_flight_max;
        let total = u32::try_from(total).unwrap_or(u32::MAX).max(1);
        let fairness = Arc::new(Self {
            kinds: kinds.collect(),
            total,
            wait_max: Duration::from_secs(limits.request_seconds_max.div_ceil(WAIT_PART)),
            current: RwLock::new(Arc::new(Current {
                config: Config::default(),
                revisions: [u64::MAX; 2],
            })),
            state: Mutex::new(State {
                levels: Levels::new(total),
                waiting: HashMap::new(),
                refusals: HashMap::new(),
            }),
            tickets: AtomicU64::new(0),
            in_flight: Default::default(),
            clock: clock.clone(),
            began: clock.instant(),
            figures: Figures::new(metrics),
        });
        fairness.register(metrics);
        fairness
    }

    fn now(&self) -> f64 {
        let now = self.clock.instant();
        now.saturating_duration_since(self.began).as_secs_f64()
    }

    fn revisions(&self) -> [u64; 2] {
        let revision = |at: usize| self.kinds.get(at).map_or(0, |kind| kind.revision());
        [revision(0), revision(1)]
    }

    /// What is configured now.
    fn current(&self) -> Arc<Current> {
        let revisions = self.revisions();
        let current = self.current.read().clone();
        if current.revisions == revisions {
            return current;
        }
        let mut own = self.current.write();
        if own.revisions != revisions {
            let all = |at: usize| -> Vec<Object> {
                let kind = self.kinds.get(at);
                let objects = kind.map(|kind| (kind.clone(), kind.all().0));
                let objects = objects.into_iter().flat_map(|(kind, objects)| {
                    let read = |cached| served(&kind.def, cached).ok();
                    objects.values().filter_map(read).collect::<Vec<_>>()
                });
                objects.collect()
            };
            let dispatched = |schema: &str, level: &str| self.figures.dispatched(schema, level);
            let config = Config::of(&all(0), &all(1), self.total, &dispatched);
            let limited = config.levels.iter().filter(|level| !level.exempt);
            let limited = limited.map(|level| (level.name.clone(), level.limits.clone()));
            let mut state = self.state.lock();
            let served = state.levels.configure(limited.collect(), self.now());
            state.hand_out(served);
            drop(state);
            *own = Arc::new(Current { config, revisions });
        }
        own.clone()
    }

    /// Waits for a request's turn. `seats` is asked for what it is worth if it is limited at all.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        context: &Context,
        seats: impl FnOnce() -> u32,
    ) -> Result<Turn, Refused> {
        let current = self.current();
        let found = current.config.classify(&context.user, &context.info);
        let Some(schema) = found.cloned() else {
            return Err(Refused(1));
        };
        let _ = context.flow.set(schema.clone());
        if schema.level.exempt {
            return Ok(self.turn(context, &schema, None));
        }
        let hash = flow(&schema, context);
        let seats = seats().clamp(1, schema.level.seats_max);
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (arrival, receiver) = {
            let mut state = self.state.lock();
            let now = self.now();
            let level = &schema.level.name;
            let arrival = state.levels.arrive(level, (hash, seats, ticket), now);
            let receiver = matches!(arrival, Arrival::Wait { .. }).then(|| {
                let (sender, receiver) = oneshot::channel();
                state.waiting.insert(ticket, sender);
                receiver
            });
            (arrival, receiver)
        };
        match (arrival, receiver) {
            (Arrival::Run(running), _) => Ok(self.turn(context, &schema, Some(running))),
            (Arrival::Wait { queue }, Some(receiver)) => {
                let waiter = Waiter {
                    fairness: self,
                    schema: &schema,
                    place: Some((queue, ticket, receiver)),
                };
                match waiter.served().await {
                    Some(running) => Ok(self.turn(context, &schema, Some(running))),
                    None => Err(self.refuse(&schema, "time-out")),
                }
            }
            (Arrival::Rejected(why), _) => Err(self.refuse(&schema, why)),
            (Arrival::Wait { .. }, None) => Err(self.refuse(&schema, "time-out")),
        }
    }

    fn turn(
        self: &Arc<Self>,
        context: &Context,
        schema: &Arc<Schema>,
        running: Option<Running>,
    ) -> Turn {
        schema.dispatched.inc();
        let mutating = !context.info.is_read_only();
        if let Some(count) = self.in_flight.get(usize::from(mutating)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Turn {
            fairness: self.clone(),
            running,
            mutating,
        }
    }

    fn finish(&self, running: &Running) {
        let mut state = self.state.lock();
        let served = state.levels.finish(running, self.now());
        state.hand_out(served);
    }

    fn refuse(&self, schema: &Schema, why: &'static str) -> Refused {
        self.figures.rejected(&schema.name, &schema.level.name, why);
        let now = self.clock.instant();
        let mut state = self.state.lock();
        let refusals = state.refusals.entry(schema.level.name.clone());
        let refusals = refusals.or_insert_with(|| Refusals {
            seconds: 1,
            since: now,
            count: 0,
        });
        refusals.count += 1;
        let span = Duration::from_secs(refusals.seconds);
        if now.saturating_duration_since(refusals.since) >= span {
            refusals.seconds = match refusals.count {
                many if many >= 3 * refusals.seconds => refusals.seconds * 2,
                few if few < refusals.seconds => refusals.seconds - 1,
                _ => refusals.seconds,
            };
            refusals.seconds = refusals.seconds.clamp(1, RETRY_SECONDS_MAX);
            refusals.since = now;
            refusals.count = 0;
        }
        Refused(refusals.seconds)
    }
}

impl State {
    /// Tells those who waited that they are served now.
    fn hand_out(&mut self, served: Vec<Dispatched>) {
        for (ticket, running) in served {
            if let Some(waiting) = self.waiting.remove(&ticket) {
                // Who has gone takes its place out under the same lock, so there is always one.
                let _ = waiting.send(running);
            }
        }
    }
}

/// One who waits: queue, ticket, and where it is told. Leaves its place when it is dropped.
struct Waiter<'a> {
    fairness: &'a Fairness,
    schema: &'a Schema,
    place: Option<(u32, u64, oneshot::Receiver<Running>)>,
}

impl Waiter<'_> {
    async fn served(mut self) -> Option<Running> {
        let began = self.fairness.clock.instant();
        let (_, _, receiver) = self.place.as_mut()?;
        let served = tokio::select! {
            biased;
            served = receiver => served.ok(),
            () = self.fairness.clock.sleep(self.fairness.wait_max) => None,
        };
        let waited = self.fairness.clock.instant() - began;
        let (schema, level) = (&self.schema.name, &self.schema.level.name);
        let figures = &self.fairness.figures;
        figures.waited(schema, level, served.is_some(), waited);
        if served.is_some() {
            self.place = None;
        }
        served
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some((queue, ticket, mut receiver)) = self.place.take() else {
            return;
        };
        let mut state = self.fairness.state.lock();
        let now = self.fairness.now();
        state.waiting.remove(&ticket);
        let level = &self.schema.level.name;
        if !state.levels.cancel(level, queue, ticket, now)
            && let Ok(running) = receiver.try_recv()
        {
            // It was served in the moment in which it went.
            let served = state.levels.finish(&running, now);
            state.hand_out(served);
        }
    }
}

/// The flow that a request belongs to.
fn flow(schema: &Schema, context: &Context) -> u64 {
    let of = match schema.distinguisher {
        Distinguisher::Nothing => "",
        Distinguisher::User => context.user.name.as_str(),
        Distinguisher::Namespace => context.info.namespace.as_str(),
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    hasher.hash_one((&*schema.name, of))
}
