//! `wkube replace`: puts manifests in the place of the objects that they name; with `--force` the
//! objects are deleted and made anew. Must not make patches.

use crate::cli::apply::{REMEMBERED, with_memory};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::durations;
use crate::cli::manifests::{self, FileArgs, Manifest, Place};
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::namespace_of;
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::{Client, with_query};
use crate::meta::Object;
use crate::stdx::Clock;
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

/// How long is waited for what is deleted where no time is told. Kubernetes: kubectl's own.
const GONE_IN: Duration = Duration::from_secs(5 * 60);
/// How long with `--wait`. Kubernetes: a week.
const GONE_SURELY_IN: Duration = Duration::from_secs(7 * 24 * 3600);
/// The largest body of `--raw` (bytes).
const RAW_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Delete the objects and create them anew.
    #[arg(long)]
    force: bool,
    /// With --force: seconds given to the objects to terminate; -1 for their own.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = -1,
        allow_hyphen_values = true
    )]
    grace_period: i64,
    /// With --force: background, orphan or foreground.
    #[arg(long, value_name = "POLICY", default_value = "background", num_args = 0..=1,
          require_equals = true, default_missing_value = "background")]
    cascade: String,
    /// With --force: how long to wait until the objects are gone; zero for five minutes.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    timeout: String,
    /// With --force: wait without an end for the objects to be gone.
    #[arg(long)]
    wait: bool,
    /// If specified, replace will operate on the subresource of the requested object.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    subresource: String,
    /// Remember the manifest in the object's annotation, for a later apply.
    #[arg(long)]
    save_config: bool,
    /// Raw URI to PUT to the server.
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
    /// Name of the manager that owns what is replaced.
    #[arg(long, value_name = "NAME", default_value = "kubectl-replace")]
    field_manager: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let timeout = args.check(output.is_some())?;
    let context = global.connect().await?;
    if let Some(path) = &args.raw {
        return raw(&context.client, path, &args.files).await;
    }
    let (items, mut errors) = items(&args, &context).await?;
    if items.is_empty() {
        CliError::all(errors)?;
        return Err(CliError::new("no objects passed to replace"));
    }
    if args.force {
        CliError::all(std::mem::take(&mut errors))?;
        remove(&args, &context, output.as_ref(), &items).await?;
        gone(&context, &items, timeout).await?;
    }
    let mut separator = "";
    for item in items {
        let shown = item.shown();
        let replaced = match args.force {
            true => create(&args, &context, item).await,
            false => put(&args, &context, item).await,
        };
        match (replaced, &output) {
            (Ok(object), Some(output)) => {
                print!("{separator}{}", output.one(&shown, &object)?);
                separator = output.separator();
            }
            (Ok(_), None) => println!("{shown} replaced{}", args.write.dry_run.suffix()),
            (Err(error), _) => errors.push(error),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

impl Args {
    /// How long is waited for what is deleted, or what is wrong with the flags.
    fn check(&self, with_output: bool) -> Result<Duration, CliError> {
        self.write.query("")?;
        self.delete_options()?;
        let timeout = durations::seconds(&self.timeout).map_err(CliError::new)?;
        if !self.files.given()? {
            return Err(CliError::new("must specify one of -f and -k"));
        }
        let what = if self.grace_period >= 0 && !self.force {
            "--grace-period must have --force specified"
        } else if timeout != 0 && !self.force {
            "--timeout must have --force specified"
        } else if self.force && self.write.dry_run != DryRun::None {
            "--dry-run can not be used when --force is set"
        } else if self.raw.is_some() {
            match self.wrong_with_raw(with_output) {
                Some(what) => what,
                None => return Ok(GONE_IN),
            }
        } else {
            return Ok(match timeout {
                // Kubernetes: a period of zero waits too.
                0 if self.wait || self.grace_period == 0 => GONE_SURELY_IN,
                0 => GONE_IN,
                seconds => Duration::from_secs(seconds),
            });
        };
        Err(CliError::new(what))
    }

    fn wrong_with_raw(&self, with_output: bool) -> Option<&'static str> {
        match self.files.filename.as_slice() {
            [url] if url.starts_with("http://") || url.starts_with("https://") => {
                Some("--raw cannot read from a url")
            }
            [_] if self.files.recursive => Some("--raw and --recursive are mutually exclusive"),
            [_] if with_output => Some("--raw and --output are mutually exclusive"),
            [_] => None,
            _ => Some("--raw can only use a single local file or stdin"),
        }
    }

    fn delete_options(&self) -> Result<Value, CliError> {
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
        let mut options = Map::new();
        options.insert("propagationPolicy".to_owned(), json!(policy));
        if self.grace_period >= 0 {
            // Kubernetes: nothing is lost by accident, so zero is one here.
            let seconds = self.grace_period.max(1);
            options.insert("gracePeriodSeconds".to_owned(), json!(seconds));
        }
        Ok(Value::Object(options))
    }
}

/// A manifest with what the server calls it.
struct Item {
    place: Place,
    row: ApiResource,
    namespace: String,
    object: Object,
}

impl Item {
    fn shown(&self) -> String {
        self.row.object_name(self.object.name())
    }

    fn body(&self) -> Bytes {
        Bytes::from(Value::Object(self.object.fields().clone()).to_string())
    }
}

async fn items(args: &Args, context: &Context) -> Result<(Vec<Item>, Vec<CliError>), CliError> {
    let read = manifests::read(&args.files).await?;
    let (mut items, mut errors) = (Vec::new(), read.errors);
    let discovery = Discovery::read(&context.client).await?;
    for manifest in read.manifests {
        match item(args, context, &discovery, manifest) {
            Ok(item) => items.push(item),
            Err(error) => errors.push(error),
        }
    }
    Ok((items, errors))
}

fn item(
    args: &Args,
    context: &Context,
    discovery: &Discovery,
    manifest: Manifest,
) -> Result<Item, CliError> {
    let Manifest { place, mut object } = manifest;
    let row = discovery
        .by_kind(object.api_version(), object.kind())
        .map_err(|error| place.unrecognized(&object, &error))?
        .clone();
    let namespace = namespace_of(&row, object.namespace(), context)
        .map_err(|error| place.locate(error, "metadata.namespace"))?;
    if row.namespaced {
        object.set(&["metadata", "namespace"], json!(namespace));
    }
    // Kubernetes: a manifest that is remembered already stays so.
    if args.save_config || object.annotation(REMEMBERED).is_some() {
        object = with_memory(&object);
    }
    Ok(Item {
        place,
        row,
        namespace,
        object,
    })
}

async fn put(args: &Args, context: &Context, mut item: Item) -> Result<Value, CliError> {
    if args.write.dry_run == DryRun::Client {
        return Ok(item.object.into_value());
    }
    let resource = &item.row.resource;
    let name = item.object.name();
    let path = Client::path(resource, &item.namespace, name, &args.subresource);
    if item.object.resource_version().is_empty() {
        // Kubernetes: whatever revision there is, is replaced; an error tells more on the way back.
        let now = context.client.call(Method::GET, &path, None).await.ok();
        let now = now.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let revision = now.and_then(|now| now.pointer("/metadata/resourceVersion").cloned());
        if let Some(revision) = revision {
            item.object.set(&["metadata", "resourceVersion"], revision);
        }
    }
    let query = args.write.query(&args.field_manager)?;
    let body = Some(("application/json", item.body()));
    let path = with_query(path, &query);
    let sent = context.client.call(Method::PUT, &path, body).await;
    let bytes = sent.map_err(|error| item.place.refused(error, "replacing"))?;
    serde_json::from_slice(&bytes).map_err(CliError::new)
}

async fn create(args: &Args, context: &Context, item: Item) -> Result<Value, CliError> {
    let query = args.write.query(&args.field_manager)?;
    let path = Client::path(&item.row.resource, &item.namespace, "", "");
    let body = Some(("application/json", item.body()));
    let path = with_query(path, &query);
    let sent = context.client.call(Method::POST, &path, body).await;
    let bytes = sent.map_err(|error| item.place.refused_plainly(error))?;
    serde_json::from_slice(&bytes).map_err(CliError::new)
}

/// Tells all objects to go; what is not there is gone already.
async fn remove(
    args: &Args,
    context: &Context,
    output: Option<&Output>,
    items: &[Item],
) -> Result<(), CliError> {
    let options = args.delete_options()?;
    let mut errors = Vec::new();
    for item in items {
        let (resource, name) = (&item.row.resource, item.object.name());
        let deleted = context
            .client
            .delete(resource, &item.namespace, name, &options);
        match deleted.await {
            Ok(_) if output.is_some_and(Output::is_name) => println!("{}", item.shown()),
            Ok(_) => {
                let shown = item.row.object_name("");
                let kind = shown.trim_end_matches('/');
                let of = match item.namespace.as_str() {
                    "" => String::new(),
                    namespace => format!(" from {namespace} namespace"),
                };
                println!("{kind} {name:?} deleted{of}");
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => errors.push(item.place.refused(error, "deleting")),
        }
    }
    CliError::all(errors)
}

async fn gone(context: &Context, items: &[Item], timeout: Duration) -> Result<(), CliError> {
    let clock = Clock::real();
    let all = async {
        for item in items {
            let place = (item.namespace.as_str(), item.object.name());
            let gone = |now: Option<&Value>| now.is_none().then_some(());
            let resource = &item.row.resource;
            context.client.follow(resource, place, &clock, gone).await?;
        }
        Ok::<(), CliError>(())
    };
    tokio::select! {
        gone = all => gone,
        () = clock.sleep(timeout) => Err(CliError::new("timed out waiting for the condition")),
    }
}

/// Sends a file as it is; shows the answer as it is.
async fn raw(client: &Client, path: &str, files: &FileArgs) -> Result<ExitCode, CliError> {
    let name = files
        .filename
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let failed = |error: std::io::Error| CliError::new(format!("open {name}: {error}"));
    let mut bytes = Vec::new();
    let read = match name {
        "-" => std::io::stdin()
            .take(RAW_BYTES_MAX + 1)
            .read_to_end(&mut bytes),
        path => std::fs::File::open(path)
            .map_err(failed)?
            .take(RAW_BYTES_MAX + 1)
            .read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > RAW_BYTES_MAX {
        let what = format!("{name}: larger than {RAW_BYTES_MAX} bytes");
        return Err(CliError::new(what));
    }
    let body = Some(("application/json", Bytes::from(bytes)));
    let answer = client.call(Method::PUT, path, body).await?;
    print!("{}", String::from_utf8_lossy(&answer));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        let words = std::iter::once(&"replace").chain(words);
        Words::try_parse_from(words).unwrap().args
    }

    #[test]
    fn flags_as_kubectl_checks_them() {
        let told = |words: &[&str]| args(words).check(false).unwrap_err().to_string();
        assert_eq!(
            told(&["-f", "a", "--grace-period=0"]),
            "error: --grace-period must have --force specified"
        );
        assert_eq!(
            told(&["-f", "a", "--timeout=1s"]),
            "error: --timeout must have --force specified"
        );
        assert!(told(&[]).contains("must specify one of -f and -k"));
        assert!(told(&["-f", "a", "-f", "b", "--raw=/x"]).contains("single local file"));
        assert_eq!(args(&["-f", "a"]).check(false).unwrap(), GONE_IN);
        let options = args(&["-f", "a", "--force", "--grace-period=0"]).delete_options();
        assert_eq!(
            options.unwrap(),
            json!({"propagationPolicy": "Background", "gracePeriodSeconds": 1})
        );
    }
}
