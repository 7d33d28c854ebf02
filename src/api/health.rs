//! `/livez`, `/readyz`, `/healthz`, whole, by check, and told at length. The checks stand in one
//! table. Open to everyone. What they found last stands in `/metrics/slis`.
//! Kubernetes: apiserver `server/healthz`, component-base `metrics/prometheus/slis`.

use crate::api::context::Context;
use crate::api::request_info::query_pairs;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond};
use crate::meta::ApiError;
use http::{Response, StatusCode};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A check: why it fails, if it does.
type Check = fn(&ApiServer) -> Option<String>;

/// The checks, with whether `/livez` and `/healthz` ask them too; `/readyz` asks all.
const CHECKS: &[(&str, bool, Check)] = &[
    ("ping", true, |_| None),
    ("log", true, |_| None),
    ("etcd", true, |server| server.registry.store.read_only()),
    ("etcd-readiness", false, |server| {
        server.registry.store.read_only()
    }),
    ("informer-sync", false, |_| None),
    ("shutdown", false, |server| {
        server
            .is_ending()
            .then(|| "process is shutting down".to_owned())
    }),
];

/// Steps of Kubernetes' start, each a check of every endpoint. A server answers its first request when
/// all of them are done or there is nothing in them for it to do, so none can be asked too early.
const STEPS: &[&str] = &[
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
];
/// The check after the steps, as all in the order of Kubernetes.
const AFTER_STEPS: &str = "shutdown";

/// The checks of an endpoint, in order.
fn checks_of(endpoint: &str) -> Vec<(&'static str, Check)> {
    let mut checks: Vec<(&'static str, Check)> = CHECKS
        .iter()
        .filter(|(_, live, _)| *live || endpoint == "readyz")
        .map(|(name, _, run)| (*name, *run))
        .collect();
    let place = checks.iter().position(|(name, _)| *name == AFTER_STEPS);
    let place = place.unwrap_or(checks.len());
    let done: Check = |_| None;
    checks.splice(place..place, STEPS.iter().map(|name| (*name, done)));
    checks
}

/// Runs a check, and remembers what it found.
fn run(server: &ApiServer, endpoint: &str, name: &str, check: Check) -> Option<String> {
    let found = check(server);
    server.metrics.health(endpoint, name, found.is_none());
    found
}

/// Serves `endpoint` (`livez`, ...), or one check of it.
pub(crate) fn serve(
    server: &ApiServer,
    context: &Context,
    endpoint: &str,
    check: &str,
) -> Result<Response<Body>, ApiError> {
    let checks = checks_of(endpoint);
    if !check.is_empty() {
        let found = checks.into_iter().find(|(name, _)| *name == check);
        let (name, check) = found.ok_or_else(not_found)?;
        return Ok(match run(server, endpoint, name, check) {
            None => respond::text(StatusCode::OK, "ok"),
            Some(why) => respond::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("internal server error: {why}\n"),
            ),
        });
    }
    let mut excluded: BTreeSet<String> = query_pairs(&context.query)
        .filter(|(name, _)| name == "exclude")
        .map(|(_, value)| value)
        .collect();
    let mut report = String::new();
    let mut failed = false;
    for (name, check) in checks {
        // Writing to a String cannot fail.
        let _ = if excluded.remove(name) {
            writeln!(report, "[+]{name} excluded: ok")
        } else if let Some(why) = run(server, endpoint, name, check) {
            failed = true;
            tracing::debug!(check = name, why, "a health check fails");
            writeln!(report, "[-]{name} failed: reason withheld")
        } else {
            writeln!(report, "[+]{name} ok")
        };
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let _ = writeln!(
            report,
            "warn: some health checks cannot be excluded: no matches for {}",
            names.join(",")
        );
    }
    Ok(if failed {
        let text = format!("{report}{endpoint} check failed\n");
        respond::text(StatusCode::INTERNAL_SERVER_ERROR, text)
    } else if context.parameter("verbose").is_some() {
        let text = format!("{report}{endpoint} check passed\n");
        respond::text(StatusCode::OK, text)
    } else {
        respond::text(StatusCode::OK, "ok")
    })
}
