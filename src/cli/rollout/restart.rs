//! `wkube rollout restart`: new pods of the same template.

use super::is;
use super::pause::is_paused;
use crate::cli::context::{CliError, GlobalArgs};
use crate::stdx::Clock;
use serde_json::json;
use std::process::ExitCode;

pub(super) use super::pause::Args;

/// The annotation that makes the template another one.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let now = crate::meta::time::rfc3339(Clock::real().now());
    args.change(&global, "restarted", |found| {
        let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
        if !kinds.into_iter().any(|kind| is(found, kind)) {
            return Err("restarting is not supported");
        }
        if is(found, "Deployment") && is_paused(found) {
            return Err("can't restart paused deployment (run rollout resume first)");
        }
        let path = ["spec", "template", "metadata", "annotations", RESTARTED_AT];
        if found.object.str_at(&path) == now {
            return Err(
                "failed to create patch for: if restart has already been triggered within the past \
                 second, please wait before attempting to trigger another",
            );
        }
        let annotations = json!({ RESTARTED_AT: now });
        Ok(json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } }))
    })
    .await
}
