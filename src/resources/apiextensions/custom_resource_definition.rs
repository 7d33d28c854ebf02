//! CustomResourceDefinition: a kind that a user brings.
//! Kubernetes: apiextensions-apiserver `pkg/apis/apiextensions/v1`, `pkg/registry/customresourcedefinition`.

use super::conditions::{self, Condition};
use super::{schema_check, validation};
use crate::meta::go_json::quoted;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, objects, set, set_null};
use crate::resources::def::{PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as types;
use serde_json::{Map, Value, json};

/// Holds a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    "CustomResourceDefinitionList",
    ("customresourcedefinitions", "customresourcedefinition"),
    SchemaSource::of::<types::CustomResourceDefinition>(),
    &DefinitionStrategy,
)
.short_names(const { &[text("crd"), text("crds")] })
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "CustomResourceDefinition", PART_VERBS)] })
.columns(columns::CREATED, columns::created_row)
.example(
    r#"{"metadata":{"name":"foos.example.com"},"spec":{"group":"example.com","names":{"kind":"Foo","plural":"foos"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}"#,
);

/// What a CustomResourceDefinition does beyond its shape.
pub struct DefinitionStrategy;

impl Strategy for DefinitionStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, definition: &mut Object) {
        let Some(spec) = child(definition.fields_mut(), "spec") else {
            return;
        };
        if let Some(names) = child(spec, "names") {
            let kind = word(names, "kind");
            if !kind.is_empty() {
                set(names, "singular", json!(kind.to_lowercase()));
                set(names, "listKind", json!(format!("{kind}List")));
            }
        }
        if spec.get("conversion").is_none_or(Value::is_null) {
            spec.insert("conversion".to_owned(), json!({"strategy": "None"}));
        }
        if let Some(conversion) = child(spec, "conversion") {
            let webhook = conversion.get_mut("webhook");
            let service = webhook.and_then(|w| w.get_mut("clientConfig")?.get_mut("service"));
            if let Some(Value::Object(service)) = service {
                set_null(service, "port", json!(443));
            }
        }
    }

    /// The version that is stored is on record from the start.
    fn prepare_for_create(&self, definition: &mut Object) {
        let status = json!({"acceptedNames": {"kind": "", "plural": ""}});
        definition.set(&["status"], status);
        record_stored(definition);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        use crate::resources::strategy::{keep, keep_all_but_status};
        if part == Part::Main {
            keep(new, old, "status");
            record_stored(new);
        } else {
            keep_all_but_status(new, old);
        }
    }

    fn validate(&self, definition: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(definition, "spec");
        let names = spec.field("names");
        let wanted = format!(
            "{}.{}",
            names.field("plural").str(),
            spec.field("group").str()
        );
        if definition.name() != wanted {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            let name = definition.name();
            errors
                .0
                .push(FieldError::invalid("metadata.name", name, detail));
        }
        validation::spec(&spec, &mut errors);
        validation::stored(definition, &mut errors);
        errors
            .0
            .extend(conditions::approval_error(definition, None));
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(new, "spec");
        if part == Part::Main {
            validation::spec(&spec, &mut errors);
            validation::kept(&spec, old, &mut errors);
        }
        validation::stored(new, &mut errors);
        if part == Part::Main {
            errors.0.extend(conditions::approval_error(new, Some(old)));
        }
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let spec = At::of(new, "spec");
        let before = old.map(unknown_formats).unwrap_or_default();
        let mut warnings: Vec<String> = unknown_formats(new)
            .iter()
            .filter(|format| !before.contains(format))
            .map(|format| format!("unrecognized format {}", quoted(format)))
            .collect();
        if spec.field("conversion").field("strategy").str() == "Webhook" {
            let text = "spec.conversion.strategy Webhook is not in force yet: versions are converted \
                        as with None";
            warnings.push(text.to_owned());
        }
        warnings
    }

    /// Its objects go first.
    /// Kubernetes: registry `customresourcedefinition/etcd.go` Delete.
    fn prepare_for_delete(&self, definition: &mut Object, now: Timestamp) {
        let mut finalizers: Vec<&str> = definition.finalizers().collect();
        if !finalizers.contains(&CLEANUP) {
            finalizers.push(CLEANUP);
            let finalizers = json!(finalizers);
            definition.set(&["metadata", "finalizers"], finalizers);
        }
        conditions::set(
            definition,
            &Condition {
                name: "Terminating",
                status: "True",
                reason: "InstanceDeletionPending",
                message:
                    "CustomResourceDefinition marked for deletion; CustomResource deletion will \
                          begin soon"
                        .to_owned(),
            },
            now,
        );
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_standard_finalizers(&self) -> bool {
        false
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

/// The formats of all schemas of a definition that mean nothing: each once for a schema that all
/// versions share.
fn unknown_formats(definition: &Object) -> Vec<String> {
    let spec = At::of(definition, "spec");
    let versions = spec.field("versions");
    let schemas: Vec<Option<&Value>> = versions
        .values()
        .map(|version| version.get("schema")?.get("openAPIV3Schema"))
        .collect();
    let alike = schemas
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a == b));
    let count = if alike { 1 } else { schemas.len() };
    let mut found = Vec::new();
    for schema in schemas.into_iter().take(count).flatten() {
        schema_check::unknown_formats(schema, &mut found);
    }
    found
}

fn word(map: &Map<String, Value>, name: &str) -> String {
    let text = map.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Adds the version that is stored to those that ever were.
fn record_stored(definition: &mut Object) {
    let mut stored = None;
    if let Some(Value::Object(spec)) = definition.fields_mut().get_mut("spec") {
        stored = objects(spec, "versions")
            .find(|version| version.get("storage") == Some(&Value::Bool(true)))
            .map(|version| word(version, "name"));
    }
    let Some(name) = stored else {
        return;
    };
    let path = ["status", "storedVersions"];
    let list = definition.get(&path).and_then(Value::as_array);
    let mut list = list.cloned().unwrap_or_default();
    if !list.contains(&json!(name)) {
        list.push(json!(name));
        definition.set(&path, Value::Array(list));
    }
}
