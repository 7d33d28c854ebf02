//! What is asked of an object beyond its kind's own rules, before it is written. The plugins and
//! their order stand in [`PLUGINS`]; all of those that act may change the object first, then all may refuse it.
//! A plugin is one file and one line. Must not write.

mod certificate_signing_request;
mod default_class;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod pod_security;
mod priority;
mod rbac_escalation;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes_by_condition;

use crate::api::authorization::Authorization;
use crate::api::context::Context;
use crate::api::registry::{Filter, Registry, matching, served};
use crate::api::verbs::Target;
use crate::meta::{ApiError, Object};
use jiff::Timestamp;

/// What is being done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// What a plugin may look at beside the object.
pub(crate) struct Request<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) authorization: &'a Authorization,
    pub(crate) context: &'a Context,
    pub(crate) target: &'a Target,
    pub(crate) operation: Operation,
    pub(crate) now: Timestamp,
}

impl Request<'_> {
    /// Whether it is about this resource itself, not a part of it.
    pub(crate) fn is_main(&self, group: &str, resource: &str) -> bool {
        let def = &self.target.def;
        self.target.subresource.is_empty() && def.group == group && def.plural == resource
    }

    /// Whether it makes an object of this resource.
    fn creates(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.is_main(group, resource)
    }

    /// An object of a resource of version 1.
    fn find(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, ApiError> {
        let scheme = self.registry.scheme();
        let Some(def) = scheme.resource(group, "v1", resource) else {
            return Ok(None);
        };
        let found = self.registry.find(def, namespace, name)?;
        Ok(found.map(|(object, _)| object))
    }

    /// All objects of a resource of version 1, of one namespace if one is given.
    fn all(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Object>, ApiError> {
        let scheme = self.registry.scheme();
        let Some(def) = scheme.resource(group, "v1", resource) else {
            return Ok(Vec::new());
        };
        let snapshot = self.registry.cache.snapshot(&*self.registry.kind(def)?);
        let filter = namespace.map_or_else(Filter::default, Filter::in_namespace);
        matching(&snapshot.objects, &filter)
            .map(|(_, cached)| served(def, cached))
            .collect()
    }

    /// The refusal of the object, for this reason.
    fn forbidden(&self, object: &Object, why: &str) -> ApiError {
        ApiError::forbidden(&self.target.def.group_resource(), object.name(), why)
    }
}

/// An admission plugin.
pub(crate) trait Plugin: Sync {
    /// Kubernetes' name of it.
    fn name(&self) -> &'static str;

    /// Changes the object.
    fn mutate(
        &self,
        _request: &Request<'_>,
        _object: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    /// Refuses the object.
    fn validate(
        &self,
        _request: &Request<'_>,
        _object: &Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}

/// All plugins, in the order in which they act, which is Kubernetes'.
static PLUGINS: &[&dyn Plugin] = &[
    &namespace_lifecycle::NamespaceLifecycle,
    &limit_ranger::LimitRanger,
    &service_account::ServiceAccount,
    &taint_nodes_by_condition::TaintNodesByCondition,
    &pod_security::PodSecurity,
    &priority::Priority,
    &default_toleration_seconds::DefaultTolerationSeconds,
    &default_class::STORAGE,
    &storage_object_in_use::StorageObjectInUseProtection,
    &runtime_class::RuntimeClass,
    &certificate_signing_request::CertificateSigningRequest,
    &default_class::INGRESS,
    &rbac_escalation::RbacEscalation,
];

/// Which plugins act.
pub struct Admission {
    plugins: Vec<&'static dyn Plugin>,
}

/// A name that no plugin has.
#[derive(Debug, thiserror::Error)]
#[error("admission plugin {0:?} is unknown; there are {all}", all = names().join(", "))]
pub struct UnknownPlugin(String);

fn names() -> Vec<&'static str> {
    PLUGINS.iter().map(|plugin| plugin.name()).collect()
}

impl Default for Admission {
    /// All of them.
    fn default() -> Self {
        Self {
            plugins: PLUGINS.to_vec(),
        }
    }
}

impl Admission {
    /// All but these, by Kubernetes' names of them.
    pub fn without(disabled: &[String]) -> Result<Self, UnknownPlugin> {
        let known = names();
        let unknown = |name: &&String| !known.contains(&name.as_str());
        if let Some(name) = disabled.iter().find(unknown) {
            return Err(UnknownPlugin(name.clone()));
        }
        let mut admission = Self::default();
        let acts = |plugin: &&dyn Plugin| !disabled.iter().any(|name| name == plugin.name());
        admission.plugins.retain(acts);
        Ok(admission)
    }

    /// Lets every plugin change the object.
    pub(crate) fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        for plugin in &self.plugins {
            plugin
                .mutate(request, object, old)
                .inspect_err(|error| note(*plugin, error))?;
        }
        Ok(())
    }

    /// Lets every plugin refuse the object.
    pub(crate) fn validate(
        &self,
        request: &Request<'_>,
        object: &Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        for plugin in &self.plugins {
            plugin
                .validate(request, object, old)
                .inspect_err(|error| note(*plugin, error))?;
        }
        Ok(())
    }
}

fn note(plugin: &dyn Plugin, error: &ApiError) {
    tracing::debug!(plugin = plugin.name(), %error, "refused by admission");
}
