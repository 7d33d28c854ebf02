//! `deletecollection`: deletes what a list selects, one by one, and answers the list. Objects that
//! went away meanwhile are no error.

use super::delete::{Deleted, delete_one};
use super::list::page;
use super::options::{self, Listing};
use super::shape::{IncludeObject, Shaper};
use super::{Target, read_body};
use crate::api::context::Context;
use crate::api::registry::served;
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::{ApiError, Reason};
use futures::StreamExt;
use futures::stream;
use http::{Request, Response, StatusCode};
use serde_json::json;

/// Deletions that run at the same time, so that they share commits of the store.
const DELETES_AT_ONCE: usize = 64;

/// Serves a deletecollection.
pub(crate) async fn delete_collection(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let listing = Listing::of(server, context, target)?;
    let body = read_body(server, request.into_body()).await?;
    let options = options::delete(context, &body)?;
    let page = page(server, target, &listing)?;
    let mut targets = Vec::with_capacity(page.items.len());
    for (_, cached) in &page.items {
        let object = served(&target.def, cached)?;
        targets.push(Target {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            ..target.clone()
        });
    }
    let options = &options;
    let results: Vec<Result<Deleted, ApiError>> = stream::iter(targets)
        .map(|target| async move { delete_one(server, context, &target, options).await })
        .buffered(DELETES_AT_ONCE)
        .collect()
        .await;
    let mut objects = Vec::new();
    for result in results {
        match result {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => objects.push(object),
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::Metadata,
        now: server.clock.now(),
    };
    let metadata = json!({ "resourceVersion": server.revision().to_string() });
    respond::value(&accepted, StatusCode::OK, &shaper.list(objects, metadata))
}
