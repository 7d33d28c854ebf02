//! IngressClass: a name for a controller that serves Ingresses.
//! Kubernetes: `pkg/apis/networking/validation` ValidateIngressClass.

use super::ingress::validation;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("networking.k8s.io", "v1", "IngressClass"),
    "IngressClassList",
    ("ingressclasses", "ingressclass"),
    SchemaSource::of::<k8s_openapi::api::networking::v1::IngressClass>(),
    &IngressClassStrategy,
)
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Controller", "Who serves Ingresses of the class."),
            Column::new("Parameters", "The object with more about it."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"spec":{"controller":"example.com/ingress"}}"#);

/// Longest name of a controller (bytes).
const CONTROLLER_MAX_BYTES: usize = 250;

/// What an IngressClass does beyond its shape.
pub struct IngressClassStrategy;

impl Strategy for IngressClassStrategy {
    fn default(&self, class: &mut Object) {
        let Some(spec) = child(class.fields_mut(), "spec") else {
            return;
        };
        if let Some(Value::Object(parameters)) = spec.get_mut("parameters") {
            set_null(parameters, "scope", json!("Cluster"));
        }
    }

    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(class, "spec");
        let controller = spec.field("controller");
        if controller.str().is_empty() {
            errors.required(&controller, "");
        } else {
            if controller.str().len() > CONTROLLER_MAX_BYTES {
                errors.too_long(&controller, CONTROLLER_MAX_BYTES);
            }
            prefixed_path(&controller, &mut errors);
        }
        let parameters = spec.field("parameters");
        if parameters.is_set() {
            self::parameters(&parameters, &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, before) = (At::of(new, "spec"), At::of(old, "spec"));
        errors.immutable(&spec.field("controller"), before.field("controller").value);
        errors.0.extend(self.validate(new));
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

/// Kubernetes: `util/validation` IsDomainPrefixedPath.
fn prefixed_path(at: &At<'_, '_>, errors: &mut Errors) {
    let Some((domain, path)) = at
        .str()
        .split_once('/')
        .filter(|(d, p)| !d.is_empty() && !p.is_empty())
    else {
        errors.invalid(
            at,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        );
        return;
    };
    for detail in names::dns1123_subdomain(domain) {
        errors.invalid_as(at, domain, detail);
    }
    for detail in names::domain_path(path) {
        errors.invalid_as(at, path, detail);
    }
}

fn parameters(at: &At<'_, '_>, errors: &mut Errors) {
    validation::reference(at, errors);
    let (scope, namespace) = (at.field("scope"), at.field("namespace"));
    match scope.str() {
        "" if !scope.is_set() => errors.required(&scope, ""),
        "Cluster" => {
            if namespace.is_set() {
                errors.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'");
            }
        }
        "Namespace" => {
            if namespace.is_set() {
                errors.invalid_all(&namespace, names::dns1123_label(namespace.str()));
            } else {
                errors.required(&namespace, "`parameters.scope` is set to 'Namespace'");
            }
        }
        _ => errors.not_supported(&scope, &["Cluster", "Namespace"]),
    }
}

fn row(class: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(class, "spec");
    let parameters = spec.field("parameters");
    let mut shown = "<none>".to_owned();
    if parameters.is_set() {
        let group = parameters.field("apiGroup");
        let dot = if group.is_set() { "." } else { "" };
        let (kind, name) = (parameters.field("kind"), parameters.field("name"));
        shown = format!("{}{dot}{}/{}", kind.str(), group.str(), name.str());
    }
    vec![
        json!(class.name()),
        json!(spec.field("controller").str()),
        json!(shown),
        columns::age(class, now),
    ]
}
