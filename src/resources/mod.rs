//! The one table: every kind's names, schema, defaults, validation, columns, strategy. A kind is
//! one file with one `pub static DEF: ResourceDef` and one line in `BUILTINS`. Built-in and custom
//! resources are rows of the same type. Must never do I/O or know HTTP.

pub mod apps;
pub mod authentication;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod columns;
pub mod coordination;
pub mod core;
mod def;
pub mod events;
mod lifecycle;
pub mod openapi;
pub mod schema;
mod scheme;
mod strategy;
pub mod template;
#[cfg(test)]
mod tests;
pub mod validate;

pub use def::{
    Cells, Column, Conversion, FieldValue, List, ResourceDef, Scope, SelectableField, Subresource,
    Text, Verb, text,
};
pub use lifecycle::DecodedObject;
pub use schema::{Schema, SchemaSource};
pub use scheme::{DefRef, GroupVersions, Scheme};
pub use strategy::{Part, Plain, Strategy};

/// The table, in discovery's order.
pub static BUILTINS: &[&ResourceDef] = &[
    &core::binding::DEF,
    &core::config_map::DEF,
    &core::event::DEF,
    &core::namespace::DEF,
    &core::node::DEF,
    &core::pod::DEF,
    &core::pod_template::DEF,
    &core::replication_controller::DEF,
    &core::secret::DEF,
    &core::service_account::DEF,
    &core::service::DEF,
    &events::event::DEF,
    &apps::controller_revision::DEF,
    &apps::daemon_set::DEF,
    &apps::deployment::DEF,
    &apps::replica_set::DEF,
    &apps::stateful_set::DEF,
    &authentication::self_subject_review::DEF,
    &authentication::token_review::DEF,
    &authorization::local_subject_access_review::DEF,
    &authorization::self_subject_access_review::DEF,
    &authorization::self_subject_rules_review::DEF,
    &authorization::subject_access_review::DEF,
    &batch::cron_job::DEF,
    &batch::job::DEF,
    &coordination::lease::DEF,
];
