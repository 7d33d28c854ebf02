//! `/openapi/v2` and `/openapi/v3`: the documents that `resources` makes of the table, made at first
//! use and kept. Must not know shapes.

use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body};
use crate::meta::ApiError;
use http::Response;

/// The documents that have been made.
#[derive(Default)]
pub(crate) struct Documents {}

/// Serves `/openapi/<document>`.
pub(crate) fn serve(
    server: &ApiServer,
    _context: &Context,
    _document: &str,
) -> Result<Response<Body>, ApiError> {
    let _ = &server.openapi;
    Err(not_found())
}
