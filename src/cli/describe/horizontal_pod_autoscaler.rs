//! HorizontalPodAutoscalers, with their metrics. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, number, quantity, time};
use super::workload::count;
use serde_json::Value;

/// What stands for a metric that nobody has measured.
const UNKNOWN: &str = "<unknown>";

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    out.labels_and_annotations(object);
    let created = time(at(object, "/metadata/creationTimestamp"));
    out.field(0, "CreationTimestamp", created);
    let kind = at(object, "/spec/scaleTargetRef/kind");
    let name = at(object, "/spec/scaleTargetRef/name");
    out.field(0, "Reference", format!("{kind}/{name}"));
    out.field(0, "Metrics", "( current / target )");
    let current = list(object, "/status/currentMetrics");
    for (number, metric) in list(object, "/spec/metrics").iter().enumerate() {
        let current = current.get(number).unwrap_or(&Value::Null);
        out.line(1, metric_line(metric, current));
    }
    let least = number(object, "/spec/minReplicas");
    out.field(0, "Min replicas", least.as_deref().unwrap_or("<unset>"));
    out.field(0, "Max replicas", count(object, "/spec/maxReplicas"));
    if let Some(behavior) = object.pointer("/spec/behavior") {
        out.line(0, "Behavior:");
        describe_rules("Scale Up", behavior.get("scaleUp"), out);
        describe_rules("Scale Down", behavior.get("scaleDown"), out);
    }
    let (current, desired) = (
        count(object, "/status/currentReplicas"),
        count(object, "/status/desiredReplicas"),
    );
    let pods = format!("{current} current / {desired} desired");
    out.field(0, &format!("{kind} pods"), pods);
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus\tReason\tMessage");
        out.line(1, "----\t------\t------\t-------");
    }
    for condition in conditions {
        let line = ["/type", "/status", "/reason", "/message"];
        let line = line.map(|pointer| at(condition, pointer));
        out.line(1, line.join("\t"));
    }
}

/// A metric, what it is now and what it shall be.
fn metric_line(metric: &Value, current: &Value) -> String {
    let kind = at(metric, "/type");
    let field = match kind {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return format!("<unknown metric type {kind:?}>"),
    };
    let wanted = metric.get(field).unwrap_or(&Value::Null);
    let current = current.get(field);
    let target = wanted.get("target").unwrap_or(&Value::Null);
    // Kubernetes: an Object's metric says by its type which of the two it is.
    let is_average = match kind {
        "Pods" => true,
        "Object" => at(target, "/type") == "AverageValue",
        _ => target.get("averageValue").is_some(),
    };
    let name = match kind {
        "Resource" => format!("resource {} on pods", at(wanted, "/name")),
        "ContainerResource" => format!(
            "resource {} of container \"{}\" on pods",
            at(wanted, "/name"),
            at(wanted, "/container")
        ),
        _ => format!("{:?}", at(wanted, "/metric/name")),
    };
    if matches!(kind, "Resource" | "ContainerResource") && !is_average {
        let now = current.and_then(utilization);
        let target = match number(target, "/averageUtilization") {
            Some(percent) => format!("{percent}%"),
            None => "<auto>".to_owned(),
        };
        let now = now.as_deref().unwrap_or(UNKNOWN);
        return format!("{name}  (as a percentage of request):\t{now} / {target}");
    }
    let value = if is_average { "averageValue" } else { "value" };
    let now = match current.map(|current| current.pointer(&format!("/current/{value}"))) {
        Some(Some(now)) => quantity(now),
        // Kubernetes: a measured metric without the value is none, an external one's is unknown.
        Some(None) if kind == "External" && is_average => UNKNOWN.to_owned(),
        Some(None) => "<nil>".to_owned(),
        None => UNKNOWN.to_owned(),
    };
    let target = target.get(value).map(quantity);
    let target = target.as_deref().unwrap_or("<nil>");
    let words = if is_average {
        "(target average value)"
    } else {
        "(target value)"
    };
    let name = match kind {
        "Pods" => format!("{name} on pods"),
        "External" => format!("{name} {words}"),
        "Object" => {
            let of = at(wanted, "/describedObject/kind");
            let name_of = at(wanted, "/describedObject/name");
            format!("{name} on {of}/{name_of} {words}")
        }
        _ => name,
    };
    format!("{name}:\t{now} / {target}")
}

/// `50% (100m)`, if it is measured.
fn utilization(current: &Value) -> Option<String> {
    let percent = number(current, "/current/averageUtilization")?;
    let value = current.pointer("/current/averageValue").map(quantity);
    Some(format!("{percent}% ({})", value.unwrap_or_default()))
}

fn describe_rules(title: &str, rules: Option<&Value>, out: &mut Text) {
    let Some(rules) = rules else {
        return;
    };
    out.line(1, format!("{title}:"));
    if let Some(seconds) = number(rules, "/stabilizationWindowSeconds") {
        out.line(2, format!("Stabilization Window: {seconds} seconds"));
    }
    let policies = list(rules, "/policies");
    if policies.is_empty() {
        return;
    }
    let select = match at(rules, "/selectPolicy") {
        "" => "Max",
        select => select,
    };
    out.line(2, format!("Select Policy: {select}"));
    out.line(2, "Policies:");
    for policy in policies {
        let (kind, value) = (at(policy, "/type"), count(policy, "/value"));
        let seconds = count(policy, "/periodSeconds");
        let line = format!("- Type: {kind}\tValue: {value}\tPeriod: {seconds} seconds");
        out.line(3, line);
    }
}

#[cfg(test)]
mod tests {
    use super::metric_line;
    use serde_json::{Value, json};

    #[test]
    fn a_metric_is_shown_with_its_target() {
        let target = json!({"type": "Utilization", "averageUtilization": 50});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        let line = "resource cpu on pods  (as a percentage of request):\t";
        let unknown = metric_line(&metric, &Value::Null);
        assert_eq!(unknown, format!("{line}<unknown> / 50%"));
        let current = json!({"averageUtilization": 20, "averageValue": "40m"});
        let current = json!({"type": "Resource", "resource": {"name": "cpu", "current": current}});
        let known = metric_line(&metric, &current);
        assert_eq!(known, format!("{line}20% (40m) / 50%"));
        let target = json!({"type": "Value", "value": "2k"});
        let of = json!({"kind": "Service", "name": "s"});
        let object = json!({"metric": {"name": "hits"}, "describedObject": of, "target": target});
        let metric = json!({"type": "Object", "object": object});
        assert_eq!(
            metric_line(&metric, &Value::Null),
            "\"hits\" on Service/s (target value):\t<unknown> / 2k"
        );
    }
}
