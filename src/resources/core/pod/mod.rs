//! Pod: containers that share an address, and the kind that all others serve.

mod annotations;
mod columns;
mod containers;
pub mod defaults;
mod diff;
mod env;
mod gated;
mod hooks;
mod mounts;
mod probes;
mod qos;
mod resize;
pub(crate) mod resources;
mod restart;
pub(crate) mod scheduling;
mod security;
mod spec;
mod status;
pub mod sums;
mod update;
mod volumes;
mod warnings;

pub(crate) use diff::of as diff_of;
pub(crate) use probes::port as validate_port;
pub use qos::qos_class;
pub(crate) use scheduling::node_selector as validate_node_selector;
pub(crate) use spec::validate as validate_spec;
pub(crate) use volumes::HOST_PATH_TYPES;
pub(crate) use warnings::of as warnings_of;

use crate::meta::{FieldError, Object};
use crate::resources::def::{
    CONNECT_VERBS, FieldValue, PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource,
    Verb, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but, keep_all_but_status};
use crate::resources::validate::{At, Errors};
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Pod"),
    "PodList",
    ("pods", "pod"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Pod>(),
    &PodStrategy,
)
.short_names(const { &[text("po")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            Subresource::new("attach", "PodAttachOptions", CONNECT_VERBS),
            Subresource::new("binding", "Binding", &[Verb::Create]),
            Subresource::new("ephemeralcontainers", "Pod", PART_VERBS),
            Subresource::foreign("eviction", ("policy", "v1", "Eviction"), &[Verb::Create]),
            Subresource::new("exec", "PodExecOptions", CONNECT_VERBS),
            Subresource::new("log", "Pod", &[Verb::Get]),
            Subresource::new("portforward", "PodPortForwardOptions", CONNECT_VERBS),
            Subresource::new("proxy", "PodProxyOptions", PROXY_VERBS),
            Subresource::new("resize", "Pod", PART_VERBS),
            Subresource::new("status", "Pod", PART_VERBS),
        ]
    },
)
.columns(columns::COLUMNS, columns::row)
.selectable_fields(
    const {
        &[
            SelectableField::path("spec.nodeName"),
            SelectableField::path("spec.restartPolicy"),
            SelectableField::path("spec.schedulerName"),
            SelectableField::path("spec.serviceAccountName"),
            SelectableField {
                label: text("spec.hostNetwork"),
                value: FieldValue::Path(text("spec.hostNetwork"), text("false")),
            },
            SelectableField::path("status.phase"),
            SelectableField::path("status.podIP"),
            SelectableField::computed("status.podIPs", pod_ips),
            SelectableField::path("status.nominatedNodeName"),
        ]
    },
)
.example(r#"{"metadata":{"name":"example"},"spec":{"containers":[{"name":"c","image":"echo"}]}}"#);

fn pod_ips(pod: &Object) -> String {
    let list = pod.get(&["status", "podIPs"]).and_then(Value::as_array);
    let ips = list.into_iter().flatten();
    let texts: Vec<&str> = ips.filter_map(|ip| ip.get("ip")?.as_str()).collect();
    texts.join(",")
}

/// What a Pod does beyond its shape.
pub struct PodStrategy;

impl Strategy for PodStrategy {
    fn default(&self, pod: &mut Object) {
        defaults::default_pod(pod);
    }

    fn prepare_for_create(&self, pod: &mut Object) {
        let class = qos_class(pod.get(&["spec"]).unwrap_or(&Value::Null));
        pod.set(&["status"], json!({"phase": "Pending", "qosClass": class}));
        if has_gates(pod) {
            let condition = json!({
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            });
            pod.set(&["status", "conditions"], json!([condition]));
        }
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Status => {
                keep_all_but_status(new, old);
                // Kubernetes: the status endpoint does not touch owner references.
                match old.get(&["metadata", "ownerReferences"]) {
                    Some(owners) => new.set(&["metadata", "ownerReferences"], owners.clone()),
                    None => {
                        new.remove(&["metadata", "ownerReferences"]);
                    }
                }
                keep_qos_class(new, old);
            }
            Part::EphemeralContainers => {
                let added = new.get(&["spec", "ephemeralContainers"]).cloned();
                keep_all_but(new, old, &["metadata"]);
                if let Some(added) = added {
                    new.set(&["spec", "ephemeralContainers"], added);
                }
            }
            _ => {
                keep(new, old, "status");
                if has_gates(old) && !has_gates(new) {
                    drop_gated_condition(new);
                }
            }
        }
    }

    fn validate(&self, pod: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec::validate_pod(pod, &mut errors);
        let spec = At::of(pod, "spec");
        let ephemeral = spec.field("ephemeralContainers");
        if !ephemeral.is_empty() {
            errors.forbidden(&ephemeral, "cannot be set on create");
        }
        let node = spec.field("nodeName");
        if has_gates(pod) && !node.str().is_empty() {
            let detail = "cannot be set until all schedulingGates have been cleared";
            errors.forbidden(&node, detail);
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        // What has not changed was found right when it was written.
        if part != Part::Status && new.get(&["spec"]) != old.get(&["spec"]) {
            spec::validate_pod(new, &mut errors);
        } else {
            annotations::validate(new, &mut errors);
        }
        if part != Part::Resize {
            annotations::validate_update(new, old, &mut errors);
        }
        errors.0.extend(match part {
            Part::Status => status::validate(new, old),
            Part::EphemeralContainers => update::validate_ephemeral(new, old),
            Part::Resize => resize::validate(new, old),
            _ => update::validate(new, old),
        });
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        match old {
            Some(old) if old.get(&["spec"]) == new.get(&["spec"]) => Vec::new(),
            _ => warnings::of(&At::of(new, "spec"), &At::of(new, "metadata")),
        }
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn grace_seconds(&self, pod: &Object, requested: Option<i64>) -> Option<i64> {
        let own = pod.get(&["spec", "terminationGracePeriodSeconds"]);
        let seconds = requested.or(own.and_then(Value::as_i64)).unwrap_or(0);
        let unbound = pod.str_at(&["spec", "nodeName"]).is_empty();
        let ended = matches!(pod.str_at(&["status", "phase"]), "Failed" | "Succeeded");
        Some(match seconds {
            _ if unbound || ended => 0,
            // A negative period means the shortest that is graceful.
            i64::MIN..0 => 1,
            seconds => seconds,
        })
    }
}

fn has_gates(pod: &Object) -> bool {
    let gates = pod.get(&["spec", "schedulingGates"]);
    gates
        .and_then(Value::as_array)
        .is_some_and(|gates| !gates.is_empty())
}

/// The condition that says "gated" goes with the last gate.
fn drop_gated_condition(pod: &mut Object) {
    let Some(Value::Array(conditions)) = pod.get(&["status", "conditions"]).cloned() else {
        return;
    };
    let gated = |c: &Value| c.get("reason").and_then(Value::as_str) == Some("SchedulingGated");
    let kept: Vec<Value> = conditions.into_iter().filter(|c| !gated(c)).collect();
    if kept.is_empty() {
        pod.remove(&["status", "conditions"]);
    } else {
        pod.set(&["status", "conditions"], Value::Array(kept));
    }
}

/// The class is decided at creation; a status writer that leaves it out does not lose it.
fn keep_qos_class(new: &mut Object, old: &Object) {
    if new.str_at(&["status", "qosClass"]).is_empty()
        && let Some(class) = old.get(&["status", "qosClass"])
    {
        new.set(&["status", "qosClass"], class.clone());
    }
}
