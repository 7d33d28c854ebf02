//! `wkube rollout pause`, and what it shares with `resume`.

use super::{RolloutArgs, about, is};
use crate::cli::change::{Found, send_patch};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::printers::{Output, OutputArgs};
use crate::client::{PatchKind, Query};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The manager of what `rollout` writes.
const MANAGER: &str = "kubectl-rollout";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    rollout: RolloutArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Name of the manager that owns what is changed.
    #[arg(long, value_name = "NAME", default_value = MANAGER)]
    field_manager: String,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    args.change(&global, "paused", |found| {
        if !is(found, "Deployment") {
            return Err("pausing is not supported");
        }
        match is_paused(found) {
            true => Err("is already paused"),
            false => Ok(json!({ "spec": { "paused": true } })),
        }
    })
    .await
}

/// Whether a Deployment is paused.
pub(super) fn is_paused(found: &Found) -> bool {
    found.object.get(&["spec", "paused"]) == Some(&Value::Bool(true))
}

impl Args {
    /// Sends the patch that `change` makes of each object, or tells why there is none.
    pub(super) async fn change(
        &self,
        global: &GlobalArgs,
        done: &str,
        change: impl Fn(&Found) -> Result<Value, &'static str>,
    ) -> Result<ExitCode, CliError> {
        let output = self.output.object()?;
        let (context, list, mut errors) = self.rollout.found(global).await?;
        if list.is_empty() && errors.is_empty() {
            RolloutArgs::say_nothing_found(&context);
        }
        for found in &list {
            let patched = match change(found) {
                Ok(patch) => self.send(&context, found, &patch).await,
                Err(why) => Err(about(found, why)),
            };
            match patched {
                Ok(after) => self.tell(output.as_ref(), found, done, &after)?,
                Err(error) => errors.push(error),
            }
        }
        CliError::all(errors).map(|()| ExitCode::SUCCESS)
    }

    async fn send(
        &self,
        context: &Context,
        found: &Found,
        patch: &Value,
    ) -> Result<Value, CliError> {
        let query = Query::new().with("fieldManager", &self.field_manager);
        let sent = send_patch(context, found, "", PatchKind::Strategic, patch, &query).await;
        sent.map_err(|error| CliError::new(format!("failed to patch: {error}")))
    }

    fn tell(
        &self,
        output: Option<&Output>,
        found: &Found,
        done: &str,
        after: &Value,
    ) -> Result<(), CliError> {
        match output {
            Some(output) => print!("{}", output.one(&found.shown(), after)?),
            None => println!("{} {done}", found.shown()),
        }
        Ok(())
    }
}
