//! PriorityClass: a name for how important a pod is.
//! Kubernetes: `pkg/apis/scheduling/validation`.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{set, set_null};
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("scheduling.k8s.io", "v1", "PriorityClass"),
    "PriorityClassList",
    ("priorityclasses", "priorityclass"),
    SchemaSource::of::<k8s_openapi::api::scheduling::v1::PriorityClass>(),
    &PriorityClassStrategy,
)
.short_names(const { &[text("pc")] })
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::integer("Value", "The priority of pods of the class."),
            Column::of(
                "boolean",
                "Global-Default",
                "Whether pods that name no class get this one.",
            ),
            columns::age_column(),
            Column::new("PreemptionPolicy", "Whether its pods displace others."),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"value":1000}"#);

/// Kubernetes' own classes and their values.
pub const SYSTEM_CLASSES: &[(&str, i64)] = &[
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];
/// The highest value that a user may give.
pub const USER_MAX: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
const POLICIES: &[&str] = &["PreemptLowerPriority", "Never"];

/// What a PriorityClass does beyond its shape.
pub struct PriorityClassStrategy;

impl Strategy for PriorityClassStrategy {
    fn default(&self, class: &mut Object) {
        let fields = class.fields_mut();
        set(fields, "preemptionPolicy", json!("PreemptLowerPriority"));
        set_null(fields, "value", json!(0));
        if fields.get("globalDefault") == Some(&Value::Bool(false)) {
            fields.remove("globalDefault");
        }
    }

    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let value = At::of(class, "value");
        if class.name().starts_with(SYSTEM_PREFIX) {
            if let Some(why) = no_system_class(class) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system \
                     use only. error: {why}"
                );
                errors.forbidden(&At::of(class, "metadata").field("name"), detail);
            }
        } else if value.number() > USER_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            errors.forbidden(&value, detail);
        }
        let policy = At::of(class, "preemptionPolicy");
        if policy.is_set() {
            errors.one_of(&policy, POLICIES);
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let value = At::of(new, "value");
        if value.number() != At::of(old, "value").number() {
            errors.forbidden(&value, "may not be changed in an update.");
        }
        let policy = At::of(new, "preemptionPolicy");
        errors.immutable(&policy, At::of(old, "preemptionPolicy").value);
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, _new: &Object, _old: &Object) -> bool {
        false
    }
}

/// Why a class is none of Kubernetes' own.
fn no_system_class(class: &Object) -> Option<String> {
    let name = class.name();
    let Some((_, value)) = SYSTEM_CLASSES.iter().find(|(own, _)| *own == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if At::of(class, "value").number() != *value {
        return Some(format!("value of {name} PriorityClass must be {value}"));
    }
    let default = At::of(class, "globalDefault").bool();
    default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

fn row(class: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(class.name()),
        json!(At::of(class, "value").number()),
        json!(At::of(class, "globalDefault").bool()),
        columns::age(class, now),
        json!(class.str_at(&["preemptionPolicy"])),
    ]
}
