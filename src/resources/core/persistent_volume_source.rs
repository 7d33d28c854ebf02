//! Where the bytes of a PersistentVolume are: exactly one source, and what it needs. Must not know
//! how it is mounted.
//! Kubernetes: `pkg/apis/core/validation` ValidatePersistentVolumeSpec.

use crate::meta::{Object, names};
use crate::resources::core::pod::HOST_PATH_TYPES;
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};

/// The sources in Kubernetes' order, each with the fields it must have.
const SOURCES: &[(&str, &[&str])] = &[
    ("hostPath", &["path"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["monitors", "image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &["monitors"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &["volumeName"]),
    ("csi", &["driver", "volumeHandle"]),
];
/// Longest name of a CSI driver (bytes).
const DRIVER_MAX_BYTES: usize = 63;
/// References to secrets that a CSI volume may have.
const CSI_SECRETS: &[&str] = &[
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
];

/// Checks the source in a spec.
pub(super) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    let mut found = false;
    for (kind, required) in SOURCES {
        let at = spec.field(kind);
        if !at.is_set() {
            continue;
        }
        if found {
            errors.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        for field in *required {
            let field = at.field(field);
            if field.str().is_empty() && field.is_empty() && *kind != "csi" {
                errors.required(&field, "");
            }
        }
        source(kind, &at, errors);
        if *kind == "local" && !spec.field("nodeAffinity").is_set() {
            let detail = "Local volume requires node affinity";
            errors.required(&spec.field("nodeAffinity"), detail);
        }
    }
    if !found {
        errors.required(spec, "must specify a volume type");
    }
}

fn source(kind: &str, at: &At<'_, '_>, errors: &mut Errors) {
    let path = at.field("path");
    match kind {
        "hostPath" if !path.str().is_empty() => {
            no_back_steps(&path, errors);
            errors.one_of(&at.field("type"), HOST_PATH_TYPES);
        }
        "local" if !path.str().is_empty() => no_back_steps(&path, errors),
        "nfs" if !path.str().starts_with('/') => {
            errors.invalid_as(&path, path.str(), "must be an absolute path");
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let partition = at.field("partition");
            if !(0..=255).contains(&partition.number()) {
                errors.invalid(&partition, "must be between 1 and 255, inclusive");
            }
        }
        "azureDisk" => {
            let caching = at.field("cachingMode");
            errors.one_of(&caching, &["None", "ReadOnly", "ReadWrite"]);
            errors.one_of(&at.field("kind"), &["Dedicated", "Managed", "Shared"]);
        }
        "csi" => csi(at, errors),
        _ => {}
    }
}

fn no_back_steps(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().split('/').any(|part| part == "..") {
        errors.invalid(at, "must not contain '..'");
    }
}

/// Checks the name of a CSI driver.
pub(crate) fn driver(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    }
    if at.str().len() > DRIVER_MAX_BYTES {
        errors.too_long(at, DRIVER_MAX_BYTES);
    }
    if !at.str().is_empty() {
        let lower = at.str().to_lowercase();
        errors.invalid_all(at, names::dns1123_subdomain(&lower));
    }
}

fn csi(at: &At<'_, '_>, errors: &mut Errors) {
    driver(&at.field("driver"), errors);
    if at.field("volumeHandle").str().is_empty() {
        errors.required(&at.field("volumeHandle"), "");
    }
    for secret in CSI_SECRETS {
        let secret = at.field(secret);
        for field in ["name", "namespace"] {
            let field = secret.field(field);
            if secret.is_set() && field.str().is_empty() {
                errors.required(&field, "");
            }
        }
    }
}

/// The source of a volume.
pub(super) fn of(volume: &Object) -> Value {
    let spec = volume.get(&["spec"]).and_then(Value::as_object);
    let known = |name: &String| SOURCES.iter().any(|(kind, _)| kind == name);
    let fields = spec.into_iter().flatten().filter(|(name, _)| known(name));
    let fields: Map<String, Value> = fields.map(|(k, v)| (k.clone(), v.clone())).collect();
    Value::Object(fields)
}

/// The source that a volume had, with what an update may add: a secret to expand it with.
pub(super) fn of_before(old: &Object, new: &Object) -> Value {
    let mut source = of(old);
    let added = new.get(&["spec", "csi", "controllerExpandSecretRef"]);
    if let (Some(Value::Object(csi)), Some(added)) = (source.get_mut("csi"), added) {
        csi.entry("controllerExpandSecretRef")
            .or_insert_with(|| added.clone());
    }
    source
}

/// Sources that no longer work.
pub(super) fn warnings(spec: &At<'_, '_>) -> Vec<String> {
    let old = [
        ("photonPersistentDisk", "v1.11", "v1.16"),
        ("scaleIO", "v1.16", "v1.22"),
        ("storageos", "v1.22", "v1.25"),
        ("glusterfs", "v1.25", "v1.26"),
        ("cephfs", "v1.28", "v1.31"),
        ("rbd", "v1.28", "v1.31"),
    ];
    old.iter()
        .filter(|(kind, ..)| spec.field(kind).is_set())
        .map(|(kind, since, gone)| {
            format!("spec.{kind}: deprecated in {since}, non-functional in {gone}+")
        })
        .collect()
}
