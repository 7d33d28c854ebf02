//! What is asked of an object beyond its kind's own rules, before it is written. The plugins and
//! their order stand in [`PLUGINS`]; all of them may change the object first, then all may refuse it.
//! A plugin is one file and one line. Must not write.

mod certificate_signing_request;
mod default_toleration_seconds;
mod namespace_lifecycle;
mod priority;
mod rbac_escalation;
mod service_account;

use crate::api::authentication::UserInfo;
use crate::api::authorization::Authorization;
use crate::api::registry::Registry;
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
    pub(crate) user: &'a UserInfo,
    pub(crate) target: &'a Target,
    pub(crate) operation: Operation,
    pub(crate) now: Timestamp,
    #[allow(
        dead_code,
        reason = "plugins with effects of their own come with quota"
    )]
    pub(crate) dry_run: bool,
}

impl Request<'_> {
    /// Whether it is about this resource itself, not a part of it.
    pub(crate) fn is_main(&self, group: &str, resource: &str) -> bool {
        let def = &self.target.def;
        self.target.subresource.is_empty() && def.group == group && def.plural == resource
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

/// The plugins, in the order in which they act.
static PLUGINS: &[&dyn Plugin] = &[
    &namespace_lifecycle::NamespaceLifecycle,
    &service_account::ServiceAccount,
    &priority::Priority,
    &certificate_signing_request::CertificateSigningRequest,
    &default_toleration_seconds::DefaultTolerationSeconds,
    &rbac_escalation::RbacEscalation,
];

/// Lets every plugin change the object.
pub(crate) fn mutate(
    request: &Request<'_>,
    object: &mut Object,
    old: Option<&Object>,
) -> Result<(), ApiError> {
    for plugin in PLUGINS {
        plugin
            .mutate(request, object, old)
            .inspect_err(|error| note(*plugin, error))?;
    }
    Ok(())
}

/// Lets every plugin refuse the object.
pub(crate) fn validate(
    request: &Request<'_>,
    object: &Object,
    old: Option<&Object>,
) -> Result<(), ApiError> {
    for plugin in PLUGINS {
        plugin
            .validate(request, object, old)
            .inspect_err(|error| note(*plugin, error))?;
    }
    Ok(())
}

fn note(plugin: &dyn Plugin, error: &ApiError) {
    tracing::debug!(plugin = plugin.name(), %error, "refused by admission");
}
