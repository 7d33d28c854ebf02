//! An OpenAPI document as text: descriptions, fields and their types. Must not know where it comes
//! from. Kubernetes: kubectl's template `plaintext`; words, spaces and lines are its own.

use super::wrap::{indent, wrap};
use crate::cli::context::CliError;
use crate::meta::GroupVersionResource;
use crate::meta::patch::strategic::go_text;
use serde_json::Value;
use std::fmt::Write as _;

/// Where operations and schemas say of which kind they are.
const KIND: &str = "x-kubernetes-group-version-kind";
/// How many values of a field are told in a list of fields.
const VALUES_MAX: usize = 4;
/// How deep descriptions may lie in each other: a document that refers to itself ends.
const DEPTH_MAX: usize = 32;
/// Kubernetes: how wide descriptions are.
const WIDTH: usize = 76;

/// An OpenAPI document.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    document: &'a Value,
}

/// The references on the way to a place, so that a circle ends.
struct Seen<'a> {
    reference: &'a str,
    before: Option<&'a Seen<'a>>,
}

fn has_seen(seen: Option<&Seen<'_>>, reference: &str) -> bool {
    let mut at = seen;
    while let Some(seen) = at {
        if seen.reference == reference {
            return true;
        }
        at = seen.before;
    }
    false
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    let found = value.get(name).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

/// The schema of a map's values; whether any are allowed is no schema.
fn values_of(schema: &Value) -> Option<&Value> {
    schema
        .get("additionalProperties")
        .filter(|values| values.is_object())
}

/// The lines above all others.
pub(super) fn head(kind: &Value) -> String {
    let group = match text(kind, "group") {
        "" => String::new(),
        group => format!("GROUP:      {group}\n"),
    };
    let (kind, version) = (text(kind, "kind"), text(kind, "version"));
    format!("{group}KIND:       {kind}\nVERSION:    {version}\n\n")
}

impl<'a> Document<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self { document }
    }

    /// The kind of a resource's objects, as its operations tell.
    pub(super) fn kind_of(self, resource: &GroupVersionResource) -> Option<&'a Value> {
        let GroupVersionResource {
            group,
            version,
            resource,
        } = resource;
        let prefix = match group.as_str() {
            "" => "/api".to_owned(),
            group => format!("/apis/{group}"),
        };
        let paths = self.document.get("paths")?;
        let ways = ["", "namespaces/{namespace}/"];
        let mut places = ways
            .into_iter()
            .flat_map(|way| ["", "/{name}"].map(|end| (way, end)));
        places.find_map(|(way, end)| {
            let path = paths.get(format!("{prefix}/{version}/{way}{resource}{end}"))?;
            let mut methods = ["get", "post", "put", "patch", "delete"].into_iter();
            methods.find_map(|method| path.get(method)?.get(KIND))
        })
    }

    /// What stands below the head.
    pub(super) fn explain(
        self,
        kind: &Value,
        fields: &[&str],
        recursive: bool,
    ) -> Result<String, CliError> {
        let schemas = self.document.pointer("/components/schemas");
        let mut schemas = schemas.and_then(Value::as_object).into_iter().flatten();
        let schema = schemas.find(|(_, schema)| list(schema, KIND).contains(kind));
        let Some((_, schema)) = schema else {
            let kind = go_text(kind);
            let what = format!("error: GVK {kind} not found in OpenAPI schema");
            return Err(CliError::bare(what));
        };
        let told = self.follow(schema, fields, recursive, None);
        if told.is_empty() {
            let name = fields.last().copied().unwrap_or_default();
            let what = format!("error: field \"{name}\" does not exist");
            return Err(CliError::bare(what));
        }
        Ok(told)
    }

    /// What a reference means; the schema itself where it is none.
    fn resolved(self, schema: &'a Value) -> &'a Value {
        self.referred(text(schema, "$ref")).unwrap_or(schema)
    }

    fn referred(self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        self.document.pointer(pointer)
    }

    /// What the fields lead to; nothing where they lead nowhere.
    fn follow(
        self,
        schema: &'a Value,
        fields: &[&str],
        recursive: bool,
        seen: Option<&Seen<'_>>,
    ) -> String {
        let reference = text(schema, "$ref");
        let resolved = self.resolved(schema);
        let Some((first, rest)) = fields.split_first() else {
            return self.whole(resolved, recursive);
        };
        if !reference.is_empty() && has_seen(seen, reference) {
            return String::new();
        }
        let field = resolved.get("properties").and_then(|all| all.get(first));
        if let Some(field) = field {
            let mut out = String::new();
            if rest.is_empty() {
                let kind = self.type_of(field, 0);
                let values = values(field, "\n    ", "\n    ", usize::MAX);
                let values = match values.as_str() {
                    "" => String::new(),
                    values => format!("ENUM:{values}"),
                };
                // Writing to a String cannot fail.
                let _ = write!(out, "FIELD: {first} <{kind}>\n{values}\n\n");
            }
            out.push_str(&self.follow(field, rest, recursive, None));
            return out;
        }
        let seen = Seen {
            reference,
            before: seen,
        };
        if let Some(below) = resolved.get("items").or_else(|| values_of(resolved)) {
            return self.follow(below, fields, recursive, Some(&seen));
        }
        list(resolved, "allOf")
            .iter()
            .map(|part| self.follow(part, fields, recursive, Some(&seen)))
            .find(|told| !told.is_empty())
            .unwrap_or_default()
    }

    /// A description and the fields below it.
    fn whole(self, schema: &'a Value, recursive: bool) -> String {
        let mut description = String::new();
        self.describe(schema, 0, &mut description);
        if description.is_empty() {
            description.push_str("<empty>");
        }
        let description = indent(&wrap(&description, WIDTH), 4);
        let mut out = format!("DESCRIPTION:\n{description}\n");
        if let Some(docs) = schema.get("externalDocs") {
            out.push('\n');
            out.push_str(&external(docs, 0));
        }
        let mut fields = String::new();
        self.fields(schema, 1, recursive, None, &mut fields);
        if !fields.is_empty() {
            out.push_str("FIELDS:\n");
            out.push_str(&fields);
        }
        out
    }

    /// The descriptions of a schema and of what it is made of, a line each.
    fn describe(self, schema: &'a Value, depth: usize, out: &mut String) {
        let schema = self.resolved(schema);
        let own = text(schema, "description");
        if !own.is_empty() {
            out.push_str(own);
            out.push('\n');
        }
        if depth >= DEPTH_MAX {
            return;
        }
        let below = list(schema, "allOf")
            .iter()
            .chain(schema.get("items"))
            .chain(values_of(schema));
        below.for_each(|part| self.describe(part, depth + 1, out));
    }

    /// The fields of a schema, those of their fields too where all are asked for.
    fn fields(
        self,
        schema: &'a Value,
        level: usize,
        recursive: bool,
        seen: Option<&Seen<'_>>,
        out: &mut String,
    ) {
        let reference = text(schema, "$ref");
        if !reference.is_empty() && has_seen(seen, reference) {
            return;
        }
        let seen = Seen {
            reference,
            before: seen,
        };
        let schema = self.resolved(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in properties.into_iter().flatten() {
            let required = list(schema, "required");
            let required = required
                .iter()
                .any(|own| own.as_str() == Some(name.as_str()));
            self.field(name, field, (level, required), recursive, out);
            if recursive {
                self.fields(field, level + 1, recursive, Some(&seen), out);
            }
        }
        let below = list(schema, "allOf")
            .iter()
            .chain(schema.get("items"))
            .chain(values_of(schema));
        below.for_each(|part| self.fields(part, level, recursive, Some(&seen), out));
    }

    /// One field: its name and type, and what it is where there is room.
    fn field(
        self,
        name: &str,
        field: &'a Value,
        (level, required): (usize, bool),
        short: bool,
        out: &mut String,
    ) {
        let amount = level * 2;
        let pad = " ".repeat(amount);
        let required = if required { " -required-" } else { "" };
        let values = match values(field, "", ", ", VALUES_MAX).as_str() {
            "" => String::new(),
            values => format!("\n{pad}enum: {values}"),
        };
        let kind = self.type_of(field, 0);
        let _ = writeln!(out, "{pad}{name}\t<{kind}>{required}{values}");
        if short {
            return;
        }
        let description = match text(field, "description") {
            "" => "<no description>",
            description => description,
        };
        let width = (WIDTH + 2).saturating_sub(amount);
        out.push_str(&indent(&wrap(description, width), amount + 2));
        out.push('\n');
        if let Some(docs) = field.get("externalDocs") {
            out.push('\n');
            out.push_str(&external(docs, amount + 2));
        }
        out.push('\n');
    }

    /// `string`, `Object`, `[]Container`, `map[string]string`.
    fn type_of(self, schema: &'a Value, depth: usize) -> String {
        if depth >= DEPTH_MAX {
            return "Object".to_owned();
        }
        let below = |part: &'a Value| self.type_of(part, depth + 1);
        if let Some(items) = schema.get("items") {
            return format!("[]{}", below(items));
        }
        if let Some(values) = values_of(schema) {
            return format!("map[string]{}", below(values));
        }
        if let ([only], None) = (list(schema, "allOf"), schema.get("properties")) {
            return below(only);
        }
        let named = |kind: &str| match kind {
            "" | "object" => "Object".to_owned(),
            kind => kind.to_owned(),
        };
        let reference = text(schema, "$ref");
        if reference.is_empty() {
            return named(text(schema, "type"));
        }
        let primitive = self.referred(reference).map(|of| text(of, "type"));
        match primitive.unwrap_or_default() {
            "" | "object" => {
                let name = reference.rsplit(['/', '.']).next();
                named(name.unwrap_or_default())
            }
            kind => kind.to_owned(),
        }
    }
}

/// The values that a field may have, at most so many of them.
fn values(schema: &Value, first: &str, between: &str, most: usize) -> String {
    let mut out = String::new();
    for (number, value) in list(schema, "enum").iter().enumerate() {
        if number >= most {
            out.push_str(", ....");
            break;
        }
        out.push_str(if number == 0 { first } else { between });
        match value.as_str() {
            Some("") => out.push_str("\"\""),
            _ => out.push_str(&go_text(value)),
        }
    }
    out
}

/// Where more is written about a schema.
fn external(docs: &Value, amount: usize) -> String {
    let mut out = format!("{}\n", indent("EXTERNAL DOCS:", amount));
    let description = text(docs, "description");
    if !description.is_empty() {
        let width = match amount {
            0 => WIDTH,
            // A field's is as wide as its description, less two.
            amount => (WIDTH + 2).saturating_sub(amount),
        };
        out.push_str(&indent(
            &wrap(description, width),
            amount + if amount == 0 { 4 } else { 2 },
        ));
        out.push('\n');
    }
    let url = text(docs, "url");
    if !url.is_empty() {
        let amount = amount + if amount == 0 { 4 } else { 2 };
        out.push_str(&indent(&format!("URL: {url}"), amount));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let kind = json!({"group": "", "version": "v1", "kind": "A"});
        json!({
            "paths": {"/api/v1/namespaces/{namespace}/as": {"get": {(KIND): kind}}},
            "components": {"schemas": {
                "x.A": {
                    "description": "A is a kind.",
                    (KIND): [kind],
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "mode": {"type": "string", "enum": ["", "B", "C", "D", "E"]},
                        "spec": {
                            "description": "What is wanted.",
                            "allOf": [{"$ref": "#/components/schemas/x.Spec"}],
                        },
                    },
                },
                "x.Spec": {
                    "description": "Spec is a part.",
                    "type": "object",
                    "properties": {
                        "again": {"$ref": "#/components/schemas/x.Spec"},
                        "names": {"type": "array", "items": {"type": "string"}},
                    },
                },
            }},
        })
    }

    fn told(fields: &[&str], recursive: bool) -> Result<String, String> {
        let value = document();
        let document = Document::new(&value);
        let resource = GroupVersionResource::new("", "v1", "as");
        let kind = document.kind_of(&resource).unwrap();
        assert_eq!(head(kind), "KIND:       A\nVERSION:    v1\n\n");
        let told = document.explain(kind, fields, recursive);
        told.map_err(|error| error.to_string())
    }

    #[test]
    fn a_kind_and_its_fields() {
        assert_eq!(
            told(&[], false).unwrap(),
            "DESCRIPTION:\n    A is a kind.\n    \nFIELDS:\n  mode\t<string>\n  enum: \"\", B, C, \
             D, ....\n    <no description>\n\n  spec\t<Spec> -required-\n    What is wanted.\n\n"
        );
        assert_eq!(
            told(&[], true).unwrap(),
            "DESCRIPTION:\n    A is a kind.\n    \nFIELDS:\n  mode\t<string>\n  enum: \"\", B, C, \
             D, ....\n  spec\t<Spec> -required-\n    again\t<Spec>\n    names\t<[]string>\n"
        );
    }

    #[test]
    fn a_field() {
        assert_eq!(
            told(&["spec", "names"], false).unwrap(),
            "FIELD: names <[]string>\n\n\nDESCRIPTION:\n    <empty>\n"
        );
        let mode = told(&["mode"], false).unwrap();
        assert!(mode.starts_with("FIELD: mode <string>\nENUM:\n    \"\"\n    B\n"));
        let spec = told(&["spec"], false).unwrap();
        assert!(spec.contains("    What is wanted.\n    Spec is a part.\n    \nFIELDS:\n"));
        assert_eq!(
            told(&["spec", "none"], false),
            Err("error: field \"none\" does not exist".to_owned())
        );
    }
}
