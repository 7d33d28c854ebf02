//! A queue of keys that is fair and stingy: a key is queued once however often it is added, never
//! worked on by two at once, and queued again if it was added while being worked on. Failures come
//! back later, each time twice as late. Bounded by the number of keys there are.
//! Kubernetes: client-go `util/workqueue`.

use crate::stdx::Clock;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first delay after a failure.
const FAILURE_DELAY_MIN: Duration = Duration::from_millis(5);
/// The longest delay after failures.
const FAILURE_DELAY_MAX: Duration = Duration::from_secs(60);

struct State<K> {
    ready: VecDeque<K>,
    /// Everything that is ready, or was added while being worked on.
    dirty: HashSet<K>,
    working: HashSet<K>,
    /// What is to be added later, by time; the number tells apart equal times.
    later: BTreeMap<(Instant, u64), K>,
    /// Where a key stands in `later`: once, at the earliest time that it was asked for.
    due: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    counter: u64,
    closed: bool,
    stats: QueueStats,
}

/// What a queue has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Keys that wait now.
    pub depth: u64,
    /// Keys that became ready, those again included.
    pub adds: u64,
    /// Keys that were put back since the work on them failed.
    pub retries: u64,
}

/// The queue. Cheap to clone.
pub struct WorkQueue<K> {
    state: Arc<Mutex<State<K>>>,
    wake: Arc<Notify>,
    clock: Clock,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            wake: self.wake.clone(),
            clock: self.clock.clone(),
        }
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue.
    pub fn new(clock: Clock) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            working: HashSet::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            counter: 0,
            closed: false,
            stats: QueueStats::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            wake: Arc::new(Notify::new()),
            clock,
        }
    }

    /// Queues `key`.
    pub fn add(&self, key: K) {
        self.state.lock().add(key);
        self.wake.notify_one();
    }

    /// Queues `key` after `delay`, unless it comes sooner anyway.
    pub fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.state.lock();
        if delay.is_zero() {
            state.add(key);
        } else {
            state.add_at(key, self.clock.instant() + delay);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Queues `key` after a delay that doubles with each failure since the last success.
    pub fn add_failed(&self, key: K) {
        let delay = {
            let mut state = self.state.lock();
            state.stats.retries += 1;
            let failures = state.failures.entry(key.clone()).or_insert(0);
            let delay = FAILURE_DELAY_MIN.saturating_mul(1 << (*failures).min(16));
            *failures += 1;
            delay.min(FAILURE_DELAY_MAX)
        };
        self.add_after(key, delay);
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// Waits for the next key; `None` when the queue is closed. Answer with [`WorkQueue::done`].
    pub async fn next(&self) -> Option<K> {
        loop {
            let wait_until = {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                state.ripen(self.clock.instant());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.working.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return Some(key);
                }
                state.later.keys().next().map(|(at, _)| *at)
            };
            match wait_until {
                Some(at) => {
                    let left = at.saturating_duration_since(self.clock.instant());
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.clock.sleep(left) => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Says that the work on `key` has ended.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.wake.notify_one();
        }
    }

    /// What the queue has done.
    pub fn stats(&self) -> QueueStats {
        let state = self.state.lock();
        QueueStats {
            depth: state.ready.len() as u64,
            ..state.stats
        }
    }

    /// How many keys wait now.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Whether no key waits now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends all waits.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) {
        if self.dirty.insert(key.clone()) && !self.working.contains(&key) {
            self.ready.push_back(key);
            self.stats.adds += 1;
        }
    }

    fn add_at(&mut self, key: K, when: Instant) {
        if let Some(at) = self.due.get(&key).copied() {
            if at.0 <= when {
                return;
            }
            self.later.remove(&at);
        }
        self.counter += 1;
        let at = (when, self.counter);
        self.due.insert(key.clone(), at);
        self.later.insert(at, key);
    }

    fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_worked_on_comes_again_once() {
        let queue = WorkQueue::new(Clock::real());
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, Some("a"));
        assert!(queue.is_empty());
        queue.add("a");
        assert!(queue.is_empty(), "not while it is worked on");
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.done(&"a");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_for_the_earliest_of_its_times() {
        let queue = WorkQueue::new(Clock::real());
        let begun = Instant::now();
        for seconds in [30, 10, 20] {
            queue.add_after("a", Duration::from_secs(seconds));
        }
        queue.add_after("b", Duration::from_secs(40));
        assert_eq!(queue.next().await, Some("a"));
        assert_eq!(begun.elapsed().as_secs(), 10);
        queue.done(&"a");
        assert_eq!(
            queue.next().await,
            Some("b"),
            "the other times of a are forgotten"
        );
        assert_eq!(begun.elapsed().as_secs(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_come_back_later_each_time() {
        let queue = WorkQueue::new(Clock::real());
        let mut waits = Vec::new();
        for _ in 0..3 {
            let before = Instant::now();
            queue.add_failed(1);
            assert_eq!(queue.next().await, Some(1));
            waits.push(before.elapsed().as_millis());
            queue.done(&1);
        }
        assert_eq!(waits, [5, 10, 20]);
        queue.close();
        assert_eq!(queue.next().await, None);
    }
}
