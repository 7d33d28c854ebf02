//! What the verbs that change objects have in common: finding what is named, making the patch of a
//! change, sending it, telling what was done. Must not know what a verb changes.
//! Kubernetes: cli-runtime's resource builder and kubectl's `polymorphichelpers`.

use crate::cli::context::{CliError, Context};
use crate::cli::discovery::ApiResource;
use crate::cli::manifests::{self, FileArgs};
use crate::cli::merge_facts;
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::{ObjectArgs, SelectorArgs};
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::{Client, ClientError, PatchKind, Query, with_query};
use crate::meta::patch::strategic::three_way;
use crate::meta::{GroupVersionResource, Object, SchemaNode};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Kubernetes: what kubectl says where nothing is named.
const NOTHING_NAMED: &str = "You must provide one or more resources by argument or filename.\n\
    Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   \
    '<resource> <name>'\n   '<resource>'";

/// Where it is told why an object is as it is.
pub(crate) const CHANGE_CAUSE: [&str; 3] =
    ["metadata", "annotations", "kubernetes.io/change-cause"];

/// The command line of this process, as a cause.
pub(crate) fn command_line() -> Value {
    let command: Vec<String> = std::env::args().collect();
    Value::String(command.join(" "))
}

/// An object that a command line names, as the server has it (or a file, with `--local`).
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) row: ApiResource,
    pub(crate) namespace: String,
    pub(crate) object: Object,
}

impl Found {
    /// `pod/x`, `deployment.apps/x`.
    pub(crate) fn shown(&self) -> String {
        self.row.object_name(self.object.name())
    }

    /// The object as a value.
    pub(crate) fn value(&self) -> Value {
        Value::Object(self.object.fields().clone())
    }

    /// Its path, or that of a part of it.
    pub(crate) fn path(&self, subresource: &str) -> String {
        let resource = &self.row.resource;
        Client::path(resource, &self.namespace, self.object.name(), subresource)
    }
}

/// All that words, files and selectors name; what could not be found is among the errors. `all` is
/// the flag `--all`: names may be missing.
pub(crate) async fn found(
    context: &Context,
    objects: &ObjectArgs,
    all: bool,
) -> Result<(Vec<Found>, Vec<CliError>), CliError> {
    if !objects.given()? {
        return Err(CliError::new(NOTHING_NAMED));
    }
    let mut targets = objects.targets(context).await?;
    let mut errors = std::mem::take(&mut targets.errors);
    let picks = all || objects.selectors.any();
    let mut found = Vec::new();
    for target in &targets.list {
        let by_words = target.place.is_empty();
        if by_words && target.names.is_empty() && !picks {
            let what = "resource(s) were provided, but no name was specified";
            return Err(CliError::new(what));
        }
        if by_words && !target.names.is_empty() && objects.selectors.any() {
            let what = "name cannot be provided when a selector is specified";
            return Err(CliError::new(what));
        }
        let listed = objects.selectors.objects(context, target, &mut errors);
        for value in listed.await {
            let object = Object::from_value(value).unwrap_or_default();
            found.push(Found {
                row: target.resource.clone(),
                namespace: object.namespace().to_owned(),
                object,
            });
        }
    }
    Ok((found, errors))
}

/// The objects of files alone, which no server is asked about.
pub(crate) async fn local(files: &FileArgs) -> Result<(Vec<Found>, Vec<CliError>), CliError> {
    let read = manifests::read(files).await?;
    let found = read.manifests.into_iter().map(|manifest| {
        let object = manifest.object;
        let api_version = object.api_version();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let row = ApiResource {
            resource: GroupVersionResource::new(group, version, ""),
            kind: object.kind().to_owned(),
            namespaced: true,
            ..ApiResource::default()
        };
        Found {
            row,
            namespace: object.namespace().to_owned(),
            object,
        }
    });
    Ok((found.collect(), read.errors))
}

/// The patch that makes `new` of `old`: strategic where the kind takes it, else a merge patch;
/// `None` where nothing differs.
pub(crate) async fn two_way(
    client: &Client,
    row: &ApiResource,
    old: &Value,
    new: &Value,
) -> Result<Option<(PatchKind, Value)>, CliError> {
    let facts = merge_facts::of(client, row, &[old, new]).await?;
    let node = facts.as_ref().map(|facts| facts.root() as &dyn SchemaNode);
    let patch = three_way(old, new, old, node).map_err(CliError::new)?;
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(None);
    }
    let kind = match facts {
        Some(_) => PatchKind::Strategic,
        None => PatchKind::Merge,
    };
    Ok(Some((kind, patch)))
}

/// Sends a patch; answers the object after it.
pub(crate) async fn send_patch(
    context: &Context,
    found: &Found,
    subresource: &str,
    kind: PatchKind,
    patch: &Value,
    query: &Query,
) -> Result<Value, ClientError> {
    let path = with_query(found.path(subresource), query);
    let body = Some((kind.content_type(), Bytes::from(patch.to_string())));
    let bytes = context.client.call(Method::PATCH, &path, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}

/// The flags of a verb that changes each object that is named in the same way.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) selectors: SelectorArgs,
    /// Select all resources, in the namespace of the specified resource types.
    #[arg(long)]
    pub(crate) all: bool,
    /// If true, the command will not contact the server but run locally.
    #[arg(long)]
    pub(crate) local: bool,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Name of the manager that owns what is changed.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Record the command in the change cause of the object.
    #[arg(long)]
    pub(crate) record: bool,
}

impl ChangeArgs {
    /// The form of the output, or what is wrong with it.
    pub(crate) fn output(&self) -> Result<Option<Output>, CliError> {
        self.output.object()
    }
}

/// A change of all objects that are named.
pub(crate) struct Job<'a> {
    pub(crate) args: &'a ChangeArgs,
    /// The words that name objects.
    pub(crate) words: Vec<String>,
    /// Owns what is changed, unless the flag says who.
    pub(crate) manager: &'a str,
    /// What is said before the server's sentence where it refuses; empty says it as the server's.
    pub(crate) failed: &'a str,
}

/// What became of an object before anything is sent.
pub(crate) enum Done {
    /// The object differs now; what is said of it (`image updated`).
    Changed(&'static str),
    /// There is nothing to send; what is said all the same.
    Same(&'static str),
    /// There is nothing to send and nothing to say.
    Nothing,
}

impl Job<'_> {
    /// Changes each object, sends what differs, tells what was done.
    pub(crate) async fn run(
        self,
        context: Option<&Context>,
        mut change: impl FnMut(&mut Found) -> Result<Done, CliError>,
    ) -> Result<ExitCode, CliError> {
        let output = self.args.output()?;
        let (list, mut errors) = self.list(context).await?;
        let mut separator = "";
        for mut found in list {
            let before = found.value();
            let (done, changed) = match change(&mut found) {
                Ok(Done::Changed(done)) => {
                    self.record(&mut found);
                    (done, true)
                }
                Ok(Done::Same(done)) => (done, false),
                Ok(Done::Nothing) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let after = match context.filter(|_| changed) {
                Some(context) => match self.sent(context, &found, &before).await {
                    Ok(after) => after,
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                },
                None => found.value(),
            };
            print!("{separator}");
            self.tell(output.as_ref(), &found, done, &after)?;
            separator = output.as_ref().map_or("", Output::separator);
        }
        CliError::all(errors).map(|()| ExitCode::SUCCESS)
    }

    fn record(&self, found: &mut Found) {
        if self.args.record {
            found.object.set(&CHANGE_CAUSE, command_line());
        }
    }

    async fn list(
        &self,
        context: Option<&Context>,
    ) -> Result<(Vec<Found>, Vec<CliError>), CliError> {
        let Some(context) = context else {
            return local(&self.args.files).await;
        };
        let objects = ObjectArgs {
            words: self.words.clone(),
            files: self.args.files.clone(),
            selectors: self.args.selectors.clone(),
        };
        found(context, &objects, self.args.all).await
    }

    async fn sent(
        &self,
        context: &Context,
        found: &Found,
        before: &Value,
    ) -> Result<Value, CliError> {
        let now = found.value();
        let patch = two_way(&context.client, &found.row, before, &now).await?;
        let Some((kind, patch)) = patch else {
            return Ok(now);
        };
        if self.args.write.dry_run == DryRun::Client {
            return Ok(now);
        }
        let manager = self.args.field_manager.as_deref().unwrap_or(self.manager);
        let query = self.args.write.query(manager)?;
        let sent = send_patch(context, found, "", kind, &patch, &query).await;
        sent.map_err(|error| match self.failed {
            "" => error.into(),
            failed => CliError::new(format!("{failed}: {error}")),
        })
    }

    fn tell(
        &self,
        output: Option<&Output>,
        found: &Found,
        done: &str,
        after: &Value,
    ) -> Result<(), CliError> {
        match output {
            Some(output) => print!("{}", output.one(&found.shown(), after)?),
            None => println!(
                "{} {done}{}",
                found.shown(),
                self.args.write.dry_run.suffix()
            ),
        }
        Ok(())
    }
}

/// Connects, unless the files alone are asked.
pub(crate) async fn context(
    global: &crate::cli::context::GlobalArgs,
    args: &ChangeArgs,
) -> Result<Option<Context>, CliError> {
    match args.local {
        true => Ok(None),
        false => global.connect().await.map(Some),
    }
}
