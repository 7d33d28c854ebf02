//! APIService: who serves a group and version of the API.
//! Kubernetes: kube-aggregator `pkg/apis/apiregistration`, `pkg/registry/apiservice`.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::set_null;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as types;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apiregistration.k8s.io", "v1", "APIService"),
    "APIServiceList",
    ("apiservices", "apiservice"),
    SchemaSource::of::<types::APIService>(),
    &ApiServiceStrategy,
)
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "APIService", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Service", "Who serves it."),
            Column::new("Available", "Whether it is served."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"v1.example.com"},"spec":{"group":"example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10}}"#,
);

/// Largest priorities.
const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1000;

/// What an APIService does beyond its shape.
pub struct ApiServiceStrategy;

impl Strategy for ApiServiceStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// Kubernetes: it is checked by the rules of apimachinery, which know no finalizers.
    fn has_standard_finalizers(&self) -> bool {
        false
    }

    fn default(&self, service: &mut Object) {
        let spec = service.fields_mut().get_mut("spec");
        let target = spec.and_then(|spec| spec.get_mut("service"));
        if let Some(Value::Object(target)) = target {
            set_null(target, "port", json!(443));
        }
    }

    fn prepare_for_create(&self, service: &mut Object) {
        service.set(&["status"], json!({}));
        if service.get(&["spec", "service"]).is_some() {
            return;
        }
        // What this server serves itself is always there.
        let mut condition = json!({
            "type": "Available",
            "status": "True",
            "reason": "Local",
            "message": "Local APIServices are always available",
        });
        let now = service.get(&["metadata", "creationTimestamp"]).cloned();
        if let (Some(now), Value::Object(condition)) = (now, &mut condition) {
            condition.insert("lastTransitionTime".to_owned(), now);
        }
        service.set(&["status", "conditions"], json!([condition]));
    }

    fn validate(&self, service: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(service, "spec");
        let (group, version) = (spec.field("group"), spec.field("version"));
        let wanted = format!("{}.{}", version.str(), group.str());
        let name = At::of(service, "metadata");
        let name = name.field("name");
        if name.str() != wanted && names::path_segment(name.str()).is_empty() {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
            errors.invalid(&name, detail);
        }
        if group.str().is_empty() && version.str() != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.required(&group, detail);
        }
        if !group.str().is_empty() {
            errors.invalid_all(&group, names::dns1123_subdomain(group.str()));
        }
        errors.invalid_all(&version, names::dns1035_label(version.str()));
        for (field, max) in [
            ("groupPriorityMinimum", GROUP_PRIORITY_MAX),
            ("versionPriority", VERSION_PRIORITY_MAX),
        ] {
            let at = spec.field(field);
            if !(1..=max).contains(&at.number()) {
                let detail = format!("must be positive and less than {max}");
                errors.invalid_as(&at, at.number(), detail);
            }
        }
        target(&spec, &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            return self.validate(new);
        }
        let mut errors = Errors::new();
        let status = At::of(new, "status");
        for condition in status.field("conditions").items() {
            let known = ["True", "False", "Unknown"];
            errors.one_of(&condition.field("status"), &known);
        }
        errors.0
    }

    fn warnings(&self, new: &Object, _old: Option<&Object>) -> Vec<String> {
        if new.get(&["spec", "service"]).is_none() {
            return Vec::new();
        }
        vec![
            "APIServices are stored and checked, and not in force yet: requests are not passed on \
             to spec.service"
                .to_owned(),
        ]
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        names::path_segment(name)
    }
}

fn target(spec: &At<'_, '_>, errors: &mut Errors) {
    let (bundle, insecure) = (spec.field("caBundle"), spec.field("insecureSkipTLSVerify"));
    let service = spec.field("service");
    if !service.is_set() {
        if !bundle.str().is_empty() {
            let detail = "local APIServices may not have a caBundle";
            errors.invalid(&bundle, detail);
        }
        if insecure.bool() {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&insecure, detail);
        }
        return;
    }
    for field in ["namespace", "name"] {
        if service.field(field).str().is_empty() {
            errors.required(&service.field(field), "");
        }
    }
    let port = service.field("port");
    let wrong = names::port_number(port.number());
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        errors.invalid_as(&port, port.number(), detail);
    }
    if insecure.bool() && !bundle.str().is_empty() {
        errors.invalid(&insecure, "may not be true if caBundle is present");
    }
}

fn row(service: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(service, "spec"), At::of(service, "status"));
    let target = spec.field("service");
    let by = if target.is_set() {
        let (namespace, name) = (target.field("namespace").str(), target.field("name").str());
        format!("{namespace}/{name}")
    } else {
        "Local".to_owned()
    };
    let conditions = status.field("conditions");
    let available = conditions
        .items()
        .find(|one| one.field("type").str() == "Available")
        .map(|one| match one.field("status").str() {
            "True" => "True".to_owned(),
            status => format!("{status} ({})", one.field("reason").str()),
        });
    vec![
        json!(service.name()),
        json!(by),
        json!(available.unwrap_or_else(|| "Unknown".to_owned())),
        columns::age(service, now),
    ]
}
