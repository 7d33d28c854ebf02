//! `wkube node`: virtual nodes come and go while the server runs. A node is added by making its
//! object, which the server follows; taken away by emptying it first. Must not know how a node runs.

mod add;
mod remove;

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::drain;
use crate::meta::GroupVersionResource;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a virtual node to the running server.
    Add(add::Args),
    /// Empty a node that was added, and take it away.
    Remove(remove::Args),
    /// Drain a node in preparation for maintenance.
    Drain(drain::Args),
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    match args.verb {
        Verb::Add(args) => add::run(args, global).await,
        Verb::Remove(args) => remove::run(args, global).await,
        Verb::Drain(args) => drain::run(args, global).await,
    }
}

fn nodes() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "nodes")
}
