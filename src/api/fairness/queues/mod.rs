//! Who is served next: priority levels with seats, and in each fair queues over flows, so that one
//! who floods waits for himself. Pure: it is told the time. Must not know requests.
//!
//! Kubernetes: apiserver `util/flowcontrol/fairqueuing/queueset`, `util/shufflesharding`; KEP 1040.
//! A queue has a virtual start: how far along it would be if all queues were served at once, bit by
//! bit. The one whose first request would be finished first is served first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// What a request is taken to last until it is known, in seconds. Kubernetes: 3 ms.
const SERVICE_SECONDS: f64 = 0.003;
/// Empty queues of a level that are remembered; beyond, those that owe nothing are forgotten.
const EMPTY_QUEUES_MAX: usize = 1_024;
/// Most queues that a flow may be put into. Kubernetes: 60 bits of a hash allow no more.
const HAND_MAX: usize = 16;

/// How a level lets requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queuing {
    pub(super) queues: u32,
    pub(super) hand: u32,
    pub(super) length: usize,
}

/// What a level may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LevelConfig {
    /// Its share of all seats.
    pub(super) nominal: u32,
    /// What it always has, whatever it lends to others.
    pub(super) guaranteed: u32,
    /// What it may have with what others lend it.
    pub(super) most: u32,
    /// Without queues, what is too much is refused at once.
    pub(super) queuing: Option<Queuing>,
}

/// A request that is being served.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Running {
    level: Arc<str>,
    queue: Option<u32>,
    seats: u32,
    started: f64,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arrival {
    Run(Running),
    /// It will be dispatched by its ticket.
    Wait {
        queue: u32,
    },
    /// With Kubernetes' word for why.
    Rejected(&'static str),
}

/// A request that waited and is served now.
pub(super) type Dispatched = (u64, Running);

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    seats: u32,
    /// The level's progress when it came.
    arrived: f64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    seats_waiting: u32,
    executing: usize,
    seats_in_use: u32,
    /// The virtual start of its first request.
    next: f64,
}

impl Queue {
    fn is_active(&self) -> bool {
        !self.waiting.is_empty() || self.executing > 0
    }
}

#[derive(Debug)]
struct Level {
    config: LevelConfig,
    /// It is no longer configured: it goes when nothing of it is left.
    gone: bool,
    queues: HashMap<u32, Queue>,
    active: usize,
    executing: usize,
    seats_in_use: u32,
    waiting: usize,
    seats_waiting: u32,
    /// The progress of all queues, in seat-seconds.
    progress: f64,
    last: f64,
}

/// What a level is doing, for figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelState {
    pub(super) nominal: u32,
    pub(super) guaranteed: u32,
    pub(super) most: u32,
    pub(super) current: u32,
    pub(super) executing: usize,
    pub(super) seats_in_use: u32,
    pub(super) waiting: usize,
}

/// All levels that have a limit.
#[derive(Debug)]
pub(super) struct Levels {
    /// Seats of all together.
    total: u32,
    levels: BTreeMap<Arc<str>, Level>,
}

impl Level {
    fn new(config: LevelConfig, now: f64) -> Self {
        Self {
            config,
            gone: false,
            queues: HashMap::new(),
            active: 0,
            executing: 0,
            seats_in_use: 0,
            waiting: 0,
            seats_waiting: 0,
            progress: 0.0,
            last: now,
        }
    }

    /// Moves the progress on: it is quick while few queues share the seats.
    fn sync(&mut self, now: f64) {
        let passed = (now - self.last).max(0.0);
        self.last = now;
        if self.active > 0 {
            let wished = self.seats_in_use + self.seats_waiting;
            let seats = wished.min(self.config.nominal.max(1));
            self.progress += passed * f64::from(seats) / self.active as f64;
        }
    }

    fn fits(&self, seats: u32, limit: u32) -> bool {
        // A request that is larger than the level is served alone.
        self.seats_in_use.saturating_add(seats) <= limit || (seats > limit && self.executing == 0)
    }

    /// The queue of the flow's hand that has least to do.
    fn choose(&self, hash: u64, queuing: Queuing) -> u32 {
        let load = |queue: &u32| {
            let queue = self.queues.get(queue);
            queue.map_or(0, |queue| queue.seats_waiting + queue.seats_in_use)
        };
        let mut best = (0, u32::MAX);
        deal(hash, queuing, |card| {
            let load = load(&card);
            if load < best.1 {
                best = (card, load);
            }
        });
        best.0
    }

    fn enqueue(&mut self, queue: u32, ticket: u64, seats: u32) {
        let progress = self.progress;
        let own = self.queues.entry(queue).or_default();
        if !own.is_active() {
            self.active += 1;
        }
        if own.waiting.is_empty() {
            // It cannot have begun before it came.
            own.next = own.next.max(progress);
        }
        own.waiting.push_back(Waiting {
            ticket,
            seats,
            arrived: progress,
        });
        own.seats_waiting += seats;
        self.waiting += 1;
        self.seats_waiting += seats;
    }

    /// The queue to serve: whose first request would be finished first.
    fn first(&self) -> Option<(u32, u32)> {
        let mut best: Option<(f64, u32, u32)> = None;
        for (index, queue) in &self.queues {
            let Some(first) = queue.waiting.front() else {
                continue;
            };
            let end = queue.next + f64::from(first.seats) * SERVICE_SECONDS;
            let better =
                best.is_none_or(|(other, at, _)| end < other || (end == other && *index < at));
            if better {
                best = Some((end, *index, first.seats));
            }
        }
        best.map(|(_, index, seats)| (index, seats))
    }

    fn start(&mut self, name: &Arc<str>, index: u32, now: f64) -> Option<Dispatched> {
        let queue = self.queues.get_mut(&index)?;
        let first = queue.waiting.pop_front()?;
        queue.seats_waiting -= first.seats;
        queue.executing += 1;
        queue.seats_in_use += first.seats;
        queue.next = queue.next.max(first.arrived) + f64::from(first.seats) * SERVICE_SECONDS;
        self.waiting -= 1;
        self.seats_waiting -= first.seats;
        self.executing += 1;
        self.seats_in_use += first.seats;
        let running = Running {
            level: name.clone(),
            queue: Some(index),
            seats: first.seats,
            started: now,
        };
        Some((first.ticket, running))
    }

    /// Forgets queues without work that owe nothing.
    fn tidy(&mut self) {
        if self.queues.len() - self.active.min(self.queues.len()) > EMPTY_QUEUES_MAX {
            let progress = self.progress;
            self.queues
                .retain(|_, queue| queue.is_active() || queue.next > progress);
        }
    }
}

impl Levels {
    pub(super) fn new(total: u32) -> Self {
        Self {
            total,
            levels: BTreeMap::new(),
        }
    }

    /// Takes over what is configured. What runs and waits goes on; a wider level begins to serve.
    pub(super) fn configure(
        &mut self,
        configs: Vec<(Arc<str>, LevelConfig)>,
        now: f64,
    ) -> Vec<Dispatched> {
        for level in self.levels.values_mut() {
            level.gone = true;
        }
        for (name, config) in configs {
            let level = self.levels.entry(name);
            let level = level.or_insert_with(|| Level::new(config.clone(), now));
            level.sync(now);
            level.config = config;
            level.gone = false;
        }
        self.levels
            .retain(|_, level| !level.gone || level.executing + level.waiting > 0);
        self.dispatch(now)
    }

    /// How many seats a level may have in use now: what is its own, and what others do not need.
    fn limit(&self, name: &str) -> u32 {
        let Some(level) = self.levels.get(name) else {
            return 0;
        };
        let others = self.levels.iter().filter(|(other, _)| &***other != name);
        let taken: u32 = others
            .map(|(_, other)| match other.gone {
                true => other.seats_in_use,
                false => other.seats_in_use.max(other.config.guaranteed),
            })
            .sum();
        let left = self.total.saturating_sub(taken);
        level.config.guaranteed.max(level.config.most.min(left))
    }

    /// A request of a flow (by the hash of its name) comes to a level.
    pub(super) fn arrive(
        &mut self,
        name: &Arc<str>,
        (hash, seats, ticket): (u64, u32, u64),
        now: f64,
    ) -> Arrival {
        let own = self.levels.get(name).map(|level| level.config.guaranteed);
        // Most requests need not look at what the others do.
        let limit = match (self.levels.get(name), own) {
            (Some(level), Some(own)) if level.seats_in_use + seats <= own => own,
            _ => self.limit(name),
        };
        let Some(level) = self.levels.get_mut(name) else {
            return Arrival::Rejected("concurrency-limit");
        };
        level.sync(now);
        let fits = level.fits(seats, limit);
        let Some(queuing) = level.config.queuing else {
            if !fits {
                return Arrival::Rejected("concurrency-limit");
            }
            level.executing += 1;
            level.seats_in_use += seats;
            return Arrival::Run(Running {
                level: name.clone(),
                queue: None,
                seats,
                started: now,
            });
        };
        let queue = level.choose(hash, queuing);
        let length = level.queues.get(&queue).map_or(0, |q| q.waiting.len());
        if level.seats_in_use >= limit && length >= queuing.length {
            return Arrival::Rejected("queue-full");
        }
        let first = level.waiting == 0;
        level.enqueue(queue, ticket, seats);
        if first
            && fits
            && let Some((_, running)) = level.start(name, queue, now)
        {
            return Arrival::Run(running);
        }
        Arrival::Wait { queue }
    }

    /// Serves all that can be served.
    pub(super) fn dispatch(&mut self, now: f64) -> Vec<Dispatched> {
        let mut dispatched = Vec::new();
        let waiting: Vec<Arc<str>> = self
            .levels
            .iter()
            .filter(|(_, level)| level.waiting > 0)
            .map(|(name, _)| name.clone())
            .collect();
        for name in waiting {
            loop {
                let limit = self.limit(&name);
                let Some(level) = self.levels.get_mut(&name) else {
                    break;
                };
                level.sync(now);
                let next = level.first().filter(|(_, seats)| level.fits(*seats, limit));
                let Some(started) = next.and_then(|(queue, _)| level.start(&name, queue, now))
                else {
                    break;
                };
                dispatched.push(started);
            }
        }
        dispatched
    }

    /// A request is served; answers those that are served now in its place.
    pub(super) fn finish(&mut self, running: &Running, now: f64) -> Vec<Dispatched> {
        let Some(level) = self.levels.get_mut(&running.level) else {
            return Vec::new();
        };
        level.sync(now);
        level.executing -= 1;
        level.seats_in_use -= running.seats;
        if let Some(queue) = running.queue.and_then(|index| level.queues.get_mut(&index)) {
            queue.executing -= 1;
            queue.seats_in_use -= running.seats;
            // It was taken to last so long, and lasted otherwise.
            let lasted = now - running.started;
            queue.next -= f64::from(running.seats) * (SERVICE_SECONDS - lasted);
            if let Some(first) = queue.waiting.front() {
                queue.next = queue.next.max(first.arrived);
            }
            if !queue.is_active() {
                level.active -= 1;
            }
        }
        level.tidy();
        if level.gone && level.executing + level.waiting == 0 {
            self.levels.remove(&running.level);
        }
        if self.levels.values().all(|level| level.waiting == 0) {
            return Vec::new();
        }
        self.dispatch(now)
    }

    /// Nobody waits for this request any more; `false` if it does not wait (it is being served).
    pub(super) fn cancel(&mut self, name: &str, queue: u32, ticket: u64, now: f64) -> bool {
        let Some(level) = self.levels.get_mut(name) else {
            return false;
        };
        level.sync(now);
        let Some(own) = level.queues.get_mut(&queue) else {
            return false;
        };
        let Some(at) = own.waiting.iter().position(|one| one.ticket == ticket) else {
            return false;
        };
        if let Some(one) = own.waiting.remove(at) {
            own.seats_waiting -= one.seats;
            level.waiting -= 1;
            level.seats_waiting -= one.seats;
        }
        if let Some(first) = own.waiting.front() {
            own.next = own.next.max(first.arrived);
        }
        if !own.is_active() {
            level.active -= 1;
        }
        true
    }

    /// What each level is doing.
    pub(super) fn states(&self) -> Vec<(Arc<str>, LevelState)> {
        let states = self.levels.iter().map(|(name, level)| {
            let state = LevelState {
                nominal: level.config.nominal,
                guaranteed: level.config.guaranteed,
                most: level.config.most,
                current: self.limit(name),
                executing: level.executing,
                seats_in_use: level.seats_in_use,
                waiting: level.waiting,
            };
            (name.clone(), state)
        });
        states.collect()
    }
}

/// Deals a hand of different cards, the same one for the same hash.
fn deal(hash: u64, queuing: Queuing, mut take: impl FnMut(u32)) {
    let mut hand = [0u32; HAND_MAX];
    let mut rest = hash;
    let size = usize::try_from(queuing.hand)
        .unwrap_or(1)
        .clamp(1, HAND_MAX);
    let size = size.min(usize::try_from(queuing.queues).unwrap_or(1).max(1));
    for at in 0..size {
        let left = u64::from(queuing.queues.max(1)) - at as u64;
        let mut card = u32::try_from(rest % left).unwrap_or(0);
        rest /= left;
        // Those dealt already, in order: each that is not larger pushes the card on by one.
        let dealt = hand.get_mut(..at).unwrap_or_default();
        dealt.sort_unstable();
        for other in dealt.iter() {
            if card >= *other {
                card += 1;
            }
        }
        if let Some(place) = hand.get_mut(at) {
            *place = card;
        }
        take(card);
    }
}

#[cfg(test)]
mod tests;
