//! Containers of every kind in a pod: names, images, ports, lifecycle, what init and ephemeral
//! containers may not have. Must not know how they run.
//! Kubernetes: `pkg/apis/core/validation` validateContainers and its neighbours.

use super::{env, mounts, probes, resources, security};
use crate::meta::names;
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

const NO_INIT_FIELD: &str = "may not be set for init containers without restartPolicy=Always";
const NO_EPHEMERAL_FIELD: &str = "cannot be set for an Ephemeral Container";
/// Fields that an ephemeral container may not have.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
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
pub(super) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    let volumes = mounts::volume_names(&spec.field("volumes"));
    let mut seen = BTreeSet::new();
    let containers = spec.field("containers");
    if containers.is_empty() {
        errors.required(&containers, "");
    }
    for container in containers.items() {
        common(&container, spec, &volumes, errors);
        name(&container, &mut seen, errors);
        hooks(&container, spec, errors);
        restart_rules(&container, errors);
    }
    host_ports(&containers, errors);
    for container in spec.field("initContainers").items() {
        common(&container, spec, &volumes, errors);
        name(&container, &mut seen, errors);
        init(&container, spec, errors);
        host_ports_of(&container, &mut BTreeSet::new(), errors);
    }
    for container in spec.field("ephemeralContainers").items() {
        common(&container, spec, &volumes, errors);
        name(&container, &mut seen, errors);
        ephemeral(&container, spec, errors);
    }
}

fn name<'v>(container: &At<'v, '_>, seen: &mut BTreeSet<&'v str>, errors: &mut Errors) {
    let name = container.field("name");
    if !name.str().is_empty() && !seen.insert(name.str()) {
        errors.duplicate(&name);
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
    } else if image.str().trim() != image.str() {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
    let policy = container.field("terminationMessagePolicy");
    required_one_of(&policy, &["FallbackToLogsOnError", "File"], errors);
    let pull = container.field("imagePullPolicy");
    required_one_of(&pull, &["Always", "IfNotPresent", "Never"], errors);
    ports(&container.field("ports"), errors);
    env::validate(&container.field("env"), errors);
    env::validate_from(&container.field("envFrom"), errors);
    mounts::validate(container, volumes, errors);
    resources::validate(&container.field("resources"), spec, errors);
    security::validate_container(&container.field("securityContext"), errors);
    for policy in container.field("resizePolicy").items() {
        let name = policy.field("resourceName");
        required_one_of(&name, &["cpu", "memory"], errors);
        let restart = policy.field("restartPolicy");
        required_one_of(&restart, &["NotRequired", "RestartContainer"], errors);
    }
}

pub(super) fn required_one_of(at: &At<'_, '_>, supported: &[&str], errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    } else {
        errors.one_of(at, supported);
    }
}

fn hooks(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let grace = spec.field("terminationGracePeriodSeconds").int();
    let lifecycle = container.field("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.field(hook);
        if hook.is_set() {
            probes::handler(&hook, grace, errors);
        }
    }
    let signal = lifecycle.field("stopSignal");
    if signal.is_set() && !spec.field("os").field("name").is_set() {
        errors.forbidden(
            &signal,
            "may not be set for containers with no spec.os.name set",
        );
    }
    probes::liveness(&container.field("livenessProbe"), grace, errors);
    probes::readiness(&container.field("readinessProbe"), grace, errors);
    probes::liveness(&container.field("startupProbe"), grace, errors);
}

fn restart_rules(container: &At<'_, '_>, errors: &mut Errors) {
    let (policy, rules) = (
        container.field("restartPolicy"),
        container.field("restartPolicyRules"),
    );
    if policy.is_set() {
        errors.one_of(&policy, &["Always", "OnFailure", "Never"]);
    } else if !rules.is_empty() {
        errors.required(
            &policy,
            "must specify restartPolicy when restart rules are used",
        );
    }
    for rule in rules.items() {
        let action = rule.field("action");
        required_one_of(&action, &["Restart", "RestartAllContainers"], errors);
        let codes = rule.field("exitCodes");
        if !codes.is_set() {
            errors.required(&codes, "must be specified");
            continue;
        }
        required_one_of(&codes.field("operator"), &["In", "NotIn"], errors);
        if codes.field("values").is_empty() {
            errors.required(&codes.field("values"), "must be specified");
        }
    }
}

fn init(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let policy = container.field("restartPolicy");
    if policy.str() == "Always" {
        hooks(container, spec, errors);
        return;
    }
    restart_rules(container, errors);
    for field in NOT_INIT {
        let field = container.field(field);
        if field.is_set() {
            errors.forbidden(&field, NO_INIT_FIELD);
        }
    }
}

fn ephemeral(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    for field in NOT_EPHEMERAL {
        let field = container.field(field);
        if field.is_set() {
            errors.forbidden(&field, NO_EPHEMERAL_FIELD);
        }
    }
    let resources = container.field("resources");
    if !resources.is_empty() {
        errors.forbidden(&resources, NO_EPHEMERAL_FIELD);
    }
    for mount in container.field("volumeMounts").items() {
        for path in ["subPath", "subPathExpr"] {
            let path = mount.field(path);
            if !path.str().is_empty() {
                errors.forbidden(&path, "cannot be set for an Ephemeral Container");
            }
        }
    }
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
        match number.int() {
            None | Some(0) => errors.required(&number, ""),
            Some(n) => errors.invalid_all(&number, names::port_number(n)),
        }
        let host = port.field("hostPort");
        if let Some(n) = host.int().filter(|n| *n != 0) {
            errors.invalid_all(&host, names::port_number(n));
        }
        let protocol = port.field("protocol");
        required_one_of(&protocol, &["SCTP", "TCP", "UDP"], errors);
    }
}

/// Two containers of a pod cannot have the same port of the host.
fn host_ports(containers: &At<'_, '_>, errors: &mut Errors) {
    let mut taken = BTreeSet::new();
    for container in containers.items() {
        host_ports_of(&container, &mut taken, errors);
    }
}

fn host_ports_of(container: &At<'_, '_>, taken: &mut BTreeSet<String>, errors: &mut Errors) {
    for port in container.field("ports").items() {
        let host = port.field("hostPort");
        let Some(number) = host.int().filter(|n| *n != 0) else {
            continue;
        };
        let (protocol, ip) = (port.field("protocol").str(), port.field("hostIP").str());
        let key = format!("{protocol}/{ip}/{number}");
        if !taken.insert(key.clone()) {
            errors
                .0
                .push(crate::meta::FieldError::duplicate(host.path(), key));
        }
    }
}

/// With `hostNetwork`, ports of the host and of the container are the same.
pub(super) fn host_network(spec: &At<'_, '_>, errors: &mut Errors) {
    if !spec.field("hostNetwork").bool() {
        return;
    }
    for list in ["containers", "initContainers"] {
        let list = spec.field(list);
        for container in list.items() {
            let ports = container.field("ports");
            for port in ports.items() {
                let number = port.field("containerPort");
                if port.field("hostPort").int() != number.int() {
                    let detail = "must match `hostPort` when `hostNetwork` is true";
                    errors.invalid(&number, detail);
                }
            }
        }
    }
}
