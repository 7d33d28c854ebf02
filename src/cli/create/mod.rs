//! `wkube create`: makes objects that must not exist yet, from manifests or from words.

mod config_map;
mod secret;
mod service;
mod sources;
mod token;

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::manifests::{self, FileArgs, Manifest};
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::namespace_of;
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::{Client, with_query};
use crate::meta::Object;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The manager of what `create` makes.
const MANAGER: &str = "kubectl-create";

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Name of the manager that owns what is created.
    #[arg(long, value_name = "NAME", default_value = MANAGER, global = true)]
    field_manager: String,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Create a namespace with the specified name.
    #[command(alias = "ns")]
    Namespace {
        /// Its name.
        name: String,
    },
    /// Create a config map from a local file, directory or literal value.
    #[command(alias = "cm")]
    Configmap(config_map::Args),
    /// Create a secret using a specified subcommand.
    Secret {
        #[command(subcommand)]
        what: secret::What,
    },
    /// Create a service account with the specified name.
    #[command(alias = "sa")]
    Serviceaccount {
        /// Its name.
        name: String,
    },
    /// Create a service using a specified subcommand.
    #[command(alias = "svc")]
    Service {
        #[command(subcommand)]
        what: service::What,
    },
    /// Request a service account token.
    Token(token::Args),
}

impl What {
    /// The object, and what stands before an error about it.
    fn object(&self) -> Result<(Value, String), CliError> {
        let before = |kind: &str| format!("failed to create {kind}");
        Ok(match self {
            Self::Namespace { name } => {
                let object = json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
                });
                (object, String::new())
            }
            Self::Serviceaccount { name } => {
                let object = json!({
                    "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name },
                });
                (object, before("serviceaccount") + ":")
            }
            Self::Configmap(args) => (args.object()?, before("configmap") + ":"),
            Self::Secret { what } => (what.object()?, before("secret")),
            Self::Service { what } => {
                let kind = format!("{} service:", what.kind());
                (what.object()?, before(&kind))
            }
            Self::Token(_) => (Value::Null, String::new()),
        })
    }
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let Some(what) = &args.what else {
        return from_files(&args, &global, output.as_ref()).await;
    };
    if let What::Token(token) = what {
        let context = global.connect().await?;
        return token.run(&context, output.as_ref()).await;
    }
    let (object, before) = what.object()?;
    let object = Object::from_value(object).unwrap_or_default();
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let manifest = Manifest::own("STDIN", object);
    let made = one(&args, &context, &discovery, manifest, |_, error| {
        match before.as_str() {
            "" => error.into(),
            // Kubernetes: the server's sentence alone, behind what failed.
            before => CliError::new(format!("{before} {error}")),
        }
    });
    show(&args, output.as_ref(), made.await?)
}

async fn from_files(
    args: &Args,
    global: &GlobalArgs,
    output: Option<&Output>,
) -> Result<ExitCode, CliError> {
    if !args.files.given()? {
        return Err(CliError::new("must specify one of -f and -k"));
    }
    let context = global.connect().await?;
    let read = manifests::read(&args.files).await?;
    let mut errors = read.errors;
    if read.manifests.is_empty() {
        CliError::all(errors)?;
        return Err(CliError::new("no objects passed to create"));
    }
    let discovery = Discovery::read(&context.client).await?;
    let mut separator = "";
    for manifest in read.manifests {
        let made = one(args, &context, &discovery, manifest, |place, error| {
            place.refused(error, "creating")
        });
        match made.await {
            Ok(made) => {
                print!("{separator}");
                show(args, output, made)?;
                separator = output.map_or("", Output::separator);
            }
            Err(error) => errors.push(error),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

/// Makes one object; answers its name for people and what the server made of it.
async fn one(
    args: &Args,
    context: &Context,
    discovery: &Discovery,
    manifest: Manifest,
    refused: impl Fn(&manifests::Place, crate::client::ClientError) -> CliError,
) -> Result<(String, Value), CliError> {
    let Manifest { place, mut object } = manifest;
    let row = discovery
        .by_kind(object.api_version(), object.kind())
        .map_err(|error| place.unrecognized(&object, &error))?;
    let namespace = namespace_of(row, object.namespace(), context)?;
    // Kubernetes: a generated object names its namespace only where one was asked for.
    if row.namespaced && (args.what.is_none() || context.namespace_asked) {
        object.set(&["metadata", "namespace"], json!(namespace));
    }
    let mut made = Value::Object(object.fields().clone());
    if args.write.dry_run != DryRun::Client {
        let query = args.write.query(&args.field_manager)?;
        let path = with_query(Client::path(&row.resource, &namespace, "", ""), &query);
        let body = Bytes::from(made.to_string());
        let posted = context
            .client
            .call(Method::POST, &path, Some(("application/json", body)));
        let bytes = posted.await.map_err(|error| refused(&place, error))?;
        made = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    }
    let name = made.pointer("/metadata/name").and_then(Value::as_str);
    Ok((row.object_name(name.unwrap_or_default()), made))
}

fn show(
    args: &Args,
    output: Option<&Output>,
    (shown, made): (String, Value),
) -> Result<ExitCode, CliError> {
    match output {
        Some(output) => print!("{}", output.one(&shown, &made)?),
        None => println!("{shown} created{}", args.write.dry_run.suffix()),
    }
    Ok(ExitCode::SUCCESS)
}
