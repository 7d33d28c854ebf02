//! `wkube rollout resume`: a paused Deployment goes on.

use super::is;
use super::pause::is_paused;
use crate::cli::context::{CliError, GlobalArgs};
use serde_json::json;
use std::process::ExitCode;

pub(super) use super::pause::Args;

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    args.change(&global, "resumed", |found| {
        if !is(found, "Deployment") {
            return Err("resuming is not supported");
        }
        match is_paused(found) {
            true => Ok(json!({ "spec": { "paused": null } })),
            false => Err("is not paused"),
        }
    })
    .await
}
