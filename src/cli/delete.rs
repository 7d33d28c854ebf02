//! `wkube delete`: deletes objects and waits until they are gone.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::durations;
use crate::cli::resource_args::{ObjectArgs, Target, Targets};
use crate::cli::write_args::DryRun;
use crate::client::ClientError;
use crate::stdx::Clock;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    objects: ObjectArgs,
    /// Delete all resources, in the namespace of the specified resource types.
    #[arg(long)]
    all: bool,
    /// Immediately remove resources from API and bypass graceful deletion.
    #[arg(long)]
    force: bool,
    /// Period of time in seconds given to the resource to terminate gracefully; -1 for its own.
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
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
    /// How long to wait before giving up; zero means until they are gone.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    timeout: String,
    /// background, orphan or foreground.
    #[arg(long, value_name = "POLICY", default_value = "background", num_args = 0..=1,
          require_equals = true, default_missing_value = "background")]
    cascade: String,
    /// Try without doing: none, client, or server.
    #[arg(long, value_parser = DryRun::parse, default_value = "none", num_args = 0..=1,
          require_equals = true, default_missing_value = "client", value_name = "WHERE")]
    dry_run: DryRun,
    /// Output mode. Use "-o name" for shorter output (resource/name).
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<String>,
}

/// Kubernetes: kubectl's hint where nothing is named.
const NOTHING_NAMED: &str = "You must provide one or more resources by argument or filename.\n\
    Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   \
    '<resource> <name>'\n   '<resource>'";

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let options = args.check()?;
    let timeout = durations::seconds(&args.timeout).map_err(CliError::new)?;
    let context = global.connect().await?;
    let mut targets = args.objects.targets(&context).await?;
    let mut errors = std::mem::take(&mut targets.errors);
    let deleted = all(&args, &context, &options, &targets, &mut errors).await?;
    CliError::all(errors)?;
    if args.wait && args.dry_run == DryRun::None {
        wait(&context, &deleted, timeout).await?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The options of the request, or what is wrong with the flags.
    fn check(&self) -> Result<Value, CliError> {
        let what = if self.output.as_deref().is_some_and(|form| form != "name") {
            format!(
                "unexpected -o output mode: {}. We only support '-o name'",
                self.output.as_deref().unwrap_or_default()
            )
        } else if self.all && self.objects.selectors.any() {
            "setting 'all' parameter but found a non empty selector. ".to_owned()
        } else if self.now && self.grace_period >= 0 {
            "--now and --grace-period cannot be specified together".to_owned()
        } else if self.force && self.grace_period > 0 {
            "--force and --grace-period greater than 0 cannot be specified together".to_owned()
        } else if !self.objects.given()? {
            NOTHING_NAMED.to_owned()
        } else {
            return self.options();
        };
        Err(CliError::new(what))
    }

    fn options(&self) -> Result<Value, CliError> {
        let mut options = Map::new();
        let policy = match self.cascade.as_str() {
            "background" | "true" => "Background",
            "foreground" => "Foreground",
            "orphan" | "false" => "Orphan",
            other => {
                let what = format!(
                    "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \
                     \"orphan\""
                );
                return Err(CliError::new(what));
            }
        };
        options.insert("propagationPolicy".to_owned(), json!(policy));
        let grace = match self.grace_period {
            _ if self.now => Some(1),
            _ if self.force => Some(0),
            // Kubernetes: to remove at once takes --force too.
            0 => Some(1),
            seconds if seconds > 0 => Some(seconds),
            _ => None,
        };
        if let Some(seconds) = grace {
            options.insert("gracePeriodSeconds".to_owned(), json!(seconds));
        }
        if self.dry_run == DryRun::Server {
            options.insert("dryRun".to_owned(), json!(["All"]));
        }
        Ok(Value::Object(options))
    }
}

/// An object that was told to go.
struct Deleted<'a> {
    target: &'a Target,
    name: String,
    namespace: String,
    uid: String,
}

async fn all<'a>(
    args: &Args,
    context: &Context,
    options: &Value,
    targets: &'a Targets,
    errors: &mut Vec<CliError>,
) -> Result<Vec<Deleted<'a>>, CliError> {
    let picks = args.objects.selectors.any() || args.all;
    if targets
        .list
        .iter()
        .any(|target| target.names.is_empty() != picks && target.place.is_empty())
    {
        return Err(CliError::new(if picks {
            "name cannot be provided when a selector is specified"
        } else {
            "resource(s) were provided, but no name was specified"
        }));
    }
    if args.force {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource \
             has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let (mut deleted, mut found) = (Vec::new(), false);
    for target in &targets.list {
        for (namespace, name) in names(args, context, target, errors).await {
            match one(args, context, options, target, (&namespace, &name)).await {
                Ok(answer) => {
                    found = true;
                    let uid = ["/metadata/uid", "/details/uid"];
                    let uid = uid
                        .into_iter()
                        .find_map(|path| answer.pointer(path)?.as_str());
                    deleted.push(Deleted {
                        target,
                        uid: uid.unwrap_or_default().to_owned(),
                        name,
                        namespace,
                    });
                }
                Err(error) if error.is_not_found() && args.ignore_not_found => found = true,
                Err(error) => {
                    found = true;
                    errors.push(about(target, error));
                }
            }
        }
    }
    if !found && errors.is_empty() {
        println!("No resources found");
    }
    Ok(deleted)
}

fn about(target: &Target, error: ClientError) -> CliError {
    match error {
        ClientError::Api(mut api) if !target.place.is_empty() => {
            api.message = format!("error when deleting {:?}: {}", target.place, api.message);
            ClientError::Api(api).into()
        }
        other => other.into(),
    }
}

/// The namespaces and names that a target stands for.
async fn names(
    args: &Args,
    context: &Context,
    target: &Target,
    errors: &mut Vec<CliError>,
) -> Vec<(String, String)> {
    if !target.names.is_empty() {
        let names = target.names.iter().cloned();
        return names.map(|name| (target.namespace.clone(), name)).collect();
    }
    let found = args
        .objects
        .selectors
        .objects(context, target, errors)
        .await;
    let text = |object: &Value, path: &str| {
        let text = object.pointer(path).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    found
        .iter()
        .map(|object| {
            (
                text(object, "/metadata/namespace"),
                text(object, "/metadata/name"),
            )
        })
        .collect()
}

async fn one(
    args: &Args,
    context: &Context,
    options: &Value,
    target: &Target,
    (namespace, name): (&str, &str),
) -> Result<Value, ClientError> {
    let resource = &target.resource.resource;
    let client = &context.client;
    let answer = match args.dry_run {
        DryRun::Client => Value::Null,
        _ => client.delete(resource, namespace, name, options).await?,
    };
    let shown = target.resource.object_name("");
    let kind = shown.trim_end_matches('/');
    if args.output.is_some() {
        println!("{kind}/{name}");
        return Ok(answer);
    }
    let word = if args.force {
        "force deleted"
    } else {
        "deleted"
    };
    let of = match namespace {
        "" => String::new(),
        namespace => format!(" from {namespace} namespace"),
    };
    println!("{kind} {name:?} {word}{of}{}", args.dry_run.suffix());
    Ok(answer)
}

/// Waits until all are gone, or others have their names.
async fn wait(context: &Context, deleted: &[Deleted<'_>], timeout: u64) -> Result<(), CliError> {
    let clock = Clock::real();
    let gone = async {
        for Deleted {
            target,
            name,
            namespace,
            uid,
        } in deleted
        {
            let resource = &target.resource.resource;
            let gone = |object: Option<&Value>| {
                let now = object.and_then(|object| object.pointer("/metadata/uid")?.as_str());
                (now.is_none() || (!uid.is_empty() && now != Some(uid))).then_some(())
            };
            let place = (namespace.as_str(), name.as_str());
            context.client.follow(resource, place, &clock, gone).await?;
        }
        Ok(())
    };
    if timeout == 0 {
        return gone.await;
    }
    tokio::select! {
        gone = gone => gone,
        () = clock.sleep(Duration::from_secs(timeout)) => {
            let names: Vec<String> = deleted
                .iter()
                .map(|gone| gone.target.resource.object_name(&gone.name))
                .collect();
            Err(CliError::new(format!("timed out waiting for the condition on {}", names.join(", "))))
        }
    }
}
