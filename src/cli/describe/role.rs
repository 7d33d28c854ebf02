//! Roles and ClusterRoles, with their rules in small. Kubernetes: kubectl's describers of them and
//! its `util/rbac`.

use super::Scene;
use super::text::{Text, at, list};
use serde_json::Value;
use std::collections::BTreeMap;

/// One resource of one group, perhaps one of its objects.
type Key<'a> = (&'a str, &'a str, Option<&'a str>);

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.labels_and_annotations(object);
    out.line(0, "PolicyRule:");
    out.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    out.line(1, "---------\t-----------------\t--------------\t-----");
    for line in lines(list(object, "/rules")) {
        out.line(1, line);
    }
}

/// A line for each resource and each URL, in the order that kubectl gives them.
fn lines(rules: &[Value]) -> Vec<String> {
    let mut resources: BTreeMap<Key<'_>, Vec<&str>> = BTreeMap::new();
    let mut lines = Vec::new();
    for rule in rules {
        let verbs = texts(rule, "/verbs");
        for key in keys(rule) {
            let known = resources.entry(key).or_default();
            for verb in verbs.iter().copied() {
                if !known.contains(&verb) {
                    known.push(verb);
                }
            }
        }
        for url in texts(rule, "/nonResourceURLs") {
            for verb in &verbs {
                // Kubernetes: verbs of a URL are not brought together.
                let order = format!("[{verb}],[],[],[],[{url}]");
                lines.push((order, format!("\t[{url}]\t[]\t[{verb}]")));
            }
        }
    }
    for ((group, resource, name), verbs) in resources {
        if verbs.is_empty() {
            continue;
        }
        let (verbs, name) = (verbs.join(" "), name.unwrap_or_default());
        // Kubernetes: rules are sorted by the text of the whole rule, verbs first.
        let order = format!("[{verbs}],[{group}],[{resource}],[{name}],[]");
        let resource = combined(resource, group);
        lines.push((order, format!("{resource}\t[]\t[{name}]\t[{verbs}]")));
    }
    lines.sort_by(|(a, _), (b, _)| a.cmp(b));
    lines.into_iter().map(|(_, line)| line).collect()
}

fn keys(rule: &Value) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    for group in texts(rule, "/apiGroups") {
        for resource in texts(rule, "/resources") {
            let names = texts(rule, "/resourceNames");
            if names.is_empty() {
                keys.push((group, resource, None));
            }
            keys.extend(names.into_iter().map(|name| (group, resource, Some(name))));
        }
    }
    keys
}

fn texts<'a>(rule: &'a Value, pointer: &str) -> Vec<&'a str> {
    let texts = list(rule, pointer).iter().filter_map(Value::as_str);
    texts.collect()
}

/// `pods.apps/log`.
fn combined(resource: &str, group: &str) -> String {
    let (resource, part) = match resource.split_once('/') {
        Some((resource, part)) => (resource, format!("/{part}")),
        None => (resource, String::new()),
    };
    let dot = if group.is_empty() { "" } else { "." };
    format!("{resource}{dot}{group}{part}")
}

#[cfg(test)]
mod tests {
    use super::lines;
    use serde_json::json;

    #[test]
    fn rules_are_broken_down_and_brought_together() {
        let rules = json!([
            {"apiGroups": ["", "apps"], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["*"]},
            {"nonResourceURLs": ["/healthz"], "verbs": ["get", "post"]},
        ]);
        let rules = rules.as_array().cloned().unwrap_or_default();
        assert_eq!(
            lines(&rules),
            [
                "secrets\t[]\t[x]\t[*]",
                "pods\t[]\t[]\t[get list delete]",
                "pods/log\t[]\t[]\t[get list]",
                "pods.apps/log\t[]\t[]\t[get list]",
                "pods.apps\t[]\t[]\t[get list]",
                "\t[/healthz]\t[]\t[get]",
                "\t[/healthz]\t[]\t[post]",
            ]
        );
    }
}
