//! `update`: a whole object in place of the present one (PUT), or of a part of it.

use super::get::{answer_cached, answer_object};
use super::options;
use super::write::{Change, TWICE, Written, decode, parse, take_namespace};
use super::{Target, read_body};
use crate::api::codec::Accepted;
use crate::api::context::Context;
use crate::api::{ApiServer, Body, codec};
use crate::meta::{ApiError, Reason};
use crate::resources::Part;
use http::{Request, Response, StatusCode};

/// Serves an update of an object or of the part that `part` names.
pub(crate) async fn update(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    part: Part,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let options = options::update(context)?;
    let body = read_body(server, request.into_body()).await?;
    let strict = parse(context, &target.def, &body)?;
    let mut object = decode(context, &target.def, strict, &options)?;
    take_namespace(target, &mut object)?;
    if object.name().is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
    }
    if object.name() != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object.name(),
            target.name
        )));
    }
    let change = Change {
        server,
        context,
        target,
        part,
        options: &options,
        owned: false,
    };
    change.dedup_owner_references(&mut object, TWICE);
    let may_create = part == Part::Main && target.def.strategy.allows_create_on_update();
    let written = change
        .update(|old| {
            if old.is_none() && !may_create {
                let of = target.def.group_resource();
                return Err(ApiError::not_found(&of, &target.name));
            }
            change.check_uid(object.uid(), old)?;
            Ok(object.clone())
        })
        .await?;
    answer(server, context, target, &accepted, written)
}

/// Answers with what a write has led to.
pub(crate) fn answer(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    accepted: &Accepted,
    written: Written,
) -> Result<Response<Body>, ApiError> {
    let (cached, status) = match written {
        Written::Created(cached) => (cached, StatusCode::CREATED),
        Written::Updated(cached) => (cached, StatusCode::OK),
        Written::Deleted(object) => {
            return answer_object(server, context, target, accepted, object, StatusCode::OK);
        }
    };
    answer_cached(server, context, target, accepted, &cached, status)
}

/// 405 in Kubernetes' words.
pub(crate) fn not_allowed() -> ApiError {
    ApiError::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
}
