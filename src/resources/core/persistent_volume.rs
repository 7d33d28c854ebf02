//! PersistentVolume: storage that outlives pods.
//! Kubernetes: `pkg/apis/core/{v1,validation}`, `pkg/registry/core/persistentvolume`.

use super::persistent_volume_source as source;
use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, FieldErrorKind, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, default_source, set, set_null};
use crate::resources::core::pod::{diff_of, validate_node_selector};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "PersistentVolume"),
    "PersistentVolumeList",
    ("persistentvolumes", "persistentvolume"),
    SchemaSource::of::<k8s_openapi::api::core::v1::PersistentVolume>(),
    &PersistentVolumeStrategy,
)
.short_names(const { &[text("pv")] })
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "PersistentVolume", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Capacity", "The size of the volume."),
            Column::new("Access Modes", "How the volume can be mounted."),
            Column::new("Reclaim Policy", "What becomes of it after its claim."),
            Column::new("Status", "Whether the volume is claimed."),
            Column::new("Claim", "The claim that has the volume."),
            Column::new("StorageClass", "The class of the volume."),
            Column::new("VolumeAttributesClass", "The class of the volume's attributes."),
            Column::new("Reason", "Why the volume is in its state."),
            columns::age_column(),
            Column::wide("VolumeMode", "A file system or a block device."),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/tmp/x"}}}"#,
);

/// How a volume can be mounted, sorted as messages show them.
pub(super) const ACCESS_MODES: &[&str] = &[
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
/// What a volume can be.
pub(super) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
/// The older place of the name of a storage class.
pub(super) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const INLINE: &str = "may not be specified in the context of inline volumes";

/// What a PersistentVolume does beyond its shape.
pub struct PersistentVolumeStrategy;

impl Strategy for PersistentVolumeStrategy {
    fn default(&self, volume: &mut Object) {
        if let Some(status) = child(volume.fields_mut(), "status") {
            set(status, "phase", json!("Pending"));
        }
        if let Some(spec) = child(volume.fields_mut(), "spec") {
            set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
            set_null(spec, "volumeMode", json!("Filesystem"));
            default_source(spec);
        }
    }

    fn prepare_for_create(&self, volume: &mut Object) {
        let mut status = json!({"phase": "Pending"});
        let now = volume.get(&["metadata", "creationTimestamp"]).cloned();
        if let (Some(now), Value::Object(status)) = (now, &mut status) {
            status.insert("lastPhaseTransitionTime".to_owned(), now);
        }
        volume.set(&["status"], status);
    }

    fn validate(&self, volume: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_spec(&At::of(volume, "spec"), false, &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part != Part::Main {
            return Vec::new();
        }
        let mut errors = Errors(self.validate(new));
        let spec = At::of(new, "spec");
        let (now, before) = (source::of(new), source::of_before(old, new));
        if now != before {
            let path = "spec.persistentvolumesource";
            let detail = format!(
                "spec.persistentvolumesource is immutable after creation\n{}",
                diff_of(&before, &now)
            );
            errors.0.push(FieldError::forbidden(path, detail));
        }
        let before = |field: &str| old.get(&["spec", field]).unwrap_or(&Value::Null);
        // The paths are Kubernetes', without the spec.
        let mode = spec.field("volumeMode");
        errors.immutable(&At::root(mode.value, "volumeMode"), before("volumeMode"));
        let affinity = spec.field("nodeAffinity");
        if !before("nodeAffinity").is_null() {
            let at = At::root(affinity.value, "nodeAffinity");
            errors.immutable(&at, before("nodeAffinity"));
        }
        let class = spec.field("volumeAttributesClassName");
        if !before("volumeAttributesClassName").is_null() && !class.is_set() {
            errors.forbidden(&class, "update from non-nil value to nil is forbidden");
        }
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        if old.is_some_and(|old| old.get(&["spec"]) == new.get(&["spec"])) {
            return Vec::new();
        }
        warnings(new)
    }

    fn has_status(&self) -> bool {
        true
    }
}

/// Checks the spec of a volume, or of one that stands in a VolumeAttachment.
pub(crate) fn validate_spec(spec: &At<'_, '_>, inline: bool, errors: &mut Errors) {
    let (modes, capacity) = (spec.field("accessModes"), spec.field("capacity"));
    if inline {
        for at in [&spec.field("claimRef"), &capacity] {
            if at.is_set() {
                errors.forbidden(at, INLINE);
            }
        }
        if !spec.field("csi").is_set() {
            let detail = "has to be specified in the context of inline volumes";
            errors.required(&spec.field("csi"), detail);
        }
    }
    if modes.is_empty() {
        errors.required(&modes, "");
    }
    access_modes(&modes, errors);
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if !inline {
        self::capacity(&capacity, errors);
    }
    if inline {
        if !matches!(policy.str(), "" | "Retain") {
            let detail = "may only be Retain in the context of inline volumes";
            errors.forbidden(&policy, detail);
        }
    } else if !policy.str().is_empty() {
        errors.one_of(&policy, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = spec.field("nodeAffinity");
    if affinity.is_set() && inline {
        errors.forbidden(&affinity, INLINE);
    } else if affinity.is_set() {
        let required = affinity.field("required");
        if required.is_set() {
            validate_node_selector(&required, errors);
        } else {
            errors.required(&required, "must specify required node constraints");
        }
    }
    source::validate(spec, errors);
    classes(spec, inline, errors);
}

fn classes(spec: &At<'_, '_>, inline: bool, errors: &mut Errors) {
    let host_path = spec.field("hostPath");
    let policy = spec.field("persistentVolumeReclaimPolicy");
    let path = host_path.field("path").str();
    if !path.is_empty() && path.bytes().all(|b| b == b'/') && policy.str() == "Recycle" {
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = spec.field("storageClassName");
    if !class.str().is_empty() {
        if inline {
            errors.forbidden(&class, INLINE);
        } else {
            errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
        }
    }
    let mode = spec.field("volumeMode");
    if mode.is_set() && inline {
        if mode.str() != "Filesystem" {
            let detail = "may not specify volumeMode other than Filesystem in the context of \
                          inline volumes";
            errors.forbidden(&mode, detail);
        }
    } else if mode.is_set() {
        errors.one_of(&mode, VOLUME_MODES);
    }
    let class = spec.field("volumeAttributesClassName");
    if class.is_set() {
        if class.str().is_empty() {
            errors.required(&class, "an empty string is disallowed");
        } else {
            errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
        }
        if !spec.field("csi").is_set() {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.required(&spec.field("csi"), detail);
        }
    }
}

/// Checks access modes; the path does not say which of them is wrong.
pub(super) fn access_modes(modes: &At<'_, '_>, errors: &mut Errors) {
    let (mut alone, mut other) = (false, false);
    for mode in modes.items() {
        let known = ACCESS_MODES.contains(&mode.str());
        if !known {
            let path = modes.path();
            errors
                .0
                .push(FieldError::not_supported(path, mode.str(), ACCESS_MODES));
        }
        alone |= mode.str() == "ReadWriteOncePod";
        other |= known && mode.str() != "ReadWriteOncePod";
    }
    if alone && other {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.forbidden(modes, detail);
    }
}

fn capacity(capacity: &At<'_, '_>, errors: &mut Errors) {
    if capacity.is_empty() {
        errors.required(capacity, "");
    }
    if !capacity.field("storage").is_set() || capacity.len() > 1 {
        errors.0.push(FieldError::new(
            FieldErrorKind::NotSupported,
            capacity.path(),
            capacity.value.clone(),
            "supported values: \"storage\"",
        ));
    }
    for (name, value) in capacity.entries() {
        let at = capacity.key(name);
        let Ok(amount) = Quantity::from_value(value) else {
            continue;
        };
        if amount.is_negative() {
            errors.invalid_as(&at, amount.value(), "must be a valid resource quantity");
        }
        positive(&at, &amount, errors);
    }
}

/// Checks that an amount is more than nothing.
pub(super) fn positive(at: &At<'_, '_>, amount: &Quantity, errors: &mut Errors) {
    if amount.is_negative() || amount.is_zero() {
        errors.invalid_as(at, amount.to_string(), "must be greater than zero");
    }
}

/// Kubernetes: `pkg/api/persistentvolume` GetWarningsForPersistentVolume.
fn warnings(volume: &Object) -> Vec<String> {
    let mut warnings = Vec::new();
    for (annotation, instead) in [
        (CLASS_ANNOTATION, "storageClassName"),
        ("volume.beta.kubernetes.io/mount-options", "mountOptions"),
    ] {
        if volume.annotation(annotation).is_some() {
            let since = if instead == "mountOptions" {
                "v1.31"
            } else {
                "v1.8"
            };
            warnings.push(format!(
                "metadata.annotations[{annotation}]: deprecated since {since}; use \"{instead}\" \
                 attribute instead"
            ));
        }
    }
    let spec = At::of(volume, "spec");
    if spec.field("persistentVolumeReclaimPolicy").str() == "Recycle" {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. \
             Instead, the recommended approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    warnings.extend(fraction(&spec.field("capacity").key("storage")));
    warnings.extend(source::warnings(&spec));
    warnings
}

/// The warning about parts of bytes.
pub(super) fn fraction(at: &At<'_, '_>) -> Option<String> {
    let amount = Quantity::from_value(at.value).ok()?;
    (at.is_set() && !amount.is_integer()).then(|| {
        format!(
            "{}: fractional byte value {:?} is invalid, must be an integer",
            at.path(),
            at.str()
        )
    })
}

/// Access modes as a cell: each once, shortened, in Kubernetes' order.
pub(super) fn modes_cell(modes: &At<'_, '_>) -> String {
    let short: Vec<&str> = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .iter()
    .filter(|(mode, _)| modes.values().any(|one| one == mode))
    .map(|(_, short)| *short)
    .collect();
    short.join(",")
}

/// A text, or that there is none.
pub(super) fn or_unset<'v>(at: &At<'v, '_>) -> &'v str {
    if at.is_set() { at.str() } else { "<unset>" }
}

/// The name of an object's storage class.
pub(super) fn class_of(object: &Object) -> &str {
    object
        .annotation(CLASS_ANNOTATION)
        .unwrap_or_else(|| object.str_at(&["spec", "storageClassName"]))
}

/// The phase of an object, or that it is going.
pub(super) fn phase_of(object: &Object) -> &str {
    match object.deletion_timestamp() {
        Some(_) => "Terminating",
        None => object.str_at(&["status", "phase"]),
    }
}

/// Kubernetes: `pkg/printers/internalversion` printPersistentVolume.
fn row(volume: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(volume, "spec"), At::of(volume, "status"));
    let claim = spec.field("claimRef");
    let claim = if claim.is_set() {
        format!(
            "{}/{}",
            claim.field("namespace").str(),
            claim.field("name").str()
        )
    } else {
        String::new()
    };
    vec![
        json!(volume.name()),
        json!(spec.field("capacity").field("storage").str()),
        json!(modes_cell(&spec.field("accessModes"))),
        json!(spec.field("persistentVolumeReclaimPolicy").str()),
        json!(phase_of(volume)),
        json!(claim),
        json!(class_of(volume)),
        json!(or_unset(&spec.field("volumeAttributesClassName"))),
        json!(status.field("reason").str()),
        columns::age(volume, now),
        json!(or_unset(&spec.field("volumeMode"))),
    ]
}
