//! A pod spec as a whole; also for the templates of other kinds. Must not know who made it.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodSpec.

use super::containers::{self, required_one_of};
use super::{scheduling, security, volumes};
use crate::meta::names;
use crate::resources::validate::{At, Errors, metadata};
use std::collections::BTreeSet;
use std::net::IpAddr;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_MAX_BYTES: usize = 2048;
const DNS_POLICIES: &[&str] = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];

/// Checks a pod spec.
pub(crate) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    volumes::validate(&spec.field("volumes"), errors);
    containers::validate(spec, errors);
    containers::host_network(spec, errors);
    let restart = spec.field("restartPolicy");
    required_one_of(&restart, &["Always", "Never", "OnFailure"], errors);
    required_one_of(&spec.field("dnsPolicy"), DNS_POLICIES, errors);
    metadata::labels(&spec.field("nodeSelector"), errors);
    security::validate_pod(&spec.field("securityContext"), spec, errors);
    scheduling::affinity(&spec.field("affinity"), errors);
    dns(spec, errors);
    gates(spec, errors);
    scheduling::spread(&spec.field("topologySpreadConstraints"), errors);
    names_of(spec, errors);
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline
        .int()
        .is_some_and(|n| !(1..=i64::from(i32::MAX)).contains(&n))
    {
        errors.invalid(&deadline, "must be between 1 and 2147483647, inclusive");
    }
    scheduling::tolerations(&spec.field("tolerations"), errors);
    host_aliases(&spec.field("hostAliases"), errors);
    let grace = spec.field("terminationGracePeriodSeconds");
    if !grace.is_set() {
        errors.required(&grace, "");
    }
    let preemption = spec.field("preemptionPolicy");
    if preemption.is_set() {
        errors.one_of(&preemption, &["Never", "PreemptLowerPriority"]);
    }
    let os = spec.field("os");
    if os.is_set() {
        required_one_of(&os.field("name"), &["linux", "windows"], errors);
    }
    claims(&spec.field("resourceClaims"), errors);
}

fn names_of(spec: &At<'_, '_>, errors: &mut Errors) {
    type Check = fn(&str) -> Vec<String>;
    let rules: [(&str, Check); 7] = [
        ("serviceAccountName", names::dns1123_subdomain),
        ("nodeName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("priorityClassName", names::dns1123_subdomain),
        ("runtimeClassName", names::dns1123_subdomain),
        ("hostnameOverride", names::dns1123_subdomain),
    ];
    for (field, check) in rules {
        let field = spec.field(field);
        if !field.str().is_empty() {
            errors.invalid_all(&field, check(field.str()));
        }
    }
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
    let lengths = searches.values().filter_map(|s| s.as_str());
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
        // Underscores are allowed here, and only here.
        let plain = text.replace('_', "a");
        errors.invalid_all(&search, names::dns1123_subdomain(&plain));
    }
    for option in config.field("options").items() {
        if option.field("name").str().is_empty() {
            let at = config.field("options");
            errors.required(&at, "must not be empty");
        }
    }
}

pub(crate) fn ip(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().parse::<IpAddr>().is_err() {
        errors.invalid(
            at,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
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
            errors
                .0
                .push(crate::meta::FieldError::duplicate(gate.path(), name.str()));
        }
    }
    if !gates.is_empty() && !spec.field("nodeName").str().is_empty() {
        let node = spec.field("nodeName");
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.forbidden(&node, detail);
    }
}

fn host_aliases(list: &At<'_, '_>, errors: &mut Errors) {
    for alias in list.items() {
        ip(&alias.field("ip"), errors);
        let hosts = alias.field("hostnames");
        for host in hosts.values().filter_map(|host| host.as_str()) {
            for detail in names::dns1123_subdomain(host) {
                errors.invalid_as(&hosts, host, detail);
            }
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
        match (direct.is_set(), template.is_set()) {
            (true, true) => errors.invalid(
                &claim,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be \
                 specified",
            ),
            (false, false) => errors.invalid(
                &claim,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ),
            _ => {}
        }
    }
}
