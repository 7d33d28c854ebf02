//! `wkube annotate`: sets and takes away annotations of objects.

use crate::cli::context::{CliError, GlobalArgs};
pub(crate) use crate::cli::pairs::PairArgs as Args;
use crate::cli::pairs::{PairVerb, Pairs};
use serde_json::Value;
use std::process::ExitCode;

const ANNOTATE: PairVerb = PairVerb {
    what: "annotation",
    path: ["metadata", "annotations"],
    manager: "kubectl-annotate",
    check,
};

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    ANNOTATE.run(args, global).await
}

fn check(
    args: &Args,
    pairs: &Pairs,
    now: Option<&Value>,
    _: &Value,
) -> Result<&'static str, CliError> {
    let taken = pairs.overwrites(now);
    if args.overwrite || taken.is_empty() {
        return Ok("annotated");
    }
    let taken = taken
        .into_iter()
        .map(|(key, value)| format!("'{key}' already has a value ({value})"));
    Err(CliError::new(format!(
        "--overwrite is false but found the following declared annotation(s): {}",
        taken.collect::<Vec<_>>().join("; ")
    )))
}
