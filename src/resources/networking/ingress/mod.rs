//! Ingress: which service answers which host and path from outside.
//! Kubernetes: `pkg/registry/networking/ingress`, `pkg/printers/internalversion` printIngress.

pub(super) mod validation;

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::At;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("networking.k8s.io", "v1", "Ingress"),
    "IngressList",
    ("ingresses", "ingress"),
    SchemaSource::of::<k8s_openapi::api::networking::v1::Ingress>(),
    &IngressStrategy,
)
.short_names(const { &[text("ing")] })
.subresources(const { &[Subresource::new("status", "Ingress", PART_VERBS)] })
.columns(COLUMNS, row)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"defaultBackend":{"service":{"name":"example","port":{"number":80}}}}}"#,
);

/// The annotation that named the class before there was a field for it.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What an Ingress does beyond its shape.
pub struct IngressStrategy;

impl Strategy for IngressStrategy {
    fn prepare_for_create(&self, ingress: &mut Object) {
        ingress.set(&["status"], json!({"loadBalancer": {}}));
    }

    fn validate(&self, ingress: &Object) -> Vec<FieldError> {
        let mut errors = validation::validate(ingress);
        let class = At::of(ingress, "spec");
        let class = class.field("ingressClassName");
        if let Some(annotation) = ingress.annotation(CLASS_ANNOTATION)
            && class.is_set()
            && annotation != class.str()
        {
            errors.push(FieldError::invalid(
                format!("annotations.{CLASS_ANNOTATION}"),
                annotation,
                "must match `ingressClassName` when both are specified",
            ));
        }
        errors
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        match part {
            Part::Main => validation::validate(new),
            _ => validation::validate_status(new),
        }
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let class = new.get(&["spec", "ingressClassName"]);
        if old.is_none() && class.is_none() && new.annotation(CLASS_ANNOTATION).is_some() {
            return vec![format!(
                "annotation {CLASS_ANNOTATION:?} is deprecated, please use \
                 'spec.ingressClassName' instead"
            )];
        }
        Vec::new()
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Class", "The class of the controller that serves it."),
    Column::new("Hosts", "The first hosts that it is for."),
    Column::new("Address", "Where it can be reached."),
    Column::new("Ports", "Its ports: that of TLS if there is a certificate."),
    columns::age_column(),
];

pub(super) fn row(ingress: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(ingress, "spec");
    let class = spec.field("ingressClassName");
    let ports = match spec.field("tls").is_empty() {
        true => "80",
        false => "80, 443",
    };
    vec![
        json!(ingress.name()),
        json!(if class.is_set() {
            class.str()
        } else {
            "<none>"
        }),
        json!(hosts(&spec.field("rules"))),
        json!(addresses(ingress)),
        json!(ports),
        columns::age(ingress, now),
    ]
}

/// The hosts of the first three rules; a fourth rule is counted, whether it has a host or not.
fn hosts(rules: &At<'_, '_>) -> String {
    const SHOWN: usize = 3;
    let mut list: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in rules.items() {
        more |= list.len() == SHOWN;
        let host = rule.field("host").str();
        if !more && !host.is_empty() {
            list.push(host);
        }
    }
    match (list.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (_, true) => format!("{} + {} more...", list.join(","), rules.len() - SHOWN),
        _ => list.join(","),
    }
}

fn addresses(ingress: &Object) -> String {
    let status = At::of(ingress, "status");
    let balancer = status.field("loadBalancer");
    let list = balancer.field("ingress");
    let given = list.values().filter_map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        text("ip").filter(|ip| !ip.is_empty()).or(text("hostname"))
    });
    let unique: BTreeSet<&str> = given.filter(|text| !text.is_empty()).collect();
    unique.into_iter().collect::<Vec<_>>().join(",")
}
