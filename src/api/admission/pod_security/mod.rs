//! Pods keep to the standard that their namespace's labels ask for: they are refused, or the client is
//! told. What makes pods is told beforehand. Must not know the checks.
//! Kubernetes: admission plugin PodSecurity, `k8s.io/pod-security-admission/admission`.

mod checks;
mod policy;
#[cfg(test)]
mod tests;

use self::checks::{Finding, Pod, evaluate, sentence};
use self::policy::{Level, Policy, Standard};
use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Pods of a namespace that are looked at when it becomes stricter.
const PODS_MAX: usize = 3000;
/// Where the pods of what makes pods are described.
const TEMPLATES: &[(&str, &str, &[&str])] = &[
    ("", "podtemplates", &["template"]),
    ("", "replicationcontrollers", &["spec", "template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    (
        "batch",
        "cronjobs",
        &["spec", "jobTemplate", "spec", "template"],
    ),
];

pub(super) struct PodSecurity;

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn validate(
        &self,
        request: &Request<'_>,
        object: &Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if request.operation == Operation::Delete {
            return Ok(());
        }
        if request.is_main("", "namespaces") {
            return namespace(request, object, old);
        }
        let def = &request.target.def;
        if def.group.is_empty() && def.plural == "pods" {
            // The others change nothing that is checked.
            let parts = ["", "ephemeralcontainers", "resize"];
            if parts.contains(&&*request.target.subresource) {
                return pod(request, object, old);
            }
            return Ok(());
        }
        let template = TEMPLATES
            .iter()
            .find(|(group, plural, _)| request.is_main(group, plural));
        match template.and_then(|(_, _, path)| object.get(path)) {
            Some(template) => maker(request, template),
            None => Ok(()),
        }
    }
}

/// The policy of the request's namespace; `None`: nothing is asked.
fn policy_of(request: &Request<'_>) -> Result<Option<Policy>, ApiError> {
    let scheme = request.registry.scheme();
    let Some(def) = scheme.resource("", "v1", "namespaces") else {
        return Ok(None);
    };
    let found = request
        .registry
        .find_cached(def, "", &request.target.namespace)?;
    // Most namespaces ask nothing, and are not decoded to learn that.
    let Some(cached) = found.filter(|cached| cached.encoded.has_label_below(policy::PREFIX)) else {
        return Ok(None);
    };
    let namespace = cached.object().map_err(ApiError::internal)?;
    let (policy, _) = Policy::of(&namespace);
    Ok((!policy.is_privileged()).then_some(policy))
}

/// A namespace's own labels are right, and who makes it stricter learns which of its pods are not.
fn namespace(request: &Request<'_>, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let (policy, errors) = Policy::of(object);
    let before = old.map(Policy::of);
    let known = before.as_ref().is_some_and(|(_, known)| *known == errors);
    if !errors.is_empty() && !known {
        return Err(ApiError::invalid("", "Namespace", object.name(), &errors));
    }
    let Some((before, _)) = before else {
        return Ok(());
    };
    let (new, old) = (policy.enforce, before.enforce);
    let relaxed = new.version == old.version && new.level <= old.level;
    if new == old || new.level == Level::Privileged || relaxed {
        return Ok(());
    }
    for warning in existing_pods(request, object.name(), new)? {
        request.context.warn(warning);
    }
    Ok(())
}

/// What is wrong with the pods that are there already.
fn existing_pods(
    request: &Request<'_>,
    namespace: &str,
    standard: Standard,
) -> Result<Vec<String>, ApiError> {
    let mut first = Vec::new();
    let mut more = Vec::new();
    let mut makers = BTreeSet::new();
    for pod in request.all("", "pods", Some(namespace))? {
        // One pod of each controller comes before the others of it.
        match controller(&pod) {
            Some(uid) if !makers.insert(uid.to_owned()) => more.push(pod),
            _ => first.push(pod),
        }
    }
    let total = first.len() + more.len();
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in first.iter().chain(&more).take(PODS_MAX) {
        let findings = evaluate(
            standard,
            view(pod.fields().get("metadata"), pod.get(&["spec"])),
        );
        if findings.is_empty() {
            continue;
        }
        let reasons: Vec<&str> = findings.iter().map(|finding| finding.reason).collect();
        let (name, count) = found.entry(reasons.join(", ")).or_default();
        if *count == 0 || pod.name() < name.as_str() {
            pod.name().clone_into(name);
        }
        *count += 1;
    }
    let mut warnings = Vec::new();
    if total > PODS_MAX {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of {total} \
             existing pods"
        ));
    }
    if !found.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \
             \"{standard}\""
        ));
    }
    let mut told: Vec<String> = found
        .into_iter()
        .map(|(reasons, (name, count))| match count {
            1 => format!("{name}: {reasons}"),
            2 => format!("{name} (and 1 other pod): {reasons}"),
            count => format!("{name} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    told.sort();
    warnings.extend(told);
    Ok(warnings)
}

/// The uid of the controller that a pod belongs to.
fn controller(pod: &Object) -> Option<&str> {
    let owners = pod.get(&["metadata", "ownerReferences"])?.as_array()?;
    let owner = owners
        .iter()
        .find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    owner.get("uid")?.as_str()
}

fn pod(request: &Request<'_>, pod: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    if old.is_some_and(|old| images(old) == images(pod)) {
        return Ok(());
    }
    let Some(policy) = policy_of(request)? else {
        return Ok(());
    };
    let view = view(pod.fields().get("metadata"), pod.get(&["spec"]));
    let context = request.context;
    context.annotate(&format!("{}enforce-policy", policy::PREFIX), || {
        policy.enforce.to_string()
    });
    audit(request, policy.audit, view);
    let findings = evaluate(policy.enforce, view);
    if !findings.is_empty() {
        let text = format!(
            "violates PodSecurity \"{}\": {}",
            policy.enforce,
            sentence(&findings)
        );
        return Err(request.forbidden(pod, &text));
    }
    if policy.warn != policy.enforce {
        warn(request, policy.warn, &evaluate(policy.warn, view));
    }
    Ok(())
}

/// What makes pods is never refused: its pods will be.
fn maker(request: &Request<'_>, template: &Value) -> Result<(), ApiError> {
    if let Some(policy) = policy_of(request)? {
        let view = view(template.get("metadata"), template.get("spec"));
        audit(request, policy.audit, view);
        warn(request, policy.warn, &evaluate(policy.warn, view));
    }
    Ok(())
}

/// Tells the audit log what is wrong, if there is one.
fn audit(request: &Request<'_>, standard: Standard, pod: Pod<'_>) {
    if request.context.audit.is_none() || standard.level == Level::Privileged {
        return;
    }
    let findings = evaluate(standard, pod);
    if !findings.is_empty() {
        let name = format!("{}audit-violations", policy::PREFIX);
        request.context.annotate(&name, || {
            let sentence = sentence(&findings);
            format!("would violate PodSecurity \"{standard}\": {sentence}")
        });
    }
}

fn warn(request: &Request<'_>, standard: Standard, findings: &[Finding]) {
    if !findings.is_empty() {
        let sentence = sentence(findings);
        let text = format!("would violate PodSecurity \"{standard}\": {sentence}");
        request.context.warn(text);
    }
}

fn view<'a>(metadata: Option<&'a Value>, spec: Option<&'a Value>) -> Pod<'a> {
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    Pod {
        annotations: annotations.and_then(Value::as_object),
        spec: spec.unwrap_or(&Value::Null),
    }
}

/// Names and images of all containers: what an update can change that is checked.
fn images(pod: &Object) -> Vec<(&Value, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .filter_map(|list| pod.get(&["spec", list])?.as_array())
        .flatten()
        .map(|container| {
            let field = |name: &str| container.get(name).unwrap_or(&Value::Null);
            (field("name"), field("image"))
        })
        .collect()
}
