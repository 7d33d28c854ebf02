//! The figures of a process: one registry, into which each room enters its own, in the form that
//! Prometheus reads. Must not know what a figure means.

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::sync::Arc;

/// How [`Metrics::encode`] is to be called in a `Content-Type`.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;
/// Figures of one name, told apart by their labels.
pub type Samples = Vec<(Labels, f64)>;

/// The registry. Cheap to clone; a clone is the same registry.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Enters `metric`; its clones are the same figure. A counter's name gets `_total` after it.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        // The registry ends each help with a full stop.
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// Enters a counter; its name gets `_total` after it.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// Enters figures that go up and down, read when they are asked for.
    pub fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Samples + Send + Sync + 'static,
    ) {
        self.collect(name, help, MetricType::Gauge, Box::new(read));
    }

    /// One that goes up and down, without labels.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.gauges(name, help, move || vec![(Labels::new(), read())]);
    }

    /// Enters figures that only go up, read when they are asked for; the name gets `_total`.
    pub fn counts(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Samples + Send + Sync + 'static,
    ) {
        self.collect(name, help, MetricType::Counter, Box::new(read));
    }

    /// One that only goes up, without labels.
    pub fn count(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.counts(name, help, move || vec![(Labels::new(), read())]);
    }

    fn collect(
        &self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        read: Box<dyn Fn() -> Samples + Send + Sync>,
    ) {
        let help = format!("{help}.");
        let collector = Box::new(Read {
            name,
            help,
            kind,
            read,
        });
        self.registry.lock().register_collector(collector);
    }

    /// All figures as text. What reads them must not enter others.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

/// Figures that are read when they are asked for.
struct Read {
    name: &'static str,
    help: String,
    kind: MetricType,
    read: Box<dyn Fn() -> Samples + Send + Sync>,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Read {
    fn one(&self, value: f64, encoder: MetricEncoder) -> fmt::Result {
        match self.kind {
            MetricType::Counter => ConstCounter::new(value).encode(encoder),
            _ => ConstGauge::new(value).encode(encoder),
        }
    }
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let samples = (self.read)();
        let mut encoder = encoder.encode_descriptor(self.name, &self.help, None, self.kind)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                return self.one(value, encoder);
            }
            self.one(value, encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_all_kinds_are_one_text() {
        let metrics = Metrics::default();
        metrics.counter("a", "What was counted").inc();
        metrics.gauge("b", "What is there", || 1.5);
        metrics.counts("c", "By name", || {
            vec![
                (vec![("name", "x".to_owned())], 1.0),
                (vec![("name", "y".to_owned())], 2.0),
            ]
        });
        let text = metrics.encode().unwrap();
        for line in [
            "# HELP a What was counted.",
            "# TYPE a counter",
            "a_total 1",
            "# HELP b What is there.",
            "# TYPE b gauge",
            "b 1.5",
            "c_total{name=\"x\"} 1.0",
            "c_total{name=\"y\"} 2.0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
