//! `wkube node remove`: cordons, drains and deletes a node that was added.

use super::nodes;
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::drain;
use crate::serve::ADDED_NODE;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NODE...
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    how: drain::How,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    // Pods of DaemonSets go with their node: they are no reason to keep it.
    let mut how = args.how;
    how.ignore_daemonsets = true;
    for name in &args.nodes {
        let gvr = nodes();
        let node = context.client.get::<Value>(&gvr, "", name).await?;
        let labels = node.pointer("/metadata/labels");
        if labels.and_then(|labels| labels.get(ADDED_NODE)).is_none() {
            let what = format!(
                "node {name:?} was not added: it is one of those that `wkube serve --nodes` \
                 starts, and would come back"
            );
            return Err(CliError::new(what));
        }
        drain::drain(&context, name, &how).await?;
        context.client.delete(&gvr, "", name, &Value::Null).await?;
        println!("node {name:?} deleted");
    }
    Ok(ExitCode::SUCCESS)
}
