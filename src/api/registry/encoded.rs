//! An object as it is kept and sent: its JSON bytes without `resourceVersion`, with the place where
//! the revision goes in. Encoded once a write; the store, the cache and every answer share the
//! bytes. Beside them only what selectors need. Must not know verbs.

use crate::meta::Object;
use crate::meta::fields::FieldSelector;
use crate::meta::labels::Selector;
use crate::resources::ResourceDef;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use std::sync::Arc;

/// The bytes of an object, and what selectors ask of it.
#[derive(Debug)]
pub(crate) struct Encoded {
    bytes: Bytes,
    /// Just after `"metadata":{`.
    gap: usize,
    /// Whether the object has a `deletionTimestamp`.
    deleting: bool,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// In the order of the stored row's selectable fields.
    fields: Box<[Box<str>]>,
}

/// An object of the cache, at the revision of its last write.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) revision: u64,
    pub(crate) encoded: Arc<Encoded>,
}

/// Why stored bytes are no object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodedError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the stored value is no object with metadata")]
    Shape,
}

impl Encoded {
    /// Encodes an object of the stored row `def`; its `resourceVersion` is left out.
    pub(crate) fn of(object: &Object, def: &ResourceDef) -> Result<Self, EncodedError> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"kind\":");
        serde_json::to_writer(&mut out, object.kind())?;
        out.extend_from_slice(b",\"apiVersion\":");
        serde_json::to_writer(&mut out, object.api_version())?;
        out.extend_from_slice(b",\"metadata\":{");
        let gap = out.len();
        let metadata = object.fields().get("metadata").and_then(Value::as_object);
        let mut first = true;
        for (name, value) in metadata.ok_or(EncodedError::Shape)? {
            if name != "resourceVersion" {
                member(&mut out, &mut first, name, value)?;
            }
        }
        if first {
            return Err(EncodedError::Shape);
        }
        out.push(b'}');
        first = false;
        for (name, value) in object.fields() {
            if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
                member(&mut out, &mut first, name, value)?;
            }
        }
        out.push(b'}');
        out.shrink_to_fit();
        Ok(Self {
            bytes: Bytes::from(out),
            gap,
            deleting: object.deletion_timestamp().is_some(),
            labels: labels(object),
            fields: def
                .selectable_fields
                .iter()
                .map(|field| field.of(object).into_boxed_str())
                .collect(),
        })
    }

    /// Reads what the store holds, which is what [`Encoded::of`] wrote.
    pub(crate) fn read(bytes: Bytes, def: &ResourceDef) -> Result<Self, EncodedError> {
        const MARK: &[u8] = b",\"metadata\":{";
        let object = decode(&bytes)?;
        let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
        let gap = head
            .windows(MARK.len())
            .position(|window| window == MARK)
            .map(|at| at + MARK.len())
            .ok_or(EncodedError::Shape)?;
        Ok(Self {
            gap,
            deleting: object.deletion_timestamp().is_some(),
            labels: labels(&object),
            fields: def
                .selectable_fields
                .iter()
                .map(|field| field.of(&object).into_boxed_str())
                .collect(),
            bytes,
        })
    }

    /// The bytes for the store.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the object is on its way out.
    pub(crate) fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Whether a label's key begins so.
    pub(crate) fn has_label_below(&self, prefix: &str) -> bool {
        self.labels.iter().any(|(key, _)| key.starts_with(prefix))
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(own, _)| &**own == key)
            .map(|(_, value)| &**value)
    }

    /// The value of a selectable field of the row, by its position.
    pub(crate) fn field(&self, index: usize) -> Option<&str> {
        self.fields.get(index).map(|value| &**value)
    }
}

impl Cached {
    /// The object, decoded.
    pub(crate) fn object(&self) -> Result<Object, EncodedError> {
        let mut object = decode(&self.encoded.bytes)?;
        object.set_resource_version(self.revision);
        Ok(object)
    }

    /// Writes the object with its revision.
    pub(crate) fn write_to(&self, out: &mut BytesMut) {
        self.write_at(out, self.revision);
    }

    /// Writes the object as of `revision` (a deletion's).
    pub(crate) fn write_at(&self, out: &mut BytesMut, revision: u64) {
        let (head, rest) = self.encoded.bytes.split_at(self.encoded.gap);
        out.reserve(self.encoded.bytes.len() + 48);
        out.put_slice(head);
        put_revision(out, revision);
        out.put_slice(rest);
    }

    /// Writes the object as an item of a list, without kind and apiVersion, as Kubernetes does.
    pub(crate) fn write_item(&self, out: &mut BytesMut) {
        let (_, rest) = self.encoded.bytes.split_at(self.encoded.gap);
        out.reserve(rest.len() + 64);
        out.put_slice(b"{\"metadata\":{");
        put_revision(out, self.revision);
        out.put_slice(rest);
    }

    /// Length of the object's bytes.
    pub(crate) fn len(&self) -> usize {
        self.encoded.bytes.len()
    }
}

fn put_revision(out: &mut BytesMut, revision: u64) {
    out.put_slice(b"\"resourceVersion\":\"");
    out.put_slice(revision.to_string().as_bytes());
    out.put_slice(b"\",");
}

/// Reads stored bytes as an object.
pub(crate) fn decode(bytes: &[u8]) -> Result<Object, EncodedError> {
    Object::from_value(serde_json::from_slice(bytes)?).ok_or(EncodedError::Shape)
}

fn member(
    out: &mut Vec<u8>,
    first: &mut bool,
    name: &str,
    value: &Value,
) -> Result<(), EncodedError> {
    if !std::mem::take(first) {
        out.push(b',');
    }
    serde_json::to_writer(&mut *out, name)?;
    out.push(b':');
    serde_json::to_writer(&mut *out, value)?;
    Ok(())
}

fn labels(object: &Object) -> Box<[(Box<str>, Box<str>)]> {
    let map = object
        .get(&["metadata", "labels"])
        .and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .map(|(key, value)| {
            (
                key.as_str().into(),
                value.as_str().unwrap_or_default().into(),
            )
        })
        .collect()
}

/// What a list or a watch asks for, made ready for a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Keys must begin with this: `<namespace>/`, or nothing.
    pub(crate) prefix: String,
    /// The one key that is asked for, if the selector names it within a namespace.
    labels: Selector,
    /// Comparisons with the key's parts and with the row's selectable fields.
    fields: Vec<FieldTest>,
}

#[derive(Clone, Debug)]
struct FieldTest {
    of: FieldOf,
    value: Box<str>,
    negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldOf {
    Name,
    Namespace,
    Row(usize),
}

impl Filter {
    /// For a namespace (empty for all); `stored` is the row whose form is kept. The error is
    /// Kubernetes' sentence for a field that the kind cannot be selected by.
    pub(crate) fn new(
        def: &ResourceDef,
        stored: &ResourceDef,
        namespace: &str,
        labels: Selector,
        fields: &FieldSelector,
    ) -> Result<Self, String> {
        let mut tests = Vec::new();
        for requirement in fields.requirements() {
            let of = match requirement.field.as_str() {
                "metadata.name" => FieldOf::Name,
                "metadata.namespace" if def.is_namespaced() => FieldOf::Namespace,
                label => FieldOf::Row(
                    field_index(def, stored, label)
                        .ok_or_else(|| format!("field label not supported: {label}"))?,
                ),
            };
            tests.push(FieldTest {
                of,
                value: requirement.value.as_str().into(),
                negated: requirement.negated,
            });
        }
        let prefix = if namespace.is_empty() {
            String::new()
        } else {
            format!("{namespace}/")
        };
        Ok(Self {
            prefix,
            labels,
            fields: tests,
        })
    }

    /// Everything in a namespace.
    pub(crate) fn in_namespace(namespace: &str) -> Self {
        Self {
            prefix: format!("{namespace}/"),
            ..Self::default()
        }
    }

    /// Whether an object matches; its key has been checked against the prefix or is checked here.
    pub(crate) fn matches(&self, key: &str, encoded: &Encoded) -> bool {
        if !key.starts_with(&self.prefix) {
            return false;
        }
        let fields = self.fields.iter().all(|test| {
            let (namespace, name) = key.rsplit_once('/').unwrap_or(("", key));
            let value = match test.of {
                FieldOf::Name => name,
                FieldOf::Namespace => namespace,
                FieldOf::Row(index) => encoded.field(index).unwrap_or_default(),
            };
            (value == &*test.value) != test.negated
        });
        fields && (self.labels.is_everything() || self.labels.matches(|key| encoded.label(key)))
    }

    /// Whether only the prefix selects.
    pub(crate) fn is_plain(&self) -> bool {
        self.fields.is_empty() && self.labels.is_everything()
    }

    /// A field of the row that must have one value: watchers are found by it without asking each.
    pub(crate) fn trigger(&self) -> Option<(usize, &str)> {
        self.fields.iter().find_map(|test| match test.of {
            FieldOf::Row(index) if !test.negated => Some((index, &*test.value)),
            _ => None,
        })
    }
}

/// Where the stored row keeps the value of a field that `def` calls `label`. Two forms of one kind
/// call their fields by different names: a mark that is put in one is looked for in the other.
fn field_index(def: &ResourceDef, stored: &ResourceDef, label: &str) -> Option<usize> {
    const MARK: &str = "\u{1}";
    let at = def
        .selectable_fields
        .iter()
        .position(|f| f.label == label)?;
    let Some(conversion) = &def.conversion else {
        return Some(at);
    };
    let same = stored
        .selectable_fields
        .iter()
        .position(|f| f.label == label);
    if same.is_some() {
        return same;
    }
    let path: Vec<&str> = label.split('.').collect();
    let mut probe = Object::default();
    probe.set(&path, Value::String(MARK.to_owned()));
    conversion.to_stored(&mut probe);
    stored
        .selectable_fields
        .iter()
        .position(|field| field.of(&probe) == MARK)
}
