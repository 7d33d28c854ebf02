//! What a Service may say. Must not know which addresses are free.
//! Kubernetes: `pkg/apis/core/validation` ValidateService, ValidateServiceUpdate.

use crate::meta::{FieldError, Object, names};
use crate::resources::core::pod::validate_port;
use crate::resources::validate::{At, Errors, ip, metadata};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const STAYS: &str = "may not change once set";
const TOPOLOGY_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const NOT_EXTERNAL_NAME: &str = "may not be set when `type` is 'ExternalName'";

/// Everything that is wrong with a Service.
pub(super) fn validate(service: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(service, "spec");
    let kind = spec.field("type");
    let headless = is_headless(&spec);
    let list = spec.field("ports");
    if list.is_empty() && !headless && kind.str() != "ExternalName" {
        errors.required(&list, "");
    }
    of_type(&spec, headless, &mut errors);
    if kind.str().is_empty() {
        errors.required(&kind, "");
    } else {
        errors.one_of(&kind, TYPES);
    }
    let many = list.len() > 1;
    let mut seen = BTreeSet::new();
    for port in list.items() {
        self::port(&port, many, headless, &mut seen, &mut errors);
    }
    ports_differ(&list, kind.str(), &mut errors);
    metadata::labels(&spec.field("selector"), &mut errors);
    required_one_of(
        &spec.field("sessionAffinity"),
        &["ClientIP", "None"],
        &mut errors,
    );
    let config = spec.field("sessionAffinityConfig");
    let config = config.field("clientIP");
    let seconds = config.field("timeoutSeconds");
    if seconds.int().is_some_and(|n| !(1..=86_400).contains(&n)) {
        errors.invalid(&seconds, "must be greater than 0 and less than 86400");
    }
    addresses(&spec, &mut errors);
    policies(&spec, &mut errors);
    source_ranges(service, &spec, &mut errors);
    errors.0
}

fn is_headless(spec: &At<'_, '_>) -> bool {
    let first = spec
        .field("clusterIPs")
        .values()
        .next()
        .and_then(Value::as_str);
    spec.field("clusterIP").str() == "None" || first == Some("None")
}

fn required_one_of(at: &At<'_, '_>, supported: &[&str], errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    } else {
        errors.one_of(at, supported);
    }
}

fn of_type(spec: &At<'_, '_>, headless: bool, errors: &mut Errors) {
    let kind = spec.field("type").str();
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let ips = spec.field("clusterIPs");
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.invalid_as(&ips.index(0), "None", detail);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let field = spec.field(field);
                if !field.is_empty() || !field.str().is_empty() {
                    errors.forbidden(&field, NOT_EXTERNAL_NAME);
                }
            }
            let name = spec.field("externalName");
            let text = name.str().strip_suffix('.').unwrap_or(name.str());
            if text.is_empty() {
                errors.required(&name, "");
            } else {
                errors.invalid_all(&name, names::dns1123_subdomain(text));
            }
        }
        _ => {}
    }
}

fn port<'v>(
    port: &At<'v, '_>,
    needs_name: bool,
    headless: bool,
    seen: &mut BTreeSet<&'v str>,
    errors: &mut Errors,
) {
    let name = port.field("name");
    if name.str().is_empty() {
        if needs_name {
            errors.required(&name, "");
        }
    } else {
        errors.invalid_all(&name, names::dns1123_label(name.str()));
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
    let number = port.field("port");
    let value = number.int().unwrap_or(0);
    for detail in names::port_number(value) {
        errors.invalid_as(&number, value, detail);
    }
    required_one_of(&port.field("protocol"), &["SCTP", "TCP", "UDP"], errors);
    let target = port.field("targetPort");
    validate_port(&target, errors);
    if headless && target.int().is_some_and(|n| n != value) {
        let detail = "must be equal to the value of 'port' when clusterIP = None";
        errors.invalid(&target, detail);
    }
    let app = port.field("appProtocol");
    if !app.str().is_empty() {
        errors.invalid_all(&app, names::qualified_name(app.str()));
    }
}

fn ports_differ(list: &At<'_, '_>, kind: &str, errors: &mut Errors) {
    let (mut ports, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    for port in list.items() {
        let protocol = port.field("protocol").str();
        let number = port.field("port").int().unwrap_or(0);
        if !ports.insert((protocol, number)) {
            let value = serde_json::json!({ "protocol": protocol, "port": number });
            errors.0.push(FieldError::duplicate(port.path(), value));
        }
        let node = port.field("nodePort");
        let Some(number) = node.int().filter(|n| *n != 0) else {
            continue;
        };
        if matches!(kind, "ClusterIP" | "ExternalName") {
            let detail = format!("may not be used when `type` is '{kind}'");
            errors.forbidden(&node, detail);
        } else if !node_ports.insert((protocol, number)) {
            errors.duplicate(&node);
        }
        errors.invalid_all(&node, names::port_number(number));
    }
}

fn addresses(spec: &At<'_, '_>, errors: &mut Errors) {
    let ips = spec.field("clusterIPs");
    let one = spec.field("clusterIP");
    let first = ips.values().next().and_then(Value::as_str);
    if spec.field("type").str() != "ExternalName" {
        match (one.str(), first) {
            ("", Some(_)) => {
                errors.invalid(&ips, "must be empty when `clusterIP` is not specified");
            }
            ("", None) => {}
            (_, None) => errors.required(&ips, ""),
            (one, Some(first)) if one != first => {
                errors.invalid(&ips, "first value must match `clusterIP`");
            }
            _ => {}
        }
    }
    for ip in ips.items().filter(|ip| ip.str() != "None") {
        is_ip(&ip, errors);
    }
    for ip in spec.field("externalIPs").items() {
        is_ip(&ip, errors);
        let local = ip.str().parse::<IpAddr>();
        if local.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified()) {
            errors.invalid(
                &ip,
                "may not be in the loopback range (127.0.0.0/8, ::1/128)",
            );
        }
    }
    for family in spec.field("ipFamilies").items() {
        errors.one_of(&family, &["IPv4", "IPv6"]);
    }
    let policy = spec.field("ipFamilyPolicy");
    if policy.is_set() {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        errors.one_of(&policy, &supported);
    }
}

fn is_ip(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.invalid(at, detail);
    }
}

fn policies(spec: &At<'_, '_>, errors: &mut Errors) {
    let kind = spec.field("type").str();
    let external = spec.field("externalTrafficPolicy");
    let outside = matches!(kind, "NodePort" | "LoadBalancer");
    if !external.str().is_empty() {
        if outside || !spec.field("externalIPs").is_empty() {
            errors.one_of(&external, &["Cluster", "Local"]);
        } else {
            errors.invalid(
                &external,
                "may only be set for externally-accessible services",
            );
        }
    }
    let health = spec.field("healthCheckNodePort");
    let number = health.int().unwrap_or(0);
    if number != 0 {
        if kind == "LoadBalancer" && external.str() == "Local" {
            errors.invalid_all(&health, names::port_number(number));
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&health, detail);
        }
    }
    let internal = spec.field("internalTrafficPolicy");
    if internal.is_set() {
        errors.one_of(&internal, &["Cluster", "Local"]);
    }
    for field in ["loadBalancerClass", "allocateLoadBalancerNodePorts"] {
        let field = spec.field(field);
        if field.is_set() && kind != "LoadBalancer" {
            errors.forbidden(&field, ONLY_LOAD_BALANCER);
        }
    }
}

/// From where a load balancer lets clients in: a field, or the annotation that was before it.
fn source_ranges(service: &Object, spec: &At<'_, '_>, errors: &mut Errors) {
    let balances = spec.field("type").str() == "LoadBalancer";
    let ranges = spec.field("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        if !balances {
            errors.forbidden(&ranges, ONLY_LOAD_BALANCER);
        }
        for range in ranges.items() {
            ip::cidr_in(&range, range.str().trim(), errors);
        }
        return;
    }
    let Some(text) = service.annotation(SOURCE_RANGES) else {
        return;
    };
    let metadata = At::of(service, "metadata");
    let annotations = metadata.field("annotations");
    let at = annotations.key(SOURCE_RANGES);
    if !balances {
        errors.forbidden(&at, ONLY_LOAD_BALANCER);
    }
    for range in text.split(',').filter(|_| !text.trim().is_empty()) {
        ip::cidr_in(&at, range.trim(), errors);
    }
}

/// Everything that is wrong with an update: addresses stay once they are set.
pub(super) fn validate_update(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let old_type = old.str_at(&["spec", "type"]);
    if spec.field("type").str() != "ExternalName" && old_type != "ExternalName" {
        addresses_stay(&spec, &At::of(old, "spec"), &mut errors);
    }
    errors.0.extend(validate(new));
    errors.0
}

/// A second address may come and go; the first one stays.
fn addresses_stay(new: &At<'_, '_>, old: &At<'_, '_>, errors: &mut Errors) {
    if is_headless(new) && is_headless(old) {
        return;
    }
    let (ips, olds) = (new.field("clusterIPs"), old.field("clusterIPs"));
    let changes = |index: usize| ips.index(index).value != olds.index(index).value;
    if ips.len() == olds.len() {
        for index in (0..ips.len()).filter(|index| changes(*index)) {
            errors.invalid_as(&ips.index(index), ips.value.clone(), STAYS);
        }
        return;
    }
    if ips.is_empty() {
        let detail = "primary clusterIP can not be unset";
        errors.invalid_as(&ips.index(0), ips.value.clone(), detail);
    } else if !olds.is_empty() && changes(0) {
        errors.invalid_as(&ips.index(0), ips.value.clone(), STAYS);
    }
    let policy = new.field("ipFamilyPolicy");
    if ips.len() == 1 && olds.len() > 1 && policy.str() != "SingleStack" {
        let detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        errors.invalid(&policy, detail);
    }
}

/// What is allowed and yet not as it should be. Kubernetes: `pkg/api/service` GetWarningsForService.
pub(super) fn warnings(service: &Object) -> Vec<String> {
    let spec = At::of(service, "spec");
    let is_external = spec.field("type").str() == "ExternalName";
    let mut warnings = Vec::new();
    if service.annotation(TOPOLOGY_HINTS).is_some() {
        warnings.push(format!(
            "annotation {TOPOLOGY_HINTS} is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
        ));
    }
    if is_external && !spec.field("externalIPs").is_empty() {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_external && !spec.field("externalName").str().is_empty() {
        let words = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
        warnings.push(words.to_owned());
    }
    warnings
}
