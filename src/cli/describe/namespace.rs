//! Namespaces, with their quotas and limits. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, quantity, time};
use crate::client::Query;
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    out.field(0, "Status", at(object, "/status/phase"));
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        out.line(1, "----\t------\t------------------\t------\t-------");
    }
    for condition in conditions {
        let line = [
            at(condition, "/type"),
            at(condition, "/status"),
            &time(at(condition, "/lastTransitionTime")),
            at(condition, "/reason"),
            at(condition, "/message"),
        ];
        out.line(1, line.join("\t"));
    }
    let name = at(object, "/metadata/name");
    let of = |plural: &'static str| async move {
        let resource = ("", "v1", plural);
        scene.list(resource, name, &Query::new()).await
    };
    if let Some(quotas) = of("resourcequotas").await {
        out.line(0, "");
        describe_quotas(&quotas, out);
    }
    if let Some(limits) = of("limitranges").await {
        out.line(0, "");
        describe_limits(&limits, out);
    }
}

fn describe_quotas(quotas: &[Value], out: &mut Text) {
    if quotas.is_empty() {
        out.line(0, "No resource quota.");
        return;
    }
    out.line(0, "Resource Quotas");
    for quota in quotas {
        out.field(1, "Name", at(quota, "/metadata/name"));
        super::resource_quota::scopes(quota, 1, "", out);
        out.line(1, "Resource\tUsed\tHard");
        out.line(1, "--------\t---\t---");
        let hard = quota.pointer("/status/hard").and_then(Value::as_object);
        for (name, hard) in hard.into_iter().flatten() {
            let used = quota
                .pointer("/status/used")
                .and_then(|used| used.get(name));
            let used = used.map_or_else(|| "0".to_owned(), quantity);
            out.line(1, format!("{name}\t{used}\t{}", quantity(hard)));
        }
    }
}

fn describe_limits(ranges: &[Value], out: &mut Text) {
    if ranges.is_empty() {
        out.line(0, "No LimitRange resource.");
        return;
    }
    out.line(0, "Resource Limits");
    limit_titles(" ", out);
    for item in ranges.iter().flat_map(|range| list(range, "/spec/limits")) {
        limit_lines(" ", item, out);
    }
}

/// What the columns of limits say.
pub(super) fn limit_titles(before: &str, out: &mut Text) {
    let titles = [
        "Type",
        "Resource",
        "Min",
        "Max",
        "Default Request",
        "Default Limit",
        "Max Limit/Request Ratio",
    ];
    let rules: Vec<String> = titles.iter().map(|title| "-".repeat(title.len())).collect();
    out.line(0, format!("{before}{}", titles.join("\t")));
    out.line(0, format!("{before}{}", rules.join("\t")));
}

/// The limits of one kind of thing, a line for each resource.
pub(super) fn limit_lines(before: &str, item: &Value, out: &mut Text) {
    let fields = [
        "min",
        "max",
        "defaultRequest",
        "default",
        "maxLimitRequestRatio",
    ];
    let mut names: Vec<&String> = fields
        .iter()
        .filter_map(|field| item.get(*field)?.as_object())
        .flat_map(|map| map.keys())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let amounts = fields.iter().map(|field| {
            let amount = item.get(*field).and_then(|map| map.get(name));
            amount.map_or_else(|| "-".to_owned(), quantity)
        });
        let amounts: Vec<String> = amounts.collect();
        let kind = at(item, "/type");
        out.line(0, format!("{before}{kind}\t{name}\t{}", amounts.join("\t")));
    }
}
