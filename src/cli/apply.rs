//! `wkube apply`: makes what manifests say so. Server-side apply underneath, told in the words of
//! either form: `created`, `configured`, `unchanged`, or `serverside-applied`.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::manifests::{self, FileArgs, Manifest};
use crate::cli::printers::Output;
use crate::cli::resource_args::namespace_of;
use crate::client::{Client, ClientError, Query};
use crate::meta::{Object, Reason};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

/// How an operation is tried without being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

impl DryRun {
    /// What follows the words of an operation that was only tried.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Tell it in the words of server-side apply, and refuse conflicts.
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take over fields that others own.
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,
    /// Name of the manager that owns what is applied.
    #[arg(long, default_value = "wkube")]
    field_manager: String,
    /// Try without doing: on the client, or on the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    dry_run: DryRun,
    /// Record the command in the change cause of the object.
    #[arg(long)]
    record: bool,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Output>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    if args.files.filename.is_empty() {
        return Err(CliError::new("must specify one of -f and -k"));
    }
    let context = global.connect().await?;
    let mut failed = false;
    // Everything is read before anything is sent: a wrong document applies nothing of its file.
    let manifests = manifests::read(&args.files).await?;
    if manifests.is_empty() {
        return Err(CliError::new("no objects passed to apply"));
    }
    let discovery = Discovery::read(&context.client).await?;
    for manifest in manifests {
        match one(&args, &context, &discovery, manifest).await {
            Ok(line) => println!("{line}"),
            Err(error) => {
                failed = true;
                eprintln!("{error}");
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn one(
    args: &Args,
    context: &Context,
    discovery: &Discovery,
    manifest: Manifest,
) -> Result<String, CliError> {
    let Manifest { place, mut object } = manifest;
    let row = discovery
        .by_kind(object.api_version(), object.kind())
        .map_err(|error| {
            let text = error.text.trim_start_matches("error: ");
            CliError::new(format!("unable to recognize {place:?}: {text}"))
        })?;
    let namespace = namespace_of(row, object.namespace(), context)?;
    if row.namespaced {
        object.set(&["metadata", "namespace"], Value::String(namespace.clone()));
    }
    if args.record {
        let command: Vec<String> = std::env::args().collect();
        let cause = Value::String(command.join(" "));
        object.set(
            &["metadata", "annotations", "kubernetes.io/change-cause"],
            cause,
        );
    }
    let name = object.name().to_owned();
    if name.is_empty() {
        return Err(CliError::new(format!(
            "{place}: metadata.name: Required value"
        )));
    }
    let shown = row.object_name(&name);
    let suffix = args.dry_run.suffix();
    let request = Request {
        args,
        row,
        namespace: &namespace,
        name: &name,
    };
    let located = |error: ClientError| {
        let error = CliError::from(error);
        let text = format!("error when applying {place:?}: {}", error.text);
        CliError { text, ..error }
    };
    let before = match context
        .client
        .get::<Value>(&row.resource, &namespace, &name)
        .await
    {
        Ok(before) => Object::from_value(before),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(located(error)),
    };
    let after = match args.dry_run {
        DryRun::Client => object,
        _ => request
            .send(&context.client, &object, before.is_some())
            .await
            .map_err(located)?,
    };
    if let Some(output) = &args.output {
        return output.one(&after.into_value(), &shown);
    }
    let done = match &before {
        _ if args.server_side => "serverside-applied",
        None => "created",
        Some(before) if before.resource_version() == after.resource_version() => "unchanged",
        Some(_) => "configured",
    };
    Ok(format!("{shown} {done}{suffix}"))
}

struct Request<'a> {
    args: &'a Args,
    row: &'a ApiResource,
    namespace: &'a str,
    name: &'a str,
}

impl Request<'_> {
    async fn send(
        &self,
        client: &Client,
        object: &Object,
        exists: bool,
    ) -> Result<Object, ClientError> {
        let body = Bytes::from(Value::Object(object.fields().clone()).to_string());
        let query = self.query().with("force", self.force());
        let target = Client::path(&self.row.resource, self.namespace, self.name, "");
        let path = format!("{target}?{}", query.as_str());
        let applied = client.call(
            Method::PATCH,
            &path,
            Some(("application/apply-patch+yaml", body.clone())),
        );
        let bytes = match applied.await {
            // A server from before server-side apply.
            Err(ClientError::Api(error)) if error.reason == Reason::UnsupportedMediaType => {
                self.send_older(client, body, exists).await?
            }
            other => other?,
        };
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Decode(error.to_string()))?;
        Object::from_value(value).ok_or_else(|| ClientError::Decode("not an object".to_owned()))
    }

    async fn send_older(
        &self,
        client: &Client,
        body: Bytes,
        exists: bool,
    ) -> Result<Bytes, ClientError> {
        let query = self.query();
        if exists {
            let path = Client::path(&self.row.resource, self.namespace, self.name, "");
            let path = format!("{path}?{}", query.as_str());
            let kind = "application/strategic-merge-patch+json";
            client.call(Method::PATCH, &path, Some((kind, body))).await
        } else {
            let path = Client::path(&self.row.resource, self.namespace, "", "");
            let path = format!("{path}?{}", query.as_str());
            client
                .call(Method::POST, &path, Some(("application/json", body)))
                .await
        }
    }

    fn query(&self) -> Query {
        let dry_run = if self.args.dry_run == DryRun::Server {
            "All"
        } else {
            ""
        };
        Query::new()
            .with("fieldManager", &self.args.field_manager)
            .with("fieldValidation", "Strict")
            .with("dryRun", dry_run)
    }

    /// Client-side apply never refuses for others' sake; server-side apply does unless told.
    fn force(&self) -> &'static str {
        if !self.args.server_side || self.args.force_conflicts {
            "true"
        } else {
            ""
        }
    }
}
