//! `get`: one object, out of the cache. The plain form is the kept bytes as they are.

use super::Target;
use super::list::too_large;
use super::shape::{IncludeObject, Shaper};
use crate::api::codec::{self, Accepted, Shape};
use crate::api::context::Context;
use crate::api::registry::{Cached, served};
use crate::api::request_info::query_pairs;
use crate::api::{ApiServer, Body, respond};
use crate::meta::options::{GetOptions, Query};
use crate::meta::{ApiError, Object};
use bytes::BytesMut;
use http::{Response, StatusCode};

/// Serves a get of an object or of a part of it.
pub(crate) fn get(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    let options = GetOptions::parse(Query::new(&pairs))?;
    let current = server.registry.cache.revision();
    if let Some(asked) = options.resource_version.filter(|asked| *asked > current) {
        return Err(too_large(asked, current));
    }
    let found = server
        .registry
        .find_cached(&target.def, &target.namespace, &target.name)?;
    let cached =
        found.ok_or_else(|| ApiError::not_found(&target.def.group_resource(), &target.name))?;
    answer_cached(server, context, target, &accepted, &cached, StatusCode::OK)
}

/// An object that has just been read or written, in the form that was asked for.
pub(crate) fn answer_cached(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    accepted: &Accepted,
    cached: &Cached,
    status: StatusCode,
) -> Result<Response<Body>, ApiError> {
    let as_kept = respond::is_plain_json(accepted)
        && accepted.shape == Shape::Object
        && target.def.conversion.is_none();
    if as_kept {
        let mut out = BytesMut::new();
        cached.write_to(&mut out);
        out.extend_from_slice(b"\n");
        return Ok(respond::bytes_of(
            accepted.content_type(),
            status,
            out.freeze(),
        ));
    }
    let object = served(&target.def, cached)?;
    answer_object(server, context, target, accepted, object, status)
}

/// An object, in the form that was asked for.
pub(crate) fn answer_object(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    accepted: &Accepted,
    object: Object,
    status: StatusCode,
) -> Result<Response<Body>, ApiError> {
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::of(context, accepted.shape)?,
        now: server.clock.now(),
    };
    shaper.check(false)?;
    respond::value(accepted, status, &shaper.one(object))
}
