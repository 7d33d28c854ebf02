//! VolumeAttachment: a volume that is to be on a node.
//! Kubernetes: `pkg/apis/storage/validation`, `pkg/registry/storage/volumeattachment`.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::{persistent_volume, persistent_volume_source};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "VolumeAttachment"),
    "VolumeAttachmentList",
    ("volumeattachments", "volumeattachment"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::VolumeAttachment>(),
    &VolumeAttachmentStrategy,
)
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "VolumeAttachment", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::named("Attacher", "Who attaches the volume."),
            Column::new("PV", "The volume."),
            Column::new("Node", "The node."),
            Column::boolean("Attached", "Whether the volume is on the node."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"attacher":"wkube.io","nodeName":"n","source":{"persistentVolumeName":"pv"}}}"#,
);

/// What a driver tells about an attached volume, all together (bytes).
const METADATA_MAX_BYTES: usize = 256 * 1024;
/// Longest message of an error (bytes).
const MESSAGE_MAX_BYTES: usize = 1024;

/// What a VolumeAttachment does beyond its shape.
pub struct VolumeAttachmentStrategy;

impl Strategy for VolumeAttachmentStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_for_create(&self, attachment: &mut Object) {
        attachment.set(&["status"], json!({"attached": false}));
    }

    fn validate(&self, attachment: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        common(attachment, &mut errors);
        let spec = At::of(attachment, "spec");
        persistent_volume_source::driver(&spec.field("attacher"), &mut errors);
        let source = spec.field("source");
        let volume = source.field("persistentVolumeName");
        if volume.is_set() {
            errors.invalid_all(&volume, names::dns1123_subdomain(volume.str()));
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        common(new, &mut errors);
        let before = old.get(&["spec"]).unwrap_or(&Value::Null);
        errors.immutable(&At::of(new, "spec"), before);
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }
}

fn common(attachment: &Object, errors: &mut Errors) {
    let (spec, status) = (At::of(attachment, "spec"), At::of(attachment, "status"));
    let attacher = spec.field("attacher");
    if attacher.str().is_empty() {
        errors.required(&attacher, "");
    }
    let source = spec.field("source");
    let (inline, volume) = (
        source.field("inlineVolumeSpec"),
        source.field("persistentVolumeName"),
    );
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_set(), volume.is_set()) {
        (false, false) => errors.required(&source, one),
        (true, true) => errors.forbidden(&source, one),
        (false, true) if volume.str().is_empty() => {
            errors.required(&volume, "must specify non empty persistentVolumeName");
        }
        (true, false) => persistent_volume::validate_spec(&inline, true, errors),
        _ => {}
    }
    let node = spec.field("nodeName");
    errors.invalid_all(&node, names::dns1123_subdomain(node.str()));
    let metadata = status.field("attachmentMetadata");
    let entries = metadata.entries();
    let bytes: usize = entries
        .map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len())
        .sum();
    if bytes > METADATA_MAX_BYTES {
        errors.too_long(&metadata, METADATA_MAX_BYTES);
    }
    for error in ["attachError", "detachError"] {
        let error = status.field(error);
        let message = error.field("message");
        if message.str().len() > MESSAGE_MAX_BYTES {
            errors.too_long(&message, METADATA_MAX_BYTES);
        }
        let code = error.field("errorCode");
        if code.number() < 0 {
            errors.invalid(&code, "must be between 0 and 2147483647, inclusive");
        }
    }
}

fn row(attachment: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(attachment.name()),
        json!(attachment.str_at(&["spec", "attacher"])),
        json!(attachment.str_at(&["spec", "source", "persistentVolumeName"])),
        json!(attachment.str_at(&["spec", "nodeName"])),
        json!(At::of(attachment, "status").field("attached").bool()),
        columns::age(attachment, now),
    ]
}
