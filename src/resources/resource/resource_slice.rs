//! ResourceSlice: devices that a driver has.
//! Kubernetes: `pkg/apis/resource/validation`, `pkg/registry/resource/resourceslice`.

use super::requests::label;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::persistent_volume_source::driver;
use crate::resources::core::pod::validate_node_selector;
use crate::resources::def::{Column, ResourceDef, SelectableField};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("resource.k8s.io", "v1", "ResourceSlice"),
    "ResourceSliceList",
    ("resourceslices", "resourceslice"),
    SchemaSource::of::<k8s_openapi::api::resource::v1::ResourceSlice>(),
    &ResourceSliceStrategy,
)
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Node", "The node that has the devices."),
            Column::new("Driver", "The driver of the devices."),
            Column::new("Pool", "The pool that the devices belong to."),
            columns::age_column(),
        ]
    },
    row,
)
.selectable_fields(
    const {
        &[
            SelectableField::path("spec.nodeName"),
            SelectableField::path("spec.driver"),
        ]
    },
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"driver":"d","allNodes":true,"pool":{"name":"p","generation":1,"resourceSliceCount":1}}}"#,
);

/// Longest name of a pool (bytes).
const POOL_MAX_BYTES: usize = 253;
/// Most devices of a slice; fewer if one of them has taints or consumes counters.
const DEVICES_MAX: usize = 128;
const TAINTED_DEVICES_MAX: usize = 64;
/// Ways to say which nodes have the devices.
const PLACES: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, \
                      `perDeviceNodeSelection` is required";

/// What a ResourceSlice does beyond its shape.
pub struct ResourceSliceStrategy;

impl Strategy for ResourceSliceStrategy {
    fn validate(&self, slice: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&At::of(slice, "spec"), None, &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&At::of(new, "spec"), Some(old), &mut errors);
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn spec(spec: &At<'_, '_>, old: Option<&Object>, errors: &mut Errors) {
    driver(&spec.field("driver"), errors);
    let pool = spec.field("pool");
    self::pool(&pool, errors);
    if let Some(old) = old {
        let before = |path: &[&str]| old.get(path).unwrap_or(&Value::Null);
        errors.immutable(&pool.field("name"), before(&["spec", "pool", "name"]));
        for field in ["driver", "nodeName"] {
            errors.immutable(&spec.field(field), before(&["spec", field]));
        }
    }
    places(spec, errors);
    let (devices, counters) = (spec.field("devices"), spec.field("sharedCounters"));
    if devices.is_set() && counters.is_set() {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.invalid_as(spec, "", detail);
    }
    let costly = |device: &Value| {
        let given = |field: &str| device.get(field).is_some_and(|list| !list.is_null());
        given("taints") || given("consumesCounters")
    };
    let max = if devices.values().any(costly) {
        TAINTED_DEVICES_MAX
    } else {
        DEVICES_MAX
    };
    if devices.len() > max {
        errors.too_many(&devices, max);
    }
    for list in [&devices, &counters] {
        let mut seen = BTreeSet::new();
        for one in list.items() {
            let name = one.field("name");
            label(&name, errors);
            if !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
        }
    }
    let by_device = spec.field("perDeviceNodeSelection").bool();
    for device in devices.items() {
        self::device(&device, by_device, errors);
    }
}

fn pool(pool: &At<'_, '_>, errors: &mut Errors) {
    let name = pool.field("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        if name.str().len() > POOL_MAX_BYTES {
            errors.too_long(&name, POOL_MAX_BYTES);
        }
        for part in name.str().split('/') {
            for detail in names::dns1123_subdomain(part) {
                errors.invalid_as(&name, part, detail);
            }
        }
    }
    let (count, generation) = (pool.field("resourceSliceCount"), pool.field("generation"));
    if count.number() <= 0 {
        errors.invalid_as(&count, count.number(), "must be greater than zero");
    }
    if generation.number() < 0 {
        errors.invalid(&generation, "must be greater than or equal to zero");
    }
}

fn places(spec: &At<'_, '_>, errors: &mut Errors) {
    let mut given = Vec::new();
    let node = spec.field("nodeName");
    if node.is_set() && node.str().is_empty() {
        let detail = "must be either unset or set to a non-empty string";
        errors.invalid(&node, detail);
    } else if node.is_set() {
        given.push("`nodeName`");
        errors.invalid_all(&node, names::dns1123_subdomain(node.str()));
    }
    let selector = spec.field("nodeSelector");
    if selector.is_set() {
        given.push("`nodeSelector`");
        validate_node_selector(&selector, errors);
        let terms = selector.field("nodeSelectorTerms");
        if terms.len() != 1 {
            errors.invalid(&terms, "must have exactly one node selector term");
        }
    }
    for (field, shown) in [
        ("allNodes", "`allNodes`"),
        ("perDeviceNodeSelection", "`perDeviceNodeSelection`"),
    ] {
        let at = spec.field(field);
        if at.bool() {
            given.push(shown);
        } else if at.is_set() {
            errors.invalid(&at, "must be either unset or set to true");
        }
    }
    match given.len() {
        0 => errors.required(spec, PLACES),
        1 => {}
        _ => {
            let value = format!("{{{}}}", given.join(", "));
            let detail = format!("{PLACES}, but multiple fields are set");
            errors.invalid_as(spec, value, detail);
        }
    }
}

fn device(device: &At<'_, '_>, by_device: bool, errors: &mut Errors) {
    for (name, _) in device.field("attributes").entries() {
        let attributes = device.field("attributes");
        let at = attributes.key(name);
        if at.len() != 1 {
            let shown = if at.is_empty() {
                json!("")
            } else {
                at.value.clone()
            };
            errors.invalid_as(&at, shown, "exactly one value must be specified");
        }
    }
    let places = ["nodeName", "nodeSelector", "allNodes"];
    let given = places
        .iter()
        .filter(|field| device.field(field).is_set())
        .count();
    if by_device && given == 0 {
        let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when \
                      `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        errors.required(device, detail);
    } else if !by_device && given > 0 {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if \
                      `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        errors.invalid_as(device, Value::Null, detail);
    }
}

fn row(slice: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(slice.name()),
        json!(slice.str_at(&["spec", "nodeName"])),
        json!(slice.str_at(&["spec", "driver"])),
        json!(slice.str_at(&["spec", "pool", "name"])),
        columns::age(slice, now),
    ]
}
