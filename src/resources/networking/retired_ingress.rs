//! Ingress as it was until Kubernetes 1.22: other views of the stored `networking.k8s.io/v1` Ingress,
//! in two groups of the same shape. Backends name a service and its port in two fields.
//! Kubernetes: `pkg/apis/networking/v1beta1` and `pkg/apis/extensions/v1beta1` conversion, defaults.

use super::ingress::{self, IngressStrategy};
use crate::meta::{FieldError, Object};
use crate::resources::core::pod::defaults::{objects, set_null};
use crate::resources::def::{Conversion, Deprecation, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Map, Value, json};

const SHAPE: &str = include_str!("ingress.v1beta1.json");
const REPLACEMENT: (&str, &str) = ("networking.k8s.io/v1", "Ingress");

/// The row in the group that it moved to.
pub static NETWORKING: ResourceDef = view(
    "networking.k8s.io",
    "io.k8s.api.networking.v1beta1",
    from_stored_networking,
    Deprecation::retired(("1.19", "1.22"), REPLACEMENT),
);

/// The row in the group that it began in.
pub static EXTENSIONS: ResourceDef = view(
    "extensions",
    "io.k8s.api.extensions.v1beta1",
    from_stored_extensions,
    Deprecation::retired(("1.14", "1.22"), REPLACEMENT),
);

const fn view(
    group: &'static str,
    package: &'static str,
    from_stored: fn(&mut Object),
    deprecation: Deprecation,
) -> ResourceDef {
    ResourceDef::new(
        (group, "v1beta1", "Ingress"),
        "IngressList",
        ("ingresses", "ingress"),
        SchemaSource::written::<Ingress>(package, "Ingress", SHAPE),
        &RetiredIngressStrategy,
    )
    .short_names(const { &[text("ing")] })
    .subresources(const { &[Subresource::new("status", "Ingress", PART_VERBS)] })
    .columns(ingress::COLUMNS, row)
    .conversion(Conversion::between(("networking.k8s.io", "v1"), to_stored, from_stored))
    .deprecated(deprecation)
    .example(
        r#"{"metadata":{"name":"example"},"spec":{"backend":{"serviceName":"example","servicePort":80}}}"#,
    )
}

/// What a retired form does beyond its shape: what the stored form does, which it is turned into.
pub struct RetiredIngressStrategy;

impl Strategy for RetiredIngressStrategy {
    fn default(&self, ingress: &mut Object) {
        let Some(Value::Object(spec)) = ingress.fields_mut().get_mut("spec") else {
            return;
        };
        for rule in objects(spec, "rules") {
            let Some(Value::Object(http)) = rule.get_mut("http") else {
                continue;
            };
            for path in objects(http, "paths") {
                set_null(path, "pathType", json!("ImplementationSpecific"));
            }
        }
    }

    fn prepare_for_create(&self, ingress: &mut Object) {
        IngressStrategy.prepare_for_create(ingress);
    }

    fn validate(&self, ingress: &Object) -> Vec<FieldError> {
        IngressStrategy.validate(&stored(ingress))
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        IngressStrategy.validate_update(part, &stored(new), &stored(old))
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        IngressStrategy.warnings(new, old)
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn row(ingress: &Object, now: Timestamp) -> Vec<Value> {
    ingress::row(ingress, now)
}

fn stored(ingress: &Object) -> Object {
    let mut stored = ingress.clone();
    to_stored(&mut stored);
    stored
}

fn to_stored(ingress: &mut Object) {
    walk(ingress, ("backend", "defaultBackend"), backend_to_stored);
    ingress.set(&["apiVersion"], "networking.k8s.io/v1".into());
}

fn from_stored_networking(ingress: &mut Object) {
    walk(ingress, ("defaultBackend", "backend"), backend_from_stored);
    ingress.set(&["apiVersion"], "networking.k8s.io/v1beta1".into());
}

fn from_stored_extensions(ingress: &mut Object) {
    walk(ingress, ("defaultBackend", "backend"), backend_from_stored);
    ingress.set(&["apiVersion"], "extensions/v1beta1".into());
}

/// Gives the default backend its other name, and changes every backend.
fn walk(ingress: &mut Object, (from, to): (&str, &str), change: fn(&mut Map<String, Value>)) {
    let Some(Value::Object(spec)) = ingress.fields_mut().get_mut("spec") else {
        return;
    };
    if let Some(mut backend) = spec.remove(from) {
        if let Value::Object(backend) = &mut backend {
            change(backend);
        }
        spec.insert(to.to_owned(), backend);
    }
    for rule in objects(spec, "rules") {
        let Some(Value::Object(http)) = rule.get_mut("http") else {
            continue;
        };
        for path in objects(http, "paths") {
            if let Some(Value::Object(backend)) = path.get_mut("backend") {
                change(backend);
            }
        }
    }
}

fn backend_to_stored(backend: &mut Map<String, Value>) {
    let (name, port) = (backend.remove("serviceName"), backend.remove("servicePort"));
    let is_said = |value: &Option<Value>| match value {
        None | Some(Value::Null) => false,
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        Some(_) => true,
    };
    let named = name
        .as_ref()
        .and_then(Value::as_str)
        .is_some_and(|name| !name.is_empty());
    if !named && !is_said(&port) {
        return;
    }
    let port = match port {
        Some(port @ Value::String(_)) => json!({ "name": port }),
        Some(port) if is_said(&Some(port.clone())) => json!({ "number": port }),
        _ => json!({}),
    };
    let name = name.unwrap_or_else(|| json!(""));
    backend.insert("service".to_owned(), json!({ "name": name, "port": port }));
}

fn backend_from_stored(backend: &mut Map<String, Value>) {
    let Some(service) = backend.remove("service") else {
        return;
    };
    let port = service.get("port");
    let of = |name: &str| port.and_then(|port| port.get(name)).cloned();
    let port = of("name")
        .or_else(|| of("number"))
        .unwrap_or_else(|| json!(0));
    let name = service.get("name").cloned().unwrap_or_else(|| json!(""));
    backend.insert("serviceName".to_owned(), name);
    backend.insert("servicePort".to_owned(), port);
}
