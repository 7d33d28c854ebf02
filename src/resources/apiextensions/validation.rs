//! What a CustomResourceDefinition may say: names, scope, versions, columns, conversion. Its schemas are
//! looked into in `schema_check`.
//! Kubernetes: apiextensions-apiserver `pkg/apis/apiextensions/validation`.

use super::{cel_rules, schema_check};
use crate::meta::{Object, names};
use crate::resources::admissionregistration::client;
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a path must be.
const NO_PATH: &str = "must be a simple json path starting with .";
/// Longest warning about an old version (characters).
const WARNING_MAX: usize = 256;
const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &[
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];

/// Checks the spec.
pub(super) fn spec(spec: &At<'_, '_>, errors: &mut Errors) {
    let group = spec.field("group");
    let wrong = names::dns1123_subdomain(group.str());
    if group.str().is_empty() {
        errors.required(&group, "");
    } else if !wrong.is_empty() {
        errors.invalid(&group, wrong.join(","));
    } else if !group.str().contains('.') {
        errors.invalid(&group, "should be a domain with at least one dot");
    }
    let scope = spec.field("scope");
    if scope.str().is_empty() {
        errors.required(&scope, "");
    } else {
        errors.one_of(&scope, &["Cluster", "Namespaced"]);
    }
    let versions = spec.field("versions");
    for version in versions.items() {
        let schema = version.field("schema");
        let schema = schema.field("openAPIV3Schema");
        if !schema.is_set() {
            errors.required(&schema, "");
        }
    }
    self::versions(&versions, errors);
    // Kubernetes keeps the name of the first version a second time.
    let first = versions
        .values()
        .next()
        .and_then(|version| version.get("name"));
    let first = first.and_then(Value::as_str).unwrap_or_default();
    let wrong = names::dns1035_label(first);
    if !first.is_empty() && !wrong.is_empty() {
        errors.invalid_as(&spec.field("version"), first, wrong.join(","));
    }
    self::names(&spec.field("names"), errors);
    shared(&versions, errors);
    let preserve = spec.field("preserveUnknownFields");
    let mut schemas = versions
        .values()
        .filter_map(|version| version.get("schema"));
    if preserve.bool() && schemas.any(schema_check::has_default) {
        let detail = "must be false in order to use defaults in the schema";
        errors.invalid(&preserve, detail);
    }
    if preserve.bool() {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.invalid(&preserve, detail);
    }
    conversion(&spec.field("conversion"), errors);
}

fn versions(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    let (mut unique, mut stored) = (true, 0);
    for version in list.items() {
        let name = version.field("name");
        stored += usize::from(version.field("storage").bool());
        unique &= seen.insert(name.str());
        let wrong = names::dns1035_label(name.str());
        if !wrong.is_empty() {
            errors.invalid_as(&name, name.str(), wrong.join(","));
        }
        self::version(&version, list, errors);
    }
    if !unique {
        errors.invalid(list, "must contain unique version names");
    }
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.invalid(list, detail);
    }
}

/// What all versions have alike is told once, as Kubernetes keeps it: at the spec.
fn alike<'v>(versions: &At<'v, '_>, field: &str) -> Option<&'v Value> {
    let of = |version: &'v Value| version.get(field).unwrap_or(&Value::Null);
    let mut all = versions.values().map(of);
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// Checks what all versions have alike.
fn shared(versions: &At<'_, '_>, errors: &mut Errors) {
    let schema = alike(versions, "schema").and_then(|schema| schema.get("openAPIV3Schema"));
    if let Some(schema) = schema {
        let status = versions.items().any(|version| has_status(&version));
        let at = At::root(schema, "spec.validation.openAPIV3Schema");
        schema_check::check(&at, status, errors);
    }
    if let Some(value) = alike(versions, "subresources") {
        subresources(&At::root(value, "spec.subresources"), errors);
    }
    if let Some(value) = alike(versions, "additionalPrinterColumns") {
        for column in At::root(value, "spec.additionalPrinterColumns").items() {
            self::column(&column, errors);
        }
    }
    let fields = alike(versions, "selectableFields");
    if let (Some(value), Some(schema)) = (fields, schema) {
        let at = At::root(value, "spec.selectableFields");
        selectable(&at, schema, errors);
    }
}

fn has_status(version: &At<'_, '_>) -> bool {
    version.field("subresources").field("status").is_set()
}

/// Most fields that a version can be selected by.
const SELECTABLE_MAX: usize = 8;

fn selectable(fields: &At<'_, '_>, schema: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for field in fields.items() {
        let at = field.field("jsonPath");
        let path = at.str();
        if path.is_empty() {
            errors.required(&at, "");
            continue;
        }
        let (name, found) = match cel_rules::field(path, schema) {
            Ok(found) => found,
            Err(why) => {
                errors.invalid(&at, format!("is an invalid path: {why}"));
                continue;
            }
        };
        if name == "metadata" || name.starts_with("metadata.") {
            errors.invalid(&at, "must not point to fields in metadata");
        }
        let kind = found.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "boolean" | "integer")) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields \
                          and strings with formats are allowed.";
            errors.invalid(&at, detail);
        }
        if !seen.insert(name) {
            errors.duplicate(&at);
        }
    }
    if seen.len() > SELECTABLE_MAX {
        errors.too_many(fields, SELECTABLE_MAX);
    }
}

fn version(version: &At<'_, '_>, versions: &At<'_, '_>, errors: &mut Errors) {
    let warning = version.field("deprecationWarning");
    if warning.is_set() {
        if version.field("deprecated").bool() {
            deprecation(&warning, errors);
        } else {
            errors.invalid(&warning, "can only be set for deprecated versions");
        }
    }
    let schema = version.field("schema");
    let schema = schema.field("openAPIV3Schema");
    if schema.is_set() && alike(versions, "schema").is_none() {
        schema_check::check(&schema, has_status(version), errors);
    }
    if alike(versions, "subresources").is_none() {
        subresources(&version.field("subresources"), errors);
    }
    if alike(versions, "additionalPrinterColumns").is_none() {
        for column in version.field("additionalPrinterColumns").items() {
            self::column(&column, errors);
        }
    }
    let fields = version.field("selectableFields");
    let own = alike(versions, "selectableFields").is_none() || alike(versions, "schema").is_none();
    if own && fields.is_set() {
        selectable(&fields, schema.value, errors);
    }
}

fn deprecation(warning: &At<'_, '_>, errors: &mut Errors) {
    let text = warning.str();
    if text.len() > WARNING_MAX {
        errors.invalid(warning, "must be <= 256 characters long");
    }
    if text.is_empty() {
        errors.invalid(warning, "must not be an empty string");
    }
    let unprinted = |c: char| c.is_control() || c.is_whitespace() && c != ' ';
    if let Some(at) = text.find(unprinted) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        );
        errors.invalid(warning, detail);
    }
}

fn subresources(subresources: &At<'_, '_>, errors: &mut Errors) {
    let scale = subresources.field("scale");
    if scale.is_set() {
        for (field, root) in [
            ("specReplicasPath", ".spec."),
            ("statusReplicasPath", ".status."),
        ] {
            let at = scale.field(field);
            if at.str().is_empty() {
                errors.required(&at, "");
            } else if !at.str().starts_with('.') {
                errors.invalid(&at, NO_PATH);
            } else if !at.str().starts_with(root) {
                let root = root.trim_end_matches('.');
                errors.invalid(&at, format!("should be a json path under {root}"));
            }
        }
        let at = scale.field("labelSelectorPath");
        let path = at.str();
        if !path.is_empty() && !path.starts_with('.') {
            errors.invalid(&at, NO_PATH);
        } else if !path.is_empty() && !path.starts_with(".spec.") && !path.starts_with(".status.") {
            errors.invalid(&at, "should be a json path under either .spec or .status");
        }
    }
}

fn column(column: &At<'_, '_>, errors: &mut Errors) {
    let (name, kind, format) = (
        column.field("name"),
        column.field("type"),
        column.field("format"),
    );
    if name.str().is_empty() {
        errors.required(&name, "");
    }
    if kind.str().is_empty() {
        let list = COLUMN_TYPES.join(",");
        errors.required(&kind, &format!("must be one of {list}"));
    } else if !COLUMN_TYPES.contains(&kind.str()) {
        let list = COLUMN_TYPES.join(",");
        errors.invalid(&kind, format!("must be one of {list}"));
    }
    if !format.str().is_empty() && !COLUMN_FORMATS.contains(&format.str()) {
        let list = COLUMN_FORMATS.join(",");
        errors.invalid(&format, format!("must be one of {list}"));
    }
    let path = column.field("jsonPath");
    if path.str().is_empty() {
        // The path is Kubernetes', with the case of its inner form.
        errors.required(&column.field("JSONPath"), "");
    } else if !path.str().starts_with('.') {
        errors.invalid_as(&column.field("JSONPath"), path.str(), NO_PATH);
    }
}

fn names(names: &At<'_, '_>, errors: &mut Errors) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if names.field(field).str().is_empty() {
            errors.required(&names.field(field), "");
        }
    }
    let label = |at: &At<'_, '_>, mixed: bool, errors: &mut Errors| {
        let text = if mixed {
            at.str().to_lowercase()
        } else {
            at.str().to_owned()
        };
        let wrong = names::dns1035_label(&text);
        if text.is_empty() || wrong.is_empty() {
            return;
        }
        let why = wrong.join(",");
        let detail = if mixed {
            format!("may have mixed case, but should otherwise match: {why}")
        } else {
            why
        };
        errors.invalid(at, detail);
    };
    label(&names.field("plural"), false, errors);
    label(&names.field("singular"), false, errors);
    label(&names.field("kind"), true, errors);
    label(&names.field("listKind"), true, errors);
    for list in ["shortNames", "categories"] {
        for name in names.field(list).items() {
            let wrong = names::dns1035_label(name.str());
            if !wrong.is_empty() {
                errors.invalid(&name, wrong.join(","));
            }
        }
    }
    let (kind, list) = (names.field("kind"), names.field("listKind"));
    if kind.is_set() && kind.value == list.value {
        errors.invalid(&list, "kind and listKind may not be the same");
    }
}

fn conversion(at: &At<'_, '_>, errors: &mut Errors) {
    let (strategy, webhook) = (at.field("strategy"), at.field("webhook"));
    let (config, versions) = (
        webhook.field("clientConfig"),
        webhook.field("conversionReviewVersions"),
    );
    // Kubernetes tells of them where it keeps them.
    let config = At::root(config.value, "spec.conversion.webhookClientConfig");
    let versions = At::root(versions.value, "spec.conversion.conversionReviewVersions");
    if strategy.str() != "Webhook" {
        if strategy.str().is_empty() && at.is_set() {
            errors.required(&strategy, "");
        } else {
            errors.one_of(&strategy, &["None", "Webhook"]);
        }
        let detail = "should not be set when strategy is not set to Webhook";
        if config.is_set() {
            errors.forbidden(&config, detail);
        }
        if !versions.is_empty() {
            errors.forbidden(&versions, detail);
        }
        return;
    }
    if config.is_set() {
        client::validate(&config, errors);
    } else {
        errors.required(&config, "required when strategy is set to Webhook");
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.str()) {
            errors.invalid(&version, "duplicate version");
            continue;
        }
        for wrong in names::dns1035_label(version.str()) {
            errors.invalid(&version, wrong);
        }
    }
    if versions.is_empty() {
        errors.required(&versions, "");
    } else if !versions.values().any(|one| one == "v1" || one == "v1beta1") {
        let detail = "must include at least one of v1, v1beta1";
        errors.invalid(&versions, detail);
    }
}

/// Checks the record of stored versions.
pub(super) fn stored(definition: &Object, errors: &mut Errors) {
    let (spec, status) = (At::of(definition, "spec"), At::of(definition, "status"));
    let (versions, record) = (spec.field("versions"), status.field("storedVersions"));
    if record.is_empty() {
        errors.invalid_omitted(&record, "null: must have at least one stored version");
        return;
    }
    let mut left: Vec<&Value> = record.values().collect();
    for version in versions.items() {
        let name = version.field("name");
        let known = left.iter().position(|one| *one == name.value);
        if let Some(known) = known {
            left.remove(known);
        } else if version.field("storage").bool() {
            let detail = format!("must have the storage version {}", name.str());
            errors.invalid(&record, detail);
        }
    }
    for one in record.items() {
        let known = |version: &Value| version.get("name") == Some(one.value);
        if !versions.values().any(known) {
            let version = one.str();
            let detail = format!(
                "missing from spec.versions; {version} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains persisted \
                 in {version} and removes {version} from status.storedVersions"
            );
            errors.invalid(&one, detail);
        }
    }
}

/// Checks what stays: the group and the name of the resource, and once it is established the scope
/// and the kind.
pub(super) fn kept(spec: &At<'_, '_>, old: &Object, errors: &mut Errors) {
    let before = |path: &[&str]| old.get(path).unwrap_or(&Value::Null);
    let names = spec.field("names");
    let conditions = before(&["status", "conditions"]).as_array();
    let established = conditions.into_iter().flatten().any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Established") && text("status") == Some("True")
    });
    if established {
        errors.immutable(&spec.field("scope"), before(&["spec", "scope"]));
        errors.immutable(&names.field("kind"), before(&["spec", "names", "kind"]));
    }
    errors.immutable(&spec.field("group"), before(&["spec", "group"]));
    errors.immutable(&names.field("plural"), before(&["spec", "names", "plural"]));
}
