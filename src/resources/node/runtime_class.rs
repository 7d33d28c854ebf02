//! RuntimeClass: what runs the containers of a pod.
//! Kubernetes: `pkg/apis/node/validation`.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::{resources, scheduling};
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, metadata};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("node.k8s.io", "v1", "RuntimeClass"),
    "RuntimeClassList",
    ("runtimeclasses", "runtimeclass"),
    SchemaSource::of::<k8s_openapi::api::node::v1::RuntimeClass>(),
    &RuntimeClassStrategy,
)
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Handler", "What a node calls the runtime."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"handler":"wasm"}"#);

/// What a RuntimeClass does beyond its shape.
pub struct RuntimeClassStrategy;

impl Strategy for RuntimeClassStrategy {
    /// Kubernetes: it is checked by the rules of apimachinery, which know no finalizers.
    fn has_standard_finalizers(&self) -> bool {
        false
    }

    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let handler = At::of(class, "handler");
        errors.invalid_all(&handler, names::dns1123_label(handler.str()));
        let overhead = At::of(class, "overhead");
        if overhead.is_set() {
            // They are checked as limits of a container, and told by that name.
            let limits = json!({ "limits": overhead.field("podFixed").value });
            resources::limits(&At::root(&limits, "overhead"), &mut errors);
        }
        let scheduling = At::of(class, "scheduling");
        metadata::labels(&scheduling.field("nodeSelector"), &mut errors);
        scheduling::tolerations(&scheduling.field("tolerations"), &mut errors);
        unique(&scheduling.field("tolerations"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        errors.immutable(&At::of(new, "handler"), At::of(old, "handler").value);
        errors.0
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// No two tolerations are the same.
fn unique(tolerations: &At<'_, '_>, errors: &mut Errors) {
    for (index, toleration) in tolerations.items().enumerate() {
        if tolerations
            .values()
            .take(index)
            .any(|other| other == toleration.value)
        {
            errors.duplicate(&toleration);
        }
    }
}

fn row(class: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(class.name()),
        json!(class.str_at(&["handler"])),
        columns::age(class, now),
    ]
}
