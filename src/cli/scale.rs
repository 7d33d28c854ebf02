//! `wkube scale`: how many pods an object has.
//! Kubernetes: kubectl's `cmd/scale` and `scale`.

use crate::cli::change::{self, CHANGE_CAUSE, ChangeArgs, Found, command_line, send_patch};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::resource_args::ObjectArgs;
use crate::cli::write_args::DryRun;
use crate::client::{PatchKind, Query, with_query};
use crate::meta::go_duration;
use crate::stdx::Clock;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME... or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// The new desired number of replicas. Required.
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    replicas: i64,
    /// Precondition for current size. Requires that the current size of the resource match this value.
    #[arg(long, value_name = "COUNT", default_value_t = -1, allow_hyphen_values = true)]
    current_replicas: i64,
    /// Precondition for resource version.
    #[arg(long, value_name = "VERSION", default_value = "")]
    resource_version: String,
    /// The length of time to wait before giving up on a scale operation, zero means don't wait.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = go_duration::positive)]
    timeout: Duration,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let what = if args.replicas < 0 {
        "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"
    } else if args.current_replicas < -1 {
        "The --current-replicas must specify an integer of -1 or greater"
    } else {
        ""
    };
    if !what.is_empty() {
        return Err(CliError::new(what));
    }
    let output = args.change.output()?;
    let context = global.connect().await?;
    let objects = ObjectArgs {
        words: args.words.clone(),
        files: args.change.files.clone(),
        selectors: args.change.selectors.clone(),
    };
    let (list, errors) = change::found(&context, &objects, args.change.all).await?;
    if !args.resource_version.is_empty() && list.len() > 1 {
        let what = "cannot use --resource-version with multiple resources";
        return Err(CliError::new(what));
    }
    if list.is_empty() {
        CliError::all(errors)?;
        return Err(CliError::new("no objects passed to scale"));
    }
    for found in &list {
        if args.change.write.dry_run != DryRun::Client {
            scale(&args, &context, found).await?;
        }
        match &output {
            Some(output) => print!("{}", output.one(&found.shown(), &found.value())?),
            None => println!(
                "{} scaled{}",
                found.shown(),
                args.change.write.dry_run.suffix()
            ),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

async fn scale(args: &Args, context: &Context, found: &Found) -> Result<(), CliError> {
    let query = Query::new().with("dryRun", args.change.write.dry_run.parameter());
    let replicas = json!({ "spec": { "replicas": args.replicas } });
    if args.current_replicas >= 0 || !args.resource_version.is_empty() {
        conditionally(args, context, found, &query).await?;
    } else {
        send_patch(context, found, "scale", PatchKind::Merge, &replicas, &query).await?;
    }
    if args.change.record {
        let mut object = crate::meta::Object::default();
        object.set(&CHANGE_CAUSE, command_line());
        let cause = object.into_value();
        // Kubernetes: what was done is done, whether or not it can be told why.
        let _ = send_patch(context, found, "", PatchKind::Merge, &cause, &query).await;
    }
    if args.timeout.is_zero() || args.change.write.dry_run == DryRun::Server {
        return Ok(());
    }
    wait(args, context, found).await
}

/// Scales only what is as it is said to be.
async fn conditionally(
    args: &Args,
    context: &Context,
    found: &Found,
    query: &Query,
) -> Result<(), CliError> {
    let path = found.path("scale");
    let bytes = context.client.call(Method::GET, &path, None).await?;
    let mut scale: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    let now = scale.pointer("/spec/replicas").and_then(Value::as_i64);
    let now = now.unwrap_or(0);
    if args.current_replicas >= 0 && now != args.current_replicas {
        let what = format!(
            "Expected replicas to be {}, was {now}",
            args.current_replicas
        );
        return Err(CliError::new(what));
    }
    let version = scale.pointer("/metadata/resourceVersion");
    let version = version.and_then(Value::as_str).unwrap_or_default();
    if !args.resource_version.is_empty() && version != args.resource_version {
        let what = format!(
            "Expected resource version to be {}, was {version}",
            args.resource_version
        );
        return Err(CliError::new(what));
    }
    if let Some(scale) = scale.as_object_mut() {
        scale.insert("spec".to_owned(), json!({ "replicas": args.replicas }));
    }
    let body = Some(("application/json", bytes::Bytes::from(scale.to_string())));
    let path = with_query(path, query);
    context.client.call(Method::PUT, &path, body).await?;
    Ok(())
}

/// Waits until there are as many as were asked for.
async fn wait(args: &Args, context: &Context, found: &Found) -> Result<(), CliError> {
    let clock = Clock::real();
    let place = (found.namespace.as_str(), found.object.name());
    let reached = |object: Option<&Value>| {
        let Some(object) = object else {
            return Some(());
        };
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let observed = number("/status/observedGeneration") >= number("/metadata/generation");
        let wanted = number("/spec/replicas") == Some(args.replicas);
        let now = number("/status/replicas").unwrap_or(0) == args.replicas;
        (wanted && now && observed).then_some(())
    };
    let resource = &found.row.resource;
    tokio::select! {
        reached = context.client.follow(resource, place, &clock, reached) => Ok(reached?),
        () = clock.sleep(args.timeout) => {
            Err(CliError::new("timed out waiting for the condition"))
        }
    }
}
