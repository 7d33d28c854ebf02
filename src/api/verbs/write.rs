//! The one way an object gets into the store: decoded, defaulted, admitted, prepared, validated,
//! written on the revision it rests on, and again if that has moved. Must not know what a client
//! sent (a whole object or a patch).
//! Kubernetes: apiserver `registry/generic/registry` Create and Update.

use super::{Target, ownership, rules};
use crate::api::ApiServer;
use crate::api::admission::{self, Operation};
use crate::api::codec::Strict;
use crate::api::context::Context;
use crate::api::registry::{Cached, Encoded, WriteError, served};
use crate::meta::options::{FieldValidation, WriteOptions};
use crate::meta::{ApiError, FieldError, Object, Reason, names};
use crate::resources::{DefRef, Part, ResourceDef};
use std::sync::Arc;

/// Names that are generated before giving up.
const GENERATE_NAME_TRIES: usize = 8;
/// Times that an update is tried on a newer revision.
const UPDATE_TRIES: usize = 32;

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Everything that stays the same over the tries of one write.
pub(crate) struct Change<'a> {
    pub(crate) server: &'a ApiServer,
    pub(crate) context: &'a Context,
    pub(crate) target: &'a Target,
    pub(crate) part: Part,
    pub(crate) options: &'a WriteOptions,
    /// Ownership has been worked out already (server-side apply).
    pub(crate) owned: bool,
}

/// What a write has led to.
pub(crate) enum Written {
    /// It was made.
    Created(Cached),
    /// It was changed, or left as it was.
    Updated(Cached),
    /// It was being deleted, and nothing held it any more.
    Deleted(Object),
}

/// Decodes a body as an object of the kind, and tells what a strict reader objects to.
pub(crate) fn decode(
    context: &Context,
    def: &ResourceDef,
    strict: Strict,
    options: &WriteOptions,
) -> Result<Object, ApiError> {
    let Strict {
        mut value,
        duplicates,
    } = strict;
    check_kind(def, &mut value)?;
    let decoded = def.decode(value)?;
    let duplicate = duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"));
    let unknown = decoded
        .unknown_fields
        .iter()
        .map(|path| format!("unknown field {path:?}"));
    let objections: Vec<String> = unknown.chain(duplicate).collect();
    if objections.is_empty() {
        return Ok(decoded.object);
    }
    match options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => objections.into_iter().for_each(|text| context.warn(text)),
        FieldValidation::Strict => {
            let why = format!("strict decoding error: {}", objections.join(", "));
            return Err(def.cannot_be_handled(&why));
        }
    }
    Ok(decoded.object)
}

/// A body without kind or version is of the kind that the path says; another one is refused.
fn check_kind(def: &ResourceDef, value: &mut serde_json::Value) -> Result<(), ApiError> {
    let Some(map) = value.as_object_mut() else {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get \
             version/kind; json parse error: the body is no JSON object",
            def.kind
        )));
    };
    let text = |map: &serde_json::Map<_, _>, name: &str| match map.get(name) {
        None | Some(serde_json::Value::Null) => Ok(String::new()),
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get \
             version/kind; json parse error: json: cannot unmarshal into Go struct field .{name} \
             of type string",
            def.kind
        ))),
    };
    let kind = text(map, "kind")?;
    let api_version = text(map, "apiVersion")?;
    let own_version = def.api_version();
    if !api_version.is_empty() && api_version != own_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version \
             ({own_version})"
        )));
    }
    if !kind.is_empty() && kind != def.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}: no kind {kind:?} is registered for \
             the internal version of group {:?} in scheme",
            def.version, def.kind, def.group
        )));
    }
    map.insert("kind".to_owned(), def.kind.as_ref().into());
    map.insert("apiVersion".to_owned(), own_version.into());
    Ok(())
}

/// Puts the namespace of the path into the object, which may not name another.
pub(crate) fn take_namespace(target: &Target, object: &mut Object) -> Result<(), ApiError> {
    if !target.def.is_namespaced() {
        if object.namespace().is_empty() {
            object.remove(&["metadata", "namespace"]);
        }
        return Ok(());
    }
    if object.namespace().is_empty() {
        object.set(&["metadata", "namespace"], target.namespace.as_str().into());
    }
    if object.namespace() != target.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

impl Change<'_> {
    fn def(&self) -> &DefRef {
        &self.target.def
    }

    /// Creates an object that has been decoded.
    pub(crate) async fn create(&self, object: Object) -> Result<Cached, ApiError> {
        if !object.resource_version().is_empty() && object.resource_version() != "0" {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::new(Reason::Unknown, text));
        }
        let generated = object.name().is_empty();
        let base = object.str_at(&["metadata", "generateName"]).to_owned();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut named = object.clone();
            if generated && !base.is_empty() {
                let name = names::generate_name(&base, &rand::random());
                named.set(&["metadata", "name"], name.into());
            }
            match self.create_once(named).await {
                Ok(cached) => return Ok(cached),
                Err(WriteError::Api(error)) => return Err(error),
                Err(WriteError::Changed) if generated && tries < GENERATE_NAME_TRIES => {}
                Err(WriteError::Changed) => {
                    let name = if generated { &base } else { object.name() };
                    return Err(ApiError::already_exists(&self.def().group_resource(), name));
                }
            }
        }
    }

    async fn create_once(&self, mut object: Object) -> Result<Cached, WriteError> {
        let def = self.def();
        def.default(&mut object);
        let request = self.admission(Operation::Create);
        admission::mutate(&request, &mut object, None)?;
        rules::begin_create(def, &mut object, &self.server.clock);
        if !self.owned {
            ownership::track(self, &mut object, None);
        }
        def.check(&object)?;
        admission::validate(&request, &object, None)?;
        for warning in def.warnings(&object, None) {
            self.context.warn(warning);
        }
        if self.options.dry_run {
            let taken = self
                .server
                .registry
                .find_cached(def, object.namespace(), object.name())?;
            if taken.is_some() {
                return Err(WriteError::Changed);
            }
            return Ok(self.pretended(&object, 0)?);
        }
        self.server.registry.insert(def, &object).await
    }

    /// Changes an object: `make` is given the present one and answers the wanted one. Tried again
    /// when the object has changed meanwhile, unless the wanted one names a revision.
    pub(crate) async fn update<F>(&self, mut make: F) -> Result<Written, ApiError>
    where
        F: FnMut(Option<&Object>) -> Result<Object, ApiError>,
    {
        let def = self.def();
        let registry = &self.server.registry;
        for _ in 0..UPDATE_TRIES {
            let found = registry.find_cached(def, &self.target.namespace, &self.target.name)?;
            let Some(cached) = found else {
                let object = make(None)?;
                return Ok(Written::Created(self.create(object).await?));
            };
            let old = served(def, &cached)?;
            let new = self.prepared(make(Some(&old))?, &old)?;
            if is_done(&new, &old) {
                if !self.options.dry_run {
                    match registry.remove(def, &old, cached.revision).await {
                        Ok(_) => {}
                        Err(WriteError::Changed) => continue,
                        Err(WriteError::Api(error)) => return Err(error),
                    }
                }
                return Ok(Written::Deleted(new));
            }
            if new == old {
                return Ok(Written::Updated(cached));
            }
            if self.options.dry_run {
                return Ok(Written::Updated(self.pretended(&new, cached.revision)?));
            }
            match registry.replace(def, &new, cached.revision).await {
                Ok(cached) => return Ok(Written::Updated(cached)),
                Err(WriteError::Changed) => {}
                Err(WriteError::Api(error)) => return Err(error),
            }
        }
        Err(self.conflict(MODIFIED))
    }

    /// The wanted object, as it will be written over the old one.
    fn prepared(&self, mut new: Object, old: &Object) -> Result<Object, ApiError> {
        let def = self.def();
        self.check_revision(&mut new, old)?;
        if !new.uid().is_empty() && new.uid() != old.uid() {
            return Err(self.conflict(&format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new.uid(),
                old.uid()
            )));
        }
        def.default(&mut new);
        let request = self.admission(Operation::Update);
        admission::mutate(&request, &mut new, Some(old))?;
        def.prepare_for_update(self.part, &mut new, old);
        if !self.owned {
            ownership::track(self, &mut new, Some(old));
        }
        def.check_update(self.part, &new, old)?;
        admission::validate(&request, &new, Some(old))?;
        for warning in def.warnings(&new, Some(old)) {
            self.context.warn(warning);
        }
        Ok(new)
    }

    fn check_revision(&self, new: &mut Object, old: &Object) -> Result<(), ApiError> {
        let asked = new.resource_version();
        if asked.is_empty() || asked == "0" {
            if !self.def().strategy.allows_unconditional_update() {
                let error = FieldError::invalid(
                    "metadata.resourceVersion",
                    0,
                    "must be specified for an update",
                );
                let def = self.def();
                return Err(ApiError::invalid(
                    &def.group,
                    &def.kind,
                    new.name(),
                    &[error],
                ));
            }
            let revision = old.resource_version().to_owned();
            new.set(&["metadata", "resourceVersion"], revision.into());
            return Ok(());
        }
        if asked.parse::<u64>().is_err() {
            let detail = format!("strconv.ParseUint: parsing {asked:?}: invalid syntax");
            return Err(ApiError::bad_request(format!(
                "metadata.resourceVersion: Invalid value: {asked:?}: {detail}"
            )));
        }
        if asked != old.resource_version() {
            return Err(self.conflict(MODIFIED));
        }
        Ok(())
    }

    pub(crate) fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(&self.def().group_resource(), &self.target.name, why)
    }

    fn admission(&self, operation: Operation) -> admission::Request<'_> {
        admission::Request {
            registry: &self.server.registry,
            authorization: &self.server.authorization,
            user: &self.context.user,
            target: self.target,
            operation,
            now: self.server.clock.now(),
            dry_run: self.options.dry_run,
        }
    }

    /// What a dry run answers: as if written.
    fn pretended(&self, object: &Object, revision: u64) -> Result<Cached, ApiError> {
        let mut stored = object.clone();
        let kind = self.server.registry.kind(self.def())?;
        if let Some(conversion) = &self.def().conversion {
            (conversion.to_stored)(&mut stored);
        }
        let encoded = Encoded::of(&stored, &kind.def).map_err(ApiError::internal)?;
        Ok(Cached {
            revision,
            encoded: Arc::new(encoded),
        })
    }
}

/// Whether an update has taken away the last thing that held an object that is being deleted.
fn is_done(new: &Object, old: &Object) -> bool {
    old.deletion_timestamp().is_some()
        && rules::grace_of(old).unwrap_or(0) == 0
        && new.finalizers().next().is_none()
        && namespace_is_done(new)
}

/// A Namespace is also held by the finalizers of its spec.
fn namespace_is_done(object: &Object) -> bool {
    object.kind() != "Namespace"
        || object
            .get(&["spec", "finalizers"])
            .and_then(serde_json::Value::as_array)
            .is_none_or(Vec::is_empty)
}
