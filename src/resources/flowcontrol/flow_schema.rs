//! FlowSchema: which requests belong together, and how urgent they are.
//! Kubernetes: `pkg/apis/flowcontrol/{v1,validation}`, `pkg/registry/flowcontrol/flowschema`.

use crate::meta::{FieldError, FieldErrorKind, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_zero};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema"),
    "FlowSchemaList",
    ("flowschemas", "flowschema"),
    SchemaSource::of::<k8s_openapi::api::flowcontrol::v1::FlowSchema>(),
    &FlowSchemaStrategy,
)
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "FlowSchema", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("PriorityLevel", "How urgent the requests are."),
            Column::new("MatchingPrecedence", "Which schema is tried first."),
            Column::new("DistinguisherMethod", "What tells flows apart."),
            columns::age_column(),
            Column::new("MissingPL", "Whether the priority level is missing."),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":2,"rules":[{"subjects":[{"kind":"User","user":{"name":"u"}}],"nonResourceRules":[{"verbs":["get"],"nonResourceURLs":["/healthz"]}]}]}}"#,
);

/// The schema whose requests are always served.
const EXEMPT: &str = "exempt";
/// The precedence of a schema that is tried last.
const PRECEDENCE_MAX: i64 = 10_000;
/// The precedence where none is given.
const PRECEDENCE: i64 = 1000;
/// Verbs of requests, sorted.
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];
/// Schemas that are always what they are.
const FIXED: &[(&str, &str)] = &[
    (
        EXEMPT,
        r#"{"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":1,"rules":[{"subjects":[{"kind":"Group","group":{"name":"system:masters"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]}"#,
    ),
    (
        "catch-all",
        r#"{"priorityLevelConfiguration":{"name":"catch-all"},"matchingPrecedence":10000,"distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group","group":{"name":"system:unauthenticated"}},{"kind":"Group","group":{"name":"system:authenticated"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]}"#,
    ),
];

/// What a FlowSchema does beyond its shape.
pub struct FlowSchemaStrategy;

impl Strategy for FlowSchemaStrategy {
    fn default(&self, schema: &mut Object) {
        if let Some(spec) = child(schema.fields_mut(), "spec") {
            set_zero(spec, "matchingPrecedence", json!(PRECEDENCE));
        }
    }

    fn prepare_for_create(&self, schema: &mut Object) {
        schema.set(&["status"], json!({}));
    }

    fn validate(&self, schema: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(schema, "spec");
        self::spec(schema.name(), &spec, &mut errors);
        fixed(FIXED, schema.name(), &spec, &mut errors);
        super::conditions(&At::of(schema, "status"), &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            return self.validate(new);
        }
        let mut errors = Errors::new();
        super::conditions(&At::of(new, "status"), &mut errors);
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

/// Checks that an object of one of these names is what it always is.
pub(super) fn fixed(list: &[(&str, &str)], name: &str, spec: &At<'_, '_>, errors: &mut Errors) {
    let wanted = list.iter().find(|(fixed, _)| *fixed == name);
    let wanted = wanted.and_then(|(_, text)| serde_json::from_str::<Value>(text).ok());
    if wanted.is_some_and(|wanted| wanted != *spec.value) {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid(spec, detail);
    }
}

fn spec(name: &str, spec: &At<'_, '_>, errors: &mut Errors) {
    let precedence = spec.field("matchingPrecedence");
    if precedence.number() <= 0 {
        errors.invalid(&precedence, "must be a positive value");
    }
    if precedence.number() > PRECEDENCE_MAX {
        let detail = format!("must not be greater than {PRECEDENCE_MAX}");
        errors.invalid(&precedence, detail);
    }
    if precedence.number() == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(&precedence, detail);
    }
    let method = spec.field("distinguisherMethod");
    if method.is_set() {
        errors.one_of(&method.field("type"), &["ByNamespace", "ByUser"]);
    }
    let level = spec.field("priorityLevelConfiguration");
    let level = level.field("name");
    if level.str().is_empty() {
        errors.required(&level, "must reference a priority level");
    } else {
        errors.invalid_all(&level, names::dns1123_subdomain(level.str()));
    }
    for rule in spec.field("rules").items() {
        self::rule(&rule, errors);
    }
}

fn rule(rule: &At<'_, '_>, errors: &mut Errors) {
    let subjects = rule.field("subjects");
    if subjects.is_empty() {
        errors.required(&subjects, "subjects must contain at least one value");
    }
    for one in subjects.items() {
        subject(&one, errors);
    }
    let (resources, urls) = (rule.field("resourceRules"), rule.field("nonResourceRules"));
    if resources.is_empty() && urls.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(rule, detail);
    }
    for one in resources.items() {
        resource_rule(&one, errors);
    }
    for one in urls.items() {
        verbs(&one.field("verbs"), errors);
        let list = one.field("nonResourceURLs");
        if list.is_empty() {
            errors.required(&list, "nonResourceURLs must contain at least one value");
        } else if has_all(&list) {
            alone(&list, "non-resource URLs", errors);
        } else {
            for url in list.items() {
                if let Some(why) = wrong_url(url.str()) {
                    errors.invalid(&url, why);
                }
            }
        }
    }
}

/// Kinds of subjects, each with the field that names it.
const SUBJECTS: &[(&str, &str)] = &[
    ("ServiceAccount", "serviceAccount"),
    ("User", "user"),
    ("Group", "group"),
];

fn subject(subject: &At<'_, '_>, errors: &mut Errors) {
    let kind = subject.field("kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(name, _)| *name == kind.str()) else {
        errors.not_supported(&kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    let at = subject.field(own);
    if at.is_set() {
        let name = at.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if *own == "serviceAccount" && name.str() != "*" {
            errors.invalid_all(&name, names::dns1123_subdomain(name.str()));
        }
        let namespace = at.field("namespace");
        if *own == "serviceAccount" && namespace.str().is_empty() {
            errors.required(&namespace, "must specify namespace for service account");
        } else if *own == "serviceAccount" {
            errors.invalid_all(&namespace, names::dns1123_label(namespace.str()));
        }
    } else {
        let detail = format!("{own} is required when subject kind is '{}'", kind.str());
        errors.required(&at, &detail);
    }
    for (other, field) in SUBJECTS.iter().filter(|(_, field)| field != own) {
        let at = subject.field(field);
        if at.is_set() {
            let detail = format!("{field} is forbidden when subject kind is not '{other}'");
            errors.forbidden(&at, detail);
        }
    }
}

fn has_all(list: &At<'_, '_>) -> bool {
    list.values().any(|one| one == "*")
}

fn alone(list: &At<'_, '_>, what: &str, errors: &mut Errors) {
    if list.len() > 1 && has_all(list) {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.invalid(list, detail);
    }
}

fn verbs(list: &At<'_, '_>, errors: &mut Errors) {
    let known = |verb: &Value| verb.as_str().is_some_and(|verb| VERBS.contains(&verb));
    if list.is_empty() {
        errors.required(list, "verbs must contain at least one value");
    } else if has_all(list) {
        alone(list, "verbs", errors);
    } else if !list.values().all(known) {
        let words: Vec<String> = VERBS.iter().map(|verb| format!("{verb:?}")).collect();
        errors.0.push(FieldError::new(
            FieldErrorKind::NotSupported,
            list.path(),
            list.value.clone(),
            format!("supported values: {}", words.join(", ")),
        ));
    }
}

fn resource_rule(rule: &At<'_, '_>, errors: &mut Errors) {
    verbs(&rule.field("verbs"), errors);
    for (field, one, many) in [
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ] {
        let list = rule.field(field);
        if list.is_empty() {
            let detail = format!("resource rules must supply at least one {one}");
            errors.required(&list, &detail);
        } else {
            alone(&list, many, errors);
        }
    }
    let namespaces = rule.field("namespaces");
    if namespaces.is_empty() && !rule.field("clusterScope").bool() {
        let detail =
            "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&namespaces, detail);
    } else if has_all(&namespaces) {
        alone(&namespaces, "namespaces", errors);
    } else {
        for namespace in namespaces.items() {
            for why in names::dns1123_label(namespace.str()) {
                let detail =
                    format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                errors.invalid(&namespace, detail);
            }
        }
    }
}

fn wrong_url(path: &str) -> Option<&'static str> {
    let stars = path.matches('*').count();
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !path.starts_with('/') => Some("must start with slash"),
        _ if path.contains(' ') => Some("must not contain white-space"),
        _ if path.contains("//") => Some("must not contain double slash"),
        _ if stars > 1 || (stars == 1 && !path.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

fn row(schema: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(schema, "spec"), At::of(schema, "status"));
    let method = spec.field("distinguisherMethod");
    let method = if method.is_set() {
        method.field("type").str()
    } else {
        "<none>"
    };
    let conditions = status.field("conditions");
    let missing = conditions
        .values()
        .find(|one| one.get("type").and_then(Value::as_str) == Some("Dangling"))
        .and_then(|one| one.get("status")?.as_str());
    vec![
        json!(schema.name()),
        json!(spec.field("priorityLevelConfiguration").field("name").str()),
        json!(spec.field("matchingPrecedence").number()),
        json!(method),
        columns::age(schema, now),
        json!(missing.unwrap_or("?")),
    ]
}
