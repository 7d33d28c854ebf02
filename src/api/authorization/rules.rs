//! What somebody may do, as a list: the answer to a SelfSubjectRulesReview. Must not decide: a list
//! is for people and tools to show.

use serde_json::{Value, json};

/// Rules that the authorizers know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// About resources.
    pub resources: Vec<ResourceRule>,
    /// About other paths: verbs, paths.
    pub paths: Vec<(Vec<String>, Vec<String>)>,
    /// Why there may be more that is allowed; empty if there is not.
    pub incomplete: String,
}

/// A rule about resources; `*` is any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups, empty for core.
    pub groups: Vec<String>,
    /// Resources, subresources as `pods/log`.
    pub resources: Vec<String>,
}

impl ResourceRule {
    /// A rule out of a table.
    pub fn new(group: &str, resources: &[&str], verbs: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            groups: vec![group.to_owned()],
            resources: owned(resources),
        }
    }
}

impl Rules {
    /// Everything.
    pub fn all() -> Self {
        Self {
            resources: vec![ResourceRule::new("*", &["*"], &["*"])],
            paths: vec![(owned(&["*"]), owned(&["*"]))],
            incomplete: String::new(),
        }
    }

    /// Reads of paths, and of what is below them.
    pub fn reads(paths: &[&str]) -> Self {
        let with_below = paths
            .iter()
            .flat_map(|path| [(*path).to_owned(), format!("{path}/*")]);
        Self {
            paths: vec![(owned(&["get"]), with_below.collect())],
            ..Self::default()
        }
    }

    /// Adds what another authorizer knows.
    pub fn add(&mut self, other: Self) {
        self.resources.extend(other.resources);
        self.paths.extend(other.paths);
        if self.incomplete.is_empty() {
            self.incomplete = other.incomplete;
        }
    }

    /// As the status of a review says it.
    pub fn to_status(&self) -> Value {
        let resources: Vec<Value> = self
            .resources
            .iter()
            .map(|rule| {
                json!({
                    "verbs": rule.verbs,
                    "apiGroups": rule.groups,
                    "resources": rule.resources,
                })
            })
            .collect();
        let paths: Vec<Value> = self
            .paths
            .iter()
            .map(|(verbs, paths)| json!({ "verbs": verbs, "nonResourceURLs": paths }))
            .collect();
        let mut status = json!({
            "resourceRules": resources,
            "nonResourceRules": paths,
            "incomplete": !self.incomplete.is_empty(),
        });
        if let (false, Value::Object(status)) = (self.incomplete.is_empty(), &mut status) {
            status.insert("evaluationError".to_owned(), json!(self.incomplete));
        }
        status
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}
