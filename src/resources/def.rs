//! The row of the one table: everything the rest of wkube knows about a kind. Strings and lists are
//! `Cow`, hooks are `&'static dyn Strategy` and plain `fn`s, so that the same type is a `static`
//! for a built-in kind and is built at run time from a CustomResourceDefinition. Must not know how
//! a row is served.

use crate::meta::{GroupResource, GroupVersionKind, GroupVersionResource, Object};
use crate::resources::autoscaling::scale::ScalePaths;
use crate::resources::columns;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Behaviour, Strategy};
use jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A string that is static for built-in kinds and owned for custom ones.
pub type Text = Cow<'static, str>;
/// A list that is static for built-in kinds and owned for custom ones.
pub type List<T> = Cow<'static, [T]>;

/// A static string as a `Text`.
pub const fn text(value: &'static str) -> Text {
    Cow::Borrowed(value)
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// A verb as discovery and RBAC name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// The verbs of an ordinary resource, in discovery's order.
    pub const ALL: &'static [Self] = &[
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    /// As in discovery, for example `deletecollection`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A subresource as discovery lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Last path segment, for example `status`.
    pub name: Text,
    /// Group of `kind` if it differs from the resource's own (`policy` of an Eviction); with
    /// `version` it becomes discovery's `group` and `version`.
    pub group: Option<Text>,
    /// Version of `kind` if it differs from the resource's own.
    pub version: Option<Text>,
    /// Kind of what is sent or answered.
    pub kind: Text,
    /// Verbs, in discovery's order.
    pub verbs: List<Verb>,
}

impl Subresource {
    /// A subresource whose kind is in the resource's own group and version.
    pub const fn new(name: &'static str, kind: &'static str, verbs: &'static [Verb]) -> Self {
        Self {
            name: text(name),
            group: None,
            version: None,
            kind: text(kind),
            verbs: Cow::Borrowed(verbs),
        }
    }

    /// A subresource whose kind is of another group.
    pub const fn foreign(
        name: &'static str,
        (group, version, kind): (&'static str, &'static str, &'static str),
        verbs: &'static [Verb],
    ) -> Self {
        Self {
            name: text(name),
            group: Some(text(group)),
            version: Some(text(version)),
            kind: text(kind),
            verbs: Cow::Borrowed(verbs),
        }
    }
}

/// `get`, `patch` and `update`: the verbs of a part of an object that is read and written.
pub(crate) const PART_VERBS: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
/// The verbs of a proxy.
pub(crate) const PROXY_VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::Get,
    Verb::Patch,
    Verb::Update,
];
/// The verbs of a stream that is opened by GET or POST.
pub(crate) const CONNECT_VERBS: &[Verb] = &[Verb::Create, Verb::Get];

/// `scale`: the wanted number of pods, the same for every kind that has one.
pub(crate) const SCALE: Subresource =
    Subresource::foreign("scale", ("autoscaling", "v1", "Scale"), PART_VERBS);

/// A column of the kind's Table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading as the server sends it (`Internal-IP`).
    pub name: Text,
    /// OpenAPI type: `string`, `integer`, `boolean`, `number` or `date`.
    pub kind: Text,
    /// OpenAPI format; `name` marks the column with the object's name.
    pub format: Text,
    /// What the column tells.
    pub description: Text,
    /// 0 is always shown, above it only by `-o wide`.
    pub priority: i32,
}

impl Column {
    /// A string column that is always shown.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name: text(name),
            kind: text("string"),
            format: text(""),
            description: text(description),
            priority: 0,
        }
    }

    /// A column of numbers that is always shown.
    pub const fn integer(name: &'static str, description: &'static str) -> Self {
        let mut column = Self::new(name, description);
        set(&mut column.kind, text("integer"));
        column
    }

    /// A column of true or false that is always shown.
    pub const fn boolean(name: &'static str, description: &'static str) -> Self {
        let mut column = Self::new(name, description);
        set(&mut column.kind, text("boolean"));
        column
    }

    /// A column of names that is always shown.
    pub const fn named(name: &'static str, description: &'static str) -> Self {
        let mut column = Self::new(name, description);
        set(&mut column.format, text("name"));
        column
    }

    /// The column with the object's name, shown by `-o wide` only.
    pub const fn wide_name(name: &'static str, description: &'static str) -> Self {
        let mut column = Self::wide(name, description);
        set(&mut column.format, text("name"));
        column
    }

    /// A column of another type than string: `integer`, `boolean`, `date`.
    pub const fn of(kind: &'static str, name: &'static str, description: &'static str) -> Self {
        let mut column = Self::new(name, description);
        set(&mut column.kind, text(kind));
        column
    }

    /// A string column that is shown by `-o wide` only.
    pub const fn wide(name: &'static str, description: &'static str) -> Self {
        Self {
            name: text(name),
            kind: text("string"),
            format: text(""),
            description: text(description),
            priority: 1,
        }
    }
}

/// Makes the cells of a row.
pub type MakeRow = dyn Fn(&Object, Timestamp) -> Vec<Value> + Send + Sync;

/// How the cells of a Table row are computed: one cell a column, in the columns' order.
#[derive(Clone)]
pub enum Cells {
    /// By a function of the object and the time it is now.
    Row(fn(&Object, Timestamp) -> Vec<Value>),
    /// By what was made of a custom resource's columns.
    Made(Arc<MakeRow>),
}

/// How the value of a selectable field is found.
#[derive(Clone)]
pub enum FieldValue {
    /// By a dotted path; what is absent is the given text.
    Path(Text, Text),
    /// By a function.
    Fn(fn(&Object) -> String),
}

/// A field that field selectors may use. `metadata.name` and `metadata.namespace` are selectable
/// in every kind and are not listed.
#[derive(Clone)]
pub struct SelectableField {
    /// As users write it.
    pub label: Text,
    /// Where its value is.
    pub value: FieldValue,
}

impl SelectableField {
    /// A field that is found where its label says, empty if absent.
    pub const fn path(label: &'static str) -> Self {
        Self {
            label: text(label),
            value: FieldValue::Path(text(label), text("")),
        }
    }

    /// A field whose value is computed.
    pub const fn computed(label: &'static str, value: fn(&Object) -> String) -> Self {
        Self {
            label: text(label),
            value: FieldValue::Fn(value),
        }
    }

    /// The value in `object`.
    pub fn of(&self, object: &Object) -> String {
        match &self.value {
            FieldValue::Fn(value) => value(object),
            FieldValue::Path(path, absent) => {
                let parts: Vec<&str> = path.split('.').collect();
                match object.get(&parts) {
                    None | Some(Value::Null) => absent.clone().into_owned(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                }
            }
        }
    }
}

/// Changes an object from one form to another.
#[derive(Clone)]
pub enum Convert {
    /// Of a built-in kind.
    Fn(fn(&mut Object)),
    /// Of a custom kind.
    Made(Arc<dyn Fn(&mut Object) + Send + Sync>),
}

/// Translation between the form a row serves and the form that is stored.
#[derive(Clone)]
pub struct Conversion {
    /// Group and version of the row that owns the stored form.
    pub stored: (Text, Text),
    to_stored: Convert,
    from_stored: Convert,
}

impl Conversion {
    /// Of a built-in kind.
    pub const fn between(
        stored: (&'static str, &'static str),
        to_stored: fn(&mut Object),
        from_stored: fn(&mut Object),
    ) -> Self {
        Self {
            stored: (text(stored.0), text(stored.1)),
            to_stored: Convert::Fn(to_stored),
            from_stored: Convert::Fn(from_stored),
        }
    }

    /// Of a custom kind.
    pub fn made(stored: (Text, Text), to_stored: Convert, from_stored: Convert) -> Self {
        Self {
            stored,
            to_stored,
            from_stored,
        }
    }

    /// From the served form to the stored one, `apiVersion` included.
    pub fn to_stored(&self, object: &mut Object) {
        self.to_stored.run(object);
    }

    /// From the stored form to the served one, `apiVersion` included.
    pub fn from_stored(&self, object: &mut Object) {
        self.from_stored.run(object);
    }
}

impl Convert {
    fn run(&self, object: &mut Object) {
        match self {
            Self::Fn(convert) => convert(object),
            Self::Made(convert) => convert(object),
        }
    }
}

/// That a version of a kind is on its way out, in the versions of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// Since when: `1.19`.
    pub since: Text,
    /// From when on Kubernetes does not serve it any more; such a row is retired.
    pub removed: Option<Text>,
    /// API version and kind that take its place.
    pub replacement: Option<(Text, Text)>,
    /// What is told in place of a sentence made of the others, for custom kinds.
    pub message: Option<Text>,
}

impl Deprecation {
    /// Still served by Kubernetes.
    pub const fn since(since: &'static str, replacement: (&'static str, &'static str)) -> Self {
        Self {
            since: text(since),
            removed: None,
            replacement: Some((text(replacement.0), text(replacement.1))),
            message: None,
        }
    }

    /// Not served by Kubernetes any more.
    pub const fn retired(
        (since, removed): (&'static str, &'static str),
        replacement: (&'static str, &'static str),
    ) -> Self {
        Self {
            since: text(since),
            removed: Some(text(removed)),
            replacement: Some((text(replacement.0), text(replacement.1))),
            message: None,
        }
    }
}

/// A kind.
#[derive(Clone)]
pub struct ResourceDef {
    /// API group, empty for core.
    pub group: Text,
    /// Version.
    pub version: Text,
    /// Kind.
    pub kind: Text,
    /// Kind of a list.
    pub list_kind: Text,
    /// Plural lower-case name: the path segment.
    pub plural: Text,
    /// Singular lower-case name.
    pub singular: Text,
    /// Short names, for example `po`.
    pub short_names: List<Text>,
    /// Categories, for example `all`.
    pub categories: List<Text>,
    /// Namespaced or not.
    pub scope: Scope,
    /// Verbs, in discovery's order.
    pub verbs: List<Verb>,
    /// Subresources.
    pub subresources: List<Subresource>,
    /// Columns of the Table.
    pub columns: List<Column>,
    /// The cells of the Table.
    pub cells: Cells,
    /// What field selectors may use beyond `metadata.name` and `metadata.namespace`.
    pub selectable_fields: List<SelectableField>,
    /// First part of the storage key: `pods` for `/registry/pods/<namespace>/<name>`. Empty for a
    /// kind that is not stored (Binding).
    pub storage_prefix: Text,
    /// Set where the served form is not the stored one.
    pub conversion: Option<Conversion>,
    /// Set where the version is on its way out; every answer warns of it.
    pub deprecated: Option<Deprecation>,
    /// The smallest valid object, as JSON.
    pub example: Text,
    /// Shape, descriptions, merge facts and defaults; made at first use.
    pub schema: SchemaSource,
    /// Behaviour.
    pub strategy: Behaviour,
    /// Where a custom kind keeps the numbers of its `scale`; built-in kinds keep them in one place.
    pub scale: Option<Arc<ScalePaths>>,
    /// Whether the kind itself is on its way out: nothing new may be made of it.
    pub ending: bool,
    /// Changes with everything that documents tell of a custom kind; empty for a built-in one.
    pub stamp: Text,
    /// May lose the last second in a crash (Leases and Events).
    pub relaxed_durability: bool,
}

impl ResourceDef {
    /// A stored, namespaced kind with all verbs and nothing special: where a row starts. The methods
    /// below refine it; all of them run at compile time.
    pub const fn new(
        (group, version, kind): (&'static str, &'static str, &'static str),
        list_kind: &'static str,
        (plural, singular): (&'static str, &'static str),
        schema: SchemaSource,
        strategy: &'static dyn Strategy,
    ) -> Self {
        Self {
            group: text(group),
            version: text(version),
            kind: text(kind),
            list_kind: text(list_kind),
            plural: text(plural),
            singular: text(singular),
            short_names: Cow::Borrowed(&[]),
            categories: Cow::Borrowed(&[]),
            scope: Scope::Namespaced,
            verbs: Cow::Borrowed(Verb::ALL),
            subresources: Cow::Borrowed(&[]),
            columns: Cow::Borrowed(columns::DEFAULT),
            cells: Cells::Row(columns::default_row),
            selectable_fields: Cow::Borrowed(&[]),
            storage_prefix: text(plural),
            conversion: None,
            deprecated: None,
            example: text("{}"),
            schema,
            strategy: Behaviour::Static(strategy),
            scale: None,
            ending: false,
            stamp: text(""),
            relaxed_durability: false,
        }
    }

    /// With short names.
    pub const fn short_names(mut self, names: &'static [Text]) -> Self {
        set(&mut self.short_names, Cow::Borrowed(names));
        self
    }

    /// With categories.
    pub const fn categories(mut self, names: &'static [Text]) -> Self {
        set(&mut self.categories, Cow::Borrowed(names));
        self
    }

    /// Of cluster scope.
    pub const fn cluster_scoped(mut self) -> Self {
        self.scope = Scope::Cluster;
        self
    }

    /// With these verbs only.
    pub const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        set(&mut self.verbs, Cow::Borrowed(verbs));
        self
    }

    /// With subresources.
    pub const fn subresources(mut self, list: &'static [Subresource]) -> Self {
        set(&mut self.subresources, Cow::Borrowed(list));
        self
    }

    /// With columns and the function that fills them.
    pub const fn columns(
        mut self,
        columns: &'static [Column],
        row: fn(&Object, Timestamp) -> Vec<Value>,
    ) -> Self {
        set(&mut self.columns, Cow::Borrowed(columns));
        set(&mut self.cells, Cells::Row(row));
        self
    }

    /// With fields for field selectors.
    pub const fn selectable_fields(mut self, fields: &'static [SelectableField]) -> Self {
        set(&mut self.selectable_fields, Cow::Borrowed(fields));
        self
    }

    /// Stored under another prefix; empty means not stored.
    pub const fn storage_prefix(mut self, prefix: &'static str) -> Self {
        set(&mut self.storage_prefix, text(prefix));
        self
    }

    /// Served in another form than it is stored.
    pub const fn conversion(mut self, conversion: Conversion) -> Self {
        set(&mut self.conversion, Some(conversion));
        self
    }

    /// On its way out.
    pub const fn deprecated(mut self, deprecation: Deprecation) -> Self {
        set(&mut self.deprecated, Some(deprecation));
        self
    }

    /// With the smallest valid object, as JSON.
    pub const fn example(mut self, json: &'static str) -> Self {
        set(&mut self.example, text(json));
        self
    }

    /// May lose the last second in a crash.
    pub const fn relaxed_durability(mut self) -> Self {
        self.relaxed_durability = true;
        self
    }

    /// Group, version, kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.group.to_string(),
            version: self.version.to_string(),
            kind: self.kind.to_string(),
        }
    }

    /// Group, version, resource.
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.group, &self.version, &self.plural)
    }

    /// Group and resource, as error messages name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.to_string(),
            resource: self.plural.to_string(),
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether Kubernetes does not serve the version any more.
    pub fn is_retired(&self) -> bool {
        self.deprecated
            .as_ref()
            .is_some_and(|d| d.removed.is_some())
    }

    /// What clients of a version that is on its way out are told.
    /// Kubernetes: apiserver `endpoints/deprecation` WarningMessage.
    pub fn deprecation_warning(&self) -> Option<String> {
        let deprecation = self.deprecated.as_ref()?;
        if let Some(message) = &deprecation.message {
            return Some(message.to_string());
        }
        let (version, kind, since) = (self.api_version(), &self.kind, &deprecation.since);
        let mut text = format!("{version} {kind} is deprecated in v{since}+");
        if let Some(removed) = &deprecation.removed {
            text.push_str(&format!(", unavailable in v{removed}+"));
        }
        if let Some((version, kind)) = &deprecation.replacement {
            text.push_str(&format!("; use {version} {kind}"));
        }
        Some(text)
    }

    /// Whether objects live in a namespace.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// The value of a field that field selectors use; `None` if the kind has no such field, which
    /// is `field label not supported: <label>` (400).
    pub fn field_value(&self, object: &Object, label: &str) -> Option<String> {
        match label {
            "metadata.name" => Some(object.name().to_owned()),
            "metadata.namespace" => Some(object.namespace().to_owned()),
            _ => {
                let field = self.selectable_fields.iter().find(|f| f.label == label)?;
                Some(field.of(object))
            }
        }
    }

    /// Whether field selectors may use `label`.
    pub fn has_field(&self, label: &str) -> bool {
        label == "metadata.name"
            || (label == "metadata.namespace" && self.is_namespaced())
            || self.selectable_fields.iter().any(|f| f.label == label)
    }

    /// The cells of an object's Table row.
    pub fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        match &self.cells {
            Cells::Row(row) => row(object, now),
            Cells::Made(row) => row(object, now),
        }
    }
}

/// Assigns at compile time, where the old value cannot be dropped; all old values here are static.
const fn set<T>(slot: &mut T, value: T) {
    std::mem::forget(std::mem::replace(slot, value));
}
