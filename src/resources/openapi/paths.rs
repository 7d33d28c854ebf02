//! The paths of a kind and what can be done there. Must not know types beyond their names.

use super::Form;
use super::definitions::{GVK, gvk};
use crate::resources::def::{ResourceDef, Subresource, Verb};
use serde_json::{Map, Value, json};

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// Name, type and meaning of a query parameter.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "If 'true', the answer is indented.");
const DRY_RUN: Parameter = (
    "dryRun",
    "string",
    "With 'All', the request is checked and answered, but nothing is stored.",
);
const MANAGER: Parameter = (
    "fieldManager",
    "string",
    "The name under which the fields that are written are owned.",
);
const VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What becomes of unknown and duplicate fields: Ignore, Warn or Strict.",
);
const FORCE: Parameter = (
    "force",
    "boolean",
    "For apply: take fields that other managers own.",
);
const LIST: &[Parameter] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch may send bookmarks.",
    ),
    (
        "continue",
        "string",
        "Where the last page ended, as it was answered.",
    ),
    (
        "fieldSelector",
        "string",
        "A selector to restrict the list of returned objects by their fields. Defaults to everything.",
    ),
    (
        "labelSelector",
        "string",
        "A selector to restrict the list of returned objects by their labels. Defaults to everything.",
    ),
    ("limit", "integer", "The most objects in one page."),
    ("resourceVersion", "string", "How new the answer must be."),
    (
        "resourceVersionMatch",
        "string",
        "How resourceVersion is meant.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Whether a watch starts with all objects.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "When the answer ends, whatever is left.",
    ),
    (
        "watch",
        "boolean",
        "Watch for changes to the described resources and return them as a stream of add, update, \
         and remove notifications. Specify resourceVersion.",
    ),
];
const DELETE: &[Parameter] = &[
    (
        "gracePeriodSeconds",
        "integer",
        "How long the object may take to end; 0 is at once.",
    ),
    (
        "orphanDependents",
        "boolean",
        "Old form of propagationPolicy.",
    ),
    (
        "propagationPolicy",
        "string",
        "What becomes of dependents: Orphan, Background or Foreground.",
    ),
];

/// What is done on a path.
struct Operation<'a> {
    method: &'static str,
    /// `list`, `get`, `post`, `put`, `patch`, `delete`, `deletecollection`, `connect`.
    action: &'static str,
    id: String,
    gvk: Value,
    parameters: Vec<Parameter>,
    body: Option<&'a str>,
    answer: &'a str,
    patch: bool,
}

/// The names of the types of a kind.
pub(super) struct Names {
    pub(super) kind: String,
    pub(super) list: String,
}

/// Adds all paths of a kind.
pub(super) fn add(paths: &mut Map<String, Value>, form: Form, def: &ResourceDef, names: &Names) {
    let base = match def.group.as_ref() {
        "" => format!("/api/{}", def.version),
        group => format!("/apis/{group}/{}", def.version),
    };
    let plural = &def.plural;
    let scoped = match def.is_namespaced() {
        true => format!("{base}/namespaces/{{namespace}}/{plural}"),
        false => format!("{base}/{plural}"),
    };
    let path = Path { form, def };
    paths.insert(scoped.clone(), path.item(path.collection(names), &scoped));
    if def.is_namespaced() && has(def, Verb::List) {
        let all = format!("{base}/{plural}");
        let operations = vec![path.list(names, true)];
        paths.insert(all.clone(), path.item(operations, &all));
    }
    let one = format!("{scoped}/{{name}}");
    let operations = path.object(names);
    if !operations.is_empty() {
        paths.insert(one.clone(), path.item(operations, &one));
    }
    for sub in def.subresources.iter() {
        let at = format!("{one}/{}", sub.name);
        let operations = path.subresource(names, sub);
        paths.insert(at.clone(), path.item(operations, &at));
    }
}

fn has(def: &ResourceDef, verb: Verb) -> bool {
    def.verbs.contains(&verb)
}

struct Path<'a> {
    form: Form,
    def: &'a ResourceDef,
}

impl<'a> Path<'a> {
    /// `listCoreV1NamespacedPod`.
    fn id(&self, action: &str, infix: &str, rest: &str) -> String {
        let group = match self.def.group.as_ref() {
            "" => "core",
            group => group.split('.').next().unwrap_or_default(),
        };
        let scope = if self.def.is_namespaced() {
            "Namespaced"
        } else {
            ""
        };
        let (group, version) = (capital(group), capital(&self.def.version));
        format!(
            "{action}{group}{version}{infix}{scope}{}{rest}",
            self.def.kind
        )
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String) -> Operation<'a> {
        Operation {
            method,
            action,
            id,
            gvk: gvk(self.def, &self.def.kind),
            parameters: vec![PRETTY],
            body: None,
            answer: STATUS,
            patch: false,
        }
    }

    fn list(&self, names: &'a Names, all: bool) -> Operation<'a> {
        let id = match all {
            true => self
                .id("list", "", "ForAllNamespaces")
                .replace("Namespaced", ""),
            false => self.id("list", "", ""),
        };
        let mut list = self.operation("get", "list", id);
        list.parameters.extend(LIST);
        list.answer = &names.list;
        list
    }

    fn collection(&self, names: &'a Names) -> Vec<Operation<'a>> {
        let mut operations = Vec::new();
        if has(self.def, Verb::List) {
            operations.push(self.list(names, false));
        }
        if has(self.def, Verb::Create) {
            let mut create = self.operation("post", "post", self.id("create", "", ""));
            create.parameters.extend([DRY_RUN, MANAGER, VALIDATION]);
            create.body = Some(&names.kind);
            create.answer = &names.kind;
            operations.push(create);
        }
        if has(self.def, Verb::DeleteCollection) {
            let id = self.id("delete", "Collection", "");
            let mut delete = self.operation("delete", "deletecollection", id);
            delete.parameters.push(DRY_RUN);
            delete.parameters.extend(DELETE);
            let selecting = LIST
                .iter()
                .filter(|(name, ..)| !name.starts_with("allow") && *name != "watch");
            delete.parameters.extend(selecting);
            delete.body = Some(DELETE_OPTIONS);
            operations.push(delete);
        }
        operations
    }

    fn object(&self, names: &'a Names) -> Vec<Operation<'a>> {
        let mut operations = Vec::new();
        for verb in self.def.verbs.iter() {
            operations.extend(self.part(names, *verb, ""));
        }
        if has(self.def, Verb::Delete) {
            let mut delete = self.operation("delete", "delete", self.id("delete", "", ""));
            delete.parameters.push(DRY_RUN);
            delete.parameters.extend(DELETE);
            delete.body = Some(DELETE_OPTIONS);
            operations.push(delete);
        }
        operations
    }

    /// Reading, replacing or patching an object or a part of it.
    fn part(&self, names: &'a Names, verb: Verb, rest: &str) -> Option<Operation<'a>> {
        let (method, action, word) = match verb {
            Verb::Get => ("get", "get", "read"),
            Verb::Update => ("put", "put", "replace"),
            Verb::Patch => ("patch", "patch", "patch"),
            _ => return None,
        };
        let mut operation = self.operation(method, action, self.id(word, "", rest));
        operation.answer = &names.kind;
        if verb != Verb::Get {
            operation.parameters.extend([DRY_RUN, MANAGER, VALIDATION]);
            operation.body = Some(if verb == Verb::Patch {
                PATCH
            } else {
                &names.kind
            });
        }
        if verb == Verb::Patch {
            operation.parameters.push(FORCE);
            operation.patch = true;
        }
        Some(operation)
    }

    fn subresource(&self, names: &'a Names, sub: &Subresource) -> Vec<Operation<'a>> {
        let rest = capital(&sub.name);
        let own = sub.kind == self.def.kind && sub.name != "log";
        let mut operations = Vec::new();
        for verb in sub.verbs.iter() {
            let operation = if own {
                self.part(names, *verb, &rest)
            } else {
                Some(self.connect(*verb, &rest, sub))
            };
            operations.extend(operation);
        }
        operations
    }

    fn connect(&self, verb: Verb, rest: &str, sub: &Subresource) -> Operation<'a> {
        let method = match verb {
            Verb::Create => "post",
            Verb::Update => "put",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            _ => "get",
        };
        let streams = sub.kind.ends_with("Options");
        let (action, id) = match (streams, verb) {
            (true, _) => ("connect", self.id("connect", &capital(method), rest)),
            (false, Verb::Create) => ("post", self.id("create", "", rest)),
            (false, _) => ("get", self.id("read", "", rest)),
        };
        let mut operation = self.operation(method, action, id);
        operation.gvk = json!({
            "group": sub.group.as_ref().unwrap_or(&self.def.group),
            "kind": sub.kind,
            "version": sub.version.as_ref().unwrap_or(&self.def.version),
        });
        operation
    }

    /// The path item: its operations, and the parameters that stand in the path.
    fn item(&self, operations: Vec<Operation<'_>>, path: &str) -> Value {
        let mut item = Map::new();
        for operation in operations {
            item.insert(operation.method.to_owned(), self.render(&operation));
        }
        let parts = ["namespace", "name"].into_iter();
        let parameters: Vec<Value> = parts
            .filter(|name| path.contains(&format!("{{{name}}}")))
            .map(|name| {
                let words = match name {
                    "name" => format!("Name of the {}.", self.def.kind),
                    _ => "Namespace of the object.".to_owned(),
                };
                self.parameter((name, "string", ""), "path", &words)
            })
            .collect();
        if !parameters.is_empty() {
            item.insert("parameters".to_owned(), Value::Array(parameters));
        }
        Value::Object(item)
    }

    fn parameter(&self, (name, kind, _): Parameter, place: &str, words: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place, "description": words});
        let Some(map) = parameter.as_object_mut() else {
            return parameter;
        };
        let unique = json!({"type": kind, "uniqueItems": true});
        match (self.form, unique) {
            (Form::V2, Value::Object(unique)) => map.extend(unique),
            (_, unique) => {
                map.insert("schema".to_owned(), unique);
            }
        }
        if place == "path" {
            map.insert("required".to_owned(), json!(true));
        }
        parameter
    }

    fn render(&self, operation: &Operation<'_>) -> Value {
        let mut parameters: Vec<Value> = operation
            .parameters
            .iter()
            .map(|parameter| self.parameter(*parameter, "query", parameter.2))
            .collect();
        let schema = |name: &str| json!({"$ref": self.form.reference(name)});
        let group = if self.def.group.is_empty() {
            "core"
        } else {
            &self.def.group
        };
        let tag = group.split('.').next().unwrap_or_default();
        let mut value = json!({
            "description": format!("{} of kind {}.", operation.action, self.def.kind),
            "operationId": operation.id,
            "tags": [format!("{tag}_{}", self.def.version)],
            "x-kubernetes-action": operation.action,
            GVK: operation.gvk,
        });
        let Some(map) = value.as_object_mut() else {
            return value;
        };
        let consumes = match operation.patch {
            true if !self.def.schema.is_typed() => json!([
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ]),
            true => json!([
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ]),
            false => json!(["*/*"]),
        };
        let produces = ["application/json", "application/yaml"];
        match self.form {
            Form::V2 => {
                if let Some(body) = operation.body {
                    parameters.push(json!({
                        "name": "body", "in": "body", "schema": schema(body),
                        "required": body != DELETE_OPTIONS,
                    }));
                }
                map.insert("consumes".to_owned(), consumes);
                map.insert("produces".to_owned(), json!(produces));
                map.insert("schemes".to_owned(), json!(["https"]));
                let ok = json!({"description": "OK", "schema": schema(operation.answer)});
                map.insert(
                    "responses".to_owned(),
                    json!({"200": ok, "401": {"description": "Unauthorized"}}),
                );
            }
            Form::V3 => {
                if let Some(body) = operation.body {
                    let types = consumes.as_array().into_iter().flatten();
                    let content: Map<String, Value> = types
                        .filter_map(Value::as_str)
                        .map(|t| (t.to_owned(), json!({"schema": schema(body)})))
                        .collect();
                    let required = body != DELETE_OPTIONS;
                    map.insert(
                        "requestBody".to_owned(),
                        json!({"content": content, "required": required}),
                    );
                }
                let content: Map<String, Value> = produces
                    .iter()
                    .map(|t| ((*t).to_owned(), json!({"schema": schema(operation.answer)})))
                    .collect();
                map.insert(
                    "responses".to_owned(),
                    json!({
                        "200": {"description": "OK", "content": content},
                        "401": {"description": "Unauthorized"},
                    }),
                );
            }
        }
        map.insert("parameters".to_owned(), Value::Array(parameters));
        value
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
