//! The nodes' agents, which may touch only what belongs to their node.
//! Kubernetes: the node authorizer, with what NodeRestriction refuses.

use super::{Attributes, Authorizer, Decision, Rules};
use crate::api::authentication::{GROUP_NODES, UserInfo};
use crate::api::registry::Cache;
use serde_json::Value;
use std::sync::Arc;

/// `group`, resources, verbs; `*` is any.
type Rule = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const READ: &[&str] = &["get", "list", "watch"];
const EVENTS: Rule = ("", &["events"], &["create", "patch", "update"]);
const NEW_EVENTS: Rule = ("events.k8s.io", &["events"], &["create", "patch", "update"]);

fn allows(rules: &[Rule], attributes: &Attributes<'_>) -> bool {
    let info = attributes.info;
    let resource = info.resource_and_subresource();
    info.is_resource
        && rules.iter().any(|(group, resources, verbs)| {
            (*group == "*" || *group == info.group)
                && resources.iter().any(|r| *r == "*" || *r == resource)
                && verbs.iter().any(|v| *v == "*" || *v == info.verb)
        })
}

/// What every node may do, whichever object it is about.
const NODE_ANY: &[Rule] = &[
    EVENTS,
    NEW_EVENTS,
    ("", &["services"], READ),
    ("", &["nodes"], &["create", "get", "list", "watch"]),
    ("", &["pods"], &["create"]),
    ("authentication.k8s.io", &["tokenreviews"], &["create"]),
    (
        "authorization.k8s.io",
        &["subjectaccessreviews"],
        &["create"],
    ),
];

/// The nodes' agents.
pub(super) struct Nodes {
    cache: Arc<Cache>,
}

impl Nodes {
    pub(super) fn new(cache: Arc<Cache>) -> Self {
        Self { cache }
    }

    /// Whether a pod is bound to the node.
    fn owns_pod(&self, node: &str, namespace: &str, name: &str) -> bool {
        let Some(pods) = self.cache.kind("pods") else {
            return false;
        };
        let Some(cached) = pods.get(&format!("{namespace}/{name}")) else {
            return false;
        };
        let index = pods
            .def
            .selectable_fields
            .iter()
            .position(|field| field.label == "spec.nodeName");
        index.and_then(|index| cached.encoded.field(index)) == Some(node)
    }

    /// Whether a pod of the node mentions the object.
    fn references(&self, node: &str, attributes: &Attributes<'_>) -> bool {
        let info = attributes.info;
        let Some(pods) = self.cache.kind("pods") else {
            return false;
        };
        let index = pods
            .def
            .selectable_fields
            .iter()
            .position(|field| field.label == "spec.nodeName");
        let Some(index) = index else { return false };
        let prefix = format!("{}/", info.namespace);
        let snapshot = self.cache.snapshot(&pods);
        snapshot
            .objects
            .range::<_, Arc<str>>(Arc::from(prefix.as_str())..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(_, cached)| cached.encoded.field(index) == Some(node))
            .filter_map(|(_, cached)| cached.object().ok())
            .any(|pod| {
                pod.get(&["spec"])
                    .is_some_and(|spec| mentions(spec, &info.resource, &info.name))
            })
    }

    fn decide(&self, node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
        let info = attributes.info;
        let read = READ.contains(&info.verb.as_str());
        match (
            info.group.as_str(),
            info.resource_and_subresource().as_str(),
        ) {
            ("", "nodes" | "nodes/status") => {
                if info.name == node || (info.name.is_empty() && info.verb != "deletecollection") {
                    return Ok(());
                }
                Err("node is not allowed to modify other nodes".to_owned())
            }
            ("", "pods") if read || info.verb == "delete" => {
                let own = |part: &str| {
                    let value = part.strip_prefix("spec.nodeName=");
                    value.map(|value| value.strip_prefix('=').unwrap_or(value)) == Some(node)
                };
                if info.name.is_empty() && attributes.field_selector.split(',').any(own) {
                    return Ok(());
                }
                if !info.name.is_empty() && self.owns_pod(node, &info.namespace, &info.name) {
                    return Ok(());
                }
                Err(format!(
                    "no relationship found between node '{node}' and this object"
                ))
            }
            // Whatever the node says of a pod that is not its own finds no pod or is refused.
            ("", "pods/status") if self.owns_pod(node, &info.namespace, &info.name) => Ok(()),
            ("", "configmaps" | "secrets" | "serviceaccounts" | "serviceaccounts/token")
                if matches!(info.verb.as_str(), "get" | "create" | "list" | "watch")
                    && (info.verb != "create" || info.subresource == "token")
                    && self.references(node, attributes) =>
            {
                Ok(())
            }
            ("coordination.k8s.io", "leases")
                if info.namespace == "kube-node-lease"
                    && (info.name == node || info.verb == "create") =>
            {
                Ok(())
            }
            _ => Err(String::new()),
        }
    }
}

/// Whether a pod's spec names an object of a resource: as a field that carries its name.
fn mentions(value: &Value, resource: &str, name: &str) -> bool {
    let holders: &[&str] = match resource {
        "configmaps" => &["configMap", "configMapRef", "configMapKeyRef"],
        "secrets" => &["secret", "secretRef", "secretKeyRef", "imagePullSecrets"],
        _ => {
            let account = value.get("serviceAccountName").and_then(Value::as_str);
            return account == Some(name);
        }
    };
    let named = |value: &Value| {
        ["name", "secretName"]
            .iter()
            .any(|field| value.get(field).and_then(Value::as_str) == Some(name))
    };
    match value {
        Value::Object(map) => map.iter().any(|(field, inner)| {
            let held = holders.contains(&field.as_str())
                && match inner {
                    Value::Array(list) => list.iter().any(named),
                    other => named(other),
                };
            held || mentions_below(inner, resource, name)
        }),
        other => mentions_below(other, resource, name),
    }
}

fn mentions_below(value: &Value, resource: &str, name: &str) -> bool {
    match value {
        Value::Object(_) => mentions(value, resource, name),
        Value::Array(list) => list.iter().any(|item| mentions(item, resource, name)),
        _ => false,
    }
}

impl Authorizer for Nodes {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let user = attributes.user;
        let Some(node) = user.name.strip_prefix("system:node:") else {
            return Decision::NoOpinion(String::new());
        };
        if !user.is_in(GROUP_NODES) {
            return Decision::NoOpinion(String::new());
        }
        if allows(NODE_ANY, attributes) {
            return Decision::Allow(None);
        }
        match self.decide(node, attributes) {
            Ok(()) => Decision::Allow(None),
            Err(reason) => Decision::NoOpinion(reason),
        }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> Rules {
        if !user.name.starts_with("system:node:") || !user.is_in(GROUP_NODES) {
            return Rules::default();
        }
        Rules {
            error: "node authorizer does not support user rule resolution".to_owned(),
            ..Rules::default()
        }
    }
}
