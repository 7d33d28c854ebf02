//! From a CustomResourceDefinition to rows of the table: one for each version that is served, and the
//! one that owns the stored form. Schemas are not read yet, only names and columns. Must not know
//! where rows are kept.
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/customresource_handler.go`.

use super::printer;
use super::strategy::CustomStrategy;
use crate::meta::Object;
use crate::resources::autoscaling::scale::ScalePaths;
use crate::resources::def::{
    Conversion, Convert, Deprecation, FieldValue, List, PART_VERBS, ResourceDef, SCALE, Scope,
    SelectableField, Subresource, Text, Verb, text,
};
use crate::resources::schema::{Defined, SchemaSource, refit};
use crate::resources::strategy::Behaviour;
use crate::resources::validate::At;
use bytes::Bytes;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// The verbs of a custom kind, in Kubernetes' order.
const VERBS: &[Verb] = &[
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Create,
    Verb::Update,
    Verb::Watch,
];

/// The rows of one definition.
pub struct Rows {
    /// The versions that are served; none before the definition is established.
    pub served: Vec<ResourceDef>,
    /// The row of the stored form; it has the selectable fields of all versions.
    pub stored: ResourceDef,
    /// Changes with everything that makes objects look different.
    pub form: Value,
}

/// The rows of a definition; `stored` is the object as JSON. `None` if it stores no version.
pub fn rows(definition: &Object, stored: &Bytes) -> Option<Rows> {
    let spec = At::of(definition, "spec");
    let status = At::of(definition, "status");
    let names = match status.field("acceptedNames").field("plural").str() {
        "" => spec.field("names").value.clone(),
        _ => status.field("acceptedNames").value.clone(),
    };
    let kind = Kind {
        definition,
        stored,
        names: &names,
        storage: Arc::new(Defined::new(
            stored.clone(),
            version_names(&spec, "storage").next()?,
        )),
        storage_version: version_names(&spec, "storage").next()?,
        ending: condition(definition, "Terminating") == "True",
        stamp: format!("{}/{}/{names}", definition.uid(), definition.generation()),
    };
    let mut served = Vec::new();
    let mut owner = None;
    for version in spec.field("versions").items() {
        let is_storage = version.field("storage").bool();
        if !is_storage && !version.field("served").bool() {
            continue;
        }
        let row = kind.row(&spec, &version);
        if is_storage {
            owner = Some(row.clone());
        }
        if version.field("served").bool() {
            served.push(row);
        }
    }
    let mut owner = owner?;
    let mut fields: Vec<SelectableField> = owner.selectable_fields.to_vec();
    for field in served.iter().flat_map(|row| row.selectable_fields.iter()) {
        if !fields.iter().any(|own| own.label == field.label) {
            fields.push(field.clone());
        }
    }
    owner.selectable_fields = Cow::Owned(fields);
    if condition(definition, "Established") != "True" {
        served.clear();
    }
    let form = json!([spec.value, names, served.is_empty()]);
    Some(Rows {
        served,
        stored: owner,
        form,
    })
}

/// The status of a condition; empty if it is not there.
pub fn condition<'v>(definition: &'v Object, name: &str) -> &'v str {
    let conditions = definition.get(&["status", "conditions"]);
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &'v Value, field: &str| {
        let text = condition.get(field).and_then(Value::as_str);
        text.unwrap_or_default()
    };
    let mut found = conditions.filter(|condition| text(condition, "type") == name);
    found.next().map_or("", |found| text(found, "status"))
}

/// Names of the versions with a flag.
fn version_names<'v>(spec: &At<'v, '_>, flag: &str) -> impl Iterator<Item = &'v str> {
    let versions = spec.value.get("versions").and_then(Value::as_array);
    let flagged = versions.into_iter().flatten();
    let flag = flag.to_owned();
    flagged
        .filter(move |version| version.get(&flag) == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name")?.as_str())
}

/// What all versions of a definition share.
struct Kind<'a> {
    definition: &'a Object,
    stored: &'a Bytes,
    names: &'a Value,
    storage: Arc<Defined>,
    storage_version: &'a str,
    ending: bool,
    stamp: String,
}

impl Kind<'_> {
    fn name(&self, field: &str) -> Text {
        let name = self.names.get(field).and_then(Value::as_str);
        Cow::Owned(name.unwrap_or_default().to_owned())
    }

    fn list(&self, field: &str) -> List<Text> {
        let list = self.names.get(field).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        Cow::Owned(texts.map(|name| Cow::Owned(name.to_owned())).collect())
    }

    fn row(&self, spec: &At<'_, '_>, version: &At<'_, '_>) -> ResourceDef {
        let group = spec.field("group").str();
        let name = version.field("name").str();
        let defined = Arc::new(Defined::new(self.stored.clone(), name));
        let (columns, cells) = printer::of(&version.field("additionalPrinterColumns"));
        let subresources = version.field("subresources");
        let scale = subresources.field("scale");
        let scale = scale.is_set().then(|| {
            let path = |field: &str| scale.value.get(field).and_then(Value::as_str);
            Arc::new(ScalePaths::new(
                path("specReplicasPath").unwrap_or_default(),
                path("statusReplicasPath").unwrap_or_default(),
                path("labelSelectorPath"),
            ))
        });
        let has_status = subresources.field("status").is_set();
        let strategy = CustomStrategy {
            defined: defined.clone(),
            has_status,
            scale: scale.clone(),
        };
        let fields = version.field("selectableFields");
        let fields = fields
            .items()
            .map(|field| selectable(field.field("jsonPath").str()));
        ResourceDef {
            group: Cow::Owned(group.to_owned()),
            version: Cow::Owned(name.to_owned()),
            kind: self.name("kind"),
            list_kind: self.name("listKind"),
            plural: self.name("plural"),
            singular: self.name("singular"),
            short_names: self.list("shortNames"),
            categories: self.list("categories"),
            scope: match spec.field("scope").str() {
                "Cluster" => Scope::Cluster,
                _ => Scope::Namespaced,
            },
            verbs: Cow::Borrowed(VERBS),
            subresources: Cow::Owned(self.subresources(has_status, scale.is_some())),
            columns: Cow::Owned(columns),
            cells,
            selectable_fields: Cow::Owned(fields.collect()),
            storage_prefix: Cow::Owned(self.definition.name().to_owned()),
            conversion: Some(self.conversion(group, name, &defined)),
            deprecated: self.deprecation(spec, version),
            example: text("{}"),
            schema: SchemaSource::defined(defined),
            strategy: Behaviour::Made(Arc::new(strategy)),
            scale,
            ending: self.ending,
            stamp: Cow::Owned(format!("{}/{}", self.stamp, self.ending)),
            relaxed_durability: false,
        }
    }

    fn subresources(&self, status: bool, scale: bool) -> Vec<Subresource> {
        let status = status.then(|| Subresource {
            name: text("status"),
            group: None,
            version: None,
            kind: self.name("kind"),
            verbs: Cow::Borrowed(PART_VERBS),
        });
        let scale = scale.then(|| SCALE.clone());
        status.into_iter().chain(scale).collect()
    }

    /// Versions differ in their name and in what their schemas keep.
    fn conversion(&self, group: &str, name: &str, own: &Arc<Defined>) -> Conversion {
        let served = format!("{group}/{name}");
        let stored = format!("{group}/{}", self.storage_version);
        let is_stored = name == self.storage_version;
        let storage = self.storage.clone();
        let to_stored = move |object: &mut Object| {
            object.set(&["apiVersion"], Value::from(stored.as_str()));
            if !is_stored {
                refit(storage.structural(), object.fields_mut());
            }
        };
        let own = own.clone();
        let from_stored = move |object: &mut Object| {
            object.set(&["apiVersion"], Value::from(served.as_str()));
            refit(own.structural(), object.fields_mut());
            own.structural().fill(object.fields_mut());
        };
        let stored_by = (
            Cow::Owned(group.to_owned()),
            Cow::Owned(self.storage_version.to_owned()),
        );
        Conversion::made(
            stored_by,
            Convert::Made(Arc::new(to_stored)),
            Convert::Made(Arc::new(from_stored)),
        )
    }

    fn deprecation(&self, spec: &At<'_, '_>, version: &At<'_, '_>) -> Option<Deprecation> {
        if !version.field("deprecated").bool() {
            return None;
        }
        let message = match version.field("deprecationWarning").value {
            Value::String(own) => own.clone(),
            _ => self.deprecation_words(spec, version.field("name").str()),
        };
        Some(Deprecation {
            since: text(""),
            removed: None,
            replacement: None,
            message: Some(Cow::Owned(message)),
        })
    }

    fn deprecation_words(&self, spec: &At<'_, '_>, old: &str) -> String {
        let (group, kind) = (spec.field("group").str(), self.name("kind"));
        let versions = spec.value.get("versions").and_then(Value::as_array);
        let newer = versions.into_iter().flatten().filter_map(|version| {
            let flag = |name: &str| version.get(name) == Some(&Value::Bool(true));
            let name = version.get("name")?.as_str()?;
            let newer = rank(name) > rank(old);
            (flag("served") && !flag("deprecated") && newer).then_some(name)
        });
        let newest = newer.max_by_key(|name| rank(name));
        let hint = newest.map(|name| format!("; use {group}/{name} {kind}"));
        format!(
            "{group}/{old} {kind} is deprecated{}",
            hint.unwrap_or_default()
        )
    }
}

fn selectable(path: &str) -> SelectableField {
    let label: Text = Cow::Owned(path.strip_prefix('.').unwrap_or(path).to_owned());
    SelectableField {
        value: FieldValue::Path(label.clone(), text("")),
        label,
    }
}

/// How versions are ordered, the greatest first of all: `v2`, `v1`, `v1beta2`, `v1alpha1`; other names
/// come after, `a` before `b`.
/// Kubernetes: apimachinery `version.CompareKubeAwareVersionStrings`.
pub fn rank(version: &str) -> (bool, u8, u64, u64, std::cmp::Reverse<String>) {
    let name = std::cmp::Reverse(version.to_owned());
    let other = (false, 0, 0, 0, name.clone());
    let Some(rest) = version.strip_prefix('v') else {
        return other;
    };
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, tail) = rest.split_at(digits);
    let Ok(major) = major.parse() else {
        return other;
    };
    let (stage, minor) = match (tail, tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
        ("", ..) => (2, Ok(0)),
        (_, Some(minor), _) => (1, minor.parse()),
        (_, _, Some(minor)) => (0, minor.parse()),
        _ => return other,
    };
    let same = std::cmp::Reverse(String::new());
    minor.map_or(other, |minor| (true, stage, major, minor, same))
}
