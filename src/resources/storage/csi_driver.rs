//! CSIDriver: what a storage driver can and wants.
//! Kubernetes: `pkg/apis/storage/{v1,validation}`, `pkg/registry/storage/csidriver`.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "CSIDriver"),
    "CSIDriverList",
    ("csidrivers", "csidriver"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::CSIDriver>(),
    &CsiDriverStrategy,
)
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::boolean("AttachRequired", "Whether volumes are attached first."),
            Column::boolean("PodInfoOnMount", "Whether the driver is told of the pod."),
            Column::boolean("StorageCapacity", "Whether the driver tells its capacity."),
            Column::new(
                "TokenRequests",
                "Audiences of the tokens that the driver gets.",
            ),
            Column::boolean("RequiresRepublish", "Whether volumes are published again."),
            Column::new("Modes", "The kinds of volumes that the driver has."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"spec":{}}"#);

/// Shortest and longest life of a token (seconds).
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
/// Shortest time between two looks at what a node can hold (seconds).
const UPDATE_SECONDS_MIN: i64 = 10;

/// What a CSIDriver does beyond its shape.
pub struct CsiDriverStrategy;

impl Strategy for CsiDriverStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, driver: &mut Object) {
        let Some(spec) = child(driver.fields_mut(), "spec") else {
            return;
        };
        set_null(spec, "attachRequired", json!(true));
        set_null(spec, "podInfoOnMount", json!(false));
        set_null(spec, "storageCapacity", json!(false));
        set_null(spec, "fsGroupPolicy", json!("ReadWriteOnceWithFSType"));
        let modes = spec.get("volumeLifecycleModes").and_then(Value::as_array);
        if modes.is_none_or(Vec::is_empty) {
            let modes = json!(["Persistent"]);
            spec.insert("volumeLifecycleModes".to_owned(), modes);
        }
        set_null(spec, "requiresRepublish", json!(false));
        set_null(spec, "seLinuxMount", json!(false));
    }

    fn validate(&self, driver: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(driver, "spec");
        // The first path is Kubernetes', not the field's.
        let attach = spec.field("attachRequired");
        if !attach.is_set() {
            errors.required(&spec.field("attachedRequired"), "");
        }
        for field in ["podInfoOnMount", "storageCapacity"] {
            if !spec.field(field).is_set() {
                errors.required(&spec.field(field), "");
            }
        }
        let policy = spec.field("fsGroupPolicy");
        if policy.is_set() {
            let policies = ["File", "None", "ReadWriteOnceWithFSType"];
            errors.one_of(&policy, &policies);
        }
        tokens(&spec.field("tokenRequests"), &mut errors);
        let modes = spec.field("volumeLifecycleModes");
        for mode in modes.items().map(|mode| mode.str()) {
            let known = ["Persistent", "Ephemeral"];
            if !known.contains(&mode) {
                let path = modes.path();
                errors.0.push(FieldError::not_supported(path, mode, &known));
            }
        }
        let period = spec.field("nodeAllocatableUpdatePeriodSeconds");
        if period.int().is_some_and(|n| n < UPDATE_SECONDS_MIN) {
            errors.invalid(&period, "must be greater than or equal to 10 seconds");
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(self.validate(new));
        let spec = At::of(new, "spec");
        for (field, path) in [
            ("attachRequired", "spec.attachedRequired"),
            ("volumeLifecycleModes", "spec.volumeLifecycleModes"),
        ] {
            let before = old.get(&["spec", field]).unwrap_or(&Value::Null);
            let at = spec.field(field);
            errors.immutable(&At::root(at.value, path), before);
        }
        errors.0
    }
}

fn tokens(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for request in list.items() {
        let audience = request.field("audience");
        if !seen.insert(audience.str()) {
            errors.duplicate_as(&audience, audience.str());
            continue;
        }
        let seconds = request.field("expirationSeconds");
        match seconds.int() {
            Some(n) if n < TOKEN_SECONDS_MIN => {
                errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            Some(n) if n > TOKEN_SECONDS_MAX => {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.invalid(&seconds, detail);
            }
            _ => {}
        }
    }
}

fn row(driver: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(driver, "spec");
    let tokens = spec.field("tokenRequests");
    let tokens: Vec<&str> = tokens
        .values()
        .map(|one| one.get("audience").and_then(Value::as_str))
        .map(Option::unwrap_or_default)
        .collect();
    let modes = spec.field("volumeLifecycleModes");
    let modes: Vec<&str> = modes.values().filter_map(Value::as_str).collect();
    let or = |list: Vec<&str>, none: &str| {
        if list.is_empty() {
            none.to_owned()
        } else {
            list.join(",")
        }
    };
    let attach = spec.field("attachRequired").value;
    vec![
        json!(driver.name()),
        json!(attach.as_bool().unwrap_or(true)),
        json!(spec.field("podInfoOnMount").bool()),
        json!(spec.field("storageCapacity").bool()),
        json!(or(tokens, "<unset>")),
        json!(spec.field("requiresRepublish").bool()),
        json!(or(modes, "<none>")),
        columns::age(driver, now),
    ]
}
