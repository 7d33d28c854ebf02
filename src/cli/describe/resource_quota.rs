//! ResourceQuotas. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, quantity};
use crate::meta::Quantity;
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    scopes(object, 0, " ", out);
    out.line(0, "Resource\tUsed\tHard");
    out.line(0, "--------\t----\t----");
    let hard = object.pointer("/status/hard").and_then(Value::as_object);
    for (name, hard) in hard.into_iter().flatten() {
        let used = object
            .pointer("/status/used")
            .and_then(|used| used.get(name));
        let used = used.map_or_else(|| "0".to_owned(), |used| like(used, hard));
        out.line(0, format!("{name}\t{used}\t{}", quantity(hard)));
    }
}

/// The scopes of a quota and what they mean.
pub(super) fn scopes(quota: &Value, level: usize, before: &str, out: &mut Text) {
    let scopes = list(quota, "/spec/scopes").iter().filter_map(Value::as_str);
    let mut scopes: Vec<&str> = scopes.collect();
    if scopes.is_empty() {
        return;
    }
    scopes.sort_unstable();
    out.field(level, "Scopes", scopes.join(", "));
    for scope in scopes {
        let help = match scope {
            "Terminating" => {
                "Matches all pods that have an active deadline. These pods have a limited lifespan \
                 on a node before being actively terminated by the system."
            }
            "NotTerminating" => {
                "Matches all pods that do not have an active deadline. These pods usually include \
                 long running pods whose container command is not expected to terminate."
            }
            "BestEffort" => {
                "Matches all pods that do not have resource requirements set. These pods have a \
                 best effort quality of service."
            }
            "NotBestEffort" => {
                "Matches all pods that have at least one resource requirement set. These pods have \
                 a burstable or guaranteed quality of service."
            }
            _ => continue,
        };
        out.line(level, format!("{before}* {help}"));
    }
}

/// An amount in the notation of another.
fn like(used: &Value, hard: &Value) -> String {
    match (Quantity::from_value(used), Quantity::from_value(hard)) {
        (Ok(used), Ok(hard)) if used.format() != hard.format() => {
            Quantity::from_units(used.value(), hard.format()).to_string()
        }
        _ => quantity(used),
    }
}
