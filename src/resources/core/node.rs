//! Node: a machine, here most often a virtual one, that runs pods.

use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{
    Column, FieldValue, PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status};
use crate::resources::validate::{At, Errors, ip};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Node"),
    "NodeList",
    ("nodes", "node"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Node>(),
    &NodeStrategy,
)
.short_names(const { &[text("no")] })
.cluster_scoped()
.subresources(
    const {
        &[
            Subresource::new("proxy", "NodeProxyOptions", PROXY_VERBS),
            Subresource::new("status", "Node", PART_VERBS),
        ]
    },
)
.columns(COLUMNS, row)
.selectable_fields(
    const {
        &[SelectableField {
            label: text("spec.unschedulable"),
            value: FieldValue::Path(text("spec.unschedulable"), text("false")),
        }]
    },
)
.example(r#"{"metadata":{"name":"example"}}"#);

/// What a Node does beyond its shape.
pub struct NodeStrategy;

impl Strategy for NodeStrategy {
    /// `capacity` is what there is; `allocatable` is all of it unless said otherwise.
    fn default(&self, node: &mut Object) {
        if node.get(&["status", "allocatable"]).is_none()
            && let Some(capacity) = node.get(&["status", "capacity"]).cloned()
        {
            node.set(&["status", "allocatable"], capacity);
        }
        if node.get(&["spec"]).is_none() {
            node.set(&["spec"], json!({}));
        }
        let cidr = node.str_at(&["spec", "podCIDR"]).to_owned();
        if !cidr.is_empty() && node.get(&["spec", "podCIDRs"]).is_none() {
            node.set(&["spec", "podCIDRs"], json!([cidr]));
        }
    }

    /// Kubernetes: a node may come with its status, as kubelets register themselves.
    fn prepare_for_create(&self, node: &mut Object) {
        node.remove(&["spec", "configSource"]);
        node.remove(&["status", "config"]);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main => keep(new, old, "status"),
            _ => keep_all_but_status(new, old),
        }
        if old.get(&["spec", "configSource"]).is_none() {
            new.remove(&["spec", "configSource"]);
        }
    }

    fn validate(&self, node: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, status) = (At::of(node, "spec"), At::of(node, "status"));
        // Kubernetes names the taints as if they were metadata.
        let spec_taints = spec.field("taints");
        taints(&At::root(spec_taints.value, "metadata.taints"), &mut errors);
        for list in ["capacity", "allocatable"] {
            let list = status.field(list);
            for (name, value) in list.entries() {
                let negative = Quantity::from_value(value).is_ok_and(|q| q.is_negative());
                if negative {
                    let detail = "must be greater than or equal to 0";
                    errors.invalid(&list.key(name), detail);
                }
            }
        }
        let mut seen = BTreeSet::new();
        for address in status.field("addresses").items() {
            let pair = (address.field("type").str(), address.field("address").str());
            if !seen.insert(pair) {
                errors.duplicate(&address);
            }
        }
        let cidrs = spec.field("podCIDRs");
        for cidr in cidrs.items() {
            ip::cidr(&cidr, &mut errors);
        }
        if cidrs.len() > 2 {
            let detail = "may specify no more than one CIDR for each IP family";
            errors.invalid(&cidrs, detail);
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(self.validate(new));
        let spec = At::of(new, "spec");
        if part == Part::Main {
            for (field, detail) in [
                (
                    "podCIDRs",
                    "node updates may not change podCIDR except from \"\" to valid",
                ),
                (
                    "providerID",
                    "node updates may not change providerID except from \"\" to valid",
                ),
            ] {
                let old = old.get(&["spec", field]).unwrap_or(&Value::Null);
                let empty = old.is_null() || *old == json!("");
                if !empty && spec.field(field).value != old {
                    errors.forbidden(&spec.field(field), detail);
                }
            }
        }
        errors.0
    }

    fn warnings(&self, node: &Object, _old: Option<&Object>) -> Vec<String> {
        let mut warnings = Vec::new();
        if node.get(&["spec", "configSource"]).is_some() {
            warnings.push("spec.configSource: the feature is removed".to_owned());
        }
        if !node.str_at(&["spec", "externalID"]).is_empty() {
            let words = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
            warnings.push(words.to_owned());
        }
        warnings
    }

    fn has_status(&self) -> bool {
        true
    }
}

/// In Kubernetes' order.
const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks taints: key, value, effect, and each key and effect once.
fn taints(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for taint in list.items() {
        let (key, value) = (taint.field("key"), taint.field("value"));
        let effect = taint.field("effect");
        errors.invalid_all(&key, names::qualified_name(key.str()));
        errors.invalid_all(&value, names::label_value(value.str()));
        if effect.str().is_empty() {
            errors.required(&effect, "");
        } else {
            errors.one_of(&effect, TAINT_EFFECTS);
        }
        if !seen.insert((key.str(), effect.str())) {
            let mut error = FieldError::duplicate(taint.path(), taint.value.clone());
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            errors.0.push(error);
        }
    }
}

const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Status", "The status of the node."),
    Column::new("Roles", "The roles of the node."),
    columns::age_column(),
    Column::new("Version", "The version of the kubelet on the node."),
    Column::wide("Internal-IP", "The address of the node within the cluster."),
    Column::wide("External-IP", "The address of the node from outside."),
    Column::wide("OS-Image", "The operating system of the node."),
    Column::wide("Kernel-Version", "The kernel of the node."),
    Column::wide("Container-Runtime", "The container runtime of the node."),
];

/// Kubernetes: `pkg/printers/internalversion` printNode.
fn row(node: &Object, now: Timestamp) -> Vec<Value> {
    let info = |name: &str| match node.str_at(&["status", "nodeInfo", name]) {
        "" => json!("<unknown>"),
        text => json!(text),
    };
    vec![
        json!(node.name()),
        json!(status(node)),
        json!(roles(node)),
        columns::age(node, now),
        json!(node.str_at(&["status", "nodeInfo", "kubeletVersion"])),
        json!(address(node, "InternalIP")),
        json!(address(node, "ExternalIP")),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn status(node: &Object) -> String {
    let conditions = At::of(node, "status");
    let conditions = conditions.field("conditions");
    let mut ready = conditions
        .items()
        .filter(|c| c.field("type").str() == "Ready");
    let mut words = vec![match ready.next().map(|c| c.field("status").str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if node.get(&["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

fn roles(node: &Object) -> String {
    let metadata = At::of(node, "metadata");
    let mut roles = BTreeSet::new();
    for (key, value) in metadata.field("labels").entries() {
        if let Some(role) = key.strip_prefix("node-role.kubernetes.io/") {
            roles.insert(role);
        } else if key == "kubernetes.io/role" {
            roles.insert(value.as_str().unwrap_or_default());
        }
    }
    roles.remove("");
    if roles.is_empty() {
        return "<none>".to_owned();
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address<'a>(node: &'a Object, kind: &str) -> &'a str {
    let list = node.get(&["status", "addresses"]).and_then(Value::as_array);
    let mut addresses = list.into_iter().flatten();
    let found = addresses.find(|a| a.get("type").and_then(Value::as_str) == Some(kind));
    let address = found.and_then(|a| a.get("address")?.as_str());
    address.unwrap_or("<none>")
}
