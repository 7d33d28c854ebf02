//! Volumes of a pod: exactly one source each, and what each source needs. Must not know how they
//! are made.
//! Kubernetes: `pkg/apis/core/validation` ValidateVolumes, validateVolumeSource.

use super::containers::required_one_of;
use super::env;
use super::mounts::{local_path, no_back_steps};
use crate::meta::names;
use crate::meta::quantity::Quantity;
use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// Largest mode of a file.
const MODE_MAX: i64 = 0o777;
const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// The fields that a source of this kind must have, all strings.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("nfs", &["server", "path"]),
    ("glusterfs", &["endpoints", "path"]),
    ("cephfs", &[]),
    ("cinder", &["volumeID"]),
    ("quobyte", &["registry", "volume"]),
    ("rbd", &["image"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureFile", &["secretName", "shareName"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("flexVolume", &["driver"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("secret", &["secretName"]),
    ("configMap", &["name"]),
    ("csi", &["driver"]),
    ("hostPath", &["path"]),
    ("image", &["reference"]),
];

/// Checks `volumes`.
pub(super) fn validate(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for volume in list.items() {
        let name = volume.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            let wrong = names::dns1123_label(name.str());
            if wrong.is_empty() && !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
            errors.invalid_all(&name, wrong);
        }
        sources(&volume, errors);
    }
}

fn sources(volume: &At<'_, '_>, errors: &mut Errors) {
    let mut found = false;
    for (kind, _) in volume.entries().filter(|(kind, _)| *kind != "name") {
        let at = volume.field(kind);
        if found {
            errors.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        source(kind, &at, errors);
    }
    if !found {
        errors.required(volume, "must specify a volume type");
    }
}

fn source(kind: &str, at: &At<'_, '_>, errors: &mut Errors) {
    let required = REQUIRED.iter().find(|(name, _)| *name == kind);
    for field in required.into_iter().flat_map(|(_, fields)| *fields) {
        let field = at.field(field);
        if field.str().is_empty() {
            errors.required(&field, "");
        }
    }
    match kind {
        "emptyDir" => {
            let limit = at.field("sizeLimit");
            let amount = Quantity::from_value(limit.value);
            if limit.is_set() && amount.is_ok_and(|amount| amount.is_negative()) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.forbidden(&limit, detail);
            }
        }
        "hostPath" => {
            no_back_steps(&at.field("path"), errors);
            errors.one_of(&at.field("type"), HOST_PATH_TYPES);
        }
        "nfs" if !at.field("path").str().starts_with('/') => {
            errors.invalid(&at.field("path"), "must be an absolute path");
        }
        "secret" | "configMap" => {
            mode(&at.field("defaultMode"), errors);
            items(&at.field("items"), errors);
        }
        "downwardAPI" => {
            mode(&at.field("defaultMode"), errors);
            downward(&at.field("items"), errors);
        }
        "projected" => {
            mode(&at.field("defaultMode"), errors);
            projections(at, errors);
        }
        "ephemeral" => {
            let template = at.field("volumeClaimTemplate");
            if !template.is_set() {
                errors.required(&template, "");
            }
        }
        "image" => {
            let policy = at.field("pullPolicy");
            required_one_of(&policy, &["Always", "IfNotPresent", "Never"], errors);
        }
        _ => {}
    }
}

fn mode(at: &At<'_, '_>, errors: &mut Errors) {
    if at.int().is_some_and(|mode| !(0..=MODE_MAX).contains(&mode)) {
        errors.invalid(
            at,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

fn items(list: &At<'_, '_>, errors: &mut Errors) {
    for item in list.items() {
        let (key, path) = (item.field("key"), item.field("path"));
        if key.str().is_empty() {
            errors.required(&key, "");
        }
        file_path(&path, errors);
        mode(&item.field("mode"), errors);
    }
}

/// Where a file stands in a volume.
fn file_path(path: &At<'_, '_>, errors: &mut Errors) {
    if path.str().is_empty() {
        errors.required(path, "");
        return;
    }
    local_path(path, errors);
    if path.str().starts_with("..") && path.str() != ".." && !path.str().starts_with("../") {
        errors.invalid(path, "must not start with '..'");
    }
}

fn downward(list: &At<'_, '_>, errors: &mut Errors) {
    for item in list.items() {
        file_path(&item.field("path"), errors);
        let (field, amount) = (item.field("fieldRef"), item.field("resourceFieldRef"));
        if field.is_set() {
            env::field_ref(&field, env::VOLUME_FIELDS, errors);
            if amount.is_set() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid_as(&item, "resource", detail);
            }
        } else if amount.is_set() {
            env::resource_ref(&amount, true, errors);
        } else {
            errors.required(&item, "one of fieldRef and resourceFieldRef is required");
        }
        mode(&item.field("mode"), errors);
    }
}

fn projections(projected: &At<'_, '_>, errors: &mut Errors) {
    let sources = projected.field("sources");
    let mut paths = BTreeSet::new();
    for source in sources.items() {
        let mut found = false;
        for (kind, _) in source.entries() {
            let at = source.field(kind);
            if found {
                errors.forbidden(&at, "may not specify more than 1 volume type per source");
                continue;
            }
            found = true;
            projection(kind, &at, errors);
            for path in projected_paths(kind, &at) {
                if !paths.insert(path) {
                    errors.invalid_as(&source, path, "conflicting duplicate paths");
                }
            }
        }
        if !found {
            errors.required(&source, "must specify a volume source type");
        }
    }
}

fn projection(kind: &str, at: &At<'_, '_>, errors: &mut Errors) {
    match kind {
        "secret" | "configMap" => {
            if at.field("name").str().is_empty() {
                errors.required(&at.field("name"), "");
            }
            items(&at.field("items"), errors);
        }
        "downwardAPI" => downward(&at.field("items"), errors),
        "serviceAccountToken" => {
            let seconds = at.field("expirationSeconds");
            match seconds.int() {
                Some(n) if n < 600 => {
                    errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
                }
                Some(n) if n > 1 << 32 => {
                    errors.invalid(
                        &seconds,
                        "may not specify a duration larger than 2^32 seconds",
                    );
                }
                _ => {}
            }
            file_path(&at.field("path"), errors);
        }
        _ => file_path_if_set(&at.field("path"), errors),
    }
}

fn file_path_if_set(path: &At<'_, '_>, errors: &mut Errors) {
    if !path.str().is_empty() {
        file_path(path, errors);
    }
}

fn projected_paths<'v>(kind: &str, at: &At<'v, '_>) -> Vec<&'v str> {
    let path = |value: &'v serde_json::Value| value.get("path").and_then(|p| p.as_str());
    match kind {
        "serviceAccountToken" | "clusterTrustBundle" => path(at.value).into_iter().collect(),
        _ => at.field("items").values().filter_map(path).collect(),
    }
}
