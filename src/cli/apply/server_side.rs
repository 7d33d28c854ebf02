//! Server-side apply: the manifest is sent as it is, and the server merges. Must not know patches of
//! the client's making.

use super::{Job, takeover};
use crate::cli::context::CliError;
use crate::client::{Client, ClientError, PatchKind, Query, with_query};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// The manager of kubectl's server-side apply; the same, or the two would be in each other's way.
pub(super) const MANAGER: &str = "kubectl";

pub(super) async fn apply(job: &Job<'_>) -> Result<(&'static str, Value), CliError> {
    let manager = job.args.field_manager.as_deref().unwrap_or(MANAGER);
    let force = job.args.force_conflicts.to_string();
    let query = job.args.write.query(manager)?.with("force", &force);
    let body = Value::Object(job.object.fields().clone());
    let patched = patch(job, PatchKind::Apply, &query, &body).await;
    let mut object = patched.map_err(|error| refused(job, error))?;
    let taken = takeover::from_client_side(job, manager, &mut object).await?;
    if taken {
        // What the manifest no longer says was the old manager's, and can go only now.
        match patch(job, PatchKind::Apply, &query, &body).await {
            Ok(after) => object = after,
            Err(error) => takeover::warn(
                "failed to re-apply configuration after performing Server-Side Apply migration",
                &error,
            ),
        }
    }
    Ok(("serverside-applied", object))
}

/// Sends a patch of the object; answers the object that came of it.
pub(super) async fn patch(
    job: &Job<'_>,
    kind: PatchKind,
    query: &Query,
    body: &Value,
) -> Result<Value, ClientError> {
    let path = Client::path(&job.row.resource, job.namespace, job.name(), "");
    let path = with_query(path, query);
    let body = Bytes::from(body.to_string());
    let body = Some((kind.content_type(), body));
    let bytes = job.client.call(Method::PATCH, &path, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}

fn refused(job: &Job<'_>, error: ClientError) -> CliError {
    match error {
        ClientError::Api(api) if api.code == 409 => {
            let what = format!(
                "{}\nPlease review the fields above: they are managed by others. Re-run with \
                 --force-conflicts to take them over, or leave them out of the manifest (or give \
                 them the value that they have) to share them.",
                api.message
            );
            job.place.locate(CliError::new(what), "")
        }
        error => job.place.refused_plainly(error),
    }
}
