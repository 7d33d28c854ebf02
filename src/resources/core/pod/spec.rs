//! A pod spec as a whole; also for the templates of other kinds. Must not know who made it.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodSpec.

use super::{annotations, containers, env, resources, scheduling, security, volumes};
use crate::meta::{Object, names};
use crate::resources::validate::{At, Errors, metadata};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::containers::required_one_of;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_MAX_BYTES: usize = 2048;
/// Longest name that a pod may be given in place of its own (bytes).
const HOSTNAME_MAX_BYTES: usize = 64;
/// In Kubernetes' order, which is not the alphabet's.
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];

/// Checks a pod: what a template of one is asked, and what only a pod is.
pub(super) fn validate_pod(pod: &Object, errors: &mut Errors) {
    annotations::validate(pod, errors);
    let spec = At::of(pod, "spec");
    validate(&spec, Some(pod.name()), errors);
    if spec.field("serviceAccountName").str().is_empty() {
        for volume in spec.field("volumes").items() {
            let projected = volume.field("projected");
            let sources = projected.field("sources");
            for source in sources.items() {
                let token = source.field("serviceAccountToken");
                if token.is_set() {
                    let detail = "must not be specified when serviceAccountName is not set";
                    errors.forbidden(&token, detail);
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        let list = spec.field(list);
        for container in list.items() {
            containers::padded_image(&container, errors);
        }
    }
}

/// Checks a pod spec. `pod` is the name of the pod; a template has none.
pub(crate) fn validate(spec: &At<'_, '_>, pod: Option<&str>, errors: &mut Errors) {
    let grace = spec.field("terminationGracePeriodSeconds");
    if !grace.is_set() {
        errors.required(&grace, "");
    }
    let volumes = volumes::validate(&spec.field("volumes"), pod, errors);
    claims(&spec.field("resourceClaims"), errors);
    containers::validate(spec, &volumes, errors);
    resources::validate_pod(spec, errors);
    containers::host_network(spec, pod.is_some(), errors);
    required_one_of(&spec.field("restartPolicy"), RESTART_POLICIES, errors);
    required_one_of(&spec.field("dnsPolicy"), DNS_POLICIES, errors);
    metadata::labels(&spec.field("nodeSelector"), errors);
    security::validate_pod(&spec.field("securityContext"), spec, errors);
    scheduling::affinity(&spec.field("affinity"), errors);
    dns(spec, errors);
    gates(spec, errors);
    scheduling::spread(&spec.field("topologySpreadConstraints"), errors);
    security::host_users(spec, errors);
    hostname_override(spec, errors);
    name(
        &spec.field("serviceAccountName"),
        names::dns1123_subdomain,
        errors,
    );
    name(&spec.field("nodeName"), names::dns1123_subdomain, errors);
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline
        .int()
        .is_some_and(|n| !(1..=i64::from(i32::MAX)).contains(&n))
    {
        errors.invalid(&deadline, "must be between 1 and 2147483647, inclusive");
    }
    name(&spec.field("hostname"), names::dns1123_label, errors);
    name(&spec.field("subdomain"), names::dns1123_label, errors);
    scheduling::tolerations(&spec.field("tolerations"), errors);
    host_aliases(&spec.field("hostAliases"), errors);
    name(
        &spec.field("priorityClassName"),
        names::dns1123_subdomain,
        errors,
    );
    let class = spec.field("runtimeClassName");
    if class.is_set() {
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
    }
    let preemption = spec.field("preemptionPolicy");
    if preemption.is_set() {
        required_one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    }
    overhead(&spec.field("overhead"), spec, errors);
    os(spec, errors);
    env::validate_files(spec, errors);
}

fn name(at: &At<'_, '_>, check: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if !at.str().is_empty() {
        errors.invalid_all(at, check(at.str()));
    }
}

/// What a runtime class adds is checked as the limits of a container are.
fn overhead(at: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    if at.is_set() {
        let path = at.path();
        let limits = json!({ "limits": at.value });
        let level = resources::Level::Container;
        resources::validate(&At::root(&limits, &path), spec, level, errors);
    }
}

fn os(spec: &At<'_, '_>, errors: &mut Errors) {
    let os = spec.field("os");
    if !os.is_set() {
        return;
    }
    let name = os.field("name");
    match name.str() {
        "" => errors.required(&name, ""),
        "linux" => security::linux(spec, errors),
        "windows" => {}
        // The path is Kubernetes': of the object, not of the name.
        _ => {
            let path = os.path();
            errors.not_supported(&At::root(name.value, &path), &["linux", "windows"]);
        }
    }
}

fn hostname_override(spec: &At<'_, '_>, errors: &mut Errors) {
    let name = spec.field("hostnameOverride");
    if !name.is_set() {
        return;
    }
    for field in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec.field(field).bool() {
            let detail = format!("may not be specified when {field} is true");
            errors.forbidden(&name, detail);
        }
    }
    if name.str().len() > HOSTNAME_MAX_BYTES {
        errors.too_long(&name, HOSTNAME_MAX_BYTES);
    }
    errors.invalid_all(&name, names::dns1123_subdomain(name.str()));
}

fn dns(spec: &At<'_, '_>, errors: &mut Errors) {
    let config = spec.field("dnsConfig");
    let servers = config.field("nameservers");
    if spec.field("dnsPolicy").str() == "None" {
        if !config.is_set() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.required(&config, detail);
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&servers, detail);
            return;
        }
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.invalid(&servers, detail);
    }
    for server in servers.items() {
        ip(&server, errors);
    }
    let searches = config.field("searches");
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.invalid(&searches, detail);
    }
    let lengths = searches.values().filter_map(Value::as_str);
    let bytes: usize = lengths.map(|s| s.len() + 1).sum();
    if bytes > SEARCH_MAX_BYTES + 1 {
        let detail = format!(
            "must not have more than {SEARCH_MAX_BYTES} characters (including spaces) in the \
             search list"
        );
        errors.invalid(&searches, detail);
    }
    for search in searches.items().filter(|s| s.str() != ".") {
        let text = search.str().strip_suffix('.').unwrap_or(search.str());
        for detail in names::dns1123_subdomain_with_underscores(text) {
            errors.invalid_as(&search, text, detail);
        }
    }
    for option in config.field("options").items() {
        if option.field("name").str().is_empty() {
            errors.required(&option, "must not be empty");
        }
    }
}

pub(crate) fn ip(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.invalid_as(at, at.str(), detail);
    }
}

fn gates(spec: &At<'_, '_>, errors: &mut Errors) {
    for gate in spec.field("readinessGates").items() {
        let kind = gate.field("conditionType");
        errors.invalid_all(&kind, names::qualified_name(kind.str()));
    }
    let gates = spec.field("schedulingGates");
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.field("name");
        for detail in names::qualified_name(name.str()) {
            errors.invalid_as(&gate, name.str(), detail);
        }
        if !seen.insert(name.str()) {
            errors.duplicate_as(&gate, name.str());
        }
    }
}

fn host_aliases(list: &At<'_, '_>, errors: &mut Errors) {
    for alias in list.items() {
        ip(&alias.field("ip"), errors);
        let hosts = alias.field("hostnames");
        for host in hosts.items() {
            errors.invalid_all(&host, names::dns1123_subdomain(host.str()));
        }
    }
}

fn claims(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for claim in list.items() {
        let name = claim.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if !seen.insert(name.str()) {
            errors.duplicate(&name);
        } else {
            errors.invalid_all(&name, names::dns1123_label(name.str()));
        }
        let (direct, template) = (
            claim.field("resourceClaimName"),
            claim.field("resourceClaimTemplateName"),
        );
        // Kubernetes shows its inner form of the claim.
        let shown = json!({
            "Name": name.str(),
            "ResourceClaimName": direct.value,
            "ResourceClaimTemplateName": template.value,
        });
        match (direct.is_set(), template.is_set()) {
            (true, true) => errors.invalid_as(
                &claim,
                shown,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be \
                 specified",
            ),
            (false, false) => errors.invalid_as(
                &claim,
                shown,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ),
            _ => {}
        }
        for field in [direct, template] {
            if field.is_set() {
                errors.invalid_all(&field, names::dns1123_subdomain(field.str()));
            }
        }
    }
}
