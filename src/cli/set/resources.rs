//! `wkube set resources`: what containers ask for and may use at most.

use super::{MANAGER, NOTHING_NAMED, pod_spec};
use crate::cli::change::{self, ChangeArgs, Done, Found, Job};
use crate::cli::context::{CliError, GlobalArgs};
use crate::meta::Quantity;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// TYPE NAME...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// The names of containers in the selected pod templates to change; may use '*'.
    #[arg(long, short, value_name = "PATTERN", default_value = "*")]
    containers: String,
    /// The resource requirement limits for this container, such as 'cpu=100m,memory=256Mi'.
    #[arg(long, value_name = "AMOUNTS", default_value = "")]
    limits: String,
    /// The resource requirement requests for this container, such as 'cpu=100m,memory=256Mi'.
    #[arg(long, value_name = "AMOUNTS", default_value = "")]
    requests: String,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let what = if args.change.all && args.change.selectors.any() {
        "cannot set --all and --selector at the same time"
    } else if args.limits.is_empty() && args.requests.is_empty() {
        "you must specify an update to requests or limits (in the form of --requests/--limits)"
    } else if args.words.is_empty() && !args.change.files.given()? {
        NOTHING_NAMED
    } else {
        ""
    };
    if !what.is_empty() {
        return Err(CliError::new(what));
    }
    let amounts = [
        ("limits", amounts(&args.limits)?),
        ("requests", amounts(&args.requests)?),
    ];
    let context = change::context(&global, &args.change).await?;
    let job = Job {
        args: &args.change,
        words: args.words.clone(),
        manager: MANAGER,
        failed: "failed to patch resources update to pod template",
    };
    job.run(context.as_ref(), |found| one(&args, &amounts, found))
        .await
}

/// `cpu=100m,memory=256Mi`.
fn amounts(text: &str) -> Result<Vec<(String, String)>, CliError> {
    let statements = text.split(',').filter(|statement| !statement.is_empty());
    let amount = |statement: &str| {
        let (name, amount) = match statement.split_once('=') {
            Some((name, amount)) if !amount.contains('=') => (name, amount),
            _ => {
                let what =
                    format!("Invalid argument syntax {statement}, expected <resource>=<value>");
                return Err(CliError::new(what));
            }
        };
        Quantity::parse(amount).map_err(CliError::new)?;
        Ok((name.to_owned(), amount.to_owned()))
    };
    statements.map(amount).collect()
}

fn one(
    args: &Args,
    amounts: &[(&str, Vec<(String, String)>)],
    found: &mut Found,
) -> Result<Done, CliError> {
    let path = pod_spec::path(found)?;
    let before = found.object.clone();
    let change = |container: &mut Map<String, Value>| {
        for (kind, amounts) in amounts.iter().filter(|(_, amounts)| !amounts.is_empty()) {
            let resources = container.entry("resources").or_insert_with(|| json!({}));
            let Some(resources) = resources.as_object_mut() else {
                continue;
            };
            let map = resources.entry(*kind).or_insert_with(|| json!({}));
            for (name, amount) in amounts {
                if let Some(map) = map.as_object_mut() {
                    map.insert(name.clone(), json!(amount));
                }
            }
        }
    };
    if pod_spec::containers(&mut found.object, path, &args.containers, change) == 0 {
        let what = format!("unable to find container named {}", args.containers);
        return Err(CliError::new(what));
    }
    if before == found.object {
        let what = format!(
            "{}s {:?} was not changed",
            found.row.kind.to_lowercase(),
            found.object.name()
        );
        eprintln!("info: {what}");
        return Ok(Done::Nothing);
    }
    Ok(Done::Changed("resource requirements updated"))
}
