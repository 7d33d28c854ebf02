//! The scheduler's figures, with Kubernetes' names. Must not know why a pod fits nowhere.
//! Kubernetes: kube-scheduler `metrics`.

use crate::sched::SCHEDULER_NAME;
use crate::stdx::{Labels, Metrics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::time::Duration;

/// Pods that wait, by where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) active: usize,
    pub(crate) backoff: usize,
    pub(crate) unschedulable: usize,
}

/// How an attempt to schedule a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The pod is bound.
    Scheduled,
    /// It fits nowhere.
    Unschedulable,
    /// It could not be bound.
    Error,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    profile: &'static str,
    result: &'static str,
}

type Durations = Family<AttemptLabels, Histogram, fn() -> Histogram>;

/// The figures.
pub(crate) struct SchedulerMetrics {
    attempts: Family<AttemptLabels, Counter>,
    durations: Durations,
    decisions: Histogram,
}

impl SchedulerMetrics {
    /// Enters them.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let new_histogram: fn() -> Histogram =
            || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        Self {
            attempts: metrics.register(
                "scheduler_schedule_attempts",
                "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod \
                 could not be scheduled, while 'error' means an internal scheduler problem",
                Family::default(),
            ),
            durations: metrics.register(
                "scheduler_scheduling_attempt_duration_seconds",
                "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
                Durations::new_with_constructor(new_histogram),
            ),
            decisions: metrics.register(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Scheduling algorithm latency in seconds",
                // Kubernetes begins with a millisecond; a decision here takes less.
                Histogram::new(exponential_buckets(0.000_01, 2.0, 20)),
            ),
        }
    }

    /// Enters how many pods wait.
    pub(crate) fn pending(metrics: &Metrics, read: impl Fn() -> Pending + Send + Sync + 'static) {
        metrics.gauges(
            "scheduler_pending_pods",
            "Number of pending pods, by the queue type",
            move || {
                let pending = read();
                let one = |queue: &str, count: usize| -> (Labels, f64) {
                    (vec![("queue", queue.to_owned())], count as f64)
                };
                vec![
                    one("active", pending.active),
                    one("backoff", pending.backoff),
                    one("unschedulable", pending.unschedulable),
                ]
            },
        );
    }

    /// It was decided on a pod.
    pub(crate) fn decided(&self, took: Duration) {
        self.decisions.observe(took.as_secs_f64());
    }

    /// An attempt has ended.
    pub(crate) fn attempt(&self, attempt: Attempt, took: Duration) {
        let labels = AttemptLabels {
            profile: SCHEDULER_NAME,
            result: match attempt {
                Attempt::Scheduled => "scheduled",
                Attempt::Unschedulable => "unschedulable",
                Attempt::Error => "error",
            },
        };
        self.attempts.get_or_create(&labels).inc();
        let durations = self.durations.get_or_create(&labels);
        durations.observe(took.as_secs_f64());
    }
}
