//! `wkube rollout history`: the revisions, or one of them.

use super::revisions::{self, Revision};
use super::{RolloutArgs, is};
use crate::cli::change::Found;
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::describe::pod_template;
use crate::cli::printers::OutputArgs;
use crate::cli::printers::tab_writer::DESCRIBE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// See the details, including podTemplate of the revision specified.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    revision: i64,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    if args.revision < 0 {
        let what = format!("revision must be a positive integer: {}", args.revision);
        return Err(CliError::new(what));
    }
    let (context, list, mut errors) = args.rollout.found(&global).await?;
    for found in &list {
        let revisions = match viewable(found) {
            Ok(()) => revisions::of(&context, found).await,
            Err(error) => Err(error),
        };
        let revisions = match revisions {
            Ok(revisions) => revisions,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let Some(output) = &output else {
            match told(&revisions, args.revision) {
                Ok(text) => {
                    let with = match args.revision {
                        0 => String::new(),
                        number => format!("with revision #{number}"),
                    };
                    println!("{} {with}\n{text}", found.shown());
                }
                Err(error) => errors.push(error),
            }
            continue;
        };
        for (number, revision) in &revisions {
            if args.revision == 0 || *number == args.revision {
                let object = as_object(found, revision);
                print!("{}", output.one(&found.shown(), &object)?);
            }
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

fn viewable(found: &Found) -> Result<(), CliError> {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    if kinds.into_iter().any(|kind| is(found, kind)) {
        return Ok(());
    }
    let what = format!(
        "no history viewer has been implemented for {:?}",
        kind(found)
    );
    Err(CliError::new(what))
}

/// `Pod`, `Job.batch`.
pub(super) fn kind(found: &Found) -> String {
    match found.row.resource.group.as_str() {
        "" => found.row.kind.clone(),
        group => format!("{}.{group}", found.row.kind),
    }
}

fn told(revisions: &BTreeMap<i64, Revision>, number: i64) -> Result<String, CliError> {
    if revisions.is_empty() {
        return Ok("No rollout history found.".to_owned());
    }
    if number > 0 {
        let revision = revisions
            .get(&number)
            .ok_or_else(|| CliError::new("unable to find the specified revision"))?;
        return Ok(pod_template(&revision.template));
    }
    let mut text = "REVISION\tCHANGE-CAUSE\n".to_owned();
    for (number, revision) in revisions {
        let cause = match revision.cause.as_str() {
            "" => "<none>",
            cause => cause,
        };
        text.push_str(&format!("{number}\t{cause}\n"));
    }
    Ok(DESCRIBE.pad(&text))
}

/// A ReplicaSet as it is; what a ControllerRevision keeps, as the object would be with it.
fn as_object(found: &Found, revision: &Revision) -> Value {
    if is(found, "Deployment") {
        return Value::Object(revision.keeper.fields().clone());
    }
    let mut object = found.object.clone();
    object.set(&["spec", "template"], revision.template.clone());
    object.into_value()
}
