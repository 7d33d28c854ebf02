//! `patch`: a change to an object, in one of four forms, applied to what is there and tried again
//! when that has changed. Must not know how a form works: `meta` does.

use super::options;
use super::update::answer;
use super::write::{Change, decode, take_namespace};
use super::{Target, ownership, read_body};
use crate::api::codec::{self, Strict};
use crate::api::context::Context;
use crate::api::{ApiServer, Body};
use crate::meta::patch::{json, merge, strategic};
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
    Apply(Value),
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
    let options = options::patch(context, content_type == APPLY_PATCH)?;
    let body = read_body(server, request.into_body()).await?;
    let (patch, duplicates) = read(&content_type, &body)?;
    let change = Change {
        server,
        context,
        target,
        part,
        options: &options,
        owned: matches!(patch, Patch::Apply(_)),
    };
    let mut first = true;
    let written = change
        .update(|old| {
            if let Patch::Apply(config) = &patch {
                return applied(&change, config, &duplicates, old);
            }
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
    let strict = if content_type == APPLY_PATCH {
        codec::decode_yaml(body)
    } else {
        codec::parse_json(body).map_err(|error| ApiError::bad_request(error.to_string()))
    };
    let Strict { value, duplicates } = strict.map_err(|error| {
        ApiError::bad_request(format!("error decoding patch: {}", error.message))
    })?;
    let patch = match content_type {
        JSON_PATCH => Patch::Json(value),
        MERGE_PATCH => Patch::Merge(value),
        APPLY_PATCH => Patch::Apply(value),
        _ => Patch::Strategic(value),
    };
    Ok((patch, duplicates))
}

/// The object that an apply makes of the present one, or makes anew.
fn applied(
    change: &Change<'_>,
    config: &Value,
    duplicates: &[String],
    old: Option<&Object>,
) -> Result<Object, ApiError> {
    let target = change.target;
    let strict = Strict {
        value: config.clone(),
        duplicates: duplicates.to_vec(),
    };
    let mut config = decode(change.context, &target.def, strict, change.options)?;
    if config.name().is_empty() {
        config.set(&["metadata", "name"], target.name.as_str().into());
    }
    if config.name() != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            config.name(),
            target.name
        )));
    }
    take_namespace(target, &mut config)?;
    if old.is_none() && !target.subresource.is_empty() {
        let of = target.def.group_resource();
        return Err(ApiError::not_found(&of, &target.name));
    }
    ownership::apply(change, &config, old)
}

/// The object that a patch makes of the present one.
fn apply(patch: &Patch, old: &Object, target: &Target) -> Result<Value, ApiError> {
    let document = old.clone().into_value();
    let patched = match patch {
        Patch::Json(operations) => json::apply(document, operations),
        Patch::Merge(patch) => merge::apply(document, patch),
        Patch::Strategic(patch) => {
            let schema = target.def.schema.get();
            strategic::apply(document, patch, Some(schema.root()))
        }
        Patch::Apply(_) => return Ok(document),
    };
    Ok(patched?)
}
