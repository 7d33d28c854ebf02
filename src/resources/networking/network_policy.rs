//! NetworkPolicy: who may talk to the pods that it selects, and to whom they may talk.
//! Kubernetes: `pkg/apis/networking/validation` ValidateNetworkPolicySpec.

use crate::meta::labels::Selector;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, objects, set_null};
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors, ip, selector};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    "NetworkPolicyList",
    ("networkpolicies", "networkpolicy"),
    SchemaSource::of::<k8s_openapi::api::networking::v1::NetworkPolicy>(),
    &NetworkPolicyStrategy,
)
.short_names(const { &[text("netpol")] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Pod-Selector", "Which pods it is about."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"spec":{"podSelector":{}}}"#);

const TYPES: &[&str] = &["Ingress", "Egress"];
const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];
/// The lists of rules, and their lists of peers.
const RULES: &[(&str, &str)] = &[("ingress", "from"), ("egress", "to")];

/// What a NetworkPolicy does beyond its shape.
pub struct NetworkPolicyStrategy;

impl Strategy for NetworkPolicyStrategy {
    fn default(&self, policy: &mut Object) {
        let Some(spec) = child(policy.fields_mut(), "spec") else {
            return;
        };
        child(spec, "podSelector");
        for (rules, _) in RULES {
            for rule in objects(spec, rules) {
                for port in objects(rule, "ports") {
                    set_null(port, "protocol", json!("TCP"));
                }
            }
        }
        let none = |list: Option<&Value>| {
            list.and_then(Value::as_array)
                .is_none_or(|list| list.is_empty())
        };
        if none(spec.get("policyTypes")) {
            let types = match none(spec.get("egress")) {
                true => json!(["Ingress"]),
                false => json!(["Ingress", "Egress"]),
            };
            spec.insert("policyTypes".to_owned(), types);
        }
    }

    fn validate(&self, policy: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(policy, "spec");
        selector::label_selector(&spec.field("podSelector"), &mut errors);
        for (rules, peers) in RULES {
            for rule in spec.field(rules).items() {
                for port in rule.field("ports").items() {
                    self::port(&port, &mut errors);
                }
                for peer in rule.field(peers).items() {
                    self::peer(&peer, &mut errors);
                }
            }
        }
        let types = spec.field("policyTypes");
        if types.len() > TYPES.len() {
            errors.invalid(&types, "may not specify more than two policyTypes");
            return errors.0;
        }
        for item in types.items() {
            errors.one_of(&item, TYPES);
        }
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn port(at: &At<'_, '_>, errors: &mut Errors) {
    let protocol = at.field("protocol");
    if protocol.is_set() {
        errors.one_of(&protocol, PROTOCOLS);
    }
    let (port, end) = (at.field("port"), at.field("endPort"));
    match port.value {
        Value::Null => {
            if end.is_set() {
                errors.invalid(&end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if end.is_set() {
                errors.invalid(&end, "may not be specified when `port` is non-numeric");
            }
            errors.invalid_all(&port, names::port_name(name));
        }
        _ => {
            errors.invalid_all(&port, names::port_number(port.number()));
            if let Some(last) = end.int() {
                if last < port.number() {
                    errors.invalid(&end, "must be greater than or equal to `port`");
                }
                errors.invalid_all(&end, names::port_number(last));
            }
        }
    }
}

fn peer(peer: &At<'_, '_>, errors: &mut Errors) {
    let block = peer.field("ipBlock");
    let selectors = ["podSelector", "namespaceSelector"];
    let mut selected = false;
    for selector in selectors.map(|name| peer.field(name)) {
        if selector.is_set() {
            selected = true;
            selector::label_selector(&selector, errors);
        }
    }
    if block.is_set() {
        self::block(&block, errors);
    }
    match (selected, block.is_set()) {
        (false, false) => errors.required(peer, "must specify a peer"),
        (true, true) => {
            errors.forbidden(peer, "may not specify both ipBlock and another peer");
        }
        _ => {}
    }
}

fn block(block: &At<'_, '_>, errors: &mut Errors) {
    let at = block.field("cidr");
    if at.str().is_empty() {
        errors.required(&at, "");
        return;
    }
    let Some(all) = ip::cidr(&at, errors) else {
        return;
    };
    for except in block.field("except").items() {
        let Some(part) = ip::cidr(&except, errors) else {
            continue;
        };
        if !all.contains(part.network()) || all.bits >= part.bits {
            errors.invalid(&except, "must be a strict subset of `cidr`");
        }
    }
}

fn row(policy: &Object, now: Timestamp) -> Vec<Value> {
    let selector = Selector::from_label_selector(policy.get(&["spec", "podSelector"]));
    let shown = match selector {
        Ok(selector) if selector.is_everything() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    };
    vec![
        json!(policy.name()),
        json!(shown),
        columns::age(policy, now),
    ]
}
