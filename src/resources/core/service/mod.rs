//! Service: a name and an address for a set of pods.

pub mod allocation;
mod defaults;
mod validation;

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{
    Column, PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status, masked};
use crate::resources::validate::At;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Service"),
    "ServiceList",
    ("services", "service"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Service>(),
    &ServiceStrategy,
)
.short_names(const { &[text("svc")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            Subresource::new("proxy", "ServiceProxyOptions", PROXY_VERBS),
            Subresource::new("status", "Service", PART_VERBS),
        ]
    },
)
.columns(COLUMNS, row)
.selectable_fields(
    const {
        &[
            SelectableField::path("spec.clusterIP"),
            SelectableField::path("spec.type"),
        ]
    },
)
.example(r#"{"metadata":{"name":"example"},"spec":{"ports":[{"port":80}]}}"#);

/// What a Service does beyond its shape. Addresses and node ports are given out elsewhere.
pub struct ServiceStrategy;

impl Strategy for ServiceStrategy {
    fn default(&self, service: &mut Object) {
        defaults::default_service(service);
    }

    fn prepare_for_create(&self, service: &mut Object) {
        service.set(&["status"], json!({"loadBalancer": {}}));
        defaults::addresses(service);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main => {
                keep(new, old, "status");
                defaults::carry_over(new, old);
                defaults::agree(new, old);
                defaults::drop_useless(new, old);
                defaults::addresses(new);
            }
            _ => keep_all_but_status(new, old),
        }
    }

    fn validate(&self, service: &Object) -> Vec<FieldError> {
        validation::validate(service)
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        match part {
            Part::Main => validation::validate_update(new, old),
            _ => Vec::new(),
        }
    }

    fn warnings(&self, service: &Object, _old: Option<&Object>) -> Vec<String> {
        validation::warnings(service)
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns1035_label(&masked(name, prefix))
    }
}

const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Type", "How the service is reached."),
    Column::new("Cluster-IP", "The address of the service in the cluster."),
    Column::new("External-IP", "Addresses from outside."),
    Column::new("Port(s)", "The ports of the service."),
    columns::age_column(),
    Column::wide("Selector", "Which pods the service stands for."),
];

/// Kubernetes: `pkg/printers/internalversion` printService.
fn row(service: &Object, now: Timestamp) -> Vec<Value> {
    let or_none = |text: String| {
        if text.is_empty() {
            "<none>".to_owned()
        } else {
            text
        }
    };
    let spec = At::of(service, "spec");
    let mut cluster_ip = spec.field("clusterIP").str();
    if cluster_ip.is_empty() {
        let ips = spec.field("clusterIPs");
        cluster_ip = ips
            .values()
            .next()
            .and_then(Value::as_str)
            .unwrap_or_default();
    }
    let selector: Vec<String> = spec
        .field("selector")
        .entries()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    vec![
        json!(service.name()),
        json!(spec.field("type").str()),
        json!(or_none(cluster_ip.to_owned())),
        json!(or_none(external(service, &spec))),
        json!(or_none(ports(&spec))),
        columns::age(service, now),
        json!(or_none(selector.join(","))),
    ]
}

fn texts(list: &At<'_, '_>) -> Vec<String> {
    let texts = list.values().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn external(service: &Object, spec: &At<'_, '_>) -> String {
    let mut external = texts(&spec.field("externalIPs"));
    match spec.field("type").str() {
        "ExternalName" => spec.field("externalName").str().to_owned(),
        "LoadBalancer" => {
            let status = At::of(service, "status");
            let balancer = status.field("loadBalancer");
            let given = balancer.field("ingress").values().filter_map(|ingress| {
                let text = |name: &str| ingress.get(name).and_then(Value::as_str);
                text("ip").filter(|ip| !ip.is_empty()).or(text("hostname"))
            });
            let mut all: Vec<String> = given.map(str::to_owned).collect();
            all.append(&mut external);
            if all.is_empty() {
                return "<pending>".to_owned();
            }
            all.join(",")
        }
        _ => external.join(","),
    }
}

fn ports(spec: &At<'_, '_>) -> String {
    let list = spec.field("ports");
    let texts: Vec<String> = list
        .items()
        .map(|port| {
            let number = port.field("port").int().unwrap_or(0);
            let protocol = port.field("protocol").str();
            match port.field("nodePort").int() {
                Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })
        .collect();
    texts.join(",")
}
