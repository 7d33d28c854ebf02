//! `/metrics`, with Kubernetes' names. Must not know what a request did, only that it was.

use crate::api::Body;
use crate::api::context::Context;
use crate::api::registry::Cache;
use crate::api::respond;
use http::{Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the request durations, in seconds: Kubernetes' own, the coarser half of them.
const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    group: String,
    resource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

/// The server's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    objects: Family<ResourceLabels, Gauge>,
    watchers: Family<ResourceLabels, Gauge>,
    cache: Arc<Cache>,
}

impl Metrics {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let new_histogram: fn() -> Histogram = || Histogram::new(SECONDS.iter().copied());
        let durations = Durations::new_with_constructor(new_histogram);
        let objects = Family::<ResourceLabels, Gauge>::default();
        let watchers = Family::<ResourceLabels, Gauge>::default();
        // The encoder adds `_total` to a counter's name.
        registry.register(
            "apiserver_request",
            "Requests by verb, resource and code",
            requests.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Seconds that requests took, watches and streams apart",
            durations.clone(),
        );
        registry.register(
            "apiserver_storage_objects",
            "Stored objects by resource",
            objects.clone(),
        );
        registry.register(
            "apiserver_registered_watchers",
            "Watchers by resource",
            watchers.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            objects,
            watchers,
            cache,
        }
    }

    /// Counts a request. `known`: its path names a served resource; what others name is no label,
    /// so that nobody can fill the memory with names.
    pub(crate) fn request(
        &self,
        context: &Context,
        known: bool,
        status: StatusCode,
        took: Duration,
    ) {
        let info = &context.info;
        let verb = if info.is_resource {
            info.verb.to_ascii_uppercase()
        } else {
            "GET".to_owned()
        };
        let part = |text: &str| {
            if known {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
            _ if !known => "",
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        self.requests
            .get_or_create(&RequestLabels {
                verb: verb.clone(),
                group: part(&info.group),
                version: part(&info.version),
                resource: part(&info.resource),
                subresource: part(&info.subresource),
                scope,
                code: status.as_u16(),
            })
            .inc();
        if !context.is_long_running() {
            self.durations
                .get_or_create(&DurationLabels {
                    verb,
                    group: part(&info.group),
                    resource: part(&info.resource),
                })
                .observe(took.as_secs_f64());
        }
    }

    /// Serves them as text.
    pub(crate) fn serve(&self) -> Response<Body> {
        for (resource, objects, watchers) in self.cache.counts() {
            let labels = ResourceLabels { resource };
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.get_or_create(&labels).set(number(objects));
            self.watchers.get_or_create(&labels).set(number(watchers));
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            return respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be encoded",
            );
        }
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        respond::bytes_of(content_type, StatusCode::OK, text)
    }
}
