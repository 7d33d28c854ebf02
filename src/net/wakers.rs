//! The pollers that wait on one side of a queue: usually one, a few at most. Bounded: one more
//! than the limit wakes the oldest, which asks again or has gone.

use super::limits::MAX_POLLERS;
use std::task::{Context, Waker};

#[derive(Debug, Default)]
pub(super) struct Wakers {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakers {
    /// Remembers the poller of `cx`, once.
    pub(super) fn add(&mut self, cx: &Context<'_>) {
        let waker = cx.waker();
        let Some(first) = &self.first else {
            self.first = Some(waker.clone());
            return;
        };
        if first.will_wake(waker) || self.more.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.more.len() + 1 >= MAX_POLLERS {
            self.more.remove(0).wake();
        }
        self.more.push(waker.clone());
    }

    /// Takes all, to be woken once the lock is released.
    pub(super) fn take(&mut self) -> Self {
        Self {
            first: self.first.take(),
            more: std::mem::take(&mut self.more),
        }
    }

    /// Wakes all.
    pub(super) fn wake(self) {
        if let Some(first) = self.first {
            first.wake();
        }
        for waker in self.more {
            waker.wake();
        }
    }
}
