//! `create`: a new object from the body of a POST.

use super::get::answer_cached;
use super::options;
use super::write::{Change, TWICE, decode, parse, take_namespace};
use super::{Target, read_body};
use crate::api::context::Context;
use crate::api::{ApiServer, Body, codec};
use crate::meta::ApiError;
use crate::resources::Part;
use http::{Request, Response, StatusCode};

/// Serves a create.
pub(crate) async fn create(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let options = options::create(context)?;
    if target.def.is_namespaced() && target.namespace.is_empty() {
        return Err(ApiError::bad_request(
            "an empty namespace may not be set during creation",
        ));
    }
    let body = read_body(server, request.into_body()).await?;
    let strict = parse(context, &target.def, &body)?;
    let mut object = decode(context, &target.def, strict, &options)?;
    take_namespace(target, &mut object)?;
    let change = Change {
        server,
        context,
        target,
        part: Part::Main,
        options: &options,
        owned: false,
    };
    change.dedup_owner_references(&mut object, TWICE);
    let cached = change.create(object).await?;
    answer_cached(
        server,
        context,
        target,
        &accepted,
        &cached,
        StatusCode::CREATED,
    )
}
