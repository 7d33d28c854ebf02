//! What an apply takes away: what the manager applied last time and does not now, unless somebody
//! else owns it. Must not decide who owns what.
//! Kubernetes: structured-merge-diff `merge.Updater.prune`.

use super::compare::{Node, to_set};
use super::field_set::FieldSet;
use super::managed::{Entry, ManagedFields};
use super::manager::Tracking;
use super::merge::{remove, with_named_fields};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `merged` without what `last` owned and `own` does not, unless `others` own it. The manager has
/// told what it owned in the version of `last`, so that is where things are taken away.
pub(super) fn prune(
    merged: Value,
    others: &ManagedFields,
    own: &FieldSet,
    last: &Entry,
    by: &Tracking<'_>,
) -> Value {
    let version = last.api_version.as_str();
    let Some(whole) = by.view(&merged, by.api_version, version) else {
        return merged;
    };
    let schema = by.schema_of(version);
    let set = with_named_fields(&last.fields, schema);
    let pruned = without(&whole, &set, schema);
    let Some(pruned) = add_back_owned(&whole, pruned, version, &owned(others, own, by), by) else {
        return merged;
    };
    // What nobody owned before comes back too, though it stood below what was removed.
    let had = named_fields(&whole, schema);
    let kept = named_fields(&pruned, schema);
    let pruned = without(&whole, &had.difference(&kept).intersection(&set), schema);
    match by.view(&pruned, version, by.api_version) {
        Some(pruned) => pruned.into_owned(),
        None => merged,
    }
}

/// What anybody owns, by the version it is told in.
fn owned<'e>(
    others: &'e ManagedFields,
    own: &FieldSet,
    by: &Tracking<'e>,
) -> BTreeMap<&'e str, FieldSet> {
    let mut owned: BTreeMap<&str, FieldSet> = BTreeMap::new();
    owned.insert(by.api_version, own.clone());
    for entry in &others.entries {
        let version = match by.versions {
            Some(_) => entry.api_version.as_str(),
            None => by.api_version,
        };
        let before = owned.remove(version).unwrap_or_default();
        owned.insert(version, before.union(entry.fields.clone()));
    }
    owned
}

/// What somebody owns comes back, version by version; the first is the one that things were taken
/// away in. The answer is of that version again.
fn add_back_owned(
    whole: &Value,
    pruned: Value,
    version: &str,
    owned: &BTreeMap<&str, FieldSet>,
    by: &Tracking<'_>,
) -> Option<Value> {
    let first = owned.get_key_value(version);
    let rest = owned.iter().filter(|(other, _)| **other != version);
    let mut pruned = pruned;
    for (other, fields) in first.into_iter().chain(rest) {
        let schema = by.schema_of(other);
        let (Some(whole), Some(left)) = (
            by.view(whole, version, other),
            by.view(&pruned, version, other),
        ) else {
            continue;
        };
        let kept = named_fields(&left, schema).union(with_named_fields(fields, schema));
        let gone = named_fields(&whole, schema).difference(&kept);
        let back = without(&whole, &gone, schema);
        let back = by.view(&back, other, version)?.into_owned();
        pruned = back;
    }
    Some(pruned)
}

fn named_fields(value: &Value, schema: Node<'_>) -> FieldSet {
    with_named_fields(&to_set(value, schema), schema)
}

fn without(value: &Value, set: &FieldSet, schema: Node<'_>) -> Value {
    remove(value, set, schema).unwrap_or_else(|| json!({}))
}
