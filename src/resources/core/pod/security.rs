//! Security contexts of pods and containers. Must not know what a sandbox can enforce.
//! Kubernetes: `pkg/apis/core/validation` ValidateSecurityContext, ValidatePodSecurityContext.

use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// Largest user and group id.
const ID_MAX: i64 = i32::MAX as i64;
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
        "Localhost" if path.str().is_empty() => {
            errors.required(&path, "must be set when seccomp type is Localhost");
        }
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" => {
            if path.is_set() {
                errors.invalid(&path, "can only be set when seccomp type is Localhost");
            }
        }
        _ => errors.not_supported(&kind, PROFILES),
    }
}

fn app_armor(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (kind, path) = (at.field("type"), at.field("localhostProfile"));
    match kind.str() {
        "" => errors.required(&kind, "type is required when appArmorProfile is set"),
        "Localhost" if path.str().trim().is_empty() => {
            errors.required(&path, "must be set when AppArmor type is Localhost");
        }
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" => {
            if path.is_set() {
                errors.invalid(&path, "can only be set when AppArmor type is Localhost");
            }
        }
        _ => errors.not_supported(&kind, PROFILES),
    }
}

/// Checks `securityContext` of a container.
pub(super) fn validate_container(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    id(&at.field("runAsUser"), errors);
    id(&at.field("runAsGroup"), errors);
    let mount = at.field("procMount");
    if mount.is_set() {
        errors.one_of(&mount, &["Default", "Unmasked"]);
    }
    profile(&at.field("seccompProfile"), errors);
    app_armor(&at.field("appArmorProfile"), errors);
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
}

/// Checks `securityContext` of a pod.
pub(super) fn validate_pod(at: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        id(&at.field(field), errors);
    }
    for group in at.field("supplementalGroups").items() {
        id(&group, errors);
    }
    if spec.field("shareProcessNamespace").bool() && spec.field("hostPID").bool() {
        errors.invalid(
            &At::root(
                spec.field("shareProcessNamespace").value,
                "spec.shareProcessNamespace",
            ),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
    let mut seen = BTreeSet::new();
    for sysctl in at.field("sysctls").items() {
        let name = sysctl.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if name.str().len() > SYSCTL_MAX_BYTES || !is_sysctl(name.str()) {
            errors.invalid(
                &name,
                format!(
                    "must have at most {SYSCTL_MAX_BYTES} characters and match regex \
                     ^([a-z0-9][-_a-z0-9]*[a-z0-9]?[\\./])*[a-z0-9][-_a-z0-9]*[a-z0-9]?$"
                ),
            );
        } else if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
    for (field, supported) in [
        ("fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &["MountOption", "Recursive"]),
    ] {
        let field = at.field(field);
        if field.is_set() {
            errors.one_of(&field, supported);
        }
    }
    profile(&at.field("seccompProfile"), errors);
    app_armor(&at.field("appArmorProfile"), errors);
}

fn is_sysctl(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split(['.', '/']).all(|part| {
        part.bytes().next().is_some_and(plain)
            && part.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
    })
}
