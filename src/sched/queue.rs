//! Pods that wait for a node: those to try now (by priority, then age), those that failed and wait
//! out their backoff, and those that nothing has helped yet. A pod that fits nowhere is tried again
//! when something has changed that could help, not in a loop. Bounded by the number of pods.
//! Kubernetes: kube-scheduler `backend/queue`.

use crate::meta::ObjectKey;
use crate::sched::cycle::Plugins;
use crate::sched::metrics::Pending;
use crate::sched::node_info::PodInfo;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait after a pod did not fit.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A pod that nothing has helped is tried again after this all the same.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(300);

/// A pod that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) key: ObjectKey,
    pub(crate) pod: Arc<PodInfo>,
    attempts: u32,
    place: Place,
    /// The plugins that refused it a node when it was last tried.
    refused_by: Plugins,
    /// Order of arrival.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    Backoff(Instant),
    /// Since when, and when its backoff ends.
    Unschedulable(Instant, Instant),
    /// Being decided on.
    Popped,
}

type Rank = (Reverse<i32>, u64, ObjectKey);

/// The queue. Every call is told the time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: HashMap<ObjectKey, Waiting>,
    active: BTreeSet<Rank>,
    /// Those that were left aside.
    aside: BTreeSet<ObjectKey>,
    /// When something ripens: the end of a backoff, or of the longest wait.
    timers: BTreeMap<(Instant, ObjectKey), ()>,
    counter: u64,
    /// Counts the changes.
    moves: u64,
    /// The last change that could change the mind of each plugin, by its bit: a pod that it refused
    /// meanwhile is not left aside.
    last_moves: [u64; Plugins::BITS as usize],
}

impl Queue {
    /// A pod that is to be scheduled, new or changed.
    pub(crate) fn add(&mut self, key: ObjectKey, pod: Arc<PodInfo>) {
        if let Some(waiting) = self.pods.get_mut(&key) {
            let before = std::mem::replace(&mut waiting.pod, pod);
            if matches!(waiting.place, Place::Unschedulable(..)) && waiting.pod.asks_other(&before)
            {
                // Its own change may be what helps.
                let waiting = waiting.clone();
                self.activate(&waiting);
            }
            return;
        }
        self.counter += 1;
        let number = self.counter;
        let waiting = Waiting {
            key: key.clone(),
            pod,
            attempts: 0,
            place: Place::Popped,
            refused_by: 0,
            number,
        };
        self.pods.insert(key, waiting.clone());
        self.activate(&waiting);
    }

    /// A pod that is gone, bound or no longer ours.
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        if let Some(waiting) = self.pods.remove(key) {
            self.unlink(&waiting);
        }
    }

    /// The next pod to decide on, with the count of moves to hand back.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Waiting, u64)> {
        self.ripen(now);
        let (_, _, key) = self.active.pop_first()?;
        let waiting = self.pods.get_mut(&key)?;
        waiting.place = Place::Popped;
        waiting.attempts += 1;
        Some((waiting.clone(), self.moves))
    }

    /// The pod did not fit, as these plugins said; `moves` is what [`Queue::pop`] gave.
    pub(crate) fn unschedulable(&mut self, key: &ObjectKey, now: Instant, moves: u64, by: Plugins) {
        let Some(waiting) = self.pods.get_mut(key) else {
            return;
        };
        let after = |bit: usize| by >> bit & 1 == 1 || by == 0;
        let mut changes = self.last_moves.iter().enumerate();
        let moved = changes.any(|(bit, last)| after(bit) && *last > moves);
        waiting.refused_by = by;
        let backoff_end = now + backoff(waiting.attempts);
        let (place, at) = if moved {
            (Place::Backoff(backoff_end), backoff_end)
        } else {
            let place = Place::Unschedulable(now, backoff_end);
            (place, now + UNSCHEDULABLE_MAX)
        };
        waiting.place = place;
        self.timers.insert((at, key.clone()), ());
        if !moved {
            self.aside.insert(key.clone());
        }
    }

    /// The pod could not be bound, or something broke: it comes again after its backoff.
    pub(crate) fn failed(&mut self, key: &ObjectKey, now: Instant) {
        let Some(waiting) = self.pods.get_mut(key) else {
            return;
        };
        let end = now + backoff(waiting.attempts);
        waiting.place = Place::Backoff(end);
        self.timers.insert((end, key.clone()), ());
    }

    /// Something has changed that could change the mind of these plugins. Those that were left aside
    /// and that it `helps` (told the pod and who refused it) are tried again, each after its backoff.
    pub(crate) fn moved(
        &mut self,
        now: Instant,
        plugins: Plugins,
        helps: impl Fn(&PodInfo, Plugins) -> bool,
    ) {
        self.moves += 1;
        for (bit, last) in self.last_moves.iter_mut().enumerate() {
            if plugins >> bit & 1 == 1 {
                *last = self.moves;
            }
        }
        let aside: Vec<Waiting> = self
            .aside
            .iter()
            .filter_map(|key| self.pods.get(key))
            .filter(|waiting| helps(&waiting.pod, waiting.refused_by))
            .cloned()
            .collect();
        for waiting in aside {
            let Place::Unschedulable(_, end) = waiting.place else {
                continue;
            };
            self.unlink(&waiting);
            if end <= now {
                self.activate(&waiting);
            } else if let Some(own) = self.pods.get_mut(&waiting.key) {
                own.place = Place::Backoff(end);
                self.timers.insert((end, waiting.key.clone()), ());
            }
        }
    }

    /// When the next pod ripens, if none is ready now.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// How many wait to be tried now, for the end of their backoff, and for a change.
    pub(crate) fn counts(&self) -> Pending {
        let mut counts = Pending::default();
        for waiting in self.pods.values() {
            match waiting.place {
                Place::Active | Place::Popped => counts.active += 1,
                Place::Backoff(_) => counts.backoff += 1,
                Place::Unschedulable(..) => counts.unschedulable += 1,
            }
        }
        counts
    }

    fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((_, key), ()) = entry.remove_entry();
            if let Some(waiting) = self.pods.get(&key).cloned() {
                self.aside.remove(&key);
                self.activate(&waiting);
            }
        }
    }

    fn activate(&mut self, waiting: &Waiting) {
        self.unlink(waiting);
        if let Some(own) = self.pods.get_mut(&waiting.key) {
            own.place = Place::Active;
            self.active.insert(rank(own));
        }
    }

    fn unlink(&mut self, waiting: &Waiting) {
        match waiting.place {
            Place::Active => {
                self.active.remove(&rank(waiting));
            }
            Place::Backoff(at) => {
                self.timers.remove(&(at, waiting.key.clone()));
            }
            Place::Unschedulable(since, _) => {
                self.aside.remove(&waiting.key);
                self.timers
                    .remove(&(since + UNSCHEDULABLE_MAX, waiting.key.clone()));
            }
            Place::Popped => {}
        }
    }
}

fn rank(waiting: &Waiting) -> Rank {
    (
        Reverse(waiting.pod.pod.spec.priority),
        waiting.number,
        waiting.key.clone(),
    )
}

/// Kubernetes: 1 s, doubled with each attempt, up to 10 s.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(8);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::view::PodView;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    fn pod(priority: i32) -> Arc<PodInfo> {
        let mut view = PodView::default();
        view.spec.priority = priority;
        Arc::new(PodInfo::new(Arc::new(view)))
    }

    fn popped(queue: &mut Queue, now: Instant) -> Option<(String, u64)> {
        queue
            .pop(now)
            .map(|(waiting, moves)| (waiting.key.name, moves))
    }

    #[tokio::test(start_paused = true)]
    async fn by_priority_then_by_age() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
            queue.add(key(name), pod(priority));
        }
        let order: Vec<String> =
            std::iter::from_fn(|| popped(&mut queue, now).map(|p| p.0)).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_nowhere_waits_for_a_change_and_its_backoff() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        queue.add(key("a"), pod(0));
        let (_, moves) = popped(&mut queue, start).unwrap();
        queue.unschedulable(&key("a"), start, moves, 1);
        assert_eq!(popped(&mut queue, after(100)), None, "nothing has changed");
        queue.moved(after(100), !0, |_, _| true);
        let (_, moves) = popped(&mut queue, after(100)).unwrap();
        queue.unschedulable(&key("a"), after(100), moves, 1);
        queue.moved(after(101), !0, |_, _| true);
        assert_eq!(
            popped(&mut queue, after(101)),
            None,
            "the second backoff is 2 s"
        );
        let (_, moves) = popped(&mut queue, after(102)).unwrap();
        queue.moved(after(102), !0, |_, _| true);
        queue.unschedulable(&key("a"), after(102), moves, 1);
        assert!(
            popped(&mut queue, after(106)).is_some(),
            "a change during the decision counts"
        );
        queue.unschedulable(&key("a"), after(106), u64::MAX, 1);
        queue.remove(&key("a"));
        assert_eq!(popped(&mut queue, after(10_000)), None);
        assert_eq!(queue.next_timer(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_help_leaves_aside() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (name, by) in [("a", 1), ("b", 2)] {
            queue.add(key(name), pod(0));
            let (_, moves) = popped(&mut queue, start).unwrap();
            queue.unschedulable(&key(name), start, moves, by);
        }
        queue.moved(after(9), !0, |_, by| by == 2);
        assert_eq!(popped(&mut queue, after(9)).unwrap().0, "b");
        assert_eq!(popped(&mut queue, after(9)), None);
        assert_eq!(queue.counts().unschedulable, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_helps_is_tried_again_after_five_minutes() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.add(key("a"), pod(0));
        let (_, moves) = popped(&mut queue, start).unwrap();
        queue.unschedulable(&key("a"), start, moves, 1);
        assert_eq!(queue.next_timer(), Some(start + UNSCHEDULABLE_MAX));
        assert!(popped(&mut queue, start + UNSCHEDULABLE_MAX).is_some());
    }
}
