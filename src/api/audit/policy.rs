//! Which requests are logged, and how much of them: the first rule that fits decides. Pure: text in,
//! answers out. Must not know where the log is.
//! Kubernetes: apiserver `audit/policy`, `apis/audit/validation`.

use crate::api::authentication::UserInfo;
use crate::api::request_info::RequestInfo;
use crate::meta::{FieldError, names, yaml};
use serde::Deserialize;

/// How much of a request is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    const ALL: [Self; 4] = [
        Self::None,
        Self::Metadata,
        Self::Request,
        Self::RequestResponse,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// When an event is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    const ALL: [Self; 4] = [
        Self::RequestReceived,
        Self::ResponseStarted,
        Self::ResponseComplete,
        Self::Panic,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// What the file says. A field that is not known is an error: a typing error must not leave
/// something out of the log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: serde_json::Value,
    #[serde(default)]
    rules: Vec<RuleFile>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    level: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<String>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    of: RuleFile,
    decision: Decision,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) level: Level,
    pub(super) omit_stages: Vec<Stage>,
    pub(super) omit_managed_fields: bool,
}

/// The rules.
#[derive(Debug)]
pub(super) struct Policy {
    rules: Vec<Rule>,
    otherwise: Decision,
}

impl Policy {
    /// Reads a policy; the error is for who wrote it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let value = yaml::value(text).map_err(|error| format!("failed decoding: {error}"))?;
        let file: File =
            serde_json::from_value(value).map_err(|error| format!("failed decoding: {error}"))?;
        if file.kind != "Policy" || file.api_version != "audit.k8s.io/v1" {
            return Err(format!(
                "unknown group version field {}, Kind={} in policy",
                file.api_version, file.kind
            ));
        }
        let _ = file.metadata;
        let mut errors = Vec::new();
        let omitted = stages(&file.omit_stages, "omitStages", &mut errors);
        let managed = file.omit_managed_fields;
        let mut rules = Vec::new();
        for (at, rule) in file.rules.into_iter().enumerate() {
            let path = format!("rules[{at}]");
            validate(&rule, &path, &mut errors);
            let level = Level::ALL
                .into_iter()
                .find(|level| level.as_str() == rule.level);
            let mut omit_stages = stages(
                &rule.omit_stages,
                &format!("{path}.omitStages"),
                &mut errors,
            );
            omit_stages.extend(&omitted);
            let decision = Decision {
                level: level.unwrap_or(Level::None),
                omit_stages,
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(managed),
            };
            rules.push(Rule { of: rule, decision });
        }
        if !errors.is_empty() {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(words.join(", "));
        }
        if rules.is_empty() {
            return Err("loaded illegal policy with 0 rules".to_owned());
        }
        Ok(Self {
            rules,
            otherwise: Decision {
                level: Level::None,
                omit_stages: omitted,
                omit_managed_fields: managed,
            },
        })
    }

    /// What is done with a request. Who has not shown who he is, is no user.
    pub(super) fn decide(&self, user: Option<&UserInfo>, info: &RequestInfo) -> &Decision {
        let rule = self.rules.iter().find(|rule| rule.of.matches(user, info));
        rule.map_or(&self.otherwise, |rule| &rule.decision)
    }
}

fn stages(texts: &[String], path: &str, errors: &mut Vec<FieldError>) -> Vec<Stage> {
    let mut found = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        match Stage::ALL.into_iter().find(|stage| stage.as_str() == text) {
            Some(stage) => found.push(stage),
            None => {
                let all: Vec<&str> = Stage::ALL.iter().map(|stage| stage.as_str()).collect();
                let detail = format!("allowed stages are {}", all.join(","));
                errors.push(FieldError::invalid(
                    format!("{path}[{at}]"),
                    text.as_str(),
                    detail,
                ));
            }
        }
    }
    found
}

fn validate(rule: &RuleFile, path: &str, errors: &mut Vec<FieldError>) {
    let known: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
    let level = format!("{path}.level");
    if rule.level.is_empty() {
        errors.push(FieldError::required(level, ""));
    } else if !known.contains(&rule.level.as_str()) {
        errors.push(FieldError::not_supported(level, &rule.level, &known));
    }
    let urls = format!("{path}.nonResourceURLs");
    for (at, url) in rule.non_resource_urls.iter().enumerate() {
        if url == "*" {
            continue;
        }
        let mut wrong = |detail: &str| {
            let path = format!("{urls}[{at}]");
            errors.push(FieldError::invalid(path, url.as_str(), detail));
        };
        if !url.starts_with('/') {
            wrong("non-resource URL rules must begin with a '/' character");
        }
        if url.trim_end_matches('*').len() + 1 < url.len()
            || url.trim_end_matches('*').contains('*')
        {
            wrong("non-resource URL wildcards '*' must be the final character of the rule");
        }
    }
    let resources = format!("{path}.resources");
    for of in &rule.resources {
        if !of.group.is_empty() && of.group != "*" {
            let why = names::dns1123_subdomain(&of.group);
            if !why.is_empty() {
                let path = format!("{resources}.group");
                errors.push(FieldError::invalid(path, of.group.as_str(), why.join(",")));
            }
        }
        if !of.resource_names.is_empty() && of.resources.is_empty() {
            errors.push(FieldError::invalid(
                format!("{resources}.resourceNames"),
                serde_json::json!(of.resource_names),
                "using resourceNames requires at least one resource",
            ));
        }
    }
    let regular = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if !rule.non_resource_urls.is_empty() && regular {
        errors.push(FieldError::invalid(
            urls,
            serde_json::json!(rule.non_resource_urls),
            "rules cannot apply to both regular resources and non-resource URLs",
        ));
    }
}

/// An empty list is all.
fn fits(list: &[String], one: &str) -> bool {
    list.is_empty() || list.iter().any(|own| own == one)
}

impl RuleFile {
    fn matches(&self, user: Option<&UserInfo>, info: &RequestInfo) -> bool {
        let name = user.map(|user| user.name.as_str());
        if !self.users.is_empty() && !name.is_some_and(|name| fits(&self.users, name)) {
            return false;
        }
        let mut groups = user.into_iter().flat_map(|user| &user.groups);
        if !self.user_groups.is_empty() && !groups.any(|group| self.user_groups.contains(group)) {
            return false;
        }
        if !fits(&self.verbs, &info.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            let inside = info.is_resource && fits(&self.namespaces, &info.namespace);
            let mut resources = self.resources.iter();
            return inside && (self.resources.is_empty() || resources.any(|of| of.matches(info)));
        }
        if self.non_resource_urls.is_empty() {
            return true;
        }
        let path = info.path.as_str();
        let below = |spec: &String| match spec.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => spec == path,
        };
        !info.is_resource && self.non_resource_urls.iter().any(below)
    }
}

impl GroupResources {
    fn matches(&self, info: &RequestInfo) -> bool {
        if self.group != info.group && self.group != "*" {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        let whole = info.resource_and_subresource();
        let matching = |resource: &String| {
            resource == "*"
                || *resource == whole
                || (!info.subresource.is_empty()
                    && resource.strip_prefix("*/") == Some(info.subresource.as_str()))
                || resource.strip_suffix("/*") == Some(info.resource.as_str())
        };
        fits(&self.resource_names, &info.name) && self.resources.iter().any(matching)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ['system:kube-proxy'], verbs: [watch]}
- {level: None, userGroups: ['system:authenticated'], nonResourceURLs: ['/api*', /version]}
- level: Request
  resources: [{group: '', resources: [configmaps]}]
  namespaces: [kube-system]
  omitManagedFields: false
- level: Metadata
  resources: [{group: '', resources: [secrets, 'pods/*'], resourceNames: [a]}]
  omitStages: [ResponseStarted]
- {level: RequestResponse, resources: [{group: apps}, {group: '*', resources: ['*/status']}]}
";

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = Policy::parse(POLICY.as_bytes()).unwrap();
        let proxy = UserInfo::new("system:kube-proxy", &[]);
        let jane = UserInfo::new("jane", &["system:authenticated"]);
        let level = |user: &UserInfo, uri: &str| {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let info = RequestInfo::of(&Method::GET, path, query).unwrap();
            policy.decide(Some(user), &info).clone()
        };
        for (user, uri, wanted) in [
            (&proxy, "/api/v1/services?watch=1", Level::None),
            (&jane, "/apis", Level::None),
            (
                &jane,
                "/api/v1/namespaces/kube-system/configmaps/x",
                Level::Request,
            ),
            (
                &jane,
                "/api/v1/namespaces/default/configmaps/x",
                Level::None,
            ),
            (
                &jane,
                "/api/v1/namespaces/default/secrets/a",
                Level::Metadata,
            ),
            (&jane, "/api/v1/namespaces/default/secrets/b", Level::None),
            (
                &jane,
                "/api/v1/namespaces/default/pods/a/log",
                Level::Metadata,
            ),
            (&jane, "/apis/apps/v1/deployments", Level::RequestResponse),
            (&jane, "/api/v1/nodes/n/status", Level::RequestResponse),
        ] {
            assert_eq!(level(user, uri).level, wanted, "{uri}");
        }
        let of = level(&jane, "/api/v1/namespaces/default/secrets/a");
        let stages = [Stage::ResponseStarted, Stage::RequestReceived];
        assert_eq!(
            (of.omit_stages.as_slice(), of.omit_managed_fields),
            (&stages[..], true)
        );
    }

    #[test]
    fn a_wrong_policy_is_refused_in_words() {
        let rule = |rule: &str| {
            let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{rule}]");
            Policy::parse(text.as_bytes()).unwrap_err()
        };
        for (text, words) in [
            ("", "loaded illegal policy with 0 rules"),
            ("{}", "rules[0].level: Required value"),
            (
                "{level: Much}",
                "rules[0].level: Unsupported value: \"Much\"",
            ),
            ("{level: None, nonsense: 1}", "unknown field `nonsense`"),
            (
                "{level: None, nonResourceURLs: [x]}",
                "must begin with a '/' character",
            ),
            (
                "{level: None, nonResourceURLs: [/x], namespaces: [a]}",
                "rules cannot apply to both regular resources and non-resource URLs",
            ),
            (
                "{level: None, omitStages: [Never]}",
                "allowed stages are RequestReceived,",
            ),
        ] {
            assert!(rule(text).contains(words), "{text}: {}", rule(text));
        }
        let other = Policy::parse(b"apiVersion: v1\nkind: Pod").unwrap_err();
        assert!(other.contains("unknown group version field"), "{other}");
    }
}
