//! The options of lists and watches, made ready for a row. Must not know verbs.

use super::Target;
use crate::api::ApiServer;
use crate::api::context::Context;
use crate::api::registry::Filter;
use crate::api::request_info::query_pairs;
use crate::meta::options::{DeleteOptions, ListOptions, Query, WriteOptions};
use crate::meta::{ApiError, FieldSelector};

use crate::resources::ResourceDef;

/// What a list or a watch asks for.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) options: ListOptions,
    pub(crate) filter: Filter,
}

impl Listing {
    /// Of a request about `target`.
    pub(crate) fn of(
        server: &ApiServer,
        context: &Context,
        target: &Target,
    ) -> Result<Self, ApiError> {
        let def: &ResourceDef = &target.def;
        let mut pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
        // The verb decides, whether it stood in the path or in the query.
        pairs.retain(|(name, _)| name != "watch");
        if context.info.verb == "watch" {
            pairs.push(("watch".to_owned(), "true".to_owned()));
        }
        let mut options = ListOptions::parse(Query::new(&pairs))?;
        select_name(&mut options.fields, &context.info.name)?;
        let stored = server.registry.kind(def)?;
        let filter = Filter::new(
            def,
            &stored.def,
            &target.namespace,
            options.labels.clone(),
            &options.fields,
        )
        .map_err(ApiError::bad_request)?;
        Ok(Self { options, filter })
    }
}

/// The name of a request is a field selector, and another one may not contradict it.
/// Kubernetes: apiserver `handlers.listOpts`.
fn select_name(fields: &mut FieldSelector, name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Ok(());
    }
    if fields.is_everything() {
        *fields = FieldSelector::equals("metadata.name", name);
    } else if fields.requires_exact("metadata.name") != Some(name) {
        return Err(ApiError::bad_request(
            "fieldSelector metadata.name doesn't match requested name",
        ));
    }
    Ok(())
}

/// Options of a create.
pub(crate) fn create(context: &Context) -> Result<WriteOptions, ApiError> {
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    WriteOptions::parse_create(Query::new(&pairs))
}

/// Options of an update.
pub(crate) fn update(context: &Context) -> Result<WriteOptions, ApiError> {
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    WriteOptions::parse_update(Query::new(&pairs))
}

/// Options of a patch.
pub(crate) fn patch(context: &Context, apply: bool) -> Result<WriteOptions, ApiError> {
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    WriteOptions::parse_patch(Query::new(&pairs), apply)
}

/// Options of a delete: a body decides alone, without one the query does.
pub(crate) fn delete(context: &Context, body: &[u8]) -> Result<DeleteOptions, ApiError> {
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    let mut options = if body.is_empty() {
        DeleteOptions::parse_query(Query::new(&pairs))?
    } else {
        let body = crate::api::codec::decode(context, body)?.value;
        DeleteOptions::parse_body(&body)?
    };
    // Kubernetes: a negative grace period counts as one second.
    if options
        .grace_period_seconds
        .is_some_and(|seconds| seconds < 0)
    {
        options.grace_period_seconds = Some(1);
    }
    Ok(options)
}
