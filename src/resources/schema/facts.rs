//! The merge facts of built-in types, read from a small text when first needed. Must not know
//! shapes.

use super::node::{ListType, Merge};
use std::collections::HashMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("../facts/merge.txt");

type Facts = HashMap<&'static str, HashMap<&'static str, Merge>>;

/// The facts of a type by its full name; `.` names the type itself.
pub(super) fn of(type_name: &str) -> Option<&'static HashMap<&'static str, Merge>> {
    static FACTS: OnceLock<Facts> = OnceLock::new();
    let short = type_name.strip_prefix("io.k8s.")?;
    let short = short.strip_prefix("api.").unwrap_or(short);
    FACTS.get_or_init(read).get(short)
}

fn read() -> Facts {
    let mut facts = Facts::new();
    let mut of_type = "";
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ").and_then(|f| f.split_once(' ')) {
            None => of_type = line,
            Some((field, words)) => {
                let fields = facts.entry(of_type).or_default();
                fields.insert(field, merge_of(words));
            }
        }
    }
    facts
}

fn merge_of(words: &str) -> Merge {
    let mut merge = Merge::default();
    for word in words.split(' ') {
        match word.split_once('=') {
            Some(("map", keys)) => {
                merge.list = Some(ListType::Map(keys.split(',').map(Into::into).collect()));
            }
            Some(("patch", strategy)) => {
                let (strategy, key) = strategy.split_once(':').unwrap_or((strategy, ""));
                merge.patch_merge = strategy.split('+').any(|s| s == "merge");
                merge.patch_replace = strategy == "replace";
                merge.retain_keys = strategy.split('+').any(|s| s == "retainKeys");
                merge.merge_key = (!key.is_empty()).then(|| key.into());
            }
            Some(("default", text)) => merge.default = Some(text.into()),
            _ if word == "set" => merge.list = Some(ListType::Set),
            _ => {
                merge.list = Some(ListType::Atomic);
                merge.atomic = true;
            }
        }
    }
    merge
}
