//! `patch`: a change to an object, in one of four forms, applied to what is there and tried again
//! when that has changed. Must not know how a form works: `meta` does.

use super::options::WriteOptions;
use super::update::answer;
use super::write::{Change, decode, take_namespace};
use super::{Target, read_body};
use crate::api::codec::{self, Strict};
use crate::api::context::Context;
use crate::api::{ApiServer, Body};
use crate::meta::{ApiError, Object, Reason};
use crate::resources::Part;
use http::{Request, Response};
use serde_json::Value;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A patch as it was sent.
enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

/// Serves a patch of an object or of the part that `part` names.
pub(crate) async fn patch(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    part: Part,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(&context.headers, &context.query)?;
    let options = WriteOptions::of(context, "PatchOptions")?;
    let content_type = codec::content_type(&context.headers);
    if !is_patch(&content_type) {
        return Err(ApiError::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 {JSON_PATCH}, {MERGE_PATCH}, {APPLY_PATCH}, {STRATEGIC_PATCH}"
            ),
        ));
    }
    if options.force.is_some() {
        let error =
            crate::meta::FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &[error],
        ));
    }
    let body = read_body(server, request.into_body()).await?;
    let (patch, duplicates) = read(&content_type, &body)?;
    let change = Change {
        server,
        context,
        target,
        part,
        options: &options,
        owned: false,
    };
    let mut first = true;
    let written = change
        .update(|old| {
            let Some(old) = old else {
                let of = target.def.group_resource();
                return Err(ApiError::not_found(&of, &target.name));
            };
            let duplicates = if std::mem::take(&mut first) {
                duplicates.clone()
            } else {
                Vec::new()
            };
            let value = apply(&patch, old, target)?;
            let mut new = decode(context, &target.def, Strict { value, duplicates }, &options)?;
            take_namespace(target, &mut new)?;
            Ok(new)
        })
        .await?;
    answer(server, context, target, &accepted, written)
}

fn is_patch(content_type: &str) -> bool {
    matches!(
        content_type,
        JSON_PATCH | MERGE_PATCH | STRATEGIC_PATCH | APPLY_PATCH
    )
}

fn read(content_type: &str, body: &[u8]) -> Result<(Patch, Vec<String>), ApiError> {
    let Strict { value, duplicates } = codec::parse_json(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let patch = match content_type {
        JSON_PATCH => Patch::Json(value),
        MERGE_PATCH => Patch::Merge(value),
        _ => Patch::Strategic(value),
    };
    Ok((patch, duplicates))
}

/// The object that a patch makes of the present one.
fn apply(patch: &Patch, old: &Object, _target: &Target) -> Result<Value, ApiError> {
    let mut value = old.clone().into_value();
    match patch {
        Patch::Json(operations) => {
            let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut value, &operations).map_err(|error| {
                ApiError::new(
                    Reason::Invalid,
                    format!(
                        "the server rejected our request due to an error in our request: {error}"
                    ),
                )
            })?;
        }
        Patch::Merge(patch) | Patch::Strategic(patch) => json_patch::merge(&mut value, patch),
    }
    Ok(value)
}
