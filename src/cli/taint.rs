//! `wkube taint`: sets and takes away taints of nodes.
//! Kubernetes: kubectl's `cmd/taint`.

use crate::cli::change::{self, ChangeArgs, Done, Found, Job};
use crate::cli::context::{CliError, GlobalArgs};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The manager of what `taint` writes.
const MANAGER: &str = "kubectl-taint";
const TAINTS: [&str; 2] = ["spec", "taints"];
/// What a taint may do.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NODE NAME... KEY[=VALUE]:EFFECT... KEY[:EFFECT]-...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// If true, allow taints to be overwritten, otherwise reject taint updates that do so.
    #[arg(long)]
    overwrite: bool,
}

/// A taint of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taint {
    key: String,
    value: String,
    /// Empty means all, where it is taken away.
    effect: String,
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    objects: Vec<String>,
    set: Vec<Taint>,
    remove: Vec<Taint>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let asked = parse(&args.words)?;
    if asked.set.is_empty() && asked.remove.is_empty() {
        return Err(CliError::new("at least one taint update is required"));
    }
    let of_nodes = asked.objects.first().is_some_and(|word| {
        let kind = word.split('/').next().unwrap_or_default();
        ["node", "nodes", "no"].contains(&kind.to_lowercase().as_str())
    });
    if !of_nodes {
        let kind = asked.objects.first().cloned().unwrap_or_default();
        let what = format!("invalid resource type {kind}, only node types are supported");
        return Err(CliError::new(what));
    }
    if args.change.all && args.change.selectors.any() {
        let what = "setting 'all' parameter with a non empty selector is prohibited";
        return Err(CliError::new(what));
    }
    let context = change::context(&global, &args.change).await?;
    let job = Job {
        args: &args.change,
        words: asked.objects.clone(),
        manager: MANAGER,
        failed: "",
    };
    job.run(context.as_ref(), |found| one(&args, &asked, found))
        .await
}

fn parse(words: &[String]) -> Result<Asked, CliError> {
    let mut asked = Asked::default();
    for word in words {
        if word.contains('=') || word.ends_with('-') || word.contains(':') {
            let (text, goes) = match word.strip_suffix('-') {
                Some(text) => (text, true),
                None => (word.as_str(), false),
            };
            let taint = taint(text, goes)?;
            if goes {
                asked.remove.push(taint);
            } else {
                asked.set.push(taint);
            }
        } else if asked.set.is_empty() && asked.remove.is_empty() {
            asked.objects.push(word.clone());
        } else {
            let what = format!("all resources must be specified before taint changes: {word}");
            return Err(CliError::new(what));
        }
    }
    Ok(asked)
}

fn taint(text: &str, goes: bool) -> Result<Taint, CliError> {
    let (pair, effect) = text.split_once(':').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let what = if key.is_empty() || (effect.is_empty() && !goes) {
        format!("invalid taint spec: {text}")
    } else if !effect.is_empty() && !EFFECTS.contains(&effect) {
        format!("invalid taint effect: {effect}, unsupported taint effect")
    } else {
        String::new()
    };
    if !what.is_empty() {
        let usage = "See 'wkube taint -h' for help and examples";
        return Err(CliError::new(what).with_line(usage));
    }
    Ok(Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect: effect.to_owned(),
    })
}

fn is(taint: &Value, key: &str, effect: &str) -> bool {
    let text = |name: &str| taint.get(name).and_then(Value::as_str).unwrap_or_default();
    text("key") == key && (effect.is_empty() || text("effect") == effect)
}

fn one(args: &Args, asked: &Asked, found: &mut Found) -> Result<Done, CliError> {
    let name = found.object.name().to_owned();
    let before = found.object.get(&TAINTS).and_then(Value::as_array);
    let mut taints = before.cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    for Taint { key, value, effect } in &asked.set {
        let has = taints.iter().any(|taint| is(taint, key, effect));
        if has && !args.overwrite {
            wrong.push(CliError::new(format!(
                "node {name} already has {key} taint(s) with same effect(s) and --overwrite is \
                 false"
            )));
            continue;
        }
        taints.retain(|taint| !is(taint, key, effect));
        let mut taint = json!({ "key": key, "effect": effect });
        if let (Value::Object(map), false) = (&mut taint, value.is_empty()) {
            map.insert("value".to_owned(), json!(value));
        }
        taints.push(taint);
    }
    for Taint { key, effect, .. } in &asked.remove {
        if !taints.iter().any(|taint| is(taint, key, effect)) {
            let of = match effect.as_str() {
                "" => key.clone(),
                effect => format!("{key}:{effect}"),
            };
            wrong.push(CliError::new(format!("taint {of:?} not found")));
        }
        taints.retain(|taint| !is(taint, key, effect));
    }
    CliError::all(wrong)?;
    found.object.set(&TAINTS, Value::Array(taints));
    Ok(Done::Changed(
        match (asked.set.is_empty(), asked.remove.is_empty()) {
            (false, true) => "tainted",
            (true, _) => "untainted",
            (false, false) => "modified",
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_read_behind_the_nodes() {
        let words = ["node", "a", "k=v:NoSchedule", "x-", "y:NoExecute-"].map(str::to_owned);
        let asked = parse(&words).unwrap();
        assert_eq!(asked.objects, ["node", "a"]);
        assert_eq!((asked.set.len(), asked.remove.len()), (1, 2));
        assert!(parse(&["node".to_owned(), "k=v".to_owned()]).is_err());
        assert!(parse(&["node".to_owned(), "k=v:Bad".to_owned()]).is_err());
    }
}
