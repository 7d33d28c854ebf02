//! Security contexts of pods and containers. Must not know what a sandbox can enforce.
//! Kubernetes: `pkg/apis/core/validation` ValidateSecurityContext, ValidatePodSecurityContext.

use super::defaults::CONTAINER_LISTS;
use super::mounts::local_path;
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

/// Largest user and group id.
const ID_MAX: i64 = i32::MAX as i64;
/// Longest name of an AppArmor profile (bytes).
const PROFILE_MAX_BYTES: usize = 4095;
/// Longest sysctl name (bytes).
const SYSCTL_MAX_BYTES: usize = 253;
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn id(at: &At<'_, '_>, errors: &mut Errors) {
    if at.int().is_some_and(|n| !(0..=ID_MAX).contains(&n)) {
        errors.invalid(at, "must be between 0 and 2147483647, inclusive");
    }
}

fn profile(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (kind, path) = (at.field("type"), at.field("localhostProfile"));
    match kind.str() {
        "" => errors.required(&kind, "type is required when seccompProfile is set"),
        text if PROFILES.contains(&text) => {}
        _ => errors.not_supported(&kind, PROFILES),
    }
    match (kind.str(), path.is_set()) {
        ("Localhost", true) => local_path(&path, errors),
        ("Localhost", false) => {
            errors.required(&path, "must be set when seccomp type is Localhost");
        }
        (_, true) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.invalid_as(&path, at.value.clone(), detail);
        }
        (_, false) => {}
    }
}

fn app_armor(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (kind, path) = (at.field("type"), at.field("localhostProfile"));
    match kind.str() {
        "" => errors.required(&kind, "type is required when appArmorProfile is set"),
        "Localhost" => {
            let name = path.str();
            if name.trim() != name {
                errors.invalid(&path, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&path, "must be set when AppArmor type is Localhost");
            }
            if name.len() > PROFILE_MAX_BYTES {
                errors.too_long(&path, PROFILE_MAX_BYTES);
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if path.is_set() {
                errors.invalid(&path, "can only be set when AppArmor type is Localhost");
            }
        }
        _ => errors.not_supported(&kind, PROFILES),
    }
}

/// Checks `securityContext` of a container.
pub(super) fn validate_container(at: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    id(&at.field("runAsUser"), errors);
    id(&at.field("runAsGroup"), errors);
    let mount = at.field("procMount");
    if mount.is_set() {
        errors.one_of(&mount, &["Default", "Unmasked"]);
        if mount.str() == "Unmasked" && shares_users(spec) {
            errors.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    profile(&at.field("seccompProfile"), errors);
    let escalation = at.field("allowPrivilegeEscalation");
    if escalation.is_set() && !escalation.bool() {
        if at.field("privileged").bool() {
            errors.invalid(
                at,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            );
        }
        let capabilities = at.field("capabilities");
        let mut added = capabilities.field("add").values();
        if added.any(|one| one.as_str() == Some("CAP_SYS_ADMIN")) {
            errors.invalid(
                at,
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
                 CAP_SYS_ADMIN",
            );
        }
    }
    app_armor(&at.field("appArmorProfile"), errors);
}

/// Checks that a pod for Linux asks for nothing of Windows.
pub(super) fn linux(spec: &At<'_, '_>, errors: &mut Errors) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    let own = spec.field("securityContext");
    let own = own.field("windowsOptions");
    if own.is_set() {
        errors.forbidden(&own, DETAIL);
    }
    for list in CONTAINER_LISTS {
        let list = spec.field(list);
        for container in list.items() {
            let context = container.field("securityContext");
            let options = context.field("windowsOptions");
            if options.is_set() {
                errors.forbidden(&options, DETAIL);
            }
        }
    }
}

/// Whether the users of the pod are those of the host, as they are unless it says otherwise.
fn shares_users(spec: &At<'_, '_>) -> bool {
    spec.field("hostUsers").value != &Value::Bool(false)
}

/// Checks that a pod with users of its own has its own of the rest too.
pub(super) fn host_users(spec: &At<'_, '_>, errors: &mut Errors) {
    const DETAIL: &str = "when `hostUsers` is false";
    if shares_users(spec) {
        return;
    }
    // The paths are Kubernetes', capital letters and all.
    for (field, path) in [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ] {
        if spec.field(field).bool() {
            errors.forbidden(&spec.field(path), DETAIL);
        }
    }
    for list in CONTAINER_LISTS {
        let list = spec.field(list);
        for container in list.items() {
            let devices = container.field("volumeDevices");
            if !devices.is_empty() {
                errors.forbidden(&devices, DETAIL);
            }
        }
    }
}

/// Checks `securityContext` of a pod.
pub(super) fn validate_pod(at: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&at.field(field), errors);
    }
    for group in at.field("supplementalGroups").items() {
        id(&group, errors);
    }
    let share = spec.field("shareProcessNamespace");
    if share.bool() && spec.field("hostPID").bool() {
        errors.invalid_as(
            &at.field("shareProcessNamespace"),
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
    sysctls(&at.field("sysctls"), spec, errors);
    changes(at, &["fsGroupChangePolicy"], errors);
    profile(&at.field("seccompProfile"), errors);
    app_armor(&at.field("appArmorProfile"), errors);
    changes(
        at,
        &["supplementalGroupsPolicy", "seLinuxChangePolicy"],
        errors,
    );
}

fn changes(at: &At<'_, '_>, fields: &[&str], errors: &mut Errors) {
    for name in fields {
        let field = at.field(name);
        let supported = match *name {
            "fsGroupChangePolicy" => ["Always", "OnRootMismatch"],
            "supplementalGroupsPolicy" => ["Merge", "Strict"],
            _ => ["MountOption", "Recursive"],
        };
        if field.is_set() {
            errors.one_of(&field, &supported);
        }
    }
}

fn sysctls(list: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for sysctl in list.items() {
        let name = sysctl.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if name.str().len() > SYSCTL_MAX_BYTES || !is_sysctl(name.str()) {
            errors.invalid(
                &name,
                format!(
                    "must have at most {SYSCTL_MAX_BYTES} characters and match regex \
                     ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
                ),
            );
        } else if seen.contains(name.str()) {
            errors.duplicate(&name);
        }
        seen.insert(name.str());
        let dotted = name.str().replace('/', ".");
        let of_network = dotted.starts_with("net.");
        let of_ipc = dotted.starts_with("fs.mqueue.")
            || dotted.starts_with("kernel.shm")
            || dotted.starts_with("kernel.msg")
            || dotted == "kernel.sem";
        for (field, is_of) in [("hostNetwork", of_network), ("hostIPC", of_ipc)] {
            if is_of && spec.field(field).bool() {
                errors.invalid(
                    &name,
                    format!("may not be specified when '{field}' is true"),
                );
            }
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split(['.', '/']).all(|part| {
        part.bytes().next().is_some_and(plain)
            && part.bytes().next_back().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
    })
}
