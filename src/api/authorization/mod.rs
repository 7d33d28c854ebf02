//! Who may do what. The authorizers are asked in the order of one list; the first that allows
//! decides, and what nobody allows is refused in Kubernetes' words. Must not know how callers are
//! recognized.

mod components;
mod rules;

pub use rules::{ResourceRule, Rules};

use crate::api::authentication::{GROUP_AUTHENTICATED, GROUP_MASTERS, UserInfo};
use crate::api::context::Context;
use crate::api::registry::Cache;
use crate::api::request_info::RequestInfo;
use crate::meta::{ApiError, GroupResource, Reason};
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
    /// Yes.
    Allow,
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

/// The authorizers in the order they are asked.
pub(crate) fn standard(cache: Arc<Cache>) -> Box<dyn Authorizer> {
    Box::new(Union(vec![
        Box::new(Masters),
        Box::new(components::Components),
        Box::new(components::Nodes::new(cache)),
        Box::new(Everyone),
    ]))
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
        Decision::NoOpinion(reasons.join(", "))
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> Rules {
        let mut all = Rules::default();
        for authorizer in &self.0 {
            all.add(authorizer.rules(user, namespace));
        }
        all
    }
}

/// `system:masters` may do everything.
struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(GROUP_MASTERS) {
            Decision::Allow
        } else {
            Decision::NoOpinion(String::new())
        }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> Rules {
        if user.is_in(GROUP_MASTERS) {
            Rules::all()
        } else {
            Rules::default()
        }
    }
}

/// Paths that everyone who has said who he is may read.
const DISCOVERY_PATHS: &[&str] = &["/api", "/apis", "/openapi", "/version"];
/// Questions about oneself.
const SELF_REVIEWS: &[&str] = &[
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
];

/// Discovery, and questions about oneself.
struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let info = attributes.info;
        let reads = matches!(info.verb.as_str(), "get" | "head");
        let path_below = |open: &&'static str| {
            info.path
                .strip_prefix(*open)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let allowed = attributes.user.is_in(GROUP_AUTHENTICATED)
            && if info.is_resource {
                info.verb == "create" && SELF_REVIEWS.contains(&info.resource.as_str())
            } else {
                reads && DISCOVERY_PATHS.iter().any(path_below)
            };
        if allowed {
            Decision::Allow
        } else {
            Decision::NoOpinion(String::new())
        }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> Rules {
        if !user.is_in(GROUP_AUTHENTICATED) {
            return Rules::default();
        }
        let mut rules = Rules::reads(DISCOVERY_PATHS);
        let access = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
        for (group, resources) in [
            ("authorization.k8s.io", &access[..]),
            ("authentication.k8s.io", &["selfsubjectreviews"]),
        ] {
            rules
                .resources
                .push(ResourceRule::new(group, resources, &["create"]));
        }
        rules
    }
}

/// Refuses what is not allowed.
pub(crate) fn check(authorizer: &dyn Authorizer, context: &Context) -> Result<(), ApiError> {
    let field_selector = context.parameter("fieldSelector").unwrap_or_default();
    let decision = authorizer.authorize(&Attributes {
        user: &context.user,
        info: &context.info,
        field_selector: &field_selector,
    });
    match decision {
        Decision::Allow => Ok(()),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => {
            tracing::debug!(
                user = context.user.name,
                path = context.info.path,
                "forbidden"
            );
            Err(forbidden(&context.user, &context.info, &reason))
        }
    }
}

/// 403 in Kubernetes' words.
fn forbidden(user: &UserInfo, info: &RequestInfo, reason: &str) -> ApiError {
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
