//! `wkube set serviceaccount`: as whom pods run.

use super::{MANAGER, pod_spec};
use crate::cli::change::{self, ChangeArgs, Done, Job};
use crate::cli::context::{CliError, GlobalArgs};
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// TYPE NAME... SERVICE_ACCOUNT
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let (account, words) = match args.words.split_last() {
        Some((account, words)) if !words.is_empty() || args.change.files.given()? => {
            (account, words)
        }
        Some((_, _)) => {
            let what = "resource(s) were provided, but no name was specified";
            return Err(CliError::new(what));
        }
        None => return Err(CliError::new("serviceaccount is required")),
    };
    let context = change::context(&global, &args.change).await?;
    let job = Job {
        args: &args.change,
        words: words.to_vec(),
        manager: MANAGER,
        failed: "failed to patch ServiceAccountName",
    };
    job.run(context.as_ref(), |found| {
        let mut path = pod_spec::path(found)?.to_vec();
        path.push("serviceAccountName");
        if found.object.str_at(&path) == account {
            return Ok(Done::Nothing);
        }
        found.object.set(&path, json!(account));
        Ok(Done::Changed("serviceaccount updated"))
    })
    .await
}
