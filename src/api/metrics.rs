//! `/metrics`: the figures of the server and of its store, with Kubernetes' names where it has
//! any, among those of the whole process. Must not know what a request did, only that it was.

use crate::api::Body;
use crate::api::context::Context;
use crate::api::registry::Cache;
use crate::api::respond;
use crate::stdx::{METRICS_CONTENT_TYPE, Metrics, Samples};
use crate::store::{Store, StoreStats};
use http::{Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::{Arc, Weak};
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

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

/// The server's metrics.
pub(crate) struct ApiMetrics {
    all: Metrics,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
}

impl ApiMetrics {
    /// Enters the server's figures into those of the process.
    pub(crate) fn new(all: Metrics, cache: &Arc<Cache>, store: &Arc<dyn Store>) -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(SECONDS.iter().copied());
        let requests = all.register(
            "apiserver_request",
            "Requests by verb, resource and code",
            Family::<RequestLabels, Counter>::default(),
        );
        let durations = all.register(
            "apiserver_request_duration_seconds",
            "Seconds that requests took, watches and streams apart",
            Durations::new_with_constructor(new_histogram),
        );
        let of = Arc::downgrade(cache);
        all.gauges(
            "apiserver_storage_objects",
            "Stored objects by resource",
            move || by_resource(&of, |(_, objects, _)| *objects),
        );
        let of = Arc::downgrade(cache);
        all.gauges(
            "apiserver_registered_watchers",
            "Watchers by resource",
            move || by_resource(&of, |(_, _, watchers)| *watchers),
        );
        register_store(&all, store);
        Self {
            all,
            requests,
            durations,
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
            match info.verb.as_str() {
                "create" => "POST".to_owned(),
                "update" => "PUT".to_owned(),
                verb => verb.to_ascii_uppercase(),
            }
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

    /// Serves all figures of the process as text.
    pub(crate) fn serve(&self) -> Response<Body> {
        match self.all.encode() {
            Ok(text) => respond::bytes_of(METRICS_CONTENT_TYPE, StatusCode::OK, text),
            Err(_) => respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be encoded",
            ),
        }
    }
}

/// A resource, its objects and its watchers.
type Counts = (String, usize, usize);

fn by_resource(cache: &Weak<Cache>, count: fn(&Counts) -> usize) -> Samples {
    let counts = cache.upgrade().map(|cache| cache.counts());
    let counts = counts.into_iter().flatten();
    counts
        .map(|counts| {
            let value = count(&counts) as f64;
            (vec![("resource", counts.0)], value)
        })
        .collect()
}

/// Name, help, and which figure of the store it is.
type OfStore = (&'static str, &'static str, fn(&StoreStats) -> u64);

/// Enters the figures of the store.
fn register_store(all: &Metrics, store: &Arc<dyn Store>) {
    let read = |figure: fn(&StoreStats) -> u64| {
        let store = Arc::downgrade(store);
        move || store.upgrade().map_or(0, |store| figure(&store.stats())) as f64
    };
    let gauges: [OfStore; 5] = [
        (
            "wkube_store_revision",
            "Revision of the last write",
            |stats| stats.revision,
        ),
        ("wkube_store_keys", "Keys in the store", |stats| stats.keys),
        (
            "apiserver_storage_size_bytes",
            "Bytes of all stored values",
            |stats| stats.value_bytes,
        ),
        ("wkube_store_watchers", "Watches of the store", |stats| {
            stats.watchers
        }),
        (
            "wkube_store_queued_writes",
            "Writes that wait to be committed",
            |stats| stats.queued,
        ),
    ];
    for (name, help, figure) in gauges {
        all.gauge(name, help, read(figure));
    }
    let counts: [OfStore; 4] = [
        (
            "wkube_store_writes",
            "Writes that were made visible",
            |stats| stats.writes,
        ),
        (
            "wkube_store_commits",
            "Commits, each of the writes that came together",
            |stats| stats.commits,
        ),
        (
            "wkube_store_fsyncs",
            "Times that a file of the store was synced to the disk",
            |stats| stats.syncs,
        ),
        (
            "wkube_store_written_bytes",
            "Bytes that were written to files of the store",
            |stats| stats.written_bytes,
        ),
    ];
    for (name, help, figure) in counts {
        all.count(name, help, read(figure));
    }
}
