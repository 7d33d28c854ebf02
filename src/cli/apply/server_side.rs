//! Server-side apply: the manifest is sent as it is, and the server merges. Must not know patches of
//! the client's making.

use super::Job;
use crate::cli::context::CliError;
use crate::client::{Client, ClientError, PatchKind, with_query};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// The manager of kubectl's server-side apply; the same, or the two would be in each other's way.
const MANAGER: &str = "kubectl";

pub(super) async fn apply(job: &Job<'_>) -> Result<(&'static str, Value), CliError> {
    let manager = job.args.field_manager.as_deref().unwrap_or(MANAGER);
    let force = job.args.force_conflicts.to_string();
    let query = job.args.write.query(manager)?.with("force", &force);
    let path = Client::path(&job.row.resource, job.namespace, job.name(), "");
    let path = with_query(path, &query);
    let body = Bytes::from(Value::Object(job.object.fields().clone()).to_string());
    let body = Some((PatchKind::Apply.content_type(), body));
    let bytes = match job.client.call(Method::PATCH, &path, body).await {
        Ok(bytes) => bytes,
        Err(ClientError::Api(api)) if api.code == 409 => {
            let what = format!(
                "{}\nPlease review the fields above: they are managed by others. Re-run with \
                 --force-conflicts to take them over, or leave them out of the manifest (or give \
                 them the value that they have) to share them.",
                api.message
            );
            let error = CliError::new(what);
            return Err(job.place.locate(error, ""));
        }
        Err(error) => {
            let what = job.place.refused_plainly(error);
            return Err(what);
        }
    };
    let object = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    Ok(("serverside-applied", object))
}
