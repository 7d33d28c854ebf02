//! `wkube label`: sets and takes away labels of objects.

use crate::cli::context::{CliError, GlobalArgs};
pub(crate) use crate::cli::pairs::PairArgs as Args;
use crate::cli::pairs::{PairVerb, Pairs};
use crate::meta::names;
use serde_json::Value;
use std::process::ExitCode;

const LABEL: PairVerb = PairVerb {
    what: "label",
    path: ["metadata", "labels"],
    manager: "kubectl-label",
    check,
};

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    LABEL.run(args, global).await
}

fn check(
    args: &Args,
    pairs: &Pairs,
    now: Option<&Value>,
    after: &Value,
) -> Result<&'static str, CliError> {
    for (key, value) in &pairs.set {
        if let Some(why) = names::label_value(value).first() {
            let what = format!("invalid label value: \"{key}={value}\": {why}");
            return Err(CliError::new(what));
        }
    }
    if !args.overwrite {
        let taken = pairs.overwrites(now).into_iter().map(|(key, value)| {
            let what = format!("'{key}' already has a value ({value}), and --overwrite is false");
            CliError::new(what)
        });
        CliError::all(taken.collect())?;
    }
    for key in &pairs.remove {
        if now.is_none_or(|labels| labels.get(key).is_none()) {
            println!("label {key:?} not found.");
        }
    }
    Ok(told(now.unwrap_or(&Value::Null), after, args.overwrite))
}

/// Kubernetes: kubectl tells by the length of the object's text whether something went.
fn told(before: &Value, after: &Value, overwrite: bool) -> &'static str {
    if before == after {
        "not labeled"
    } else if !overwrite && after.to_string().len() < before.to_string().len() {
        "unlabeled"
    } else {
        "labeled"
    }
}
