//! Exponential backoff as Kubernetes does it: start, double, stop growing, forget after a quiet
//! time. Pure: it is told what time it is and never waits itself.

use std::time::Duration;
use tokio::time::Instant;

/// The delay before the next try of one thing. `reset_after` of no failure starts it anew.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    reset_after: Duration,
    next: Duration,
    last_failure: Option<Instant>,
}

impl Backoff {
    /// `initial` is the first delay, doubled at each failure up to `max`.
    pub fn new(initial: Duration, max: Duration, reset_after: Duration) -> Self {
        Self {
            initial,
            max,
            reset_after,
            next: initial,
            last_failure: None,
        }
    }

    /// Records a failure at `now` and returns how long to wait before the next try.
    pub fn failed(&mut self, now: Instant) -> Duration {
        if self
            .last_failure
            .is_some_and(|at| now.duration_since(at) > self.reset_after)
        {
            self.next = self.initial;
        }
        self.last_failure = Some(now);
        let delay = self.next;
        self.next = self.next.saturating_mul(2).min(self.max);
        delay
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.next = self.initial;
        self.last_failure = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn doubles_to_the_maximum_and_forgets() {
        let secs = Duration::from_secs;
        let mut backoff = Backoff::new(secs(10), secs(300), secs(600));
        let start = Instant::now();
        let delays: Vec<u64> = (0..7).map(|_| backoff.failed(start).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.failed(start + secs(601)), secs(10));
    }
}
