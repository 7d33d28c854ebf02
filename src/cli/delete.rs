//! `wkube delete`: deletes objects and waits until they are gone.

use crate::cli::apply::DryRun;
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::manifests::FileArgs;
use crate::cli::resource_args::{Target, targets, targets_of_files};
use crate::client::{ClientError, Query};
use crate::stdx::Clock;
use futures::StreamExt;
use http::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How often a deleted object is looked at, should its watch end early.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME..., TYPE/NAME..., or TYPE with -l or --all
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Delete all resources, in the namespace of the specified resource types.
    #[arg(long)]
    all: bool,
    /// Immediately remove resources from API and bypass graceful deletion.
    #[arg(long)]
    force: bool,
    /// Period of time in seconds given to the resource to terminate gracefully.
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// Resources are signaled for immediate shutdown (same as --grace-period=1).
    #[arg(long)]
    now: bool,
    /// Treat "resource not found" as a successful delete.
    #[arg(long)]
    ignore_not_found: bool,
    /// Wait for resources to be gone before returning.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// background, orphan or foreground.
    #[arg(long, value_name = "POLICY", default_value = "background")]
    cascade: String,
    /// Try without doing: on the client, or on the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    dry_run: DryRun,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let from_files = !args.files.filename.is_empty();
    let mut targets = if from_files {
        targets_of_files(&args.files, &discovery, &context).await?
    } else {
        targets(&args.words, &discovery, &context)?
    };
    for target in &mut targets {
        if target.names.is_empty() {
            if args.selector.is_none() && !args.all {
                let what = "resource(s) were provided, but no name was specified";
                return Err(CliError::new(what));
            }
            target.names = listed(&args, &context, target).await?;
        }
    }
    let (mut failed, mut gone) = (false, Vec::new());
    for target in &targets {
        for name in &target.names {
            match one(&args, &context, target, name).await {
                Ok(object) => gone.push((target, name, object)),
                Err(error) if error.is_not_found() && args.ignore_not_found => {}
                Err(error) => {
                    failed = true;
                    let error = CliError::from(error);
                    if from_files {
                        let file = args.files.filename.join(",");
                        eprintln!("Error from server when deleting {file:?}: {}", error.text);
                    } else {
                        eprintln!("{error}");
                    }
                }
            }
        }
    }
    if gone.is_empty() && !failed {
        eprintln!("No resources found");
    }
    if args.wait && args.dry_run == DryRun::None {
        for (target, name, object) in gone {
            wait_gone(&context, target, name, &object).await?;
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn listed(args: &Args, context: &Context, target: &Target) -> Result<Vec<String>, CliError> {
    let selector = args.selector.as_deref().unwrap_or_default();
    let query = Query::new().with("labelSelector", selector);
    let list = context
        .client
        .list::<Value>(&target.resource.resource, &target.namespace, &query)
        .await?;
    let name = |item: &Value| item.pointer("/metadata/name")?.as_str().map(str::to_owned);
    Ok(list.items.iter().filter_map(name).collect())
}

async fn one(
    args: &Args,
    context: &Context,
    target: &Target,
    name: &str,
) -> Result<Value, ClientError> {
    let mut options = Map::new();
    let policy = match args.cascade.as_str() {
        "orphan" | "false" => "Orphan",
        "foreground" => "Foreground",
        _ => "Background",
    };
    options.insert("propagationPolicy".to_owned(), json!(policy));
    let grace = match (args.grace_period, args.now, args.force) {
        (Some(seconds), ..) => Some(seconds),
        (None, true, _) => Some(1),
        (None, false, true) => Some(0),
        _ => None,
    };
    if let Some(seconds) = grace {
        options.insert("gracePeriodSeconds".to_owned(), json!(seconds));
    }
    if args.dry_run == DryRun::Server {
        options.insert("dryRun".to_owned(), json!(["All"]));
    }
    let resource = &target.resource.resource;
    let answer = match args.dry_run {
        DryRun::Client => {
            context
                .client
                .get(resource, &target.namespace, name)
                .await?
        }
        _ => {
            let options = Value::Object(options);
            context
                .client
                .delete(resource, &target.namespace, name, &options)
                .await?
        }
    };
    if args.force {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource \
             has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let word = if args.force {
        "force deleted"
    } else {
        "deleted"
    };
    let shown = target.resource.object_name("");
    let kind = shown.trim_end_matches('/');
    let of = match target.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" from {namespace} namespace"),
    };
    println!("{kind} {name:?} {word}{of}{}", args.dry_run.suffix());
    Ok(answer)
}

/// Waits until the object is gone, or another one has its name.
async fn wait_gone(
    context: &Context,
    target: &Target,
    name: &str,
    deleted: &Value,
) -> Result<(), CliError> {
    let clock = Clock::real();
    let resource = &target.resource.resource;
    let uid = deleted
        .pointer("/metadata/uid")
        .or_else(|| deleted.pointer("/details/uid"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    loop {
        let now = match context
            .client
            .get::<Value>(resource, &target.namespace, name)
            .await
        {
            Ok(now) => now,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let text = |path: &str| {
            now.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if !uid.is_empty() && text("/metadata/uid") != uid {
            return Ok(());
        }
        let query = Query::new()
            .with("watch", "true")
            .with("fieldSelector", &format!("metadata.name={name}"))
            .with("resourceVersion", text("/metadata/resourceVersion"));
        let path = crate::client::Client::path(resource, &target.namespace, "", "");
        let path = format!("{path}?{}", query.as_str());
        let response = context
            .client
            .stream(Method::GET, &path, None, "application/json")
            .await?;
        let mut body = response.into_body();
        let mut seen = Vec::new();
        while let Some(Ok(part)) = body.next().await {
            seen.extend_from_slice(&part);
            if seen.windows(9).any(|window| window == b"\"DELETED\"") {
                break;
            }
        }
        if !seen.windows(9).any(|window| window == b"\"DELETED\"") {
            clock.sleep(LOOK_AGAIN).await;
        }
    }
}
