//! `wkube diff`: what `apply` would change, as another program shows two folders: the objects as
//! they are, and as the server says they would be. Must not change anything.
//! Kubernetes: kubectl's `diff`; its exit code 1 says that there are differences, more that it failed.

use crate::cli::apply::REMEMBERED;
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::manifests::{self, FileArgs, Manifest, Place};
use crate::cli::merge_facts;
use crate::cli::resource_args::namespace_of;
use crate::client::{Client, ClientError, PatchKind, Query, with_query};
use crate::meta::patch::strategic::three_way;
use crate::meta::{Object, SchemaNode, Selector, yaml};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Method;
use serde_json::{Map, Value, json};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// How often an object is looked at that changes meanwhile; the last time whatever comes is shown.
const TRIES: usize = 4;
/// Kubernetes: the exit code of a diff that has failed.
const FAILED: u8 = 2;
/// Values of secrets that are the same on both sides, or on one side alone.
const MASK: &str = "***";
const MASK_BEFORE: &str = "*** (before)";
const MASK_AFTER: &str = "*** (after)";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Let the server apply, not the client.
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take over fields that others own.
    #[arg(long)]
    force_conflicts: bool,
    /// Name of the manager that would own what is applied.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// Selector (label query) of the objects that are compared.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Include managed fields in the diff.
    #[arg(long)]
    show_managed_fields: bool,
    /// Do not mask secret values in the diff.
    #[arg(long)]
    show_secrets: bool,
    /// Objects that are asked for at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    concurrency: usize,
    /// Include what apply would prune (not supported).
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let code = compare(&args, &global).await;
    // One would say that there are differences.
    code.map_err(|error| error.coded(FAILED))
}

async fn compare(args: &Args, global: &GlobalArgs) -> Result<ExitCode, CliError> {
    let selector = args.check()?;
    let context = global.connect().await?;
    let mut manifests = manifests::read(&args.files).await?.whole()?;
    if let Some(selector) = selector {
        manifests.retain(|manifest| selector.matches_object(&manifest.object));
    }
    let discovery = Discovery::read(&context.client).await?;
    let (live, merged) = (Folder::new("LIVE")?, Folder::new("MERGED")?);
    let sides = manifests
        .into_iter()
        .map(|manifest| sides(args, &context, &discovery, manifest));
    let mut sides = futures::stream::iter(sides).buffered(args.concurrency.max(1));
    while let Some(found) = sides.next().await {
        let Sides { name, from, to } = found?;
        live.write(&name, from.as_ref())?;
        merged.write(&name, Some(&to))?;
    }
    let external = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
    let (program, words) = command(&external, [live.text(), merged.text()]);
    let status = Command::new(&program).args(words).status();
    let failed = |why: String| CliError::new(format!("failed to run {program:?}: {why}"));
    let status = status.map_err(|error| failed(error.to_string()))?;
    match status.code() {
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(1) => Ok(ExitCode::FAILURE),
        Some(code) => Err(failed(format!("exit status {code}"))),
        None => Err(failed(status.to_string())),
    }
}

impl Args {
    fn check(&self) -> Result<Option<Selector>, CliError> {
        let what = if !self.files.given()? {
            "must specify one of -f and -k"
        } else if self.force_conflicts && !self.server_side {
            "--force-conflicts only works with --server-side"
        } else if self.prune {
            "--prune is not supported by wkube: delete what is no longer wanted by `wkube delete`"
        } else {
            let selector = self.selector.as_deref().map(Selector::parse).transpose();
            return selector.map_err(CliError::new);
        };
        Err(CliError::new(what))
    }

    /// The parameters of a write that is only tried.
    fn query(&self) -> Query {
        let manager = match (&self.field_manager, self.server_side) {
            (Some(manager), _) => manager.as_str(),
            (None, true) => "kubectl",
            (None, false) => "kubectl-client-side-apply",
        };
        Query::new()
            .with("dryRun", "All")
            .with("fieldManager", manager)
    }
}

/// The program that compares two folders, and its words.
fn command(external: &str, folders: [String; 2]) -> (String, Vec<String>) {
    let mut told = external.split(' ');
    let program = told.next().unwrap_or_default();
    if external.is_empty() {
        let flags = ["-u".to_owned(), "-N".to_owned()];
        return (
            "diff".to_owned(),
            flags.into_iter().chain(folders).collect(),
        );
    }
    // Kubernetes: flags without any sign that a shell could be told by.
    let is_plain = |word: &&str| {
        let mut chars = word.chars();
        !word.is_empty() && chars.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '=')
    };
    let flags = told.filter(is_plain).map(str::to_owned);
    (
        program.to_owned(),
        folders.into_iter().chain(flags).collect(),
    )
}

/// An object as it is and as it would be.
struct Sides {
    /// The name of its file in both folders.
    name: String,
    from: Option<Value>,
    to: Value,
}

async fn sides(
    args: &Args,
    context: &Context,
    discovery: &Discovery,
    manifest: Manifest,
) -> Result<Sides, CliError> {
    let Manifest { place, mut object } = manifest;
    let row = discovery
        .by_kind(object.api_version(), object.kind())
        .map_err(|error| place.unrecognized(&object, &error))?;
    let namespace = namespace_of(row, object.namespace(), context)
        .map_err(|error| place.locate(error, "metadata.namespace"))?;
    if row.namespaced {
        object.set(&["metadata", "namespace"], json!(namespace));
    }
    if object.name().is_empty() {
        let what = "resource name may not be empty";
        return Err(place.locate(CliError::new(what), "metadata.name"));
    }
    let job = Job {
        args,
        client: &context.client,
        row,
        place: &place,
        namespace: &namespace,
        object: &object,
    };
    let (mut from, mut to) = job.both().await?;
    let deleted = from.as_ref().and_then(|live| {
        let time = live.pointer("/metadata/deletionTimestamp")?;
        (!time.is_null()).then_some(())
    });
    if deleted.is_some() {
        eprintln!(
            "Warning: Detected changes to resource {} which is currently being deleted.",
            object.name()
        );
    }
    if !args.show_managed_fields {
        from.iter_mut().for_each(forget_managers);
        forget_managers(&mut to);
    }
    let is_secret = row.kind == "Secret" && row.resource.version == "v1";
    if is_secret && !args.show_secrets {
        mask(from.as_mut(), &mut to);
    }
    Ok(Sides {
        name: file_name(row, &namespace, object.name()),
        from,
        to,
    })
}

fn file_name(row: &ApiResource, namespace: &str, name: &str) -> String {
    let group = match row.resource.group.as_str() {
        "" => String::new(),
        group => format!("{group}."),
    };
    let (version, kind) = (&row.resource.version, &row.kind);
    // A name must not lead out of the folder.
    format!("{group}{version}.{kind}.{namespace}.{name}").replace('/', "_")
}

fn forget_managers(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
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
    async fn both(&self) -> Result<(Option<Value>, Value), CliError> {
        let mut tried = 1;
        loop {
            let live = self.live().await?;
            match self.merged(live.as_ref(), tried == TRIES).await? {
                Ok(merged) => return Ok((live, merged)),
                Err(error) if error.is_conflict() && tried < TRIES => tried += 1,
                Err(error) => return Err(self.place.refused_plainly(error)),
            }
        }
    }

    async fn live(&self) -> Result<Option<Value>, CliError> {
        let (resource, name) = (&self.row.resource, self.object.name());
        let found = self.client.get::<Value>(resource, self.namespace, name);
        match found.await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object as it would be; the inner error is the server's.
    async fn merged(
        &self,
        live: Option<&Value>,
        whatever: bool,
    ) -> Result<Result<Value, ClientError>, CliError> {
        let wanted = Value::Object(self.object.fields().clone());
        let query = self.args.query();
        if self.args.server_side {
            let query = query.with("force", &self.args.force_conflicts.to_string());
            return Ok(self.patch(PatchKind::Apply, &query, &wanted).await);
        }
        let Some(live) = live else {
            let path = Client::path(&self.row.resource, self.namespace, "", "");
            let body = Some(("application/json", Bytes::from(wanted.to_string())));
            return Ok(self.call(Method::POST, path, &query, body).await);
        };
        let (kind, mut patch) = self.three_way(live).await?;
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok(Ok(live.clone()));
        }
        let revision = live.pointer("/metadata/resourceVersion");
        if let (Some(revision), false) = (revision, whatever) {
            let mut held = Object::from_value(patch).unwrap_or_default();
            held.set(&["metadata", "resourceVersion"], revision.clone());
            patch = held.into_value();
        }
        Ok(self.patch(kind, &query, &patch).await)
    }

    /// The patch of client-side apply, of an object that need not remember what it is made of.
    async fn three_way(&self, live: &Value) -> Result<(PatchKind, Value), CliError> {
        let mut wanted = self.object.clone();
        wanted.remove(&["metadata", "annotations", REMEMBERED]);
        let wanted = wanted.into_value();
        let annotations = live.pointer("/metadata/annotations");
        let original = annotations
            .and_then(|annotations| annotations.get(REMEMBERED)?.as_str())
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(Value::Null);
        let values = [&original, &wanted, live];
        let facts = merge_facts::of(self.client, self.row, &values).await?;
        let node = facts.as_ref().map(|facts| facts.root() as &dyn SchemaNode);
        let patch = three_way(&original, &wanted, live, node)
            .map_err(|error| self.place.locate(CliError::new(error), ""))?;
        let kind = match facts {
            Some(_) => PatchKind::Strategic,
            None => PatchKind::Merge,
        };
        Ok((kind, patch))
    }

    async fn patch(
        &self,
        kind: PatchKind,
        query: &Query,
        body: &Value,
    ) -> Result<Value, ClientError> {
        let name = self.object.name();
        let path = Client::path(&self.row.resource, self.namespace, name, "");
        let body = Some((kind.content_type(), Bytes::from(body.to_string())));
        self.call(Method::PATCH, path, query, body).await
    }

    async fn call(
        &self,
        method: Method,
        path: String,
        query: &Query,
        body: Option<(&str, Bytes)>,
    ) -> Result<Value, ClientError> {
        let path = with_query(path, query);
        let bytes = self.client.call(method, &path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
    }
}

/// Hides the values of a secret, but not which of them differ.
fn mask(from: Option<&mut Value>, to: &mut Value) {
    let mut none = Map::new();
    let from = from
        .and_then(|from| from.get_mut("data")?.as_object_mut())
        .unwrap_or(&mut none);
    let mut nothing = Map::new();
    let to = to
        .get_mut("data")
        .and_then(Value::as_object_mut)
        .unwrap_or(&mut nothing);
    for (key, before) in from.iter_mut() {
        let (mut now, mut then) = (MASK, MASK);
        if to.get(key).is_some_and(|after| *after != *before) {
            (now, then) = (MASK_BEFORE, MASK_AFTER);
        }
        if let Some(after) = to.get_mut(key) {
            *after = json!(then);
        }
        *before = json!(now);
    }
    for (key, after) in to.iter_mut() {
        if !from.contains_key(key) {
            *after = json!(MASK);
        }
    }
}

/// A folder that goes when it is no longer looked at.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, CliError> {
        let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        // What stands in it may be secret.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| CliError::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }

    /// An object's file; an empty one where there is no object.
    fn write(&self, name: &str, object: Option<&Value>) -> Result<(), CliError> {
        let path = self.0.join(name);
        let text = object.map(yaml::text).unwrap_or_default();
        std::fs::write(&path, text)
            .map_err(|error| CliError::new(format!("{}: {error}", path.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays is no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_still_differ() {
        let mut from = json!({"data": {"same": "a", "other": "b", "gone": "c"}});
        let mut to = json!({"data": {"same": "a", "other": "x", "new": "d"}});
        mask(Some(&mut from), &mut to);
        assert_eq!(
            from,
            json!({"data": {"same": "***", "other": "*** (before)", "gone": "***"}})
        );
        assert_eq!(
            to,
            json!({"data": {"same": "***", "other": "*** (after)", "new": "***"}})
        );
        let mut alone = json!({"data": {"a": "b"}});
        mask(None, &mut alone);
        assert_eq!(alone, json!({"data": {"a": "***"}}));
    }

    #[test]
    fn the_program_that_compares() {
        let of = |external: &str| {
            let (program, words) = command(external, ["a".to_owned(), "b".to_owned()]);
            format!("{program} {}", words.join(" "))
        };
        assert_eq!(of(""), "diff -u -N a b");
        assert_eq!(of("colordiff -N -u;rm -w"), "colordiff a b -N -w");
    }
}
