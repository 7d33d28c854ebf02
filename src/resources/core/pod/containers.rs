//! Containers of every kind in a pod: names, images, ports, what init and ephemeral containers may
//! not have. Must not know how they run.
//! Kubernetes: `pkg/apis/core/validation` validateContainers and its neighbours.

use super::{env, hooks, mounts, resources, restart, security};
use crate::meta::{FieldError, names};
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

const NO_INIT_FIELD: &str = "may not be set for init containers without restartPolicy=Always";
const NO_EPHEMERAL_FIELD: &str = "cannot be set for an Ephemeral Container";
const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
/// Fields that an ephemeral container may not have, in the order of the type.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];
/// Fields that an init container may have only if it is a sidecar.
const NOT_INIT: &[&str] = &[
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
];

/// Checks all containers of a pod spec.
pub(super) fn validate(spec: &At<'_, '_>, volumes: &mounts::Volumes<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    let containers = spec.field("containers");
    if containers.is_empty() {
        errors.required(&containers, "");
    }
    for container in containers.items() {
        common(&container, spec, volumes, errors);
        name(&container, &mut seen, errors);
        hooks::validate(&container, spec, errors);
        restart::validate(&container, errors);
    }
    let mut taken = BTreeSet::new();
    for container in containers.items() {
        host_ports(&container, &container.path(), &mut taken, errors);
    }
    let init = spec.field("initContainers");
    // Kubernetes tells a clash of ports within an init container as of the first one.
    let first = format!("{}[0]", init.path());
    for container in init.items() {
        common(&container, spec, volumes, errors);
        restart::validate(&container, errors);
        name(&container, &mut seen, errors);
        host_ports(&container, &first, &mut BTreeSet::new(), errors);
        self::init(&container, spec, errors);
    }
    for container in spec.field("ephemeralContainers").items() {
        common(&container, spec, volumes, errors);
        padded_image(&container, errors);
        name(&container, &mut seen, errors);
        ephemeral(&container, spec, errors);
    }
}

fn name<'v>(container: &At<'v, '_>, seen: &mut BTreeSet<&'v str>, errors: &mut Errors) {
    let name = container.field("name");
    if !seen.insert(name.str()) {
        errors.duplicate_as(&name, name.str());
    }
}

fn common(
    container: &At<'_, '_>,
    spec: &At<'_, '_>,
    volumes: &mounts::Volumes<'_>,
    errors: &mut Errors,
) {
    let name = container.field("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        errors.invalid_all(&name, names::dns1123_label(name.str()));
    }
    let image = container.field("image");
    if image.str().is_empty() {
        errors.required(&image, "");
    }
    let policy = container.field("terminationMessagePolicy");
    required_one_of(&policy, &["File", "FallbackToLogsOnError"], errors);
    ports(&container.field("ports"), errors);
    env::validate(&container.field("env"), errors);
    env::validate_from(&container.field("envFrom"), errors);
    mounts::validate(container, volumes, errors);
    pull_policy(&container.field("imagePullPolicy"), errors);
    let of_container = resources::Level::Container;
    resources::validate(&container.field("resources"), spec, of_container, errors);
    restart::resize(&container.field("resizePolicy"), spec, errors);
    security::validate_container(&container.field("securityContext"), spec, errors);
}

/// The image of a container of a pod, which has no spaces around it; that of a template may.
pub(super) fn padded_image(container: &At<'_, '_>, errors: &mut Errors) {
    let image = container.field("image");
    if image.str().trim() != image.str() {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
}

pub(super) fn pull_policy(at: &At<'_, '_>, errors: &mut Errors) {
    required_one_of(at, PULL_POLICIES, errors);
}

pub(super) fn required_one_of(at: &At<'_, '_>, supported: &[&str], errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    } else {
        errors.one_of(at, supported);
    }
}

fn init(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    if container.field("restartPolicy").str() == "Always" {
        hooks::validate(container, spec, errors);
        return;
    }
    for field in NOT_INIT {
        let field = container.field(field);
        if field.is_set() {
            errors.forbidden(&field, NO_INIT_FIELD);
        }
    }
    for policy in container.field("resizePolicy").items() {
        let restart = policy.field("restartPolicy");
        if restart.str() == "RestartContainer" {
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.invalid(&restart, detail);
        }
    }
}

fn ephemeral(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let target = container.field("targetContainerName");
    if !target.str().is_empty() {
        let lists = ["containers", "initContainers"];
        let known = lists.iter().any(|list| {
            let list = spec.field(list);
            list.values()
                .any(|c| c.get("name").and_then(Value::as_str) == Some(target.str()))
        });
        if !known {
            errors.not_found(&target);
        }
    }
    for field in NOT_EPHEMERAL {
        let field = container.field(field);
        // Defaulting gives every container empty resources.
        if field.is_set() && !(*field.value == serde_json::json!({})) {
            errors.forbidden(&field, NO_EPHEMERAL_FIELD);
        }
    }
    for mount in container.field("volumeMounts").items() {
        for path in ["subPath", "subPathExpr"] {
            let path = mount.field(path);
            if !path.str().is_empty() {
                errors.forbidden(&path, NO_EPHEMERAL_FIELD);
            }
        }
    }
}

fn ports(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let name = port.field("name");
        if !name.str().is_empty() {
            let wrong = names::port_name(name.str());
            if wrong.is_empty() && !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
            errors.invalid_all(&name, wrong);
        }
        let number = port.field("containerPort");
        match number.number() {
            0 => errors.required(&number, ""),
            n => errors.invalid_all(&number, names::port_number(n)),
        }
        let host = port.field("hostPort");
        if host.number() != 0 {
            errors.invalid_all(&host, names::port_number(host.number()));
        }
        let protocol = port.field("protocol");
        required_one_of(&protocol, &["SCTP", "TCP", "UDP"], errors);
    }
}

/// Two containers of a pod cannot have the same port of the host. `path` is the container's.
fn host_ports(
    container: &At<'_, '_>,
    path: &str,
    taken: &mut BTreeSet<String>,
    errors: &mut Errors,
) {
    for (index, port) in container.field("ports").items().enumerate() {
        let number = port.field("hostPort").number();
        if number == 0 {
            continue;
        }
        let (protocol, ip) = (port.field("protocol").str(), port.field("hostIP").str());
        let key = format!("{protocol}/{ip}/{number}");
        if !taken.insert(key.clone()) {
            let path = format!("{path}.ports[{index}].hostPort");
            errors.0.push(FieldError::duplicate(path, key));
        }
    }
}

/// With `hostNetwork`, ports of the host and of the container are the same; those of a template
/// may be left out.
pub(super) fn host_network(spec: &At<'_, '_>, is_pod: bool, errors: &mut Errors) {
    if !spec.field("hostNetwork").bool() {
        return;
    }
    let list = spec.field("containers");
    for container in list.items() {
        let ports = container.field("ports");
        for port in ports.items() {
            let (host, own) = (port.field("hostPort"), port.field("containerPort"));
            if (is_pod || host.number() != 0) && host.number() != own.number() {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid_as(&host, host.number(), detail);
            }
        }
    }
}
