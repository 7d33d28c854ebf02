//! From client-side to server-side apply: what the manager of client-side apply owns becomes the
//! applier's, or a field that the manifest no longer has would stay for ever. Must not know
//! manifests.
//! Kubernetes: kubectl's `apply` (migrateToSSAIfNecessary) and client-go `util/csaupgrade`.

use super::Job;
use super::client_side::REMEMBERED;
use super::server_side::{MANAGER, patch};
use crate::cli::context::CliError;
use crate::client::{ClientError, PatchKind};
use crate::meta::Object;
use crate::meta::apply::{Entry, ManagedFields, Operation, PathElement};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The manager that keeps the annotation of client-side apply, so that one can still go back.
const KEEPER: &str = "kubectl-last-applied";
/// How often it is tried on an object that has changed meanwhile.
const TRIES: usize = 5;

/// Hands over what client-side apply owns of an object that was just applied. Answers whether
/// anything was handed over. What goes wrong is told, and tried again by the next apply: the
/// object itself was applied.
pub(super) async fn from_client_side(
    job: &Job<'_>,
    manager: &str,
    object: &mut Value,
) -> Result<bool, CliError> {
    if let Err(error) = keep_annotation(job, manager, object).await? {
        let what = format!("failed to migrate {REMEMBERED} for Server-Side Apply");
        warn(&what, &error);
        return Ok(false);
    }
    let query = job.args.write.query(manager)?;
    let mut refused = None;
    for _ in 0..TRIES {
        let Some(body) = handover(object, manager) else {
            return Ok(false);
        };
        match patch(job, PatchKind::Json, &query, &body).await {
            Ok(after) => {
                *object = after;
                return Ok(true);
            }
            Err(error) if error.is_conflict() => refused = Some(error),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
        let now = job
            .client
            .get::<Value>(&job.row.resource, job.namespace, job.name());
        match now.await {
            Ok(now) => *object = now,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    if let Some(error) = refused {
        warn(
            "server rejected managed fields migration to Server-Side Apply",
            &error,
        );
    }
    Ok(false)
}

/// Tells what went wrong and is no reason to fail.
pub(super) fn warn(what: &str, error: &ClientError) {
    eprintln!(
        "Warning: {what}. This is non-fatal and will be retried next time you apply. Error: {error}"
    );
}

/// Gives the annotation an applier of its own, so that it does not go with its old owner. Another
/// manager than the usual one would not keep it up to date, and lets it go.
async fn keep_annotation(
    job: &Job<'_>,
    manager: &str,
    object: &mut Value,
) -> Result<Result<(), ClientError>, CliError> {
    let now = Object::from_value(object.clone()).unwrap_or_default();
    let text = now.get(&["metadata", "annotations", REMEMBERED]);
    let (Some(text), true) = (text, manager == MANAGER) else {
        return Ok(Ok(()));
    };
    let managed = ManagedFields::read(&now).unwrap_or_default();
    if managed.entries.iter().any(|e| keeps(e, Operation::Apply)) {
        return Ok(Ok(()));
    }
    let mut metadata = json!({ "name": now.name(), "annotations": { REMEMBERED: text } });
    if let (Value::Object(fields), true) = (&mut metadata, job.row.namespaced) {
        fields.insert("namespace".to_owned(), json!(now.namespace()));
    }
    let body = json!({
        "apiVersion": now.api_version(),
        "kind": now.kind(),
        "metadata": metadata,
    });
    let query = job.args.write.query(KEEPER)?;
    Ok(patch(job, PatchKind::Apply, &query, &body)
        .await
        .map(|after| *object = after))
}

/// Whether an entry owns the annotation of client-side apply.
fn keeps(entry: &Entry, operation: Operation) -> bool {
    let path = ["metadata", "annotations", REMEMBERED].map(PathElement::field);
    entry.operation == operation && entry.fields.has(&path)
}

/// The patch that makes the owners of the annotation the applier; nothing if there are none. It
/// holds only for the revision it was made of.
fn handover(object: &Value, manager: &str) -> Option<Value> {
    let mut object = Object::from_value(object.clone())?;
    let mut managed = ManagedFields::read(&object)?;
    let old: BTreeSet<String> = managed
        .entries
        .iter()
        .filter(|entry| keeps(entry, Operation::Update))
        .map(|entry| entry.manager.clone())
        .collect();
    if old.is_empty() {
        return None;
    }
    for name in &old {
        hand_over(&mut managed.entries, name, manager);
    }
    managed.write(&mut object);
    let entries = object.get(&["metadata", "managedFields"])?;
    Some(json!([
        { "op": "replace", "path": "/metadata/managedFields", "value": entries },
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": object.resource_version(),
        },
    ]))
}

/// Joins the updates of `old` to the applier's entry, or makes the newest of them that entry.
fn hand_over(entries: &mut Vec<Entry>, old: &str, manager: &str) {
    let is_old = |entry: &Entry| {
        entry.manager == old && entry.operation == Operation::Update && entry.subresource.is_empty()
    };
    let is_applier = |entry: &Entry| {
        entry.manager == manager
            && entry.operation == Operation::Apply
            && entry.subresource.is_empty()
    };
    let (mut olds, mut rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| is_old(entry));
    if let Some(applier) = rest.iter_mut().find(|entry| is_applier(entry)) {
        // Fields of another version are not known to be the same ones.
        olds.retain(|entry| entry.api_version == applier.api_version);
        if let Some(same) = olds.into_iter().next() {
            applier.fields = std::mem::take(&mut applier.fields).union(same.fields);
        }
    } else if !olds.is_empty() {
        let mut applier = olds.remove(0);
        applier.operation = Operation::Apply;
        manager.clone_into(&mut applier.manager);
        rest.push(applier);
    }
    *entries = rest;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1",
            "time": "2024-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn handed(entries: Value) -> Option<Value> {
        let object = json!({"metadata": {"resourceVersion": "7", "managedFields": entries}});
        handover(&object, "kubectl")
    }

    #[test]
    fn the_owner_of_the_annotation_becomes_the_applier() {
        let own = |data: Value| json!({"f:data": data, "f:metadata": {"f:annotations": {".": {}, (format!("f:{REMEMBERED}")): {}}}});
        let client_side = entry(
            "kubectl-client-side-apply",
            "Update",
            own(json!({"f:a": {}})),
        );
        let other = entry("other", "Update", json!({"f:data": {"f:x": {}}}));
        let applier = |data| entry("kubectl", "Apply", own(data));
        assert_eq!(
            handed(json!([client_side, other])),
            Some(json!([
                {"op": "replace", "path": "/metadata/managedFields",
                 "value": [applier(json!({"f:a": {}})), other]},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            ]))
        );
        let before = entry("kubectl", "Apply", json!({"f:data": {"f:b": {}}}));
        let both = handed(json!([before, client_side])).unwrap();
        let joined = applier(json!({"f:a": {}, "f:b": {}}));
        assert_eq!(both[0]["value"], json!([joined]));
        assert_eq!(handed(json!([applier(json!({"f:a": {}})), other])), None);
        assert_eq!(handed(json!([])), None);
    }
}
