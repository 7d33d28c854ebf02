//! Where containers mount volumes. Must not know what the volumes are.
//! Kubernetes: `pkg/apis/core/validation` ValidateVolumeMounts, ValidateVolumeDevices.

use crate::resources::validate::{At, Errors};
use std::collections::{BTreeMap, BTreeSet};

/// Names of a pod's volumes, and whether each is a claim that may be a block device.
pub(super) type Volumes<'v> = BTreeMap<&'v str, bool>;

/// The names of the volumes that are well-formed.
pub(super) fn volume_names<'v>(volumes: &At<'v, '_>) -> Volumes<'v> {
    let mut names = Volumes::new();
    for volume in volumes.items() {
        let claim = volume.field("persistentVolumeClaim").is_set();
        names.insert(
            volume.field("name").str(),
            claim || volume.field("ephemeral").is_set(),
        );
    }
    names
}

/// Checks `volumeMounts` and `volumeDevices` of a container.
pub(super) fn validate(container: &At<'_, '_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let (mounts, devices) = (
        container.field("volumeMounts"),
        container.field("volumeDevices"),
    );
    let text = |value: &serde_json::Value, field: &str| {
        let text = value.get(field).and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let device_paths: BTreeSet<String> = devices.values().map(|d| text(d, "devicePath")).collect();
    let mut seen = BTreeSet::new();
    for mount in mounts.items() {
        self::mount(container, &mount, volumes, errors);
        let path = mount.field("mountPath");
        if path.str().is_empty() {
            errors.required(&path, "");
        } else if !seen.insert(path.str()) {
            errors.invalid(&path, "must be unique");
        } else if device_paths.contains(path.str()) {
            errors.invalid(&path, "must not already exist as a path in volumeDevices");
        }
    }
    let mut seen_devices = BTreeSet::new();
    for device in devices.items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        match volumes.get(name.str()) {
            _ if name.str().is_empty() => errors.required(&name, ""),
            None => errors.not_found(&name),
            Some(false) => errors.invalid(
                &name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block \
                 mode",
            ),
            Some(true) => {}
        }
        if path.str().is_empty() {
            errors.required(&path, "");
        } else if seen.contains(path.str()) {
            errors.invalid(&path, "must not already exist as a path in volumeMounts");
        } else if !seen_devices.insert(path.str()) {
            errors.invalid(&path, "must be unique");
        }
    }
}

fn mount(container: &At<'_, '_>, mount: &At<'_, '_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let name = mount.field("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else if !volumes.contains_key(name.str()) {
        errors.not_found(&name);
    }
    let (path, expression) = (mount.field("subPath"), mount.field("subPathExpr"));
    if !path.str().is_empty() {
        local_path(&path, errors);
    }
    if !expression.str().is_empty() {
        if !path.str().is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&expression, detail);
        }
        local_path(&expression, errors);
    }
    let propagation = mount.field("mountPropagation");
    if propagation.is_set() {
        errors.one_of(&propagation, &["Bidirectional", "HostToContainer", "None"]);
        let security = container.field("securityContext");
        if propagation.str() == "Bidirectional" && !security.field("privileged").bool() {
            errors.forbidden(
                &propagation,
                "Bidirectional mount propagation is available only to privileged containers",
            );
        }
    }
    let recursive = mount.field("recursiveReadOnly");
    if recursive.is_set() {
        errors.one_of(&recursive, &["Disabled", "Enabled", "IfPossible"]);
        if recursive.str() != "Disabled" && !mount.field("readOnly").bool() {
            errors.forbidden(&recursive, "may only be specified when readOnly is true");
        }
    }
}

/// A path that stays below where it starts.
pub(super) fn local_path(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().starts_with('/') {
        errors.invalid(at, "must be a relative path");
    }
    no_back_steps(at, errors);
}

/// A path without `..`.
pub(super) fn no_back_steps(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().split('/').any(|part| part == "..") {
        errors.invalid(at, "must not contain '..'");
    }
}
