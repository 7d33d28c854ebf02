//! `/livez`, `/readyz`, `/healthz`, whole, by check, and told at length. The checks stand in one
//! table. Open to everyone.
//! Kubernetes: apiserver `server/healthz`.

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

/// Serves `endpoint` (`livez`, ...), or one check of it.
pub(crate) fn serve(
    server: &ApiServer,
    context: &Context,
    endpoint: &str,
    check: &str,
) -> Result<Response<Body>, ApiError> {
    let asked = |live: bool| live || endpoint == "readyz";
    let checks = CHECKS.iter().filter(|(_, live, _)| asked(*live));
    if !check.is_empty() {
        let mut checks = checks;
        let found = checks.find(|(name, _, _)| *name == check);
        let (_, _, run) = found.ok_or_else(not_found)?;
        return Ok(match run(server) {
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
    for (name, _, run) in checks {
        // Writing to a String cannot fail.
        let _ = if excluded.remove(*name) {
            writeln!(report, "[+]{name} excluded: ok")
        } else if let Some(why) = run(server) {
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
