//! The verbs over the resource table, one file each; all of them work for every row. Must not know
//! a kind by name: what a kind does differently is its row's strategy or an admission plugin.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod delete_collection;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod options;
pub(crate) mod ownership;
pub(crate) mod patch;
pub(crate) mod rules;
pub(crate) mod shape;
pub(crate) mod update;
pub(crate) mod watch;
pub(crate) mod write;

use crate::api::{ApiServer, Body};
use crate::meta::{ApiError, Reason};
use crate::resources::DefRef;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// What a request is about.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) def: DefRef,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

/// Reads a request's body, within the limit.
pub(crate) async fn read_body(server: &ApiServer, mut body: Body) -> Result<Bytes, ApiError> {
    let limit = server.limits.body_bytes_max;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > limit {
            return Err(ApiError::new(
                Reason::RequestEntityTooLarge,
                format!("Request entity too large: limit is {limit}"),
            ));
        }
        if whole.is_empty() && body.is_end_stream_hint() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Whether nothing follows, so that a body in one piece is not copied.
trait EndHint {
    fn is_end_stream_hint(&self) -> bool;
}

impl EndHint for Body {
    fn is_end_stream_hint(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }
}
