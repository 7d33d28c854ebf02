//! `/metrics`: the figures of the server and of its store, with Kubernetes' names where it has
//! any, among those of the whole process. Must not know what a request did, only that it was.

use crate::api::Body;
use crate::api::context::Context;
use crate::api::registry::Cache;
use crate::api::respond;
use crate::resources::DefRef;
use crate::stdx::{Labels, METRICS_CONTENT_TYPE, Metrics, Samples};
use crate::store::{Store, StoreStats};
use http::{Method, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the request durations, in seconds: Kubernetes' own.
const SECONDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Subresources through which one talks to something, whatever the method.
const CONNECTS: &[&str] = &["log", "exec", "portforward", "attach", "proxy"];

/// What a request is about. Names that no row has are no labels, so that nobody can fill the memory
/// with them.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct About {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    component: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    component: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    component: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeprecatedLabels {
    group: String,
    version: String,
    resource: String,
    subresource: String,
    removed_release: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    name: String,
    r#type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FoundLabels {
    name: String,
    status: &'static str,
    r#type: String,
}

type Durations = Family<DurationLabels, Histogram, fn() -> Histogram>;

/// The server's metrics.
pub(crate) struct ApiMetrics {
    all: Metrics,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    long_running: Family<About, Gauge>,
    deprecated: Family<DeprecatedLabels, Gauge>,
    /// What stands at `/metrics/slis` alone.
    levels: Metrics,
    checks: Family<CheckLabels, Gauge>,
    found: Family<FoundLabels, Counter>,
}

/// A long-running request, as long as it lives.
pub(crate) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ApiMetrics {
    /// Enters the server's figures into those of the process.
    pub(crate) fn new(all: Metrics, cache: &Arc<Cache>, store: &Arc<dyn Store>) -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(SECONDS.iter().copied());
        let requests = all.register(
            "apiserver_request",
            "Requests by verb, dry run, resource, scope and code",
            Family::default(),
        );
        let durations = all.register(
            "apiserver_request_duration_seconds",
            "Seconds that requests took, watches and streams apart",
            Durations::new_with_constructor(new_histogram),
        );
        let long_running = all.register(
            "apiserver_longrunning_requests",
            "Watches and streams that are open",
            Family::default(),
        );
        let deprecated = all.register(
            "apiserver_requested_deprecated_apis",
            "Deprecated versions that have been asked for",
            Family::default(),
        );
        register_cache(&all, cache);
        register_store(&all, store);
        let levels = Metrics::default();
        Self {
            checks: levels.register(
                "kubernetes_healthcheck",
                "What a health check found last: 1 if all is well",
                Family::default(),
            ),
            found: levels.register(
                "kubernetes_healthchecks",
                "What health checks have found",
                Family::default(),
            ),
            levels,
            all,
            requests,
            durations,
            long_running,
            deprecated,
        }
    }

    /// The figures of the process.
    pub(crate) fn all(&self) -> &Metrics {
        &self.all
    }

    /// Counts a request to a row, or to none.
    pub(crate) fn request(
        &self,
        context: &Context,
        row: Option<&DefRef>,
        status: StatusCode,
        took: Duration,
    ) {
        let about = about(context, row.is_some());
        let dry_run = dry_run(context);
        if let Some(deprecation) = row.and_then(|row| row.deprecated.as_ref()) {
            let labels = DeprecatedLabels {
                group: about.group.clone(),
                version: about.version.clone(),
                resource: about.resource.clone(),
                subresource: about.subresource.clone(),
                removed_release: deprecation
                    .removed
                    .as_deref()
                    .unwrap_or_default()
                    .to_owned(),
            };
            self.deprecated.get_or_create(&labels).set(1);
        }
        if !context.is_long_running() {
            let labels = DurationLabels {
                verb: about.verb,
                dry_run,
                group: about.group.clone(),
                version: about.version.clone(),
                resource: about.resource.clone(),
                subresource: about.subresource.clone(),
                scope: about.scope,
                component: about.component,
            };
            let took = took.as_secs_f64();
            self.durations.get_or_create(&labels).observe(took);
        }
        let labels = RequestLabels {
            verb: about.verb,
            dry_run,
            group: about.group,
            version: about.version,
            resource: about.resource,
            subresource: about.subresource,
            scope: about.scope,
            component: about.component,
            code: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a long-running request for as long as the answer is kept.
    pub(crate) fn running(&self, context: &Context, known: bool) -> Running {
        let labels = about(context, known);
        let gauge = self.long_running.get_or_create_owned(&labels);
        gauge.inc();
        Running(gauge)
    }

    /// Counts a health check; its name is one of the table.
    pub(crate) fn health(&self, endpoint: &str, check: &str, well: bool) {
        let labels = CheckLabels {
            name: check.to_owned(),
            r#type: endpoint.to_owned(),
        };
        self.checks.get_or_create(&labels).set(well.into());
        let labels = FoundLabels {
            name: check.to_owned(),
            status: if well { "success" } else { "error" },
            r#type: endpoint.to_owned(),
        };
        self.found.get_or_create(&labels).inc();
    }

    /// Serves all figures of the process as text.
    pub(crate) fn serve(&self) -> Response<Body> {
        text(&self.all)
    }

    /// Serves what the health checks found.
    pub(crate) fn serve_levels(&self) -> Response<Body> {
        text(&self.levels)
    }
}

fn text(figures: &Metrics) -> Response<Body> {
    match figures.encode() {
        Ok(text) => respond::bytes_of(METRICS_CONTENT_TYPE, StatusCode::OK, text),
        Err(_) => respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics cannot be encoded",
        ),
    }
}

fn about(context: &Context, known: bool) -> About {
    let info = &context.info;
    let part = |text: &str| {
        if known {
            text.to_owned()
        } else {
            String::new()
        }
    };
    About {
        verb: verb(context),
        group: part(&info.group),
        version: part(&info.version),
        resource: part(&info.resource),
        subresource: part(&info.subresource),
        scope: match (info.name.is_empty(), info.namespace.is_empty()) {
            _ if !known => "",
            _ if info.verb == "create" => "resource",
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
        component: "apiserver",
    }
}

/// Kubernetes: apiserver `endpoints/metrics` CleanVerb.
fn verb(context: &Context) -> &'static str {
    let info = &context.info;
    if !info.is_resource {
        return match context.method {
            Method::GET | Method::HEAD => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
    }
    if CONNECTS.contains(&info.subresource.as_str()) {
        return "CONNECT";
    }
    match info.verb.as_str() {
        "create" => "POST",
        "update" => "PUT",
        "patch" if is_apply(context) => "APPLY",
        "patch" => "PATCH",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

fn is_apply(context: &Context) -> bool {
    let media = context.headers.get(http::header::CONTENT_TYPE);
    media.is_some_and(|media| {
        media
            .as_bytes()
            .starts_with(b"application/apply-patch+yaml")
    })
}

fn dry_run(context: &Context) -> &'static str {
    if !context.query.contains("dryRun") {
        return "";
    }
    match context.parameter("dryRun").as_deref() {
        None => "",
        Some("All") => "All",
        Some(_) => "invalid",
    }
}

/// A row, its objects and its watchers.
type Counts = (DefRef, usize, usize);

/// Enters what is in the caches.
fn register_cache(all: &Metrics, cache: &Arc<Cache>) {
    let by_row = |count: fn(&Counts) -> usize, labels: fn(&DefRef) -> Labels| {
        let cache = Arc::downgrade(cache);
        move || -> Samples {
            let counts = cache.upgrade().map(|cache| cache.counts());
            let counts = counts.into_iter().flatten();
            counts
                .map(|counts| (labels(&counts.0), count(&counts) as f64))
                .collect()
        }
    };
    let apart: fn(&DefRef) -> Labels = |row| {
        vec![
            ("group", row.group.to_string()),
            ("resource", row.plural.to_string()),
        ]
    };
    all.gauges(
        "apiserver_storage_objects",
        "Stored objects by resource",
        by_row(
            |counts| counts.1,
            |row| vec![("resource", row.group_resource().to_string())],
        ),
    );
    all.gauges(
        "apiserver_resource_objects",
        "Stored objects by group and resource",
        by_row(|counts| counts.1, apart),
    );
    all.gauges(
        "wkube_api_watchers",
        "Watchers by group and resource",
        by_row(|counts| counts.2, apart),
    );
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
