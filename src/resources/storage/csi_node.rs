//! CSINode: the storage drivers of a node.
//! Kubernetes: `pkg/apis/storage/validation`, `pkg/registry/storage/csinode`.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::persistent_volume_source::driver;
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "CSINode"),
    "CSINodeList",
    ("csinodes", "csinode"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::CSINode>(),
    &CsiNodeStrategy,
)
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::integer("Drivers", "How many drivers the node has."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"drivers":[{"name":"wkube.io","nodeID":"n"}]}}"#,
);

/// Longest name that a driver has for a node (bytes).
const NODE_ID_MAX_BYTES: usize = 256;

/// What a CSINode does beyond its shape.
pub struct CsiNodeStrategy;

impl Strategy for CsiNodeStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, node: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(node, "spec");
        let mut seen = BTreeSet::new();
        for one in spec.field("drivers").items() {
            let name = one.field("name");
            driver(&name, &mut errors);
            let id = one.field("nodeID");
            if id.str().is_empty() {
                errors.required(&id, "");
            }
            if id.str().len() > NODE_ID_MAX_BYTES {
                let detail = format!("must be {NODE_ID_MAX_BYTES} characters or less");
                errors.invalid(&id, detail);
            }
            errors.not_negative(&one.field("allocatable").field("count"));
            if !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
            let mut keys = BTreeSet::new();
            for key in one.field("topologyKeys").items().map(|key| key.str()) {
                if key.is_empty() {
                    errors.required(&one, "");
                }
                if !keys.insert(key) {
                    errors.duplicate_as(&one, key);
                }
                for detail in names::qualified_name(key) {
                    errors.invalid_as(&one, key, detail);
                }
            }
        }
        errors.0
    }

    /// A driver that stays changes nothing but how many volumes it can hold.
    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(self.validate(new));
        let fixed = |driver: &Value| {
            let mut driver = driver.clone();
            if let Value::Object(fields) = &mut driver {
                fields.remove("allocatable");
            }
            driver
        };
        let spec = At::of(new, "spec");
        let drivers = spec.field("drivers");
        let olds = old.get(&["spec", "drivers"]).and_then(Value::as_array);
        for before in olds.into_iter().flatten() {
            let same = drivers
                .values()
                .find(|new| new.get("name") == before.get("name"));
            if let Some(now) = same.map(&fixed)
                && now != fixed(before)
            {
                errors.invalid_as(&drivers, now, "field is immutable");
            }
        }
        errors.0
    }
}

fn row(node: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(node.name()),
        json!(At::of(node, "spec").field("drivers").len()),
        columns::age(node, now),
    ]
}
