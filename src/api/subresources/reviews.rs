//! Reviews: what somebody may do, and who somebody is, asked of the API server itself. Nothing is
//! stored; the answer is the question with a status. Must not decide: the chain's own authorizer
//! and authenticator are asked.
//! Kubernetes: registry `authorization/*`, `authentication/*`.

use crate::api::authentication::{self, ISSUER, UserInfo};
use crate::api::authorization::{Attributes, Decision};
use crate::api::context::Context;
use crate::api::request_info::RequestInfo;
use crate::api::verbs::write::{decode, take_namespace};
use crate::api::verbs::{Target, options, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::{ApiError, FieldError, Object};
use crate::resources::validate::At;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

/// Answers a review.
type Answer = fn(&ApiServer, &Context, &Object) -> Result<Value, ApiError>;

/// The reviews by resource.
const REVIEWS: &[(&str, Answer)] = &[
    ("tokenreviews", token),
    ("selfsubjectreviews", who_am_i),
    ("subjectaccessreviews", subject_access),
    ("localsubjectaccessreviews", subject_access),
    ("selfsubjectaccessreviews", own_access),
    ("selfsubjectrulesreviews", own_rules),
];

/// Whether the resource is a review.
pub(super) fn is_review(plural: &str) -> bool {
    REVIEWS.iter().any(|(name, _)| *name == plural)
}

/// Serves the create of a review.
pub(super) async fn review(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_untabled(context)?;
    let options = options::create(context)?;
    let body = read_body(server, request.into_body()).await?;
    let strict = codec::decode(context, &body)?;
    let mut review = decode(context, &target.def, strict, &options)?;
    take_namespace(target, &mut review)?;
    let mut errors = target.def.strategy.validate(&review);
    errors.extend(unnamed(target, &review));
    if !errors.is_empty() {
        let (group, kind) = (&target.def.group, &target.def.kind);
        return Err(ApiError::invalid(group, kind, "", &errors));
    }
    let found = REVIEWS
        .iter()
        .find(|(name, _)| *name == target.def.plural.as_ref());
    let (_, answer) = found.ok_or_else(crate::api::verbs::update::not_allowed)?;
    let status = answer(server, context, &review)?;
    review.set(&["status"], status);
    if review.get(&["metadata"]).is_none() {
        review.set(&["metadata"], json!({}));
    }
    if target.def.plural == "selfsubjectreviews" {
        let now = crate::meta::time::rfc3339(server.clock.now());
        review.set(&["metadata", "creationTimestamp"], now.into());
    }
    respond::value(&accepted, StatusCode::CREATED, &review.into_value())
}

/// A question about access has no name or label.
fn unnamed(target: &Target, review: &Object) -> Option<FieldError> {
    if !target.def.plural.ends_with("accessreviews") {
        return None;
    }
    let metadata = At::of(review, "metadata");
    let extra = metadata
        .entries()
        .any(|(name, _)| !matches!(name, "managedFields" | "namespace" | "creationTimestamp"));
    extra.then(|| FieldError::invalid("metadata", metadata.value.clone(), "must be empty"))
}

fn who_am_i(_: &ApiServer, context: &Context, _: &Object) -> Result<Value, ApiError> {
    Ok(json!({ "userInfo": user_to_value(&context.user) }))
}

fn token(server: &ApiServer, _: &Context, review: &Object) -> Result<Value, ApiError> {
    let token = review.str_at(&["spec", "token"]);
    if token.is_empty() {
        let text = "token is required for TokenReview in authentication";
        return Err(ApiError::bad_request(text));
    }
    let asked = At::of(review, "spec");
    let asked = asked.field("audiences");
    let asked: Vec<String> = asked
        .values()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let audiences = if asked.is_empty() {
        vec![ISSUER.to_owned()]
    } else {
        asked
    };
    let known = match authentication::token_user(server, token, &audiences) {
        Ok(known) => known,
        Err(why) => return Ok(json!({ "user": {}, "error": why })),
    };
    Ok(json!({
        "authenticated": true,
        "user": user_to_value(&known.user.authenticated()),
        "audiences": known.audiences,
    }))
}

fn user_to_value(user: &UserInfo) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), json!(user.name));
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), json!(user.uid));
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}

fn own_access(server: &ApiServer, context: &Context, review: &Object) -> Result<Value, ApiError> {
    Ok(access(server, &context.user, review))
}

fn subject_access(server: &ApiServer, _: &Context, review: &Object) -> Result<Value, ApiError> {
    let spec = At::of(review, "spec");
    let texts = |at: &At<'_, '_>| -> Vec<String> {
        let texts = at.values().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let extra = spec.field("extra");
    let user = UserInfo {
        name: spec.field("user").str().to_owned(),
        uid: spec.field("uid").str().to_owned(),
        groups: texts(&spec.field("groups")),
        extra: extra
            .entries()
            .map(|(key, _)| (key.to_owned(), texts(&extra.key(key))))
            .collect(),
    };
    Ok(access(server, &user, review))
}

fn access(server: &ApiServer, user: &UserInfo, review: &Object) -> Value {
    let spec = At::of(review, "spec");
    let (resource, path) = (
        spec.field("resourceAttributes"),
        spec.field("nonResourceAttributes"),
    );
    let info = if resource.is_set() {
        let text = |name: &str| resource.field(name).str().to_owned();
        RequestInfo {
            is_resource: true,
            verb: text("verb"),
            group: text("group"),
            version: text("version"),
            namespace: text("namespace"),
            resource: text("resource"),
            subresource: text("subresource"),
            name: text("name"),
            ..RequestInfo::default()
        }
    } else {
        RequestInfo {
            path: path.field("path").str().to_owned(),
            verb: path.field("verb").str().to_owned(),
            ..RequestInfo::default()
        }
    };
    let selector = resource.field("fieldSelector");
    let decision = server.authorization.all.authorize(&Attributes {
        user,
        info: &info,
        field_selector: selector.field("rawSelector").str(),
    });
    let (allowed, denied, reason) = match decision {
        Decision::Allow(by) => {
            let reason = by.map(|by| format!("RBAC: allowed by {by}"));
            (true, false, reason.unwrap_or_default())
        }
        Decision::Deny(reason) => (false, true, reason),
        Decision::NoOpinion(reason) => (false, false, reason),
    };
    let mut status = Map::new();
    status.insert("allowed".to_owned(), json!(allowed));
    if denied {
        status.insert("denied".to_owned(), json!(true));
    }
    if !reason.is_empty() {
        status.insert("reason".to_owned(), json!(reason));
    }
    Value::Object(status)
}

fn own_rules(server: &ApiServer, context: &Context, review: &Object) -> Result<Value, ApiError> {
    let namespace = review.str_at(&["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let rules = server.authorization.all.rules(&context.user, namespace);
    Ok(rules.to_status())
}
