//! `wkube rollout`: the revisions of what is rolled out. One file a verb, one line in the list.

mod history;
mod pause;
mod restart;
mod resume;
mod revisions;
mod status;
mod undo;

use crate::cli::change::{self, Found};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::manifests::FileArgs;
use crate::cli::resource_args::{ObjectArgs, SelectorArgs};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// View previous rollout revisions and configurations.
    History(history::Args),
    /// Mark the provided resource as paused.
    Pause(pause::Args),
    /// Restart a resource.
    Restart(restart::Args),
    /// Resume a paused resource.
    Resume(resume::Args),
    /// Show the status of the rollout.
    Status(status::Args),
    /// Undo a previous rollout.
    Undo(undo::Args),
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    match args.verb {
        Verb::History(args) => history::run(args, global).await,
        Verb::Pause(args) => pause::run(args, global).await,
        Verb::Restart(args) => restart::run(args, global).await,
        Verb::Resume(args) => resume::run(args, global).await,
        Verb::Status(args) => status::run(args, global).await,
        Verb::Undo(args) => undo::run(args, global).await,
    }
}

/// What a verb of rollouts is about: names, files or a selector; a kind alone means all of it.
#[derive(Clone, Debug, Default, clap::Args)]
struct RolloutArgs {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
}

impl RolloutArgs {
    async fn found(
        &self,
        global: &GlobalArgs,
    ) -> Result<(Context, Vec<Found>, Vec<CliError>), CliError> {
        if self.words.is_empty() && !self.files.given()? {
            return Err(CliError::new("required resource not specified"));
        }
        let context = global.connect().await?;
        let objects = ObjectArgs {
            words: self.words.clone(),
            files: self.files.clone(),
            selectors: SelectorArgs {
                selector: self.selector.clone(),
                ..SelectorArgs::default()
            },
        };
        let (found, errors) = change::found(&context, &objects, true).await?;
        Ok((context, found, errors))
    }

    /// What is said on stderr where nothing was found.
    fn say_nothing_found(context: &Context) {
        eprintln!("No resources found in {} namespace.", context.namespace);
    }
}

/// `deployments.apps "x" is already paused`.
fn about(found: &Found, why: &str) -> CliError {
    let resource = &found.row.resource;
    let dot = if resource.group.is_empty() { "" } else { "." };
    CliError::new(format!(
        "{}{dot}{} {:?} {why}",
        resource.resource,
        resource.group,
        found.object.name()
    ))
}

/// Whether it is of a kind of `apps`.
fn is(found: &Found, kind: &str) -> bool {
    found.row.resource.group == "apps" && found.row.kind == kind
}
