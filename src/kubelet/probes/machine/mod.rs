//! What follows from the answers of a container's probes: when each is asked, whether the container
//! has started, is ready, or must be ended. Pure: it is told the time. All of it is forgotten when
//! another run of the container begins.
//!
//! Kubernetes: kubelet `prober/worker.go`, `prober_manager.go`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};
use std::time::Duration;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum Kind {
    /// Whether the container has started; the others wait for it.
    Startup,
    /// Whether it lives; one that does not is ended.
    Liveness,
    /// Whether it takes requests.
    Readiness,
}

impl Kind {
    /// All kinds.
    const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// `Startup`, `Liveness`, `Readiness`.
    pub(in crate::kubelet) fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// The same in small letters.
    pub(in crate::kubelet) fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    /// The probe of this kind that `container` has.
    pub(in crate::kubelet) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// The answer to one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum Outcome {
    /// Yes.
    Success,
    /// Yes, but somebody should look: the text says at what.
    Warning(String),
    /// No.
    Failure {
        /// Why, for people.
        words: String,
        /// Because nobody listens.
        refused: bool,
    },
    /// It could not be asked; counts for nothing.
    Error(String),
}

impl Outcome {
    /// No, for this reason.
    pub(super) fn failure(words: impl Into<String>) -> Self {
        Self::Failure {
            words: words.into(),
            refused: false,
        }
    }
}

/// Seconds of a spec, or Kubernetes' default for them; at least one.
pub(super) fn seconds(told: Option<i32>, default: u64) -> Duration {
    let told = told.and_then(|told| u64::try_from(told).ok());
    Duration::from_secs(told.filter(|told| *told > 0).unwrap_or(default))
}

/// How one probe stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// What counts: set when a threshold was reached.
    result: Option<bool>,
    /// The last answer, and how often it came in a row.
    last: Option<bool>,
    in_a_row: i32,
    /// When it is asked next; not known before the first time.
    next: Option<Timestamp>,
    /// It is being asked.
    asked: bool,
}

/// How the probes of one run of a container stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct Probes {
    startup: Standing,
    liveness: Standing,
    readiness: Standing,
}

impl Probes {
    /// Nothing was asked yet.
    pub(in crate::kubelet) const NEW: Self = Self {
        startup: Standing::NEW,
        liveness: Standing::NEW,
        readiness: Standing::NEW,
    };

    fn standing(&self, kind: Kind) -> &Standing {
        match kind {
            Kind::Startup => &self.startup,
            Kind::Liveness => &self.liveness,
            Kind::Readiness => &self.readiness,
        }
    }

    fn standing_mut(&mut self, kind: Kind) -> &mut Standing {
        match kind {
            Kind::Startup => &mut self.startup,
            Kind::Liveness => &mut self.liveness,
            Kind::Readiness => &mut self.readiness,
        }
    }

    /// Whether `container`, which runs, has started.
    pub(in crate::kubelet) fn started(&self, container: &Container) -> bool {
        container.startup_probe.is_none() || self.startup.result == Some(true)
    }

    /// Whether `container`, which runs, is ready.
    pub(in crate::kubelet) fn ready(&self, container: &Container) -> bool {
        let asked = container.readiness_probe.is_some();
        self.started(container) && (!asked || self.readiness.result == Some(true))
    }

    /// The kind by which the container has failed, so that it must be ended.
    pub(in crate::kubelet) fn failed(&self) -> Option<Kind> {
        [Kind::Liveness, Kind::Startup]
            .into_iter()
            .find(|kind| self.standing(*kind).result == Some(false))
    }

    /// Whether nothing of that kind was answered yet.
    pub(in crate::kubelet) fn unanswered(&self, kind: Kind) -> bool {
        self.standing(kind).last.is_none()
    }

    /// The probes of `container` that are due, and when the next one will be. It runs since
    /// `since`; `spread`, between 0 and 1, keeps the liveness probes of many from coming at once.
    pub(in crate::kubelet) fn due(
        &self,
        container: &Container,
        since: Timestamp,
        spread: f64,
        now: Timestamp,
    ) -> (Vec<Kind>, Option<Timestamp>) {
        let mut due = Vec::new();
        let mut wake: Option<Timestamp> = None;
        let started = self.started(container);
        for kind in Kind::ALL {
            let Some(probe) = kind.of(container) else {
                continue;
            };
            let standing = self.standing(kind);
            // Who has failed for good is on hold until the next run; one start is enough.
            let over = match kind {
                Kind::Startup => standing.result.is_some(),
                Kind::Liveness => !started || standing.result == Some(false),
                Kind::Readiness => !started,
            };
            if over || standing.asked {
                continue;
            }
            let at = standing.next.unwrap_or_else(|| {
                let delay = seconds(probe.initial_delay_seconds, 0);
                let first = later(since, delay);
                match kind {
                    Kind::Liveness => later(first, period(probe).mul_f64(spread)),
                    _ => first,
                }
            });
            if at <= now {
                due.push(kind);
            } else {
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
            }
        }
        (due, wake)
    }

    /// A probe is asked now.
    pub(in crate::kubelet) fn begin(&mut self, kind: Kind, probe: &Probe, now: Timestamp) {
        let standing = self.standing_mut(kind);
        standing.asked = true;
        standing.next = Some(later(now, period(probe)));
    }

    /// The answer has come; whether anything follows from it.
    pub(in crate::kubelet) fn note(
        &mut self,
        kind: Kind,
        probe: &Probe,
        outcome: &Outcome,
    ) -> bool {
        let standing = self.standing_mut(kind);
        standing.asked = false;
        let good = match outcome {
            Outcome::Success | Outcome::Warning(_) => true,
            Outcome::Failure { .. } => false,
            Outcome::Error(_) => return false,
        };
        if standing.last == Some(good) {
            standing.in_a_row = standing.in_a_row.saturating_add(1);
        } else {
            standing.last = Some(good);
            standing.in_a_row = 1;
        }
        let threshold = if good {
            probe.success_threshold.unwrap_or(1)
        } else {
            probe.failure_threshold.unwrap_or(3)
        };
        if standing.in_a_row < threshold {
            return false;
        }
        standing.result.replace(good) != Some(good)
    }
}

impl Standing {
    const NEW: Self = Self {
        result: None,
        last: None,
        in_a_row: 0,
        next: None,
        asked: false,
    };
}

fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10)
}

fn later(when: Timestamp, duration: Duration) -> Timestamp {
    when.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
