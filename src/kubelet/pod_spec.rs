//! Questions about a pod's spec that several files ask: which containers, which restart policy,
//! which image pull policy, which quality of service. Pure.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use std::collections::BTreeMap;

/// The grace that a pod has if its spec says nothing. Kubernetes: defaulting of PodSpec.
const GRACE_SECONDS_DEFAULT: i64 = 30;

/// The name.
pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The namespace.
pub(super) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The unique id.
pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The spec, if there is one (there always is in what a server gives).
pub(super) fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

/// The containers that are the pod's purpose.
pub(super) fn containers(pod: &Pod) -> &[Container] {
    spec(pod).map_or(&[], |spec| spec.containers.as_slice())
}

/// The containers that come before, helpers that stay included.
pub(super) fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod)
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
}

/// All containers, those of the beginning first.
pub(super) fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

/// Whether an init container stays while the pod runs (a sidecar).
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// `spec.restartPolicy`.
pub(super) fn restart_policy(pod: &Pod) -> &str {
    spec(pod)
        .and_then(|spec| spec.restart_policy.as_deref())
        .unwrap_or("Always")
}

/// Whether `container`, one of `spec.containers`, starts again after it ended with `code`.
/// Kubernetes: ContainerRestartRules, then the container's policy, then the pod's.
pub(super) fn restarts(pod: &Pod, container: &Container, code: i32) -> bool {
    restarts_by(container, restart_policy(pod), code)
}

/// The same for an init container, for which `Always` of the pod means `OnFailure`.
pub(super) fn init_restarts(pod: &Pod, container: &Container, code: i32) -> bool {
    let policy = match restart_policy(pod) {
        "Never" => "Never",
        _ => "OnFailure",
    };
    restarts_by(container, policy, code)
}

/// The action of a rule that restarts the whole pod in its place.
const RESTART_ALL: &str = "RestartAllContainers";

/// Whether the end of `container` with `code` restarts all containers of its pod.
/// Kubernetes: ShouldAllContainersRestart.
pub(super) fn restarts_all(container: &Container, code: i32) -> bool {
    rule_for(container, code) == Some(RESTART_ALL)
}

/// Whether an end of some container may restart all. Kubernetes: AllContainersCouldRestart.
pub(super) fn could_restart_all(pod: &Pod) -> bool {
    all_containers(pod)
        .flat_map(|container| container.restart_policy_rules.iter().flatten())
        .any(|rule| rule.action == RESTART_ALL)
}

/// The action of the first rule that an end with `code` meets.
fn rule_for(container: &Container, code: i32) -> Option<&str> {
    let mut rules = container.restart_policy_rules.iter().flatten();
    let met = rules.find(|rule| {
        rule.exit_codes.as_ref().is_some_and(|on| {
            let listed = on.values.iter().flatten().any(|value| *value == code);
            listed == (on.operator == "In")
        })
    });
    met.map(|rule| rule.action.as_str())
}

fn restarts_by(container: &Container, pod_policy: &str, code: i32) -> bool {
    if let Some("Restart" | RESTART_ALL) = rule_for(container, code) {
        return true;
    }
    match container.restart_policy.as_deref().unwrap_or(pod_policy) {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    }
}

/// The seconds between the wish to stop and the kill.
pub(super) fn grace_seconds(pod: &Pod) -> i64 {
    pod.metadata
        .deletion_grace_period_seconds
        .or_else(|| spec(pod)?.termination_grace_period_seconds)
        .unwrap_or(GRACE_SECONDS_DEFAULT)
}

/// `imagePullPolicy`, or what Kubernetes makes of none: `Always` for `latest`.
pub(super) fn pull_policy(container: &Container) -> &str {
    match container.image_pull_policy.as_deref() {
        Some(policy) if !policy.is_empty() => policy,
        _ => {
            let image = container.image.as_deref().unwrap_or_default();
            let last = image.rsplit('/').next().unwrap_or(image);
            let pinned = image.contains('@')
                || last
                    .split_once(':')
                    .is_some_and(|(_, tag)| tag != "latest" && !tag.is_empty());
            if pinned { "IfNotPresent" } else { "Always" }
        }
    }
}

/// `spec.containers{name}` or `spec.initContainers{name}`: where Events point.
pub(super) fn field_path(pod: &Pod, container: &str) -> String {
    let of = if init_containers(pod).iter().any(|c| c.name == container) {
        "initContainers"
    } else {
        "containers"
    };
    format!("spec.{of}{{{container}}}")
}

/// `status.qosClass`. Kubernetes: ComputePodQOS.
pub(super) fn qos_class(pod: &Pod) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in all_containers(pod) {
        let resources = container.resources.as_ref();
        let requests = resources.and_then(|r| r.requests.as_ref());
        let limits = resources.and_then(|r| r.limits.as_ref());
        for resource in ["cpu", "memory"] {
            let wanted = |map: Option<&BTreeMap<String, _>>| amount(map, resource);
            let (request, limit) = (wanted(requests), wanted(limits));
            any |= request > 0 || limit > 0;
            if limit == 0 || (request != 0 && request != limit) {
                guaranteed = false;
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

type Quantity = k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// An amount of a list of resources in thousandths; 0 if it is not there.
pub(super) fn amount(map: Option<&BTreeMap<String, Quantity>>, resource: &str) -> i128 {
    map.and_then(|map| map.get(resource))
        .and_then(|quantity| milli(&quantity.0))
        .unwrap_or(0)
}

/// Thousandths of a Kubernetes quantity (`100m`, `1.5Gi`, `2e3`), rounded up.
pub(super) fn milli(text: &str) -> Option<i128> {
    const SUFFIXES: [(&str, i128, i128); 15] = [
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
        ("n", 1, 1_000_000_000),
        ("u", 1, 1_000_000),
        ("m", 1, 1_000),
        ("k", 1_000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
    ];
    let text = text.trim();
    let found = SUFFIXES
        .iter()
        .find_map(|(suffix, up, down)| Some((text.strip_suffix(suffix)?, *up, *down)));
    let (number, up, down) = match found {
        Some((number, up, down)) => (number, up, down),
        None => match text.split_once(['e', 'E']) {
            Some((number, exponent)) => {
                let exponent: i32 = exponent.parse().ok()?;
                let power = 10i128.checked_pow(exponent.unsigned_abs())?;
                if exponent < 0 {
                    (number, 1, power)
                } else {
                    (number, power, 1)
                }
            }
            None => (text, 1, 1),
        },
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(whole) => (true, whole),
        None => (false, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let digits = format!("{whole}{fraction}");
    let digits: i128 = digits.parse().ok()?;
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let over = digits.checked_mul(up)?.checked_mul(1_000)?;
    let under = scale.checked_mul(down)?;
    let amount = over.checked_add(under - 1)?.checked_div(under)?;
    Some(if negative { -amount } else { amount })
}

/// What a pod asks of a node, in thousandths. Kubernetes: the sum over containers and sidecars, or
/// the largest init container (with the sidecars before it), and the overhead.
pub(super) fn request(pod: &Pod, resource: &str) -> i128 {
    let of = |container: &Container| {
        let resources = container.resources.as_ref();
        let requests = resources.and_then(|r| r.requests.as_ref());
        let limits = resources.and_then(|r| r.limits.as_ref());
        match amount(requests, resource) {
            0 => amount(limits, resource),
            requested => requested,
        }
    };
    let mut sidecars = 0;
    let mut init_max = 0;
    for container in init_containers(pod) {
        if is_sidecar(container) {
            sidecars += of(container);
            init_max = init_max.max(sidecars);
        } else {
            init_max = init_max.max(sidecars + of(container));
        }
    }
    let main: i128 = containers(pod).iter().map(of).sum();
    let overhead = amount(spec(pod).and_then(|s| s.overhead.as_ref()), resource);
    (main + sidecars).max(init_max) + overhead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, thousandths) in [
            ("1", 1_000),
            ("100m", 100),
            ("1.5", 1_500),
            ("128Mi", 134_217_728_000),
            ("1e3", 1_000_000),
            ("2k", 2_000_000),
            ("0.5Gi", 536_870_912_000),
            ("1n", 1),
        ] {
            assert_eq!(milli(text), Some(thousandths), "{text}");
        }
        assert_eq!(milli("x"), None);
        assert_eq!(milli(""), None);
    }

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            let container = Container {
                image: Some(image.to_owned()),
                ..Container::default()
            };
            assert_eq!(pull_policy(&container), policy, "{image}");
        }
    }
}
