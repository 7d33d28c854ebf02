//! `wkube create -f`: makes objects that must not exist yet; `create namespace|configmap` from words.

use crate::cli::apply::DryRun;
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::manifests::{self, FileArgs, Manifest};
use crate::cli::printers::Output;
use crate::cli::resource_args::namespace_of;
use crate::client::{Client, Query};
use crate::meta::Object;
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    #[command(subcommand)]
    what: Option<What>,
    /// Try without doing: on the client, or on the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true,
          default_missing_value = "client", global = true)]
    dry_run: DryRun,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", global = true)]
    output: Option<Output>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Create a namespace with the specified name.
    #[command(alias = "ns")]
    Namespace {
        /// Its name.
        name: String,
    },
    /// Create a config map from literal values.
    #[command(alias = "cm")]
    Configmap {
        /// Its name.
        name: String,
        /// KEY=VALUE
        #[arg(long)]
        from_literal: Vec<String>,
    },
}

impl What {
    fn manifest(&self) -> Result<Manifest, CliError> {
        let value = match self {
            Self::Namespace { name } => json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
            }),
            Self::Configmap { name, from_literal } => {
                let mut data = Map::new();
                for literal in from_literal {
                    let Some((key, value)) = literal.split_once('=') else {
                        let what = format!("invalid literal source {literal}, expected key=value");
                        return Err(CliError::new(what));
                    };
                    data.insert(key.to_owned(), json!(value));
                }
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": name }, "data": data,
                })
            }
        };
        let object = Object::from_value(value).unwrap_or_default();
        Ok(Manifest {
            place: "command line".to_owned(),
            object,
        })
    }
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let manifests = match &args.what {
        Some(what) => vec![what.manifest()?],
        None if args.files.filename.is_empty() => {
            return Err(CliError::new("must specify one of -f and -k"));
        }
        None => manifests::read(&args.files).await?,
    };
    if manifests.is_empty() {
        return Err(CliError::new("no objects passed to create"));
    }
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let mut failed = false;
    for Manifest { place, mut object } in manifests {
        let row = discovery.by_kind(object.api_version(), object.kind())?;
        let namespace = namespace_of(row, object.namespace(), &context)?;
        if row.namespaced {
            object.set(&["metadata", "namespace"], json!(namespace));
        }
        let mut made = object.clone();
        if args.dry_run != DryRun::Client {
            let dry_run = if args.dry_run == DryRun::Server {
                "All"
            } else {
                ""
            };
            let query = Query::new()
                .with("fieldManager", "wkube-create")
                .with("fieldValidation", "Strict")
                .with("dryRun", dry_run);
            let path = Client::path(&row.resource, &namespace, "", "");
            let path = format!("{path}?{}", query.as_str());
            let body = Bytes::from(object.into_value().to_string());
            let posted = context
                .client
                .call(Method::POST, &path, Some(("application/json", body)))
                .await;
            let bytes = match posted {
                Ok(bytes) => bytes,
                Err(error) => {
                    failed = true;
                    let error = CliError::from(error);
                    eprintln!("Error from server when creating {place:?}: {}", error.text);
                    continue;
                }
            };
            let value: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
            made = Object::from_value(value).unwrap_or_default();
        }
        let shown = row.object_name(made.name());
        match &args.output {
            Some(output) => println!("{}", output.one(&made.into_value(), &shown)?),
            None => println!("{shown} created{}", args.dry_run.suffix()),
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
