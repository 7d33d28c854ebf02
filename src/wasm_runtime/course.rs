//! How one instance has fared: when its present turn on a thread began, and what memory it was
//! refused, from which follows whether the refusal explains its end. Must not know what a limit is
//! for.
//!
//! A guest that is refused memory dies in its own way: C and Rust abort, Go exits with 2, Python
//! with 1. What killed it is the limit all the same, and that is what has to be told. But a guest
//! may as well live on, and then its end has another cause. So a refusal explains an end only while
//! nothing shows that the guest has got over it: it has waited for nothing, has run for no more than
//! [`TURNS_MAX`], and has got no memory since (only an abort may follow some smaller growth: the
//! message about it has to be put somewhere).

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Turns of the epoch (5 ms of running each) that a guest may take to die of a refusal: enough to
/// unwind and to print a trace.
const TURNS_MAX: u64 = 100;

/// How an instance ended, as far as it says something of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It gave up (`unreachable`, which is what an abort is in wasm), or could not even begin.
    Abort,
    /// By an exit code of its own, or by what wasm forbids.
    Other,
}

/// One instance's course. Shared by reference.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Nanoseconds from the meter's start to the beginning of the present poll.
    poll_began: AtomicU64,
    /// Whether the present poll was ended by the epoch rather than by the guest's waiting.
    interrupted: AtomicBool,
    refused: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
}

/// A growth that was refused, the last one, and what came after it.
#[derive(Debug)]
struct Refusal {
    why: String,
    bytes: u64,
    grown: bool,
    turns: u64,
}

impl Course {
    /// A poll of the instance begins, so long after the meter's start.
    pub(super) fn poll_begins(&self, nanos: u64) {
        self.poll_began.store(nanos, Relaxed);
        self.interrupted.store(false, Relaxed);
    }

    /// When the present poll began.
    pub(super) fn poll_began(&self) -> u64 {
        self.poll_began.load(Relaxed)
    }

    /// The epoch has ended the present poll: the guest would have run on.
    pub(super) fn interrupted(&self) {
        self.interrupted.store(true, Relaxed);
        self.change(|refusal| {
            refusal.turns += 1;
            refusal.turns <= TURNS_MAX
        });
    }

    /// The present poll has ended and the instance has not.
    pub(super) fn poll_ended(&self) {
        if !self.interrupted.load(Relaxed) {
            // It waits for somebody: it has got over the refusal.
            self.change(|_| false);
        }
    }

    /// `bytes` more were refused.
    pub(super) fn refused(&self, bytes: u64, why: String) {
        *self.refusal.lock() = Some(Refusal {
            why,
            bytes,
            grown: false,
            turns: 0,
        });
        self.refused.store(true, Relaxed);
    }

    /// `bytes` more were granted.
    pub(super) fn granted(&self, bytes: u64) {
        self.change(|refusal| {
            refusal.grown = true;
            bytes < refusal.bytes
        });
    }

    /// The refusal that explains this ending, in words.
    pub(super) fn explains(&self, ending: Ending) -> Option<String> {
        let refusal = self.refusal.lock();
        let refusal = refusal.as_ref()?;
        (ending == Ending::Abort || !refusal.grown).then(|| refusal.why.clone())
    }

    /// Notes something of the refusal, if there is one, which stands if `stands` says so.
    fn change(&self, stands: impl FnOnce(&mut Refusal) -> bool) {
        // Called at every wait of every guest: nearly none was ever refused anything.
        if !self.refused.load(Relaxed) {
            return;
        }
        let mut refusal = self.refusal.lock();
        if !refusal.as_mut().is_some_and(stands) {
            *refusal = None;
            self.refused.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Course {
        let course = Course::default();
        course.granted(7);
        course.poll_begins(1);
        course.refused(100, "too much".into());
        course
    }

    fn explains(course: &Course) -> (bool, bool) {
        let explains = |ending| course.explains(ending).is_some();
        (explains(Ending::Abort), explains(Ending::Other))
    }

    #[test]
    fn a_refusal_explains_an_end_until_the_guest_has_got_over_it() {
        assert_eq!(explains(&Course::default()), (false, false));
        assert_eq!(explains(&refused()), (true, true));

        let grown = refused();
        grown.granted(99);
        assert_eq!(explains(&grown), (true, false), "something smaller");
        grown.granted(100);
        assert_eq!(explains(&grown), (false, false), "what it had asked for");

        let waited = refused();
        waited.interrupted();
        waited.poll_ended();
        assert_eq!(explains(&waited), (true, true), "it was not asked");
        waited.poll_begins(2);
        waited.poll_ended();
        assert_eq!(explains(&waited), (false, false));

        let running = refused();
        for _ in 0..TURNS_MAX {
            running.interrupted();
        }
        assert_eq!(explains(&running), (true, true));
        running.interrupted();
        assert_eq!(explains(&running), (false, false));
        running.refused(5, "again".into());
        assert_eq!(running.explains(Ending::Other).as_deref(), Some("again"));
    }
}
