//! The two things that happen to ownership: an update takes what it changed, an apply states what
//! it wants. Must not store anything.
//! Kubernetes: apimachinery `managedfields.FieldManager` and the chain behind it.

use super::compare::{Node, compare, to_set};
use super::field_set::{FieldSet, PathElement, path_text};
use super::managed::{Entry, ManagedFields, Operation, stamp};
use super::merge::{check, merge};
use super::prune::prune;
use super::versions::{Changes, Versions};
use crate::meta::{ApiError, Object, Reason};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager that takes over what client-side apply owned.
const UPGRADER: &str = "kubectl";

/// Who writes, through what, when, and how fields of the kind are owned.
#[derive(Clone, Copy)]
pub struct Tracking<'a> {
    /// The field manager; empty becomes `unknown`.
    pub manager: &'a str,
    /// `apiVersion` of the request.
    pub api_version: &'a str,
    /// The subresource that is written through; empty for none.
    pub subresource: &'a str,
    /// The time of the request.
    pub now: Timestamp,
    /// The kind's schema, if it has one.
    pub schema: Option<&'a dyn crate::meta::SchemaNode>,
    /// Fields that this endpoint does not write (`status` of the object itself, all else of its
    /// status): never owned through it.
    pub reset: &'a FieldSet,
    /// The kind in its other versions; `None` if all versions are taken to have the same fields.
    pub versions: Option<&'a dyn Versions>,
}

impl Tracking<'_> {
    fn entry(&self, operation: Operation) -> Entry {
        let manager = if self.manager.is_empty() {
            "unknown"
        } else {
            self.manager
        };
        Entry {
            manager: manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time: stamp(self.now),
            fields: FieldSet::new(),
        }
    }
}

/// Removes `metadata.managedFields`.
pub fn strip_managed_fields(object: &mut Object) {
    object.remove(&["metadata", "managedFields"]);
}

/// Sets the managed fields of `new`, which a create (no `live`), update or patch is about to
/// store in place of `live`: the manager owns what it changed, others lose it.
pub fn update(live: Option<&Object>, new: &mut Object, by: &Tracking<'_>) {
    let mut managed = known_entries(live, new, by);
    strip_managed_fields(new);
    let empty = Object::default();
    let live = live.unwrap_or(&empty);
    // Objects of an existing cluster that nobody tracked stay so until the first apply.
    if managed.entries.is_empty() && !live.uid().is_empty() {
        return;
    }
    // That the live object has managed fields and the new one none, changes no set: nobody owns
    // that field.
    let changes = Changes::new(by, live.fields(), new.fields());
    track_update(changes, &mut managed, by);
    managed.cap();
    managed.write(new);
}

fn track_update(mut changes: Changes<'_>, managed: &mut ManagedFields, by: &Tracking<'_>) {
    for entry in &mut managed.entries {
        let fields = std::mem::take(&mut entry.fields);
        // What was owned in a version that is served no more is owned no more.
        if let Some(changed) = changes.in_version(&entry.api_version) {
            entry.fields = fields
                .difference(&changed.modified)
                .difference(&changed.added)
                .difference(&changed.removed);
        }
    }
    let changed = changes.own();
    let owned = changed.modified.union(changed.added).difference(unowned());
    let mut entry = by.entry(Operation::Update);
    entry.fields = owned;
    if !entry.fields.is_empty() {
        if let Some(before) = managed.take(&entry) {
            entry.fields = entry.fields.union(before.fields);
        }
        managed.entries.push(entry);
    }
    managed.drop_empty();
}

/// Which entries an update starts from: those in the request, or the live ones where the request
/// has none, cannot be read, or writes a subresource.
fn known_entries(live: Option<&Object>, new: &Object, by: &Tracking<'_>) -> ManagedFields {
    let from_live = || live.and_then(ManagedFields::read).unwrap_or_default();
    if !by.subresource.is_empty() {
        return from_live();
    }
    if ManagedFields::is_reset(new) {
        return ManagedFields::default();
    }
    match ManagedFields::read(new) {
        Some(managed) if !managed.entries.is_empty() => managed,
        _ => from_live(),
    }
}

/// `config` applied to `live` (none: it is created): the merged object with its managed fields.
/// Without `force`, a field that another manager owns with another value is a conflict.
pub fn apply(
    live: Option<&Object>,
    config: &Object,
    by: &Tracking<'_>,
    force: bool,
) -> Result<Object, ApiError> {
    check_config(config, by)?;
    let empty = Object::default();
    let live = live.unwrap_or(&empty);
    let managed = ManagedFields::read(live).ok_or_else(|| {
        ApiError::internal("failed to decode managed fields: invalid managedFields entry")
    })?;
    let applied = match applied(live, config, managed.clone(), by, force) {
        Err(conflicts) if by.manager == UPGRADER => {
            let mine = owned_by_client_side_apply(live, by.schema);
            let left: Vec<Conflict> = conflicts
                .into_iter()
                .filter(|c| !mine.has(&c.path))
                .collect();
            if left.is_empty() {
                applied(live, config, managed, by, true)
            } else {
                Err(left)
            }
        }
        other => other,
    };
    let mut merged = applied.map_err(|conflicts| conflict_error(&conflicts))?;
    if by.manager == UPGRADER && live.annotation(LAST_APPLIED).is_some() {
        let text = last_applied_text(config);
        merged.set(&["metadata", "annotations", LAST_APPLIED], json!(text));
    }
    Ok(merged)
}

/// What a configuration is refused for before anything is done with it, as it was sent: another
/// version, managed fields, fields that the schema does not know.
pub fn check_config(config: &Object, by: &Tracking<'_>) -> Result<(), ApiError> {
    if config.api_version() != by.api_version {
        return Err(ApiError::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: \
             {}",
            config.api_version(),
            by.api_version
        )));
    }
    let claimed = config.get(&["metadata", "managedFields"]);
    if claimed.is_some_and(Value::is_array) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let errors = check(&bare(config), by.schema);
    let errors = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let (group, version) = by
        .api_version
        .split_once('/')
        .unwrap_or(("", by.api_version));
    let mut error = ApiError::internal("");
    error.reason = Reason::Unknown;
    error.message = format!(
        "failed to create typed patch object ({}/{}; {group}/{version}, Kind={}): {errors}",
        config.namespace(),
        config.name(),
        config.kind()
    );
    Err(error)
}

struct Conflict {
    with: String,
    path: Vec<PathElement>,
}

fn applied(
    live: &Object,
    config: &Object,
    mut managed: ManagedFields,
    by: &Tracking<'_>,
    force: bool,
) -> Result<Object, Vec<Conflict>> {
    let (old, wanted) = (bare(live), bare(config));
    if managed.entries.is_empty() && !live.fields().is_empty() {
        let first = Tracking {
            manager: BEFORE_FIRST_APPLY,
            subresource: "",
            ..*by
        };
        let nothing = Map::new();
        let fields = old.as_object().unwrap_or(&nothing);
        let changes = Changes::new(&first, &nothing, fields);
        track_update(changes, &mut managed, &first);
    }
    let mut entry = by.entry(Operation::Apply);
    let last = managed.take(&entry);
    let said = to_set(&wanted, by.schema).recursive_difference(by.reset);
    let mut merged = merge(&old, &wanted, by.schema);
    keep_identity(&old, &mut merged);
    let merged = match &last {
        // What nobody can own is said all the same: a name does not go with the last annotation.
        Some(last) => prune(merged, &managed, &said, last, by),
        None => merged,
    };
    entry.fields = said.difference(unowned());
    let nothing = Map::new();
    let before = old.as_object().unwrap_or(&nothing);
    let after = merged.as_object().unwrap_or(&nothing);
    let mut changes = Changes::new(by, before, after);
    let same = changes.is_same();
    let mut conflicts = Vec::new();
    for other in &mut managed.entries {
        let mut fields = std::mem::take(&mut other.fields);
        let Some(changed) = changes.in_version(&other.api_version) else {
            continue;
        };
        let taken = changed.modified.union(changed.added);
        let lost = fields.intersection(&taken);
        if force {
            fields = fields.difference(&lost);
        } else {
            conflicts.extend(lost.paths().into_iter().map(|path| Conflict {
                with: other.title(),
                path,
            }));
        }
        other.fields = fields.difference(&changed.removed);
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    // An apply that changes neither the object nor the set is no change at all.
    if let Some(last) = last.filter(|l| same && l.fields == entry.fields) {
        entry.time = last.time;
        entry.api_version = last.api_version;
    }
    managed.entries.push(entry);
    managed.drop_empty();
    managed.cap();
    let result = if same { old } else { merged };
    let mut result = Object::from_value(result).unwrap_or_default();
    managed.write(&mut result);
    Ok(result)
}

/// Clients send `creationTimestamp: null`; nobody can remove what the server sets.
fn keep_identity(old: &Value, merged: &mut Value) {
    for path in ["/metadata/creationTimestamp", "/metadata/uid"] {
        let metadata = merged.get_mut("metadata").and_then(Value::as_object_mut);
        let name = path.rsplit('/').next().unwrap_or_default();
        if let (Some(metadata), Some(value)) = (metadata, old.pointer(path)) {
            metadata
                .entry(name.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
}

/// Fields that the last client-side apply set and that still have the value it gave them.
fn owned_by_client_side_apply(live: &Object, schema: Node<'_>) -> FieldSet {
    let text = live.annotation(LAST_APPLIED).unwrap_or_default();
    let Ok(last @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
        return FieldSet::new();
    };
    let differs = compare(&last, &bare(live), schema);
    to_set(&last, schema)
        .difference(&differs.modified)
        .difference(&differs.added)
        .difference(&differs.removed)
}

fn last_applied_text(config: &Object) -> String {
    let mut config = config.clone();
    config.remove(&["metadata", "annotations", LAST_APPLIED]);
    format!("{}\n", config.into_value())
}

/// Fields that no manager owns. Kubernetes: `stripMetaManager`.
fn unowned() -> &'static FieldSet {
    static UNOWNED: OnceLock<FieldSet> = OnceLock::new();
    UNOWNED.get_or_init(|| {
        FieldSet::of_fields(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    })
}

/// The object without its managed fields.
fn bare(object: &Object) -> Value {
    let mut object = object.clone();
    strip_managed_fields(&mut object);
    object.into_value()
}

fn conflict_error(conflicts: &[Conflict]) -> ApiError {
    let message = match conflicts {
        [one] => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.with,
            path_text(&one.path)
        ),
        many => {
            let mut managers: Vec<&str> = many.iter().map(|c| c.with.as_str()).collect();
            managers.sort_unstable();
            managers.dedup();
            let mut lines = Vec::new();
            for manager in managers {
                lines.push(format!("conflicts with {manager}:"));
                let of = many.iter().filter(|c| c.with == manager);
                lines.extend(of.map(|c| format!("- {}", path_text(&c.path))));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                lines.join("\n")
            )
        }
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|c| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", c.with),
                "field": path_text(&c.path),
            })
        })
        .collect();
    let mut error = ApiError::new(Reason::Conflict, message);
    error.details = json!({ "causes": causes });
    error
}
