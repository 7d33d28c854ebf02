//! `wkube apply`: makes objects what manifests say. Client-side apply as kubectl has it, or
//! server-side apply; either may be mixed with kubectl's on one object.

mod client_side;
mod server_side;
mod takeover;

pub(crate) use client_side::{REMEMBERED, with_memory};

use crate::cli::change::{CHANGE_CAUSE, command_line};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::manifests::{self, FileArgs, Manifest, Place};
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::namespace_of;
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::Client;
use crate::meta::{Object, Selector};
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Apply on the server: it knows who owns which field, and refuses conflicts.
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take over fields that others own.
    #[arg(long)]
    force_conflicts: bool,
    /// Name of the manager that owns what is applied.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Selector (label query) of the objects that are applied.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Record the command in the change cause of the object.
    #[arg(long)]
    record: bool,
    /// Delete what was applied before and is not any more (not supported).
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let selector = args.check()?;
    let context = global.connect().await?;
    let read = manifests::read(&args.files).await?;
    let mut errors = read.errors;
    let mut manifests = read.manifests;
    if let Some(selector) = selector {
        manifests.retain(|manifest| selector.matches_object(&manifest.object));
    }
    if manifests.is_empty() {
        CliError::all(errors)?;
        return Err(CliError::new("no objects passed to apply"));
    }
    let discovery = Discovery::read(&context.client).await?;
    let mut made = Vec::new();
    for manifest in manifests {
        match one(&args, &context, &discovery, manifest).await {
            Ok(Applied { shown, object, .. }) if output.as_ref().is_some_and(is_whole) => {
                made.push((shown, object));
            }
            Ok(Applied { shown, .. }) if output.is_some() => println!("{shown}"),
            Ok(Applied { shown, done, .. }) => {
                println!("{shown} {done}{}", args.write.dry_run.suffix());
            }
            Err(error) => errors.push(error),
        }
    }
    if let Some(output) = output.filter(|_| !made.is_empty()) {
        print!("{}", output.made(made)?);
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

fn is_whole(output: &Output) -> bool {
    !output.is_name()
}

impl Args {
    fn check(&self) -> Result<Option<Selector>, CliError> {
        self.write.query("")?;
        let what = if !self.files.given()? {
            "must specify one of -f and -k"
        } else if self.prune {
            "--prune is not supported by wkube: delete what is no longer wanted by `wkube delete`"
        } else if self.force_conflicts && !self.server_side {
            "--force-conflicts only works with --server-side"
        } else if self.server_side && self.write.dry_run == DryRun::Client {
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server \
             instead?)"
        } else {
            let selector = self.selector.as_deref().map(Selector::parse).transpose();
            return selector.map_err(CliError::new);
        };
        Err(CliError::new(what))
    }
}

/// What became of a manifest.
struct Applied {
    /// `pod/x`.
    shown: String,
    /// `created`, `configured`, `unchanged`, `serverside-applied`.
    done: &'static str,
    object: Value,
}

/// A manifest on its way.
struct Job<'a> {
    args: &'a Args,
    client: &'a Client,
    row: &'a ApiResource,
    place: &'a Place,
    namespace: &'a str,
    object: &'a Object,
}

impl Job<'_> {
    fn name(&self) -> &str {
        self.object.name()
    }

    /// The object for messages, as kubectl tells it.
    fn info(&self) -> String {
        let resource = &self.row.resource;
        format!(
            "Resource: \"{group}/{version}, Resource={plural}\", GroupVersionKind: \
             \"{group}/{version}, Kind={kind}\"\nName: {:?}, Namespace: {:?}",
            self.name(),
            self.namespace,
            group = resource.group,
            version = resource.version,
            plural = resource.resource,
            kind = self.row.kind,
        )
    }
}

async fn one(
    args: &Args,
    context: &Context,
    discovery: &Discovery,
    manifest: Manifest,
) -> Result<Applied, CliError> {
    let Manifest { place, mut object } = manifest;
    let row = discovery
        .by_kind(object.api_version(), object.kind())
        .map_err(|error| place.unrecognized(&object, &error))?;
    let namespace = namespace_of(row, object.namespace(), context)
        .map_err(|error| place.locate(error, "metadata.namespace"))?;
    if row.namespaced {
        object.set(&["metadata", "namespace"], Value::String(namespace.clone()));
    }
    if args.record {
        object.set(&CHANGE_CAUSE, command_line());
    }
    if object.name().is_empty() && !object.str_at(&["metadata", "generateName"]).is_empty() {
        let what = format!(
            "from {}: cannot use generate name with apply",
            object.str_at(&["metadata", "generateName"])
        );
        return Err(place.locate(CliError::new(what), "metadata.generateName"));
    }
    let job = Job {
        args,
        client: &context.client,
        row,
        place: &place,
        namespace: &namespace,
        object: &object,
    };
    if object.name().is_empty() {
        let what = format!(
            "error when retrieving current configuration of:\n{}\nfrom server for: {:?}: resource \
             name may not be empty",
            job.info(),
            place.to_string()
        );
        return Err(place.locate(CliError::new(what), "metadata.name"));
    }
    let (done, object) = if args.server_side {
        server_side::apply(&job).await?
    } else {
        client_side::apply(&job).await?
    };
    Ok(Applied {
        shown: row.object_name(job.name()),
        done,
        object,
    })
}
