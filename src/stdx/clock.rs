//! The one clock. Everything that asks what time it is, or waits, does it through a `Clock`, so
//! that a test can run a day in a millisecond. Must not be bypassed: clippy denies the others.
//!
//! A virtual clock rests on tokio's paused time: waiting moves time forward, nothing else does.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

/// Source of wall time, and of waiting. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Real,
    /// Wall time is `base` plus what tokio's (paused) clock says has passed since `started`.
    Virtual {
        base: Timestamp,
        started: Instant,
    },
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Self {
            source: Source::Real,
        }
    }

    /// A clock that starts at `base` and follows tokio's time, which a test has paused.
    pub fn virtual_from(base: Timestamp) -> Self {
        Self {
            source: Source::Virtual {
                base,
                started: Instant::now(),
            },
        }
    }

    /// Wall time.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::Real => Timestamp::now(),
            Source::Virtual { base, started } => {
                let passed = SignedDuration::try_from(started.elapsed()).unwrap_or_default();
                base.checked_add(passed).unwrap_or(*base)
            }
        }
    }

    /// Monotonic time, for measuring and for deadlines.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Waits for `duration`.
    #[allow(clippy::disallowed_methods, reason = "the one place that waits")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until wall time is at least `when`; returns at once if it has passed.
    pub async fn sleep_until(&self, when: Timestamp) {
        let left = when.duration_since(self.now());
        if let Ok(left) = Duration::try_from(left) {
            self.sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_virtual_day_passes_at_once() {
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        clock.sleep(Duration::from_secs(86_400)).await;
        assert_eq!(clock.now().as_second(), 86_400);
    }
}
