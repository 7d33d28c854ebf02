//! A rule of a role as it is asked: what it allows, whether it covers another one, how it is told.
//! Must not know who has it.
//! Kubernetes: `pkg/apis/rbac/v1` evaluation helpers, component-helpers `auth/rbac/validation`.

use serde_json::{Map, Value, json};
use std::fmt;

/// Anything: of verbs, groups, resources and paths.
const ALL: &str = "*";

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRule {
    /// API groups, empty for core.
    pub groups: Vec<String>,
    /// Resources, with subresource `pods/log`, `*/scale`.
    pub resources: Vec<String>,
    /// Paths of the server that are no resources.
    pub urls: Vec<String>,
    /// Names of objects; none are all.
    pub names: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

impl PolicyRule {
    /// The rules of a role.
    pub fn of_role(role: &crate::meta::Object) -> Vec<Self> {
        let rules = role.get(&["rules"]).and_then(Value::as_array);
        rules.into_iter().flatten().map(Self::read).collect()
    }

    /// One rule of a role.
    pub fn read(rule: &Value) -> Self {
        let texts = |name: &str| {
            let list = rule.get(name).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Self {
            groups: texts("apiGroups"),
            resources: texts("resources"),
            urls: texts("nonResourceURLs"),
            names: texts("resourceNames"),
            verbs: texts("verbs"),
        }
    }

    /// Everything with every resource.
    pub fn all_resources() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            groups: all(),
            resources: all(),
            urls: Vec::new(),
            names: Vec::new(),
            verbs: all(),
        }
    }

    /// Everything with every path.
    pub fn all_paths() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            groups: Vec::new(),
            resources: Vec::new(),
            urls: all(),
            names: Vec::new(),
            verbs: all(),
        }
    }

    /// As a role says it.
    pub fn to_value(&self) -> Value {
        let mut rule = Map::new();
        rule.insert("verbs".to_owned(), json!(self.verbs));
        for (name, list) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ] {
            if !list.is_empty() {
                rule.insert(name.to_owned(), json!(list));
            }
        }
        Value::Object(rule)
    }

    /// Whether it allows a verb on a resource (or one of its subresources, if that is not empty).
    pub fn allows_resource(
        &self,
        verb: &str,
        group: &str,
        (resource, subresource): (&str, &str),
        name: &str,
    ) -> bool {
        has(&self.verbs, verb)
            && has(&self.groups, group)
            && self
                .resources
                .iter()
                .any(|own| names_resource(own, resource, subresource))
            && (self.names.is_empty() || self.names.iter().any(|own| own == name))
    }

    /// Whether it allows a verb on a path that is no resource.
    pub fn allows_path(&self, verb: &str, path: &str) -> bool {
        has(&self.verbs, verb)
            && self
                .urls
                .iter()
                .any(|own| own == ALL || covers_path(own, path))
    }

    /// The smallest rules that it is made of: one verb on one thing each.
    fn atoms(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut atoms = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let whole = Self {
                        groups: one(group),
                        resources: one(resource),
                        verbs: one(verb),
                        ..Self::default()
                    };
                    if self.names.is_empty() {
                        atoms.push(whole);
                        continue;
                    }
                    atoms.extend(self.names.iter().map(|name| Self {
                        names: one(name),
                        ..whole.clone()
                    }));
                }
            }
        }
        for url in &self.urls {
            atoms.extend(self.verbs.iter().map(|verb| Self {
                urls: one(url),
                verbs: one(verb),
                ..Self::default()
            }));
        }
        atoms
    }

    /// Whether it allows all that an atom does.
    fn covers(&self, atom: &Self) -> bool {
        let all = |own: &[String], theirs: &[String]| theirs.iter().all(|text| has(own, text));
        let names = self.names.is_empty()
            || (!atom.names.is_empty() && atom.names.iter().all(|name| self.names.contains(name)));
        let resource = |wanted: &String| {
            has(&self.resources, wanted)
                || wanted.split_once('/').is_some_and(|(_, sub)| {
                    let any = format!("*/{sub}");
                    self.resources.contains(&any)
                })
        };
        all(&self.verbs, &atom.verbs)
            && all(&self.groups, &atom.groups)
            && atom.resources.iter().all(resource)
            && atom
                .urls
                .iter()
                .all(|url| self.urls.iter().any(|own| covers_path(own, url)))
            && names
    }

    /// Whether only its verbs tell it from others on the same one resource.
    fn is_simple(&self) -> bool {
        self.names.is_empty()
            && self.urls.is_empty()
            && self.groups.len() == 1
            && self.resources.len() == 1
    }
}

/// In the form of Kubernetes' messages.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let mut first = true;
        for (name, list) in [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ] {
            if list.is_empty() {
                continue;
            }
            if !std::mem::take(&mut first) {
                f.write_str(", ")?;
            }
            write!(f, "{name}:{}", quoted(list))?;
        }
        f.write_str("}")
    }
}

/// A list of texts as Kubernetes' messages show it: `["a" "b"]`.
pub fn quoted(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

/// What of `wanted` the `owned` rules do not allow, in the smallest rules.
pub fn missing(owned: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let atoms = wanted.iter().flat_map(PolicyRule::atoms);
    atoms
        .filter(|atom| !owned.iter().any(|own| own.covers(atom)))
        .collect()
}

/// The same rules, those about one resource as one.
pub fn compact(rules: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut compacted: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let same = compacted.iter_mut().find(|other| {
            rule.is_simple()
                && other.is_simple()
                && (&other.groups, &other.resources) == (&rule.groups, &rule.resources)
        });
        match same {
            Some(other) => other.verbs.extend(rule.verbs),
            None => compacted.push(rule),
        }
    }
    compacted
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|own| own == ALL || own == text)
}

/// `*`, `pods`, `pods/log` or `*/log`.
fn names_resource(own: &str, resource: &str, subresource: &str) -> bool {
    if own == ALL || (subresource.is_empty() && own == resource) {
        return true;
    }
    own.split_once('/').is_some_and(|(of, sub)| {
        !subresource.is_empty() && sub == subresource && (of == ALL || of == resource)
    })
}

/// A path, or all that begin with what stands before `*`.
fn covers_path(own: &str, path: &str) -> bool {
    own == path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        let list = |text: &str| match text {
            "-" => vec![String::new()],
            text => text
                .split(',')
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        PolicyRule {
            groups: list(groups),
            resources: list(resources),
            names: list(names),
            verbs: list(verbs),
            urls: Vec::new(),
        }
    }

    #[test]
    fn a_rule_names_resources_subresources_and_names() {
        let allowed = |rule: &PolicyRule, verb, (resource, sub), name| {
            rule.allows_resource(verb, "", (resource, sub), name)
        };
        let pods = rule("get,list", "-", "pods,*/scale,services/proxy", "");
        for (verb, of, expected) in [
            ("get", ("pods", ""), true),
            ("get", ("pods", "log"), false),
            ("delete", ("pods", ""), false),
            ("get", ("replicationcontrollers", "scale"), true),
            ("get", ("services", "proxy"), true),
            ("get", ("services", ""), false),
            ("get", ("*", ""), false),
        ] {
            assert_eq!(allowed(&pods, verb, of, "x"), expected, "{of:?}");
        }
        let one = rule("*", "*", "*", "a");
        assert!(allowed(&one, "get", ("pods", "log"), "a"));
        assert!(!allowed(&one, "get", ("pods", "log"), "b"));
        assert!(!allowed(&one, "list", ("pods", ""), ""));
    }

    #[test]
    fn a_rule_names_paths() {
        let rule = PolicyRule {
            urls: vec!["/api".to_owned(), "/apis/*".to_owned()],
            verbs: vec!["get".to_owned()],
            ..PolicyRule::default()
        };
        for (path, expected) in [
            ("/api", true),
            ("/api/", false),
            ("/apis/", true),
            ("/apis/apps/v1", true),
            ("/apis", false),
        ] {
            assert_eq!(rule.allows_path("get", path), expected, "{path}");
        }
        assert!(!rule.allows_path("post", "/api"));
    }

    #[test]
    fn what_is_missing_is_told_in_few_words() {
        let owned = [
            rule("get", "-", "pods", ""),
            rule("*", "apps", "*/scale", ""),
        ];
        let wanted = [
            rule("get,list,watch", "-", "pods", ""),
            rule("update", "apps", "deployments/scale", ""),
            rule("get", "-", "secrets", "s"),
        ];
        let told: Vec<String> = compact(missing(&owned, &wanted))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["s"], Verbs:["get"]}"#,
            ]
        );
        assert!(missing(&[rule("*", "*", "*", "")], &wanted).is_empty());
        // Who may read one secret may not give away all of them.
        let named = [rule("get", "-", "secrets", "s")];
        assert_eq!(missing(&named, &[rule("get", "-", "secrets", "")]).len(), 1);
    }
}
