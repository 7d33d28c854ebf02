//! The roles and bindings that Kubernetes makes at its start, read from a table, and what an
//! existing one lacks of them. Must not write: it says what is to be written.
//! Kubernetes: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`, component-helpers
//! `auth/rbac/reconciliation`.

use crate::meta::Object;
use crate::resources::rbac::GROUP;
use crate::resources::rbac::aggregation::aggregated;
use crate::resources::rbac::policy::{PolicyRule, missing};
use serde_json::{Map, Value, json};

/// The table; its first lines tell how it is read.
const TABLE: &str = include_str!("policy.txt");
/// An object with this annotation set to `false` is left as it is.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// What the labels by which roles gather others begin with.
const AGGREGATE_TO: &str = "rbac.authorization.k8s.io/aggregate-to-";
/// Roles gather from roles that gather: `admin` from `edit` from `view`.
const AGGREGATION_DEPTH: usize = 3;

/// The roles and bindings.
pub(super) fn objects() -> Vec<Object> {
    let mut objects = read(TABLE);
    // A controller keeps this up to date; a new cluster has it from its first moment.
    for _ in 0..AGGREGATION_DEPTH {
        let all: Vec<&Object> = objects.iter().collect();
        let rules = objects.iter().map(|role| aggregated(role, &all));
        let rules: Vec<Option<Vec<Value>>> = rules.collect();
        for (role, rules) in objects.iter_mut().zip(rules) {
            if let Some(rules) = rules {
                role.set(&["rules"], Value::Array(rules));
            }
        }
    }
    objects
}

fn read(table: &str) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        if let Some(rule) = line.strip_prefix("  ") {
            let rules = objects
                .last_mut()
                .and_then(|role| role.fields_mut().get_mut("rules"))
                .and_then(Value::as_array_mut);
            if let Some(rules) = rules {
                rules.push(self::rule(rule));
            }
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let object = match words.as_slice() {
            ["clusterrole", name, marks @ ..] => cluster_role(name, marks),
            ["role", namespace, name] => {
                let mut role = object("Role", namespace, name);
                role.insert("rules".to_owned(), json!([]));
                role
            }
            ["clusterrolebinding", name, subjects @ ..] => {
                let binding = object("ClusterRoleBinding", "", name);
                bind(binding, ("ClusterRole", name), subjects)
            }
            ["rolebinding", namespace, name, role, subjects @ ..] => {
                let binding = object("RoleBinding", namespace, name);
                bind(binding, ("Role", role), subjects)
            }
            _ => continue,
        };
        objects.push(Object::new(object));
    }
    objects
}

fn object(kind: &str, namespace: &str, name: &str) -> Map<String, Value> {
    let mut metadata = json!({
        "name": name,
        "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
        "annotations": { AUTOUPDATE: "true" },
    });
    if let (false, Value::Object(metadata)) = (namespace.is_empty(), &mut metadata) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(format!("{GROUP}/v1")));
    object.insert("kind".to_owned(), json!(kind));
    object.insert("metadata".to_owned(), metadata);
    object
}

fn cluster_role(name: &str, marks: &[&str]) -> Map<String, Value> {
    let mut role = Object::new(object("ClusterRole", "", name));
    role.set(&["rules"], json!([]));
    for mark in marks {
        if let Some(into) = mark.strip_prefix("into:") {
            let label = format!("{AGGREGATE_TO}{into}");
            role.set(&["metadata", "labels", &label], json!("true"));
        } else if let Some(of) = mark.strip_prefix("of:") {
            let label = format!("{AGGREGATE_TO}{of}");
            let selectors = json!([{ "matchLabels": { label: "true" } }]);
            role.set(&["aggregationRule", "clusterRoleSelectors"], selectors);
        }
    }
    std::mem::take(role.fields_mut())
}

fn rule(line: &str) -> Value {
    let list = |text: &str| -> Vec<String> {
        let texts = text.split(',').map(|one| if one == "-" { "" } else { one });
        texts.map(str::to_owned).collect()
    };
    let mut rule = PolicyRule::default();
    for (at, word) in line.split(' ').enumerate() {
        match (at, rule.groups.first().map(String::as_str)) {
            (0, _) => rule.verbs = list(word),
            (1, _) => rule.groups = list(word),
            (2, Some("url")) => {
                rule.groups.clear();
                rule.urls = list(word);
            }
            (2, _) => rule.resources = list(word),
            _ => rule.names = list(word),
        }
    }
    rule.to_value()
}

fn bind(
    mut binding: Map<String, Value>,
    (kind, role): (&str, &str),
    subjects: &[&str],
) -> Map<String, Value> {
    let role = json!({ "apiGroup": GROUP, "kind": kind, "name": role });
    binding.insert("roleRef".to_owned(), role);
    let subjects = subjects.iter().filter_map(|subject| {
        let (kind, name) = subject.split_once(':')?;
        Some(match kind {
            "user" => json!({ "apiGroup": GROUP, "kind": "User", "name": name }),
            "group" => json!({ "apiGroup": GROUP, "kind": "Group", "name": name }),
            _ => {
                let (namespace, name) = name.split_once(':')?;
                json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
            }
        })
    });
    let subjects: Vec<Value> = subjects.collect();
    if !subjects.is_empty() {
        binding.insert("subjects".to_owned(), Value::Array(subjects));
    }
    binding
}

/// What is to become of an object that is there.
#[derive(Debug, PartialEq)]
pub(super) enum Reconciled {
    Unchanged,
    Changed(Object),
    /// It binds another role: it has to be made anew.
    Anew,
}

/// Adds what is missing to what is there, and takes nothing away. Pure.
pub(super) fn reconciled(wanted: &Object, present: &Object) -> Reconciled {
    if present.annotation(AUTOUPDATE) == Some("false") {
        return Reconciled::Unchanged;
    }
    if present.get(&["roleRef"]) != wanted.get(&["roleRef"]) {
        return Reconciled::Anew;
    }
    let mut new = present.clone();
    for map in ["labels", "annotations"] {
        let entries = wanted.get(&["metadata", map]).and_then(Value::as_object);
        for (key, value) in entries.into_iter().flatten() {
            if new.get(&["metadata", map, key]).is_none() {
                new.set(&["metadata", map, key], value.clone());
            }
        }
    }
    if wanted.get(&["aggregationRule"]).is_some() {
        let path = ["aggregationRule", "clusterRoleSelectors"];
        add_missing(&mut new, wanted, &path);
    } else {
        new.remove(&["aggregationRule"]);
        if new.get(&["rules"]) != wanted.get(&["rules"]) {
            let (own, theirs) = (PolicyRule::of_role(&new), PolicyRule::of_role(wanted));
            let lacking = missing(&own, &theirs);
            extend(
                &mut new,
                &["rules"],
                lacking.iter().map(PolicyRule::to_value),
            );
        }
    }
    add_missing(&mut new, wanted, &["subjects"]);
    if new == *present {
        Reconciled::Unchanged
    } else {
        Reconciled::Changed(new)
    }
}

/// Adds the items of a list that are not in it.
fn add_missing(new: &mut Object, wanted: &Object, path: &[&str]) {
    let theirs = wanted.get(path).and_then(Value::as_array);
    let own = new.get(path).and_then(Value::as_array);
    let is_there = |item: &&Value| own.is_some_and(|own| own.contains(item));
    let lacking = theirs.into_iter().flatten().filter(|item| !is_there(item));
    let lacking: Vec<Value> = lacking.cloned().collect();
    extend(new, path, lacking.into_iter());
}

fn extend(new: &mut Object, path: &[&str], items: impl Iterator<Item = Value>) {
    let own = new.get(path).and_then(Value::as_array);
    let before = own.map_or(0, Vec::len);
    let mut list = own.cloned().unwrap_or_default();
    list.extend(items);
    if list.len() > before {
        new.set(path, Value::Array(list));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
        objects
            .iter()
            .find(|object| (object.kind(), object.name()) == (kind, name))
            .unwrap()
    }

    #[test]
    fn the_table_is_read_as_it_is_meant() {
        let objects = objects();
        let lines = TABLE.lines().filter(|line| !line.starts_with(['#', ' ']));
        assert_eq!(objects.len(), lines.count());
        let admin = find(&objects, "ClusterRole", "cluster-admin");
        assert_eq!(
            admin.get(&["rules"]).unwrap(),
            &json!([
                { "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] },
                { "verbs": ["*"], "nonResourceURLs": ["*"] },
            ])
        );
        let info = find(&objects, "Role", "system:controller:bootstrap-signer");
        assert_eq!(info.namespace(), "kube-public");
        assert_eq!(
            info.get(&["rules"]).unwrap()[1],
            json!({ "verbs": ["update"], "apiGroups": [""], "resources": ["configmaps"],
                "resourceNames": ["cluster-info"] })
        );
        let gc = "system:controller:generic-garbage-collector";
        assert_eq!(
            find(&objects, "ClusterRoleBinding", gc)
                .get(&["subjects"])
                .unwrap(),
            &json!([{ "kind": "ServiceAccount", "name": "generic-garbage-collector",
                "namespace": "kube-system" }])
        );
        // `admin` has what `view` gathers, by way of `edit`.
        let rules = |name| PolicyRule::of_role(find(&objects, "ClusterRole", name));
        let view = rules("system:aggregate-to-view");
        for role in ["view", "edit", "admin"] {
            assert!(missing(&rules(role), &view).is_empty(), "{role}");
        }
        assert!(!missing(&rules("view"), &rules("edit")).is_empty());
    }

    #[test]
    fn what_is_missing_is_added_and_nothing_is_taken_away() {
        let objects = objects();
        let wanted = find(&objects, "ClusterRole", "system:basic-user");
        assert_eq!(reconciled(wanted, wanted), Reconciled::Unchanged);
        let mut present = wanted.clone();
        let own = json!({ "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"] });
        present.set(&["rules"], json!([own]));
        present.set(&["metadata", "labels"], json!({ "mine": "1" }));
        let Reconciled::Changed(new) = reconciled(wanted, &present) else {
            panic!("not changed");
        };
        assert_eq!(new.get(&["rules"]).unwrap()[0], own);
        let rules = PolicyRule::of_role(&new);
        assert!(missing(&rules, &PolicyRule::of_role(wanted)).is_empty());
        assert_eq!(new.label("mine"), Some("1"));
        assert_eq!(reconciled(wanted, &new), Reconciled::Unchanged);

        present.set(&["metadata", "annotations", AUTOUPDATE], json!("false"));
        assert_eq!(reconciled(wanted, &present), Reconciled::Unchanged);

        let wanted = find(&objects, "ClusterRoleBinding", "system:discovery");
        let mut present = wanted.clone();
        present.set(&["subjects"], json!([]));
        assert!(matches!(
            reconciled(wanted, &present),
            Reconciled::Changed(_)
        ));
        present.set(&["roleRef", "name"], json!("other"));
        assert_eq!(reconciled(wanted, &present), Reconciled::Anew);
    }
}
