//! `wkube set image`: other images for containers.

use super::{MANAGER, NOTHING_NAMED, pod_spec};
use crate::cli::change::{self, ChangeArgs, Done, Found, Job};
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::pairs::Pairs;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// TYPE NAME... CONTAINER=IMAGE...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let pairs = Pairs::parse(&args.words, "image")?;
    let mut wrong = Vec::new();
    if args.change.all && args.change.selectors.any() {
        wrong.push("cannot set --all and --selector at the same time");
    }
    if pairs.objects.is_empty() && !args.change.files.given()? {
        wrong.push(NOTHING_NAMED);
    }
    if pairs.set.is_empty() {
        wrong.push("at least one image update is required");
    } else if pairs.set.len() > 1 && pairs.set.iter().any(|(name, _)| name == "*") {
        wrong.push(
            "all containers are already specified by *, but saw more than one \
             container_name=container_image pairs",
        );
    }
    CliError::all(wrong.into_iter().map(CliError::new).collect())?;
    let context = change::context(&global, &args.change).await?;
    let job = Job {
        args: &args.change,
        words: pairs.objects.clone(),
        manager: MANAGER,
        failed: "failed to patch image update to pod template",
    };
    job.run(context.as_ref(), |found| one(&pairs, found)).await
}

fn one(pairs: &Pairs, found: &mut Found) -> Result<Done, CliError> {
    let path = pod_spec::path(found)?;
    let before = found.object.clone();
    let mut missing = Vec::new();
    for (name, image) in &pairs.set {
        let set = |container: &mut serde_json::Map<String, Value>| {
            container.insert("image".to_owned(), Value::String(image.clone()));
        };
        if pod_spec::containers(&mut found.object, path, name, set) == 0 {
            let what = format!("unable to find container named {name:?}");
            missing.push(CliError::new(what));
        }
    }
    CliError::all(missing)?;
    Ok(match before == found.object {
        true => Done::Nothing,
        false => Done::Changed("image updated"),
    })
}
