//! `wkube uncordon`: the other half of `cordon`.

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::cordon;
use std::process::ExitCode;

pub(crate) use crate::cli::cordon::Args;

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    cordon::mark(args, global, false).await
}
