//! `/livez`, `/readyz`, `/healthz`, whole, by check, and told at length. The checks stand in one
//! table. Open to everyone.
//! Kubernetes: apiserver `server/healthz`.

use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond};
use crate::meta::ApiError;
use http::{Response, StatusCode};
use std::fmt::Write as _;

/// A check: why it fails, if it does.
type Check = fn(&ApiServer) -> Option<String>;

/// The checks, with whether `/livez` asks them too.
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
            .shutdown
            .is_stopped()
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
    let asked = |live: bool| live || endpoint == "readyz" || endpoint == "healthz";
    let excluded: Vec<String> = crate::api::request_info::query_pairs(&context.query)
        .filter(|(name, _)| name == "exclude")
        .map(|(_, value)| value)
        .collect();
    let mut report = String::new();
    let mut failed = false;
    let mut found = false;
    for (name, live, run) in CHECKS {
        let wanted = check.is_empty() || check == *name;
        if !asked(*live) || !wanted {
            continue;
        }
        found = true;
        // Writing to a String cannot fail.
        let _ = match run(server) {
            _ if excluded.iter().any(|other| other == name) => {
                writeln!(report, "[+]{name} excluded: ok")
            }
            None => writeln!(report, "[+]{name} ok"),
            Some(why) => {
                failed = true;
                tracing::debug!(check = name, why, "a health check fails");
                writeln!(report, "[-]{name} failed: reason withheld")
            }
        };
    }
    if !found {
        return Err(not_found());
    }
    if failed {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(respond::text(
            status,
            format!("{report}{endpoint} check failed\n"),
        ));
    }
    let verbose = context.parameter("verbose").is_some();
    if verbose && check.is_empty() {
        let text = format!("{report}{endpoint} check passed\n");
        return Ok(respond::text(StatusCode::OK, text));
    }
    Ok(respond::text(StatusCode::OK, "ok"))
}
