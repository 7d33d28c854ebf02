//! `wkube cordon` and `uncordon`: whether the scheduler may use a node.

use crate::cli::change::{self, ChangeArgs, Done, Job};
use crate::cli::context::{CliError, GlobalArgs};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The manager of what they write.
const MANAGER: &str = "kubectl-cordon";
const UNSCHEDULABLE: [&str; 2] = ["spec", "unschedulable"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NODE...
    nodes: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    mark(args, global, true).await
}

/// Marks nodes as unusable, or usable again.
pub(crate) async fn mark(
    args: Args,
    global: GlobalArgs,
    cordon: bool,
) -> Result<ExitCode, CliError> {
    let verb = if cordon { "cordon" } else { "uncordon" };
    let picks = args.change.selectors.any();
    let what = if args.nodes.is_empty() && !picks {
        format!("USAGE: {verb} NODE [flags]")
    } else if !args.nodes.is_empty() && picks {
        "error: cannot specify both a node name and a --selector option".to_owned()
    } else {
        String::new()
    };
    if !what.is_empty() {
        return Err(
            CliError::new(what).with_line(&format!("See 'wkube {verb} -h' for help and examples"))
        );
    }
    let context = change::context(&global, &args.change).await?;
    let nodes = args.nodes.iter().map(|node| match node.contains('/') {
        true => node.clone(),
        false => format!("node/{node}"),
    });
    let words = match args.nodes.is_empty() {
        true => vec!["nodes".to_owned()],
        false => nodes.collect(),
    };
    let job = Job {
        args: &args.change,
        words,
        manager: MANAGER,
        failed: "",
    };
    let word = |already: bool| match (cordon, already) {
        (true, false) => "cordoned",
        (true, true) => "already cordoned",
        (false, false) => "uncordoned",
        (false, true) => "already uncordoned",
    };
    job.run(context.as_ref(), |found| {
        let now = found.object.get(&UNSCHEDULABLE) == Some(&Value::Bool(true));
        if now == cordon {
            return Ok(Done::Same(word(true)));
        }
        if cordon {
            found.object.set(&UNSCHEDULABLE, json!(true));
        } else {
            found.object.remove(&UNSCHEDULABLE);
        }
        Ok(Done::Changed(word(false)))
    })
    .await
}
