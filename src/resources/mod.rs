//! The one table: every kind's names, schema, defaults, validation, columns, strategy. A kind is
//! one file with one `pub static DEF: ResourceDef` and one line in `BUILTINS`. Built-in and custom
//! resources are rows of the same type. Must never do I/O or know HTTP.

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod columns;
pub mod coordination;
pub mod core;
mod def;
pub mod discovery;
pub mod events;
pub mod flowcontrol;
mod lifecycle;
pub mod metrics;
pub mod networking;
pub mod node;
pub mod openapi;
pub mod placement;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod schema;
mod scheme;
pub mod storage;
mod strategy;
pub mod template;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod wire;
mod zeros;

pub use def::{
    Cells, Column, Conversion, Convert, Deprecation, FieldValue, List, MakeRow, ResourceDef, Scope,
    SelectableField, Subresource, Text, Verb, text,
};
pub use lifecycle::DecodedObject;
pub use schema::{Schema, SchemaSource};
pub use scheme::{DefRef, GroupVersions, Scheme};
pub use strategy::{Behaviour, Part, Plain, Strategy};

/// The table, in discovery's order.
pub static BUILTINS: &[&ResourceDef] = &[
    &core::binding::DEF,
    &core::component_status::DEF,
    &core::config_map::DEF,
    &core::endpoints::DEF,
    &core::event::DEF,
    &core::limit_range::DEF,
    &core::namespace::DEF,
    &core::node::DEF,
    &core::persistent_volume_claim::DEF,
    &core::persistent_volume::DEF,
    &core::pod::DEF,
    &core::pod_template::DEF,
    &core::replication_controller::DEF,
    &core::resource_quota::DEF,
    &core::secret::DEF,
    &core::service_account::DEF,
    &core::service::DEF,
    &apiregistration::api_service::DEF,
    &apps::controller_revision::DEF,
    &apps::daemon_set::DEF,
    &apps::deployment::DEF,
    &apps::replica_set::DEF,
    &apps::stateful_set::DEF,
    &events::event::DEF,
    &authentication::self_subject_review::DEF,
    &authentication::token_review::DEF,
    &authorization::local_subject_access_review::DEF,
    &authorization::self_subject_access_review::DEF,
    &authorization::self_subject_rules_review::DEF,
    &authorization::subject_access_review::DEF,
    &autoscaling::horizontal_pod_autoscaler::DEF,
    &autoscaling::v1::DEF,
    &batch::cron_job::DEF,
    &batch::job::DEF,
    &certificates::certificate_signing_request::DEF,
    &networking::ingress_class::DEF,
    &networking::ingress::DEF,
    &networking::ip_address::DEF,
    &networking::network_policy::DEF,
    &networking::service_cidr::DEF,
    &policy::pod_disruption_budget::DEF,
    &rbac::cluster_role_binding::DEF,
    &rbac::cluster_role::DEF,
    &rbac::role_binding::DEF,
    &rbac::role::DEF,
    &storage::csi_driver::DEF,
    &storage::csi_node::DEF,
    &storage::csi_storage_capacity::DEF,
    &storage::storage_class::DEF,
    &storage::volume_attachment::DEF,
    &storage::volume_attributes_class::DEF,
    &admissionregistration::mutating_admission_policy::DEF,
    &admissionregistration::mutating_admission_policy_binding::DEF,
    &admissionregistration::mutating_webhook_configuration::DEF,
    &admissionregistration::validating_admission_policy::DEF,
    &admissionregistration::validating_admission_policy_binding::DEF,
    &admissionregistration::validating_webhook_configuration::DEF,
    &apiextensions::custom_resource_definition::DEF,
    &scheduling::priority_class::DEF,
    &coordination::lease::DEF,
    &node::runtime_class::DEF,
    &discovery::endpoint_slice::DEF,
    &resource::device_class::DEF,
    &resource::resource_claim::DEF,
    &resource::resource_claim_template::DEF,
    &resource::resource_slice::DEF,
    &flowcontrol::flow_schema::DEF,
    &flowcontrol::priority_level_configuration::DEF,
    &metrics::NODES,
    &metrics::PODS,
    // Retired versions stand last, so that a name alone means the version that took their place.
    &networking::retired_ingress::NETWORKING,
    &networking::retired_ingress::EXTENSIONS,
    &batch::retired_cron_job::DEF,
];

/// The group of the row that stores objects of this kind, where `api_version` is another view of
/// them: `extensions/v1beta1` Ingress is stored as `networking.k8s.io`. `None`: it is no view.
pub fn stored_group(api_version: &str, kind: &str) -> Option<&'static str> {
    let row = BUILTINS
        .iter()
        .find(|row| row.kind == kind && row.api_version() == api_version)?;
    Some(&row.conversion.as_ref()?.stored.0)
}
