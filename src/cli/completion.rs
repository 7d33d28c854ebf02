//! `wkube completion SHELL`: the script that completes this command line.

use crate::cli::Cli;
use crate::cli::context::{CliError, GlobalArgs};
use clap::CommandFactory;
use clap_complete::Shell;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell.
    shell: Shell,
}

pub(crate) async fn run(args: Args, _global: GlobalArgs) -> Result<ExitCode, CliError> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "wkube",
        &mut std::io::stdout(),
    );
    Ok(ExitCode::SUCCESS)
}
