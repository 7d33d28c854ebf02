//! Where containers mount volumes. Must not know what the volumes are.
//! Kubernetes: `pkg/apis/core/validation` ValidateVolumeMounts, ValidateVolumeDevices.

use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names of a pod's volumes that are well-formed, and whether each is a claim that may be a block
/// device.
pub(super) type Volumes<'v> = BTreeMap<&'v str, bool>;

/// Checks `volumeMounts` and `volumeDevices` of a container.
pub(super) fn validate(container: &At<'_, '_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let (mounts, devices) = (
        container.field("volumeMounts"),
        container.field("volumeDevices"),
    );
    let device_places = places(&devices, "devicePath");
    let mut seen = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.field("name"), mount.field("mountPath"));
        if name.str().is_empty() {
            errors.required(&name, "");
        }
        if !volumes.contains_key(name.str()) {
            errors.not_found(&name);
        }
        if path.str().is_empty() {
            errors.required(&path, "");
        }
        if !seen.insert(path.str()) {
            errors.invalid_as(&path, path.str(), "must be unique");
        }
        elsewhere(&name, &path, &device_places, "volumeDevices", errors);
        self::mount(container, &mounts, &mount, errors);
    }
    let mount_places = places(&mounts, "mountPath");
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in devices.items() {
        let (name, path) = (device.field("name"), device.field("devicePath"));
        if name.str().is_empty() {
            errors.required(&name, "");
        }
        if names.contains(name.str()) {
            errors.invalid_as(&name, name.str(), "must be unique");
        }
        match volumes.get(name.str()) {
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
        }
        if paths.contains(path.str()) {
            errors.invalid_as(&path, path.str(), "must be unique");
        }
        if steps_back(path.str()) {
            errors.invalid(&path, "can not contain backsteps ('..')");
        } else {
            paths.insert(path.str());
        }
        elsewhere(&name, &path, &mount_places, "volumeMounts", errors);
        if !name.str().is_empty() {
            names.insert(name.str());
        }
    }
}

/// What stands where: volume, path.
fn places<'v>(list: &At<'v, '_>, path: &str) -> BTreeMap<&'v str, &'v str> {
    let text = |value: &'v Value, field: &str| value.get(field).and_then(Value::as_str);
    list.values()
        .map(|one| {
            let name = text(one, "name").unwrap_or_default();
            (name, text(one, path).unwrap_or_default())
        })
        .collect()
}

/// A volume is a directory of a container, or a device of it.
fn elsewhere(
    name: &At<'_, '_>,
    path: &At<'_, '_>,
    others: &BTreeMap<&str, &str>,
    list: &str,
    errors: &mut Errors,
) {
    if others.contains_key(name.str()) {
        errors.invalid_as(
            name,
            name.str(),
            format!("must not already exist in {list}"),
        );
    }
    if others.values().any(|other| *other == path.str()) {
        let detail = format!("must not already exist as a path in {list}");
        errors.invalid_as(path, path.str(), detail);
    }
}

/// The rest of a mount. Kubernetes' paths of it do not say which mount is wrong.
fn mount(container: &At<'_, '_>, list: &At<'_, '_>, mount: &At<'_, '_>, errors: &mut Errors) {
    let root = list.path();
    let place = |field: &str| format!("{root}.{field}");
    let (path, expression) = (mount.field("subPath"), mount.field("subPathExpr"));
    if !path.str().is_empty() {
        local_path(&At::root(path.value, &place("subPath")), errors);
    }
    if !expression.str().is_empty() {
        if !path.str().is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&expression, detail);
        }
        local_path(&At::root(expression.value, &place("subPathExpr")), errors);
    }
    let propagation = place("mountPropagation");
    let propagation = At::root(mount.field("mountPropagation").value, &propagation);
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
    let recursive = place("recursiveReadOnly");
    let recursive = At::root(mount.field("recursiveReadOnly").value, &recursive);
    if !recursive.is_set() {
        return;
    }
    errors.one_of(&recursive, &["Disabled", "Enabled", "IfPossible"]);
    if matches!(recursive.str(), "Enabled" | "IfPossible") {
        if !mount.field("readOnly").bool() {
            errors.forbidden(&recursive, "may only be specified when readOnly is true");
        }
        if !matches!(propagation.str(), "" | "None") {
            let detail = "may only be specified when mountPropagation is None or not specified";
            errors.forbidden(&recursive, detail);
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
    if steps_back(at.str()) {
        errors.invalid(at, "must not contain '..'");
    }
}

fn steps_back(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}
