//! `pods/eviction`: a deletion that PodDisruptionBudgets may refuse. There are no budgets yet, so
//! every eviction is a deletion.
//! Kubernetes: registry `core/pod/storage` EvictionREST.

use super::success;
use crate::api::context::Context;
use crate::api::verbs::delete::delete_one;
use crate::api::verbs::{Target, options, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::options::DeleteOptions;
use crate::meta::{ApiError, Object};
use http::{Request, Response, StatusCode};

/// Serves an eviction.
pub(super) async fn evict(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_untabled(context)?;
    let create = options::create(context)?;
    let body = read_body(server, request.into_body()).await?;
    let eviction = Object::from_value(codec::decode(context, &body)?.value)
        .ok_or_else(|| ApiError::bad_request("the body is no Eviction"))?;
    if eviction.name() != target.name {
        let text = "name in URL does not match name in Eviction object";
        return Err(ApiError::bad_request(text));
    }
    let mut options = match eviction.get(&["deleteOptions"]) {
        Some(options) => DeleteOptions::parse_body(options)?,
        None => DeleteOptions::default(),
    };
    options.dry_run |= create.dry_run;
    delete_one(server, context, target, &options).await?;
    respond::value(&accepted, StatusCode::CREATED, &success(201))
}
