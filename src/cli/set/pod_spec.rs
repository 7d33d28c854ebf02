//! Where the pod spec stands in the kinds that have one. Must not know what is changed in it.
//! Kubernetes: kubectl's `polymorphichelpers/updatepodspec.go`.

use crate::cli::change::Found;
use crate::cli::context::CliError;
use crate::meta::Object;
use serde_json::{Map, Value};

/// The path of the pod spec of a kind.
pub(super) fn path(found: &Found) -> Result<&'static [&'static str], CliError> {
    let template: &[&str] = &["spec", "template", "spec"];
    let group = found.row.resource.group.as_str();
    match (group, found.row.kind.as_str()) {
        ("", "Pod") => Ok(&["spec"]),
        ("", "ReplicationController") | ("batch", "Job") => Ok(template),
        ("apps" | "extensions", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => {
            Ok(template)
        }
        ("batch", "CronJob") => Ok(&["spec", "jobTemplate", "spec", "template", "spec"]),
        (_, kind) => {
            let what = format!(
                "{}/{} the object is not a pod or does not have a pod template: *{}.{kind}",
                found.row.resource.resource,
                found.object.name(),
                found.row.resource.version
            );
            Err(CliError::new(what))
        }
    }
}

/// Whether `pattern` with `*` picks the container's name.
fn is_picked(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut parts = pattern.split('*');
    let Some(begin) = parts.next().and_then(|first| rest.strip_prefix(first)) else {
        return false;
    };
    rest = begin;
    let mut ended = !pattern.contains('*');
    for part in parts {
        match (part, rest.find(part)) {
            ("", _) => ended = true,
            (part, Some(at)) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                ended = false;
            }
            (_, None) => return false,
        }
    }
    if ended && pattern.ends_with('*') {
        return true;
    }
    rest.is_empty()
}

/// Calls `change` for each container that the pattern picks; answers how many there were.
pub(super) fn containers(
    object: &mut Object,
    path: &[&str],
    pattern: &str,
    mut change: impl FnMut(&mut Map<String, Value>),
) -> usize {
    let mut count = 0;
    for field in ["initContainers", "containers"] {
        let mut place = path.to_vec();
        place.push(field);
        let Some(Value::Array(mut list)) = object.get(&place).cloned() else {
            continue;
        };
        for container in list.iter_mut().filter_map(Value::as_object_mut) {
            let name = container.get("name").and_then(Value::as_str);
            if is_picked(pattern, name.unwrap_or_default()) {
                count += 1;
                change(container);
            }
        }
        object.set(&place, Value::Array(list));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_pick_names() {
        for (pattern, name, picked) in [
            ("*", "a", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*b", "ba", false),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
        ] {
            assert_eq!(is_picked(pattern, name), picked, "{pattern} {name}");
        }
    }
}
