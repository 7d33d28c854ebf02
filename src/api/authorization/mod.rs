//! Who may do what. The authorizers are asked in the order of one list; the first that allows
//! decides, and what nobody allows is refused in Kubernetes' words. Must not know how callers are
//! recognized.

mod nodes;
mod rbac;
mod rules;

pub(crate) use rbac::Rbac;
pub use rules::Rules;

use crate::api::authentication::{GROUP_MASTERS, UserInfo};
use crate::api::context::Context;
use crate::api::registry::Cache;
use crate::api::request_info::RequestInfo;
use crate::meta::{ApiError, GroupResource, Reason};
use crate::resources::rbac::policy::PolicyRule;
use serde_json::json;
use std::sync::Arc;

/// What is to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// What for.
    pub info: &'a RequestInfo,
    /// The field selector of a list or watch, as it was sent.
    pub field_selector: &'a str,
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes; by which binding, if it was one.
    Allow(Option<Arc<str>>),
    /// No, and nobody else is asked.
    Deny(String),
    /// Ask the next one; the text may say why not here.
    NoOpinion(String),
}

/// Decides.
pub trait Authorizer: Send + Sync {
    /// Decides. Must be quick: it is asked for every request.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;

    /// What a user may do in a namespace, as far as it can be listed.
    fn rules(&self, _user: &UserInfo, _namespace: &str) -> Rules {
        Rules::default()
    }
}

/// Who decides, in this process.
pub(crate) struct Authorization {
    /// All authorizers, in the order they are asked.
    pub(crate) all: Box<dyn Authorizer>,
    /// The roles, for those who give away what they have.
    pub(crate) rbac: Rbac,
}

/// Somebody who may be asked, by Kubernetes' name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// The nodes' agents may do what their pods need.
    Node,
    /// Roles and their bindings.
    Rbac,
    /// Everything is allowed.
    AlwaysAllow,
    /// Nothing is allowed.
    AlwaysDeny,
}

/// The modes, with Kubernetes' names of them.
const MODES: &[(&str, AuthorizationMode)] = &[
    ("Node", AuthorizationMode::Node),
    ("RBAC", AuthorizationMode::Rbac),
    ("AlwaysAllow", AuthorizationMode::AlwaysAllow),
    ("AlwaysDeny", AuthorizationMode::AlwaysDeny),
];

/// The modes of kube-apiserver's own installers.
pub const STANDARD_MODES: &[AuthorizationMode] =
    &[AuthorizationMode::Node, AuthorizationMode::Rbac];

impl std::str::FromStr for AuthorizationMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = MODES.iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
            format!(
                "{name:?} is not a valid mode; there are {}",
                names.join(", ")
            )
        })
    }
}

/// The authorizers in the order they are asked; the cluster's masters come before all of them.
pub(crate) fn of_modes(modes: &[AuthorizationMode], cache: &Arc<Cache>) -> Authorization {
    let rbac = Rbac::new(cache);
    let mut all: Vec<Box<dyn Authorizer>> = vec![Box::new(Masters)];
    all.extend(modes.iter().map(|mode| -> Box<dyn Authorizer> {
        match mode {
            AuthorizationMode::Node => Box::new(nodes::Nodes::new(cache.clone())),
            AuthorizationMode::Rbac => Box::new(rbac.clone()),
            AuthorizationMode::AlwaysAllow => Box::new(Always(true)),
            AuthorizationMode::AlwaysDeny => Box::new(Always(false)),
        }
    }));
    Authorization {
        all: Box::new(Union(all)),
        rbac,
    }
}

/// Allows everything, or nothing.
struct Always(bool);

impl Authorizer for Always {
    fn authorize(&self, _attributes: &Attributes<'_>) -> Decision {
        if self.0 {
            Decision::Allow(None)
        } else {
            Decision::NoOpinion("Everything is forbidden.".to_owned())
        }
    }

    fn rules(&self, _user: &UserInfo, _namespace: &str) -> Rules {
        let mut rules = Rules::default();
        if self.0 {
            rules.add_rule(PolicyRule::all_resources());
            rules.add_rule(PolicyRule::all_paths());
        }
        rules
    }
}

struct Union(Vec<Box<dyn Authorizer>>);

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut reasons = Vec::new();
        for authorizer in &self.0 {
            match authorizer.authorize(attributes) {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                decided => return decided,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> Rules {
        let mut all = Rules::default();
        for authorizer in &self.0 {
            all.add(authorizer.rules(user, namespace));
        }
        all
    }
}

/// `system:masters` may do everything, whatever the roles say.
struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(GROUP_MASTERS) {
            Decision::Allow(None)
        } else {
            Decision::NoOpinion(String::new())
        }
    }
}

/// Refuses what is not allowed.
pub(crate) fn check(authorizer: &dyn Authorizer, context: &Context) -> Result<(), ApiError> {
    let field_selector = match context.info.verb.as_str() {
        "list" | "watch" | "deletecollection" => context.parameter("fieldSelector"),
        _ => None,
    };
    let decision = authorizer.authorize(&Attributes {
        user: &context.user,
        info: &context.info,
        field_selector: &field_selector.unwrap_or_default(),
    });
    if context.audit.is_some() {
        let (word, reason) = match &decision {
            Decision::Allow(Some(by)) => ("allow", format!("RBAC: allowed by {by}")),
            Decision::Allow(None) => ("allow", String::new()),
            Decision::Deny(reason) | Decision::NoOpinion(reason) => ("forbid", reason.clone()),
        };
        context.annotate("authorization.k8s.io/decision", || word.to_owned());
        context.annotate("authorization.k8s.io/reason", || reason);
    }
    decided(decision, &context.user, &context.info)
}

/// Refuses what is not allowed.
pub(crate) fn check_attributes(
    authorizer: &dyn Authorizer,
    attributes: &Attributes<'_>,
) -> Result<(), ApiError> {
    decided(
        authorizer.authorize(attributes),
        attributes.user,
        attributes.info,
    )
}

fn decided(decision: Decision, user: &UserInfo, info: &RequestInfo) -> Result<(), ApiError> {
    match decision {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => {
            tracing::debug!(user = user.name, path = info.path, "forbidden");
            Err(forbidden(user, info, &reason))
        }
    }
}

/// Refuses what the request would not be allowed with another verb: an update that creates.
pub(crate) fn check_verb(
    authorizer: &dyn Authorizer,
    context: &Context,
    verb: &str,
) -> Result<(), ApiError> {
    let info = RequestInfo {
        verb: verb.to_owned(),
        ..context.info.clone()
    };
    check_attributes(
        authorizer,
        &Attributes {
            user: &context.user,
            info: &info,
            field_selector: "",
        },
    )
}

/// 403 in Kubernetes' words.
pub(crate) fn forbidden(user: &UserInfo, info: &RequestInfo, reason: &str) -> ApiError {
    let mut words = format!("User {:?} cannot {} ", user.name, info.verb);
    if info.is_resource {
        let resource = info.resource_and_subresource();
        words += &format!("resource {resource:?} in API group {:?}", info.group);
        if info.namespace.is_empty() {
            words += " at the cluster scope";
        } else {
            words += &format!(" in the namespace {:?}", info.namespace);
        }
    } else {
        words += &format!("path {:?}", info.path);
    }
    // What the client has sent must not look like a page to a browser.
    for (mark, harmless) in [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")] {
        if words.contains(mark) {
            words = words.replace(mark, harmless);
        }
    }
    if !reason.is_empty() {
        words += &format!(": {reason}");
    }
    if !info.is_resource {
        let mut error = ApiError::new(Reason::Forbidden, format!("forbidden: {words}"));
        error.details = json!({});
        return error;
    }
    let of = GroupResource {
        group: info.group.clone(),
        resource: info.resource.clone(),
    };
    ApiError::forbidden(&of, &info.name, &words)
}
