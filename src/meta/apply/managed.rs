//! `metadata.managedFields`: its entries read and written. Must not know what an entry means.
//! Kubernetes: `managedfields/internal/managedfields.go`, `capmanagers.go`.

use super::field_set::FieldSet;
use crate::meta::{Object, time};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Most entries of updates; the oldest are joined beyond it.
pub const MAX_UPDATE_MANAGERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By applying.
    Apply,
    /// By create, update or another patch.
    Update,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub manager: String,
    /// How.
    pub operation: Operation,
    /// The version that the fields are of.
    pub api_version: String,
    /// The subresource it wrote through; empty for none.
    pub subresource: String,
    /// When it last changed the set.
    pub time: Option<String>,
    /// The fields.
    pub fields: FieldSet,
}

impl Entry {
    /// Whether the entry is the one for these: appliers have one for all versions.
    pub fn is_of(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As conflicts name it: `"kubectl" using v1`.
    pub fn title(&self) -> String {
        let mut title = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            title.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            title.push_str(&format!(" using {}", self.api_version));
        }
        title
    }

    fn read(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let operation = match text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let fields = match entry.get("fieldsV1") {
            Some(fields) => FieldSet::from_fields_v1(fields)?,
            None => FieldSet::new(),
        };
        Some(Self {
            manager: text("manager").unwrap_or_default().to_owned(),
            operation,
            api_version: text("apiVersion").unwrap_or_default().to_owned(),
            subresource: text("subresource").unwrap_or_default().to_owned(),
            time: text("time").map(str::to_owned),
            fields,
        })
    }

    fn write(&self) -> Value {
        let mut entry = Map::new();
        let mut set = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        set("manager", json!(self.manager));
        set(
            "operation",
            json!(match self.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            }),
        );
        set("apiVersion", json!(self.api_version));
        if let Some(time) = &self.time {
            set("time", json!(time));
        }
        set("fieldsType", json!("FieldsV1"));
        set("fieldsV1", self.fields.to_fields_v1());
        if !self.subresource.is_empty() {
            set("subresource", json!(self.subresource));
        }
        Value::Object(entry)
    }
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedFields {
    /// The entries.
    pub entries: Vec<Entry>,
}

impl ManagedFields {
    /// Reads an object's entries; `None` if one of them cannot be read.
    pub fn read(object: &Object) -> Option<Self> {
        let list = object.get(&["metadata", "managedFields"]);
        let list = list.and_then(Value::as_array).map(Vec::as_slice);
        let entries: Option<Vec<Entry>> =
            list.unwrap_or_default().iter().map(Entry::read).collect();
        entries.map(|entries| Self { entries })
    }

    /// Whether the object asks to forget all entries: one empty entry.
    pub(super) fn is_reset(object: &Object) -> bool {
        let list = object.get(&["metadata", "managedFields"]);
        match list.and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => only.as_object().is_some_and(Map::is_empty),
            Some([]) | Some(_) | None => false,
        }
    }

    /// Writes the entries into an object, in Kubernetes' order.
    pub fn write(&self, object: &mut Object) {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        if entries.is_empty() {
            object.remove(&["metadata", "managedFields"]);
            return;
        }
        entries.sort_by(|a, b| {
            let key = |e: &&Entry| (e.operation, e.time.clone().unwrap_or_default());
            let name = |e: &&Entry| (e.manager.clone(), e.api_version.clone());
            key(a)
                .cmp(&key(b))
                .then_with(|| name(a).cmp(&name(b)))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        let list = entries.into_iter().map(Entry::write).collect();
        object.set(&["metadata", "managedFields"], Value::Array(list));
    }

    /// The entry of the same manager, if there is one.
    pub fn find(&self, like: &Entry) -> Option<&Entry> {
        self.entries.iter().find(|e| e.is_of(like))
    }

    /// Removes and returns the entry of the same manager.
    pub(super) fn take(&mut self, like: &Entry) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.is_of(like))?;
        Some(self.entries.remove(at))
    }

    /// Drops entries that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.entries.retain(|e| !e.fields.is_empty());
    }

    /// Joins the oldest entries of updates until there are few enough.
    pub(super) fn cap(&mut self) {
        let updates = |e: &Entry| e.operation == Operation::Update;
        let mut count = self.entries.iter().filter(|e| updates(e)).count();
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        let (mut old, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(updates);
        self.entries = rest;
        old.sort_by(|a, b| (&a.time, &a.manager).cmp(&(&b.time, &b.manager)));
        let mut kept: Vec<Entry> = Vec::new();
        for entry in old {
            let first = kept
                .iter_mut()
                .find(|k| count > MAX_UPDATE_MANAGERS && k.api_version == entry.api_version);
            match first {
                Some(bucket) => {
                    ANCIENT.clone_into(&mut bucket.manager);
                    bucket.subresource.clear();
                    let fields = std::mem::take(&mut bucket.fields);
                    bucket.fields = fields.union(entry.fields);
                    bucket.time = entry.time;
                    count -= 1;
                }
                None => kept.push(entry),
            }
        }
        self.entries.append(&mut kept);
    }
}

/// `time` of an entry.
pub(super) fn stamp(now: Timestamp) -> Option<String> {
    Some(time::rfc3339(now))
}
