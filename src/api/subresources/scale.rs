//! `scale`: the wanted number of pods, read and written as a Scale, whatever kind it is of. A write
//! is an update of the object, with the same checks. Must not know the kinds that have one.
//! Kubernetes: registry `apps/deployment/storage` ScaleREST.

use crate::api::context::Context;
use crate::api::registry::served;
use crate::api::verbs::patch::Patch;
use crate::api::verbs::update::not_allowed;
use crate::api::verbs::write::{Change, Written, decode, take_namespace};
use crate::api::verbs::{Target, options, ownership, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::options::WriteOptions;
use crate::meta::{ApiError, Object};
use crate::resources::Part;
use crate::resources::autoscaling::scale;
use http::{Request, Response, StatusCode};
use serde_json::Value;

/// Serves a get, update or patch of a scale.
pub(super) async fn serve(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let shown = match context.info.verb.as_str() {
        "get" => {
            let (object, _) = server
                .registry
                .get(&target.def, &target.namespace, &target.name)?;
            if let Some(paths) = &target.def.scale
                && !paths.is_set(&object)
            {
                let path = paths.wanted_path();
                let text = format!("the spec replicas field {path:?} does not exist");
                return Err(ApiError::internal(text));
            }
            scale::of(&object, target.def.scale.as_deref())
        }
        "update" => update(server, context, target, request).await?,
        "patch" => patch(server, context, target, request).await?,
        _ => return Err(not_allowed()),
    };
    respond::value(&accepted, StatusCode::OK, &shown.into_value())
}

async fn update(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Object, ApiError> {
    let options = options::update(context)?;
    let body = read_body(server, request.into_body()).await?;
    let strict = codec::decode(context, &body)?;
    let wanted = checked(context, target, strict, &options)?;
    write(server, context, target, &options, |old| {
        let mut new = old.clone();
        scale::take(&mut new, &wanted, target.def.scale.as_deref());
        Ok(new)
    })
    .await
}

async fn patch(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Object, ApiError> {
    let (patch, options) = Patch::of(server, context, &target.def, request).await?;
    if let Some(config) = patch.applied() {
        return apply(server, context, target, &options, config).await;
    }
    write(server, context, target, &options, |old| {
        let paths = target.def.scale.as_deref();
        let value = patch.apply(scale::of(old, paths).into_value(), &scale::DEF)?;
        let wanted = checked(context, target, patch.strict(value), &options)?;
        let mut new = old.clone();
        scale::take(&mut new, &wanted, paths);
        Ok(new)
    })
    .await
}

/// A server-side apply of a scale owns the one field that it stands for.
async fn apply(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    options: &WriteOptions,
    config: codec::Strict,
) -> Result<Object, ApiError> {
    let wanted = checked(context, target, config, options)?;
    let mut config = Object::default();
    config.set(&["apiVersion"], target.def.api_version().into());
    config.set(&["kind"], target.def.kind.as_ref().into());
    config.set(&["metadata", "name"], target.name.as_str().into());
    take_namespace(target, &mut config)?;
    let replicas = wanted.get(&["spec", "replicas"]);
    if let Some(replicas) = replicas.and_then(Value::as_i64) {
        scale::set_wanted(&mut config, replicas, target.def.scale.as_deref());
    }
    let change = change(server, context, target, options, true);
    let written = change
        .update(|old| match old {
            Some(_) => ownership::apply(&change, &config, old),
            None => Err(missing(target)),
        })
        .await?;
    answer(target, written)
}

/// A Scale of the right name, with a number that can be.
fn checked(
    context: &Context,
    target: &Target,
    strict: codec::Strict,
    options: &WriteOptions,
) -> Result<Object, ApiError> {
    let mut wanted = decode(context, &scale::DEF, strict, options)?;
    take_namespace(target, &mut wanted)?;
    if wanted.name().is_empty() {
        wanted.set(&["metadata", "name"], target.name.as_str().into());
    }
    if wanted.name() != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            wanted.name(),
            target.name
        )));
    }
    scale::DEF.check(&wanted)?;
    Ok(wanted)
}

fn change<'a>(
    server: &'a ApiServer,
    context: &'a Context,
    target: &'a Target,
    options: &'a WriteOptions,
    owned: bool,
) -> Change<'a> {
    Change {
        server,
        context,
        target,
        part: Part::Main,
        options,
        owned,
    }
}

async fn write(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    options: &WriteOptions,
    mut make: impl FnMut(&Object) -> Result<Object, ApiError>,
) -> Result<Object, ApiError> {
    let written = change(server, context, target, options, false)
        .update(|old| make(old.ok_or_else(|| missing(target))?))
        .await?;
    answer(target, written)
}

fn missing(target: &Target) -> ApiError {
    ApiError::not_found(&target.def.group_resource(), &target.name)
}

fn answer(target: &Target, written: Written) -> Result<Object, ApiError> {
    Ok(match written {
        Written::Created(cached) | Written::Updated(cached) => {
            scale::of(&served(&target.def, &cached)?, target.def.scale.as_deref())
        }
        Written::Deleted(object) => scale::of(&object, target.def.scale.as_deref()),
    })
}
