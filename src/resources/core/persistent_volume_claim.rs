//! PersistentVolumeClaim: storage that somebody asks for.
//! Kubernetes: `pkg/apis/core/{v1,validation}`, `pkg/registry/core/persistentvolumeclaim`.

use super::persistent_volume::{
    CLASS_ANNOTATION, VOLUME_MODES, access_modes, class_of, fraction, modes_cell, or_unset,
    phase_of, positive,
};
use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set, set_null};
use crate::resources::core::pod::diff_of;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, selector};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "PersistentVolumeClaim"),
    "PersistentVolumeClaimList",
    ("persistentvolumeclaims", "persistentvolumeclaim"),
    SchemaSource::of::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(),
    &PersistentVolumeClaimStrategy,
)
.short_names(const { &[text("pvc")] })
.subresources(const { &[Subresource::new("status", "PersistentVolumeClaim", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Status", "Whether the claim has a volume."),
            Column::new("Volume", "The volume that the claim has."),
            Column::new("Capacity", "The size of the volume."),
            Column::new("Access Modes", "How the volume can be mounted."),
            Column::new("StorageClass", "The class that is asked for."),
            Column::new("VolumeAttributesClass", "The class of the volume's attributes."),
            columns::age_column(),
            Column::wide("VolumeMode", "A file system or a block device."),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#,
);

/// What a PersistentVolumeClaim does beyond its shape.
pub struct PersistentVolumeClaimStrategy;

impl Strategy for PersistentVolumeClaimStrategy {
    fn default(&self, claim: &mut Object) {
        default_claim(claim.fields_mut());
    }

    fn prepare_for_create(&self, claim: &mut Object) {
        claim.set(&["status"], json!({"phase": "Pending"}));
        drop_sources(claim, None);
        same_sources(claim);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        use crate::resources::strategy::{keep, keep_all_but_status};
        if part == Part::Main {
            keep(new, old, "status");
            drop_sources(new, Some(old));
            same_sources(new);
        } else {
            keep_all_but_status(new, old);
        }
    }

    fn validate(&self, claim: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&At::of(claim, "spec"), &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Main {
            errors.0.extend(self.validate(new));
            changes(new, old, &mut errors);
        } else {
            let status = At::of(new, "status");
            for list in ["capacity", "allocatedResources"] {
                let list = status.field(list);
                for (name, value) in list.entries() {
                    let amount = Quantity::from_value(value);
                    if let Ok(amount) = amount.as_ref()
                        && amount.is_negative()
                    {
                        let detail = "must be a valid resource quantity";
                        errors.invalid_as(&list.key(name), amount.value(), detail);
                    }
                }
            }
        }
        errors.0
    }

    fn warnings(&self, new: &Object, _old: Option<&Object>) -> Vec<String> {
        let mut warnings = Vec::new();
        if new.annotation(CLASS_ANNOTATION).is_some() {
            warnings.push(format!(
                "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \
                 \"storageClassName\" attribute instead"
            ));
        }
        let spec = At::of(new, "spec");
        let resources = spec.field("resources");
        for list in ["requests", "limits"] {
            warnings.extend(fraction(&resources.field(list).key("storage")));
        }
        warnings
    }

    fn has_status(&self) -> bool {
        true
    }
}

/// Defaults of a claim, or of a template of claims.
pub fn default_claim(claim: &mut Map<String, Value>) {
    if let Some(status) = child(claim, "status") {
        set(status, "phase", json!("Pending"));
    }
    if let Some(spec) = child(claim, "spec") {
        set_null(spec, "volumeMode", json!("Filesystem"));
    }
}

/// What a claim may be filled from by `dataSource`: another claim, or a snapshot. Anything else is
/// dropped, as it was before there was a `dataSourceRef`; and so is a source in another namespace,
/// which is not offered. Kubernetes: `pkg/api/persistentvolumeclaim` DropDisabledFields,
/// EnforceDataSourceBackwardsCompatibility.
fn drop_sources(claim: &mut Object, old: Option<&Object>) {
    let (source, reference) = (["spec", "dataSource"], ["spec", "dataSourceRef"]);
    let uses = |path: &[&str]| old.is_some_and(|old| old.get(path).is_some());
    let elsewhere = claim.str_at(&["spec", "dataSourceRef", "namespace"]);
    if !elsewhere.is_empty() && !uses(&reference) {
        claim.remove(&reference);
    }
    if uses(&source) || claim.get(&reference).is_some() {
        return;
    }
    let of = |field: &str| claim.str_at(&["spec", "dataSource", field]).to_owned();
    let known = [
        ("", "PersistentVolumeClaim"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    ];
    let (group, kind) = (of("apiGroup"), of("kind"));
    if !known.contains(&(group.as_str(), kind.as_str())) {
        claim.remove(&source);
    }
}

/// `dataSource` and `dataSourceRef` say the same, unless the latter names a namespace.
fn same_sources(claim: &mut Object) {
    let (old, new) = (["spec", "dataSource"], ["spec", "dataSourceRef"]);
    match (claim.get(&old).cloned(), claim.get(&new).cloned()) {
        (Some(source), None) => claim.set(&new, source),
        (None, Some(source)) => {
            let namespace = source.get("namespace").and_then(Value::as_str);
            if namespace.unwrap_or_default().is_empty() {
                claim.set(&old, source);
            }
        }
        _ => {}
    }
}

/// Checks the spec of a claim, or of a template of claims.
pub(crate) fn spec(spec: &At<'_, '_>, errors: &mut Errors) {
    let modes = spec.field("accessModes");
    if modes.is_empty() {
        errors.required(&modes, "at least 1 access mode is required");
    }
    selector::label_selector(&spec.field("selector"), errors);
    access_modes(&modes, errors);
    let resources = spec.field("resources");
    let requests = resources.field("requests");
    let at = resources.key("storage");
    let storage = requests.field("storage");
    match Quantity::from_value(storage.value) {
        Ok(amount) if storage.is_set() => positive(&at, &amount, errors),
        _ => errors.required(&at, ""),
    }
    let class = spec.field("storageClassName");
    if !class.str().is_empty() {
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
    }
    let mode = spec.field("volumeMode");
    if mode.is_set() {
        errors.one_of(&mode, VOLUME_MODES);
    }
    sources(spec, errors);
    let class = spec.field("volumeAttributesClassName");
    if !class.str().is_empty() {
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
    }
}

fn sources(spec: &At<'_, '_>, errors: &mut Errors) {
    let (old, new) = (spec.field("dataSource"), spec.field("dataSourceRef"));
    for source in [&old, &new].into_iter().filter(|source| source.is_set()) {
        for field in ["name", "kind"] {
            if source.field(field).str().is_empty() {
                errors.required(&source.field(field), "");
            }
        }
        let (group, kind) = (source.field("apiGroup"), source.field("kind"));
        if group.str().is_empty() && kind.str() != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.invalid_as(source, kind.str(), detail);
        }
        if !group.str().is_empty() {
            errors.invalid_all(&group, names::dns1123_subdomain(group.str()));
        }
        let namespace = source.field("namespace");
        if !namespace.str().is_empty() {
            errors.invalid_all(&namespace, names::dns1123_label(namespace.str()));
        }
    }
    if !old.is_set() || !new.is_set() {
        return;
    }
    let same = |field: &str| old.field(field).value == new.field(field).value;
    if !new.field("namespace").str().is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        errors.invalid_as(spec, old.path(), detail);
    } else if !["apiGroup", "kind", "name"].into_iter().all(same) {
        errors.invalid_as(spec, old.path(), "must match dataSourceRef");
    }
}

fn changes(new: &Object, old: &Object, errors: &mut Errors) {
    let (now, before) = (
        new.annotation(CLASS_ANNOTATION),
        old.annotation(CLASS_ANNOTATION),
    );
    let class = |claim: &Object| claim.get(&["spec", "storageClassName"]).cloned();
    let (class_now, class_before) = (class(new), class(old));
    let may_name_class = class_before.is_none()
        && class_now.is_some()
        && before.is_none_or(|name| class_now == Some(json!(name)));
    let moved = may_name_class && before.is_some() && (now.is_none() || now == before);
    if now != before && !moved {
        let path = format!("metadata.annotations[{CLASS_ANNOTATION}]");
        let value = now.unwrap_or_default();
        errors
            .0
            .push(FieldError::invalid(path, value, "field is immutable"));
    }
    let mut was = old.clone();
    let mut take = |path: &[&str]| match new.get(path) {
        Some(value) => was.set(path, value.clone()),
        None => {
            was.remove(path);
        }
    };
    if old.str_at(&["spec", "volumeName"]).is_empty() {
        take(&["spec", "volumeName"]);
    }
    if may_name_class {
        take(&["spec", "storageClassName"]);
    }
    let size = ["spec", "resources", "requests", "storage"];
    if new.str_at(&["status", "phase"]) == "Bound" && new.get(&size).is_some() {
        take(&size);
    }
    let attributes = ["spec", "volumeAttributesClassName"];
    take(&attributes);
    let spec = At::of(new, "spec");
    let masked = was.get(&["spec"]).unwrap_or(&Value::Null);
    if spec.value != masked {
        let detail = format!(
            "spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims\n{}",
            diff_of(masked, spec.value)
        );
        errors.forbidden(&spec, detail);
    }
    let amount = |claim: &Object, path: &[&str]| {
        let value = claim.get(path).unwrap_or(&Value::Null);
        Quantity::from_value(value).unwrap_or_else(|_| Quantity::from_millis(0))
    };
    let wanted = amount(new, &size);
    let shrinks = wanted < amount(old, &size);
    if shrinks && wanted <= amount(old, &["status", "capacity", "storage"]) {
        let path = "spec.resources.requests.storage";
        let detail = "field can not be less than status.capacity";
        errors.0.push(FieldError::forbidden(path, detail));
    }
    let mode = spec.field("volumeMode");
    let before = old.get(&["spec", "volumeMode"]).unwrap_or(&Value::Null);
    errors.immutable(&At::root(mode.value, "volumeMode"), before);
    let class = spec.field("volumeAttributesClassName");
    if old.get(&attributes).is_some() {
        if !class.is_set() {
            errors.forbidden(&class, "update from non-nil value to nil is forbidden");
        } else if class.str().is_empty() {
            let detail = "update from non-nil value to an empty string is forbidden";
            errors.forbidden(&class, detail);
        }
    }
}

/// Kubernetes: `pkg/printers/internalversion` printPersistentVolumeClaim.
fn row(claim: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(claim, "spec"), At::of(claim, "status"));
    let volume = spec.field("volumeName").str();
    let (capacity, modes) = if volume.is_empty() {
        ("", String::new())
    } else {
        (
            status.field("capacity").field("storage").str(),
            modes_cell(&status.field("accessModes")),
        )
    };
    vec![
        json!(claim.name()),
        json!(phase_of(claim)),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(class_of(claim)),
        json!(or_unset(&spec.field("volumeAttributesClassName"))),
        columns::age(claim, now),
        json!(or_unset(&spec.field("volumeMode"))),
    ]
}
