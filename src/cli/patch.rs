//! `wkube patch`: sends a patch that the user has written. Must not make patches.

use crate::cli::change::{Found, found, send_patch};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::manifests::FileArgs;
use crate::cli::merge_facts;
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::resource_args::{ObjectArgs, SelectorArgs};
use crate::cli::write_args::DryRun;
use crate::client::{ClientError, PatchKind, Query};
use crate::meta::patch::{json, merge, strategic};
use crate::meta::yaml;
use crate::meta::{Reason, go_json};
use http::Method;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME, or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// The patch to be applied to the resource, as JSON or YAML.
    #[arg(long, short, value_name = "PATCH", allow_hyphen_values = true)]
    patch: Option<String>,
    /// A file containing a patch to be applied to the resource.
    #[arg(long, value_name = "FILE")]
    patch_file: Option<PathBuf>,
    /// The type of patch being provided; one of [json merge strategic].
    #[arg(long = "type", value_name = "TYPE", default_value = "strategic")]
    kind: String,
    /// If specified, patch will operate on the subresource of the requested object.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    subresource: String,
    /// Patch the content of the file, not the object on the server (not supported).
    #[arg(long)]
    local: bool,
    /// Try without doing: none, client, or server.
    #[arg(long, value_parser = DryRun::parse, default_value = "none", num_args = 0..=1,
          require_equals = true, default_missing_value = "client", value_name = "WHERE")]
    dry_run: DryRun,
    /// Name of the manager that owns what is patched.
    #[arg(long, value_name = "NAME", default_value = "kubectl-patch")]
    field_manager: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let kind = args.check()?;
    let patch = args.read()?;
    let context = global.connect().await?;
    let objects = ObjectArgs {
        words: args.words.clone(),
        files: args.files.clone(),
        selectors: SelectorArgs::default(),
    };
    let (list, mut errors) = found(&context, &objects, false).await?;
    if list.is_empty() && errors.is_empty() {
        return Err(CliError::new("no objects passed to patch"));
    }
    let mut separator = "";
    for found in &list {
        match one(&args, &context, found, kind, &patch).await {
            Ok((before, after)) => {
                print!("{separator}");
                tell(output.as_ref(), found, (&before, &after))?;
                separator = output.as_ref().map_or("", Output::separator);
            }
            Err(error) => errors.push(error),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

impl Args {
    /// The kind of patch, or what is wrong with the flags.
    fn check(&self) -> Result<PatchKind, CliError> {
        let none = self.patch.as_deref().unwrap_or_default().is_empty();
        let what = if !none && self.patch_file.is_some() {
            "cannot specify --patch and --patch-file together".to_owned()
        } else if none && self.patch_file.is_none() {
            "must specify --patch or --patch-file containing the contents of the patch".to_owned()
        } else if self.local {
            "--local is not supported by wkube: use --dry-run=client -o yaml to see what a patch \
             makes of an object"
                .to_owned()
        } else {
            match self.kind.to_lowercase().as_str() {
                "json" => return Ok(PatchKind::Json),
                "merge" => return Ok(PatchKind::Merge),
                "strategic" | "" => return Ok(PatchKind::Strategic),
                _ => format!(
                    "--type must be one of [json merge strategic], not {:?}",
                    self.kind
                ),
            }
        };
        Err(CliError::new(what))
    }

    fn read(&self) -> Result<Value, CliError> {
        let inline = self.patch.as_deref().unwrap_or_default();
        let text = match &self.patch_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                let place = path.display();
                CliError::new(format!("unable to read patch file: open {place}: {error}"))
            })?,
            None => inline.to_owned(),
        };
        // Kubernetes: what looks like JSON is the server's to judge.
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(&text).map_err(|error| {
                let why = go_json::words(text.as_bytes(), &error);
                CliError::bare(format!("Error from server (BadRequest): {why}"))
            });
        }
        yaml::value(text.as_bytes())
            .map_err(|error| CliError::new(format!("unable to parse {inline:?}: {error}")))
    }
}

/// Patches one object; answers it as it was and as it is.
async fn one(
    args: &Args,
    context: &Context,
    found: &Found,
    kind: PatchKind,
    patch: &Value,
) -> Result<(Value, Value), CliError> {
    let before = match args.subresource.as_str() {
        "" => found.value(),
        part => {
            let path = found.path(part);
            let bytes = context.client.call(Method::GET, &path, None).await?;
            serde_json::from_slice(&bytes).map_err(CliError::new)?
        }
    };
    if args.dry_run == DryRun::Client {
        let after = locally(context, found, &before, kind, patch).await?;
        return Ok((before, after));
    }
    let query = Query::new()
        .with("fieldManager", &args.field_manager)
        .with("dryRun", args.dry_run.parameter());
    let sent = send_patch(context, found, &args.subresource, kind, patch, &query).await;
    let after = sent.map_err(|error| refused(found, kind, error))?;
    Ok((before, after))
}

/// Kubernetes: a kind that does not take this kind of patch is told with both.
fn refused(found: &Found, kind: PatchKind, error: ClientError) -> CliError {
    match error {
        ClientError::Api(api) if api.reason == Reason::UnsupportedMediaType => {
            CliError::new(format!(
                "{} is not supported by {}: {}",
                kind.content_type(),
                kind_of(found),
                api.message
            ))
        }
        error => error.into(),
    }
}

/// `apps/v1, Kind=Deployment`.
fn kind_of(found: &Found) -> String {
    let resource = &found.row.resource;
    let (group, version) = (&resource.group, &resource.version);
    format!("{group}/{version}, Kind={}", found.row.kind)
}

/// What the patch would make of the object, without asking the server to try.
async fn locally(
    context: &Context,
    found: &Found,
    before: &Value,
    kind: PatchKind,
    patch: &Value,
) -> Result<Value, CliError> {
    let patched = match kind {
        PatchKind::Json => json::apply(before.clone(), patch),
        PatchKind::Strategic => {
            let facts = merge_facts::of(&context.client, &found.row, &[before, patch]).await?;
            let Some(facts) = facts else {
                return Err(CliError::new(format!(
                    "strategic merge patch is not supported for {} locally, try --type merge",
                    kind_of(found)
                )));
            };
            strategic::apply(before.clone(), patch, Some(facts.root()))
        }
        PatchKind::Merge | PatchKind::Apply => merge::apply(before.clone(), patch),
    };
    patched.map_err(CliError::new)
}

fn tell(
    output: Option<&Output>,
    found: &Found,
    (before, after): (&Value, &Value),
) -> Result<(), CliError> {
    let shown = shown(found, after);
    let done = if before == after {
        "patched (no change)"
    } else {
        "patched"
    };
    match output {
        Some(output) => print!("{}", output.one(&shown, after)?),
        // Kubernetes: kubectl does not say here that it was only tried.
        None => println!("{shown} {done}"),
    }
    Ok(())
}

/// The object's name for people. A part of it can be of another kind: `scale.autoscaling/x`.
pub(crate) fn shown(found: &Found, after: &Value) -> String {
    let text = |name: &str| after.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() || kind == found.row.kind {
        return found.shown();
    }
    let kind = kind.to_lowercase();
    let name = found.object.name();
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ApiResource;
    use crate::meta::{GroupVersionResource, Object};
    use clap::Parser;
    use serde_json::json;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        let words = std::iter::once(&"patch").chain(words);
        Words::try_parse_from(words).unwrap().args
    }

    #[test]
    fn flags_as_kubectl_checks_them() {
        let told = |words: &[&str]| args(words).check().unwrap_err().to_string();
        assert_eq!(
            args(&["pod", "x", "-p", "{}"]).check().unwrap(),
            PatchKind::Strategic
        );
        assert_eq!(
            told(&["pod", "x", "-p", "{}", "--type=x"]),
            "error: --type must be one of [json merge strategic], not \"x\""
        );
        assert!(told(&["pod", "x"]).contains("must specify --patch or --patch-file"));
        assert!(told(&["pod", "x", "-p", "{}", "--patch-file=a"]).contains("together"));
        let patch = args(&["pod", "x", "-p", "spec:\n  a: 1"]).read().unwrap();
        assert_eq!(patch, json!({"spec": {"a": 1}}));
        let list = args(&["pod", "x", "-p", r#"[{"op": "remove", "path": "/a"}]"#]);
        assert_eq!(
            list.read().unwrap(),
            json!([{"op": "remove", "path": "/a"}])
        );
    }

    #[test]
    fn a_part_of_another_kind_is_told_by_its_kind() {
        let found = Found {
            row: ApiResource {
                resource: GroupVersionResource::new("apps", "v1", "deployments"),
                kind: "Deployment".to_owned(),
                singular: "deployment".to_owned(),
                ..ApiResource::default()
            },
            namespace: "default".to_owned(),
            object: Object::from_value(json!({"metadata": {"name": "a"}})).unwrap(),
        };
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale"});
        assert_eq!(shown(&found, &scale), "scale.autoscaling/a");
        let same = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        assert_eq!(shown(&found, &same), "deployment.apps/a");
    }
}
