//! What is allowed in a pod and is most likely a mistake. Must not refuse.
//! Kubernetes: `pkg/api/pod` GetWarningsForPod.

use crate::meta::quantity::Quantity;
use crate::resources::validate::At;
use std::collections::BTreeMap;

/// Labels of nodes that have new names.
const OLD_NODE_LABELS: &[(&str, &str)] = &[
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
];

/// Annotations that fields have replaced.
const OLD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Volumes that are on their way out: the field, the field as the message names it, and since when.
const OLD_VOLUMES: &[(&str, &str, &str)] = &[
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "gitRepo",
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    (
        "scaleIO",
        "scaleIO",
        "deprecated in v1.16, non-functional in v1.22+",
    ),
    (
        "flocker",
        "flocker",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "storageos",
        "storageOS",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "quobyte",
        "quobyte",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "glusterfs",
        "glusterfs",
        "deprecated in v1.25, non-functional in v1.26+",
    ),
    (
        "cephfs",
        "cephfs",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
    (
        "rbd",
        "rbd",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
];

const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Texts for `Warning` headers about a pod, or a template of pods.
pub(crate) fn of(spec: &At<'_, '_>, metadata: &At<'_, '_>) -> Vec<String> {
    let mut warnings = Vec::new();
    node_labels(spec, &mut warnings);
    affinity(spec, &mut warnings);
    let annotations = metadata.field("annotations");
    for (key, message) in OLD_ANNOTATIONS {
        let at = annotations.key(key);
        if at.is_set() {
            warnings.push(format!("{}: {message}", at.path()));
        }
    }
    for volume in spec.field("volumes").items() {
        for (field, shown, message) in OLD_VOLUMES {
            if volume.field(field).is_set() {
                warnings.push(format!("{}.{shown}: {message}", volume.path()));
            }
        }
    }
    twice(&spec.field("hostAliases"), "ip", &mut warnings);
    let secrets = spec.field("imagePullSecrets");
    twice(&secrets, "name", &mut warnings);
    for secret in secrets.items() {
        let name = secret.field("name");
        if name.str().is_empty() {
            warnings.push(format!("{}: invalid empty name {:?}", name.path(), ""));
        }
    }
    whole_bytes(&spec.field("overhead"), &mut warnings);
    for list in ["initContainers", "containers"] {
        let list = spec.field(list);
        for container in list.items() {
            environment(&container, &mut warnings);
            let resources = container.field("resources");
            for list in ["limits", "requests"] {
                whole_bytes(&resources.field(list), &mut warnings);
            }
        }
    }
    ports(spec, &mut warnings);
    let grace = spec.field("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|n| n < 0) {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            grace.path()
        ));
    }
    warnings
}

fn old_label(key: &str) -> Option<&'static str> {
    let found = OLD_NODE_LABELS.iter().find(|(old, _)| *old == key);
    found.map(|(_, message)| *message)
}

fn node_labels(spec: &At<'_, '_>, warnings: &mut Vec<String>) {
    let selector = spec.field("nodeSelector");
    for (key, _) in selector.entries() {
        if let Some(message) = old_label(key) {
            warnings.push(format!("{}: {message}", selector.key(key).path()));
        }
    }
    let affinity = spec.field("affinity");
    let affinity = affinity.field("nodeAffinity");
    let required = affinity.field(REQUIRED);
    for term in required.field("nodeSelectorTerms").items() {
        expressions(&term, warnings);
    }
    for preferred in affinity.field(PREFERRED).items() {
        expressions(&preferred.field("preference"), warnings);
    }
    for constraint in spec.field("topologySpreadConstraints").items() {
        let key = constraint.field("topologyKey");
        if let Some(message) = old_label(key.str()) {
            warnings.push(format!("{}: {} is {message}", key.path(), key.str()));
        }
        selects(&constraint, warnings);
    }
}

fn expressions(term: &At<'_, '_>, warnings: &mut Vec<String>) {
    for expression in term.field("matchExpressions").items() {
        let key = expression.field("key");
        if let Some(message) = old_label(key.str()) {
            warnings.push(format!("{}: {} is {message}", key.path(), key.str()));
        }
    }
}

/// Whoever says which pods are meant must not forget the selector.
fn selects(term: &At<'_, '_>, warnings: &mut Vec<String>) {
    let selector = term.field("labelSelector");
    if !selector.is_set() {
        warnings.push(format!("{}: {NO_SELECTOR}", selector.path()));
    }
}

fn affinity(spec: &At<'_, '_>, warnings: &mut Vec<String>) {
    let affinity = spec.field("affinity");
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = affinity.field(kind);
        for term in affinity.field(REQUIRED).items() {
            selects(&term, warnings);
        }
        for weighted in affinity.field(PREFERRED).items() {
            selects(&weighted.field("podAffinityTerm"), warnings);
        }
    }
}

fn twice(list: &At<'_, '_>, field: &str, warnings: &mut Vec<String>) {
    let mut seen = Vec::new();
    for item in list.items() {
        let at = item.field(field);
        if seen.contains(&at.str()) {
            warnings.push(format!("{}: duplicate {field} {:?}", at.path(), at.str()));
        }
        seen.push(at.str());
    }
}

fn environment(container: &At<'_, '_>, warnings: &mut Vec<String>) {
    let mut seen: Vec<&str> = Vec::new();
    for variable in container.field("env").items() {
        let name = variable.field("name").str();
        // Building on the former value is meant.
        let value = variable.field("value").str();
        if seen.contains(&name) && !value.contains(&format!("$({name})")) {
            warnings.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path()
            ));
        }
        seen.push(name);
    }
}

/// Ports of one number and protocol that stand in each other's way, in all containers together.
fn ports(spec: &At<'_, '_>, warnings: &mut Vec<String>) {
    type Seen<'v> = Vec<(String, i64, &'v str)>;
    let mut all: BTreeMap<(i64, &str), Seen<'_>> = BTreeMap::new();
    for list in ["initContainers", "containers"] {
        let list = spec.field(list);
        for container in list.items() {
            for port in container.field("ports").items() {
                let key = (
                    port.field("containerPort").number(),
                    port.field("protocol").str(),
                );
                let (host, ip) = (port.field("hostPort").number(), port.field("hostIP").str());
                let path = port.path();
                let others = all.entry(key).or_default();
                for (other, other_host, other_ip) in others.iter() {
                    let same_port = host == *other_host;
                    let words = if same_port && ip == *other_ip {
                        "duplicate"
                    } else if host == 0 || *other_host == 0 {
                        "overlapping"
                    } else if same_port && (ip.is_empty() != other_ip.is_empty()) {
                        "dangerously ambiguous"
                    } else {
                        continue;
                    };
                    warnings.push(format!("{path}: {words} port definition with {other}"));
                }
                others.push((path, host, ip));
            }
        }
    }
}

/// Amounts of bytes that are no whole number.
fn whole_bytes(list: &At<'_, '_>, warnings: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        let at = list.key(name);
        let amount = Quantity::from_value(at.value);
        if at.is_set() && amount.is_ok_and(|amount| !amount.is_integer()) {
            warnings.push(format!(
                "{}: fractional byte value {:?} is invalid, must be an integer",
                at.path(),
                at.str()
            ));
        }
    }
}
