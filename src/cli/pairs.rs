//! Words of the form `KEY=VALUE` and `KEY-` behind the words that name objects, and the verbs that
//! carry them out. Must not know what the pairs are.
//! Kubernetes: kubectl's `GetResourcesAndPairs` and `ParsePairs`.

use crate::cli::change::{self, ChangeArgs, Done, Found, Job};
use crate::cli::context::{CliError, GlobalArgs};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The flags of a verb of pairs.
#[derive(Debug, clap::Args)]
pub(crate) struct PairArgs {
    /// TYPE NAME... KEY=VALUE... KEY-...
    words: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// If true, allow what is there to be overwritten, otherwise reject updates that do so.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// If true, display what there is.
    #[arg(long)]
    list: bool,
    /// If non-empty, the update will only succeed if this is the object's version.
    #[arg(long, value_name = "VERSION", default_value = "")]
    resource_version: String,
}

/// A verb of pairs.
pub(crate) struct PairVerb {
    /// `label`, `annotation`.
    pub(crate) what: &'static str,
    /// Where the pairs are.
    pub(crate) path: [&'static str; 2],
    /// The manager of what is written.
    pub(crate) manager: &'static str,
    /// What is wrong with it, and what is said of it once it is done: flags, pairs, what there is,
    /// what there will be.
    pub(crate) check:
        fn(&PairArgs, &Pairs, Option<&Value>, &Value) -> Result<&'static str, CliError>,
}

impl PairVerb {
    pub(crate) async fn run(
        &self,
        args: PairArgs,
        global: GlobalArgs,
    ) -> Result<ExitCode, CliError> {
        let pairs = Pairs::parse(&args.words, self.what)?;
        let what = if pairs.objects.is_empty() && !args.change.files.given()? {
            "one or more resources must be specified as <resource> <name> or <resource>/<name>"
                .to_owned()
        } else if pairs.is_empty() && !args.list {
            format!("at least one {} update is required", self.what)
        } else if args.change.all && args.change.selectors.any() {
            "cannot set --all and --selector at the same time".to_owned()
        } else {
            String::new()
        };
        if !what.is_empty() {
            return Err(CliError::new(what));
        }
        let context = change::context(&global, &args.change).await?;
        let job = Job {
            args: &args.change,
            words: pairs.objects.clone(),
            manager: self.manager,
            failed: "",
        };
        job.run(context.as_ref(), |found| self.one(&args, &pairs, found))
            .await
    }

    fn one(&self, args: &PairArgs, pairs: &Pairs, found: &mut Found) -> Result<Done, CliError> {
        let now = found.object.get(&self.path);
        if args.list {
            for (key, value) in now.and_then(Value::as_object).into_iter().flatten() {
                println!("{key}={}", value.as_str().unwrap_or_default());
            }
            return Ok(Done::Nothing);
        }
        let after = pairs.carry_out(now);
        let done = (self.check)(args, pairs, now, &after)?;
        if !after.is_null() {
            found.object.set(&self.path, after);
        }
        // The server compares it with what there is.
        if !args.resource_version.is_empty() {
            let version = json!(args.resource_version);
            found.object.set(&["metadata", "resourceVersion"], version);
        }
        Ok(Done::Changed(done))
    }
}

/// What a command line says of pairs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// The words that name objects.
    pub(crate) objects: Vec<String>,
    /// What is set, in its order.
    pub(crate) set: Vec<(String, String)>,
    /// What is taken away.
    pub(crate) remove: Vec<String>,
}

impl Pairs {
    /// Takes the words apart; `what` is `label` or `annotation`.
    pub(crate) fn parse(words: &[String], what: &str) -> Result<Self, CliError> {
        let mut pairs = Self::default();
        let mut wrong = Vec::new();
        let mut begun = false;
        for word in words {
            let is_pair = word.contains('=') || word.ends_with('-');
            if !is_pair {
                if begun {
                    let what =
                        format!("all resources must be specified before {what} changes: {word}");
                    return Err(CliError::new(what));
                }
                pairs.objects.push(word.clone());
                continue;
            }
            begun = true;
            match (word.split_once('='), word.strip_suffix('-')) {
                (Some(("", _)), _) => wrong.push(word.as_str()),
                (Some((key, value)), _) => pairs.set.push((key.to_owned(), value.to_owned())),
                (None, Some(key)) if !key.is_empty() => pairs.remove.push(key.to_owned()),
                _ => wrong.push(word.as_str()),
            }
        }
        if !wrong.is_empty() {
            let what = format!("invalid {what} format: {}", wrong.join(", "));
            return Err(CliError::new(what));
        }
        let both = pairs
            .remove
            .iter()
            .find(|key| pairs.set.iter().any(|(set, _)| set == *key));
        match both {
            Some(key) => Err(CliError::new(format!(
                "can not both modify and remove {} {what} in the same command",
                if what == "label" { "a" } else { "an" }
            ))
            .with_line(&format!("at {key}"))),
            None => Ok(pairs),
        }
    }

    /// Whether nothing is to be changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// What of `map` would be overwritten with another value: key and present value.
    pub(crate) fn overwrites<'a>(&'a self, map: Option<&'a Value>) -> Vec<(&'a str, &'a str)> {
        let now = |key: &str| map.and_then(|map| map.get(key)?.as_str());
        let set = self.set.iter();
        set.filter_map(|(key, value)| Some((key.as_str(), now(key).filter(|now| now != value)?)))
            .collect()
    }

    /// Carries the changes out; an absent or emptied map is made as kubectl leaves it.
    pub(crate) fn carry_out(&self, map: Option<&Value>) -> Value {
        let mut map = map.and_then(Value::as_object).cloned();
        for (key, value) in &self.set {
            let map = map.get_or_insert_with(Map::new);
            map.insert(key.clone(), Value::String(value.clone()));
        }
        for key in &self.remove {
            if let Some(map) = &mut map {
                map.remove(key);
            }
        }
        map.map_or(Value::Null, Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Pairs, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Pairs::parse(&words, "label").map_err(|error| error.to_string())
    }

    #[test]
    fn objects_come_before_pairs() {
        let pairs = parsed("pod a b x=1 y- z=").unwrap();
        assert_eq!(pairs.objects, ["pod", "a", "b"]);
        assert_eq!(pairs.remove, ["y"]);
        assert_eq!(pairs.set.len(), 2);
        assert!(
            parsed("pod a x=1 b")
                .unwrap_err()
                .contains("before label changes: b")
        );
        assert!(
            parsed("pod a x=1 x-")
                .unwrap_err()
                .contains("both modify and remove")
        );
        assert!(
            parsed("pod a =1")
                .unwrap_err()
                .contains("invalid label format: =1")
        );
    }
}
