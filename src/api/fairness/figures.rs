//! The figures of priority and fairness, by Kubernetes' names.

use super::Fairness;
use super::queues::LevelState;
use crate::stdx::{Metrics, Samples};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Upper bounds of the waits, in seconds: Kubernetes' own.
const SECONDS: &[f64] = &[
    0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Flow {
    priority_level: String,
    flow_schema: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rejection {
    priority_level: String,
    flow_schema: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Wait {
    priority_level: String,
    flow_schema: String,
    execute: &'static str,
}

type Waits = Family<Wait, Histogram, fn() -> Histogram>;

/// What is counted as it happens.
pub(super) struct Figures {
    dispatched: Family<Flow, Counter>,
    rejected: Family<Rejection, Counter>,
    waits: Waits,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(SECONDS.iter().copied());
        Self {
            dispatched: metrics.register(
                "apiserver_flowcontrol_dispatched_requests",
                "Requests that were served",
                Family::default(),
            ),
            rejected: metrics.register(
                "apiserver_flowcontrol_rejected_requests",
                "Requests that were refused, by why",
                Family::default(),
            ),
            waits: metrics.register(
                "apiserver_flowcontrol_request_wait_duration_seconds",
                "Seconds that requests waited in a queue",
                Waits::new_with_constructor(new_histogram),
            ),
        }
    }

    pub(super) fn dispatched(&self, schema: &str, level: &str) -> Counter {
        self.dispatched.get_or_create_owned(&Flow {
            priority_level: level.to_owned(),
            flow_schema: schema.to_owned(),
        })
    }

    pub(super) fn rejected(&self, schema: &str, level: &str, reason: &'static str) {
        let labels = Rejection {
            priority_level: level.to_owned(),
            flow_schema: schema.to_owned(),
            reason,
        };
        self.rejected.get_or_create(&labels).inc();
    }

    pub(super) fn waited(&self, schema: &str, level: &str, executed: bool, waited: Duration) {
        let labels = Wait {
            priority_level: level.to_owned(),
            flow_schema: schema.to_owned(),
            execute: if executed { "true" } else { "false" },
        };
        self.waits
            .get_or_create(&labels)
            .observe(waited.as_secs_f64());
    }
}

/// Name, help, and which figure of a level it is.
type OfLevel = (&'static str, &'static str, fn(&LevelState) -> f64);

const OF_LEVELS: [OfLevel; 7] = [
    (
        "apiserver_flowcontrol_nominal_limit_seats",
        "Seats of a priority level",
        |level| f64::from(level.nominal),
    ),
    (
        "apiserver_flowcontrol_lower_limit_seats",
        "Seats that a priority level always has",
        |level| f64::from(level.guaranteed),
    ),
    (
        "apiserver_flowcontrol_upper_limit_seats",
        "Seats that a priority level may have with what others lend",
        |level| f64::from(level.most),
    ),
    (
        "apiserver_flowcontrol_current_limit_seats",
        "Seats that a priority level may have now",
        |level| f64::from(level.current),
    ),
    (
        "apiserver_flowcontrol_current_executing_seats",
        "Seats in use",
        |level| f64::from(level.seats_in_use),
    ),
    (
        "apiserver_flowcontrol_current_executing_requests",
        "Requests that are being served",
        |level| level.executing as f64,
    ),
    (
        "apiserver_flowcontrol_current_inqueue_requests",
        "Requests that wait",
        |level| level.waiting as f64,
    ),
];

impl Fairness {
    /// Enters what is read when it is asked for.
    pub(super) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let own = Arc::downgrade(self);
        metrics.gauges(
            "apiserver_current_inflight_requests",
            "Requests that are being served, long ones apart, by whether they change anything",
            move || -> Samples {
                let Some(own) = own.upgrade() else {
                    return Samples::new();
                };
                let kinds = ["readOnly", "mutating"].into_iter().zip(&own.in_flight);
                let kinds = kinds.map(|(kind, count)| {
                    let labels = vec![("request_kind", kind.to_owned())];
                    (labels, count.load(Ordering::Relaxed) as f64)
                });
                kinds.collect()
            },
        );
        for (name, help, figure) in OF_LEVELS {
            let own = Arc::downgrade(self);
            metrics.gauges(name, help, move || -> Samples {
                let states = own.upgrade().map(|own| own.state.lock().levels.states());
                let states = states.into_iter().flatten();
                let states = states.map(|(level, state)| {
                    let labels = vec![("priority_level", level.to_string())];
                    (labels, figure(&state))
                });
                states.collect()
            });
        }
    }
}
