//! What a report of a pod's status may say. Must not know who reports.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodStatusUpdate.

use super::spec::ip;
use crate::meta::FieldError;
use crate::meta::{Object, names};
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::net::IpAddr;

/// Conditions of Kubernetes itself, whose names have no domain.
const OWN_CONDITIONS: &[&str] = &["PodScheduled", "Ready", "Initialized"];

/// Checks an update of the status.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let status = At::of(new, "status");
    conditions(&status.field("conditions"), &mut errors);
    let node = status.field("nominatedNodeName");
    if !node.str().is_empty() && node.str() != old.str_at(&["status", "nominatedNodeName"]) {
        errors.invalid_all(&node, names::dns1123_subdomain(node.str()));
        if !old.str_at(&["spec", "nodeName"]).is_empty() {
            let detail = "may not be set on pods that are already bound to a node";
            errors.forbidden(&node, detail);
        }
    }
    generation(&status.field("observedGeneration"), &mut errors);
    let class = status.field("qosClass");
    let old_class = old.str_at(&["status", "qosClass"]);
    if class.str() != old_class {
        errors.invalid_as(&class, class.str(), "field is immutable");
    }
    for (list, containers) in [
        ("containerStatuses", Some("containers")),
        ("initContainerStatuses", Some("initContainers")),
        ("ephemeralContainerStatuses", None),
    ] {
        let olds = old.get(&["status", list]).unwrap_or(&Value::Null);
        restarts(&status.field(list), olds, old, containers, &mut errors);
    }
    addresses(&status.field("podIPs"), &mut errors);
    let hosts = status.field("hostIPs");
    let (first, own) = (hosts.index(0), status.field("hostIP"));
    if !hosts.is_empty() && first.field("ip").str() != own.str() {
        let at = first.field("ip");
        errors.invalid_as(&at, at.str(), "must be equal to `hostIP`");
    }
    addresses(&hosts, &mut errors);
    errors.0
}

fn conditions(list: &At<'_, '_>, errors: &mut Errors) {
    for condition in list.items() {
        generation(&condition.field("observedGeneration"), errors);
        let kind = condition.field("type").str();
        if !OWN_CONDITIONS.contains(&kind) {
            for detail in names::qualified_name(kind) {
                // The path is Kubernetes', capital letter and all.
                errors.invalid_as(&condition.field("Type"), kind, detail);
            }
        }
    }
}

fn generation(at: &At<'_, '_>, errors: &mut Errors) {
    if at.number() < 0 {
        errors.invalid(at, "must be a non-negative integer");
    }
}

/// A container that ended for good does not start again.
fn restarts(
    news: &At<'_, '_>,
    olds: &Value,
    pod: &Object,
    containers: Option<&str>,
    errors: &mut Errors,
) {
    for (index, old) in olds.as_array().into_iter().flatten().enumerate() {
        let ended = |status: &Value| status.get("state")?.get("terminated").cloned();
        let Some(code) = ended(old) else { continue };
        let code = code.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
        let same = |new: &&Value| new.get("name") == old.get("name");
        let Some(new) = news.values().find(same) else {
            continue;
        };
        let may = containers.is_some_and(|list| may_restart(pod, list, old, code));
        if ended(new).is_none() && !may {
            let at = news.index(index);
            let detail = "may not be transitioned to non-terminated state";
            errors.forbidden(&at.field("state"), detail);
        }
    }
}

/// Kubernetes: `pkg/api/v1/pod` ContainerShouldRestart, AllContainersCouldRestart.
fn may_restart(pod: &Object, list: &str, status: &Value, code: i64) -> bool {
    let of = |list: &str| {
        let list = pod.get(&["spec", list]).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let rules = |container: &Value| {
        let rules = container.get("restartPolicyRules");
        rules.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let all = of("containers").chain(of("initContainers")).any(|c| {
        rules(c)
            .iter()
            .any(|rule| text(rule, "action") == "RestartAllContainers")
    });
    if all {
        return true;
    }
    let named = |c: &&Value| c.get("name") == status.get("name");
    let Some(container) = of(list).find(named) else {
        return false;
    };
    if rules(container).iter().any(|rule| applies(rule, code)) {
        return true;
    }
    let policy = match text(container, "restartPolicy") {
        "" => pod.str_at(&["spec", "restartPolicy"]),
        own => own,
    };
    policy == "Always" || (policy == "OnFailure" && code != 0)
}

fn applies(rule: &Value, code: i64) -> bool {
    let codes = rule.get("exitCodes").unwrap_or(&Value::Null);
    let values = codes.get("values").and_then(Value::as_array);
    let within = values
        .into_iter()
        .flatten()
        .any(|value| value.as_i64() == Some(code));
    match text(codes, "operator") {
        "In" => within,
        "NotIn" => !within,
        _ => false,
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    let text = value.get(field).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// Addresses of a pod or of its host: one of each family at most.
fn addresses(list: &At<'_, '_>, errors: &mut Errors) {
    let mut families = [0, 0];
    for (index, item) in list.items().enumerate() {
        let path = format!("{}[{index}]", list.path());
        ip(&At::root(item.field("ip").value, &path), errors);
        match item.field("ip").str().parse() {
            Ok(IpAddr::V4(_)) => families[0] += 1,
            Ok(IpAddr::V6(_)) => families[1] += 1,
            Err(_) => {}
        }
    }
    if list.len() > 1 && families != [1, 1] {
        let detail = "may specify no more than one IP for each IP family";
        errors.invalid(list, detail);
    }
}
