//! `wkube set`: changes of what runs in the pods of objects. One file a verb, one line in the list.

mod env;
mod image;
mod pod_spec;
mod resources;
mod service_account;

use crate::cli::context::{CliError, GlobalArgs};
use std::process::ExitCode;

/// The manager of what `set` writes.
const MANAGER: &str = "kubectl-set";
/// Kubernetes: what is said where no object is named.
const NOTHING_NAMED: &str =
    "one or more resources must be specified as <resource> <name> or <resource>/<name>";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Update environment variables on a pod template.
    Env(env::Args),
    /// Update the image of a pod template.
    Image(image::Args),
    /// Update resource requests/limits on objects with pod templates.
    Resources(resources::Args),
    /// Update the service account of a resource.
    #[command(alias = "sa")]
    Serviceaccount(service_account::Args),
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    match args.verb {
        Verb::Env(args) => env::run(args, global).await,
        Verb::Image(args) => image::run(args, global).await,
        Verb::Resources(args) => resources::run(args, global).await,
        Verb::Serviceaccount(args) => service_account::run(args, global).await,
    }
}
