//! Pod: containers that share an address, and the kind that all others serve.

use crate::meta::Object;
use crate::resources::def::{
    CONNECT_VERBS, FieldValue, PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource,
    Verb, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Pod"),
    "PodList",
    ("pods", "pod"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Pod>(),
    &PodStrategy,
)
.short_names(const { &[text("po")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            Subresource::new("attach", "PodAttachOptions", CONNECT_VERBS),
            Subresource::new("binding", "Binding", &[Verb::Create]),
            Subresource::new("ephemeralcontainers", "Pod", PART_VERBS),
            Subresource::foreign("eviction", ("policy", "v1", "Eviction"), &[Verb::Create]),
            Subresource::new("exec", "PodExecOptions", CONNECT_VERBS),
            Subresource::new("log", "Pod", &[Verb::Get]),
            Subresource::new("portforward", "PodPortForwardOptions", CONNECT_VERBS),
            Subresource::new("proxy", "PodProxyOptions", PROXY_VERBS),
            Subresource::new("resize", "Pod", PART_VERBS),
            Subresource::new("status", "Pod", PART_VERBS),
        ]
    },
)
.selectable_fields(
    const {
        &[
            SelectableField::path("spec.nodeName"),
            SelectableField::path("spec.restartPolicy"),
            SelectableField::path("spec.schedulerName"),
            SelectableField::path("spec.serviceAccountName"),
            SelectableField {
                label: text("spec.hostNetwork"),
                value: FieldValue::Path(text("spec.hostNetwork"), text("false")),
            },
            SelectableField::path("status.phase"),
            SelectableField::path("status.podIP"),
            SelectableField::computed("status.podIPs", pod_ips),
            SelectableField::path("status.nominatedNodeName"),
        ]
    },
)
.example(r#"{"metadata":{"name":"example"},"spec":{"containers":[{"name":"c","image":"echo"}]}}"#);

fn pod_ips(pod: &Object) -> String {
    let list = pod.get(&["status", "podIPs"]).and_then(Value::as_array);
    let ips = list.into_iter().flatten();
    let texts: Vec<&str> = ips.filter_map(|ip| ip.get("ip")?.as_str()).collect();
    texts.join(",")
}

/// What a Pod does beyond its shape.
pub struct PodStrategy;

impl Strategy for PodStrategy {
    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}
