//! `wkube rollout undo`: back to an earlier revision.
//! Kubernetes: kubectl's `polymorphichelpers/rollback.go`.

use super::history::kind;
use super::revisions::{self, Revision};
use super::{RolloutArgs, is};
use crate::cli::change::{Found, send_patch};
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::describe::pod_template;
use crate::cli::printers::OutputArgs;
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::PatchKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Kubernetes: the label that tells a Deployment's ReplicaSets apart.
const HASH_LABEL: &str = "pod-template-hash";
/// The manager of what `rollout` writes.
const MANAGER: &str = "kubectl-rollout";
/// Annotations that stay the Deployment's own.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// The revision to rollback to. Default to 0 (last revision).
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    to_revision: i64,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let (context, list, mut errors) = args.rollout.found(&global).await?;
    for found in &list {
        match one(&args, &context, found).await {
            Ok(result) => match &output {
                Some(output) => print!("{}", output.one(&found.shown(), &found.value())?),
                None => println!("{} {result}{}", found.shown(), args.write.dry_run.suffix()),
            },
            Err(error) => errors.push(error),
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

async fn one(args: &Args, context: &Context, found: &Found) -> Result<String, CliError> {
    let of_deployment = is(found, "Deployment");
    if !of_deployment && !is(found, "StatefulSet") && !is(found, "DaemonSet") {
        let what = format!("no rollbacker has been implemented for {:?}", kind(found));
        return Err(CliError::new(what));
    }
    if let (true, Some(last)) = (of_deployment, OWN.first())
        && found.object.annotation(last).is_some()
    {
        let (plural, name) = (&found.row.resource.resource, found.object.name());
        eprintln!(
            "Warning: resource {plural}/{name} was previously managed with 'wkube apply'. Rolling \
             back will not update the {last} annotation, which may cause unexpected behavior on \
             future 'wkube apply' operations. Consider using 'wkube apply' with your previous \
             configuration file instead."
        );
    }
    let revisions = revisions::of(context, found).await?;
    let revision = picked(found, &revisions, args.to_revision)?;
    if args.write.dry_run == DryRun::Client {
        let before = if of_deployment {
            ""
        } else {
            "will roll back to "
        };
        return Ok(format!("{before}{}", pod_template(&revision.template)));
    }
    if of_deployment && found.object.get(&["spec", "paused"]) == Some(&json!(true)) {
        return Err(CliError::new(
            "you cannot rollback a paused deployment; resume it first with 'wkube rollout resume' \
             and try again",
        ));
    }
    let template = restored(revision);
    let now = found.object.get(&["spec", "template"]);
    if now.is_some_and(|now| same(now, &template)) {
        return Ok(format!(
            "skipped rollback (current template already matches revision {})",
            args.to_revision
        ));
    }
    let (patch_kind, patch) = if of_deployment {
        let annotations = annotations(found, revision);
        let patch = json!([
            { "op": "replace", "path": "/spec/template", "value": template },
            { "op": "replace", "path": "/metadata/annotations", "value": annotations },
        ]);
        (PatchKind::Json, patch)
    } else {
        let data = revision.keeper.get(&["data"]).cloned();
        (PatchKind::Strategic, data.unwrap_or(Value::Null))
    };
    let query = args.write.query(MANAGER)?;
    let sent = send_patch(context, found, "", patch_kind, &patch, &query).await;
    sent.map_err(|error| {
        let what = format!("failed restoring revision {}: {error}", args.to_revision);
        CliError::new(what)
    })?;
    Ok("rolled back".to_owned())
}

/// The revision that is asked for; 0 is the one before the newest.
fn picked<'a>(
    found: &Found,
    revisions: &'a BTreeMap<i64, Revision>,
    asked: i64,
) -> Result<&'a Revision, CliError> {
    if asked != 0 {
        return revisions.get(&asked).ok_or_else(|| {
            let what = format!("unable to find specified revision {asked} in history");
            CliError::new(what)
        });
    }
    revisions.values().rev().nth(1).ok_or_else(|| {
        CliError::new(match is(found, "Deployment") {
            true => format!(
                "no rollout history found for deployment {:?}",
                found.object.name()
            ),
            false => "no last revision to roll back to".to_owned(),
        })
    })
}

/// The template that is put back: as the keeper has it, without what tells its pods apart.
fn restored(revision: &Revision) -> Value {
    let keeper = revision.keeper.get(&["spec", "template"]);
    let mut template = keeper.unwrap_or(&revision.template).clone();
    forget_hash(&mut template);
    template
}

fn forget_hash(template: &mut Value) {
    let labels = template.pointer_mut("/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
}

fn same(a: &Value, b: &Value) -> bool {
    let plain = |template: &Value| {
        let mut template = template.clone();
        forget_hash(&mut template);
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("creationTimestamp");
        }
        template
    };
    plain(a) == plain(b)
}

/// The Deployment's annotations afterwards: its own, and else those of the revision.
fn annotations(found: &Found, revision: &Revision) -> Value {
    let of = |object: &crate::meta::Object, own: bool| {
        let map = object.get(&["metadata", "annotations"]);
        let map = map.and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter()
            .filter(move |(name, _)| OWN.contains(&name.as_str()) == own)
    };
    let mut all: Map<String, Value> = of(&found.object, true).collect();
    all.extend(of(&revision.keeper, false));
    Value::Object(all)
}
