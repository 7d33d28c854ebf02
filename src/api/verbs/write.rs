//! The one way an object gets into the store: decoded, defaulted, admitted, prepared, validated,
//! written on the revision it rests on, and again if that has moved. Must not know what a client
//! sent (a whole object or a patch).
//! Kubernetes: apiserver `registry/generic/registry` Create and Update.

use super::{Target, ownership, rules};
use crate::api::admission::{self, Operation};
use crate::api::codec::{self, Strict};
use crate::api::context::Context;
use crate::api::quota::Charge;
use crate::api::registry::{Cached, Encoded, WriteError, served};
use crate::api::service_addresses::{self, Given};
use crate::api::{ApiServer, authorization};
use crate::meta::options::{FieldValidation, WriteOptions};
use crate::meta::{ApiError, FieldError, Object, Reason, names};
use crate::resources::{BUILTINS, DefRef, Part, ResourceDef};
use serde_json::Value;
use std::sync::Arc;

/// Names that are generated before giving up.
const GENERATE_NAME_TRIES: usize = 8;
/// Times that an update is tried on a newer revision.
const UPDATE_TRIES: usize = 32;

/// Bytes of a body that cannot be read which the error shows.
const SUMMARY_BYTES: usize = 30;
/// What Kubernetes calls the table in its errors.
const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";

/// The warning about owner references that a client has sent twice.
pub(crate) const TWICE: &str = ".metadata.ownerReferences contains duplicate entries; API server \
    dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix \
    your requests; duplicate UID(s) observed: ";
const TWICE_AFTER_ADMISSION: &str = ".metadata.ownerReferences contains duplicate entries after \
    mutating admission happens; API server dedups owner references in 1.20+, and may reject such \
    requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ";
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
    let (object, objections) = read(def, strict)?;
    match options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => objections.into_iter().for_each(|text| context.warn(text)),
        FieldValidation::Strict if objections.is_empty() => {}
        FieldValidation::Strict => return Err(def.cannot_be_handled(&strict_words(&objections))),
    }
    Ok(object)
}

/// Whether an objection is one of the reader of YAML.
fn is_of_yaml(objection: &str) -> bool {
    objection.starts_with("line ") && objection.ends_with(" already set in map")
}

/// What a strict reader objects to, in one sentence.
pub(crate) fn strict_words(objections: &[String]) -> String {
    // Those of YAML are one error of its reader, however many they are.
    let count = objections
        .iter()
        .take_while(|text| is_of_yaml(text))
        .count();
    let (lines, others) = objections.split_at(count);
    let yaml = (count > 0).then(|| format!("yaml: unmarshal errors:\n  {}", lines.join("\n  ")));
    let words: Vec<&str> = yaml.iter().chain(others).map(String::as_str).collect();
    format!("strict decoding error: {}", words.join(", "))
}

/// An object of the kind, and what a strict reader objects to.
pub(crate) fn read(def: &ResourceDef, strict: Strict) -> Result<(Object, Vec<String>), ApiError> {
    let Strict {
        mut value,
        duplicates,
        lines,
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
    let objections = lines.into_iter().chain(unknown).chain(duplicate).collect();
    Ok((decoded.object, objections))
}

/// Parses a body; what cannot be read is told with the kind that is wanted and with its beginning.
pub(crate) fn parse(context: &Context, def: &ResourceDef, body: &[u8]) -> Result<Strict, ApiError> {
    let parsed = codec::decode(context, body);
    let parsed = parsed.and_then(|strict| match strict.value {
        Value::Object(_) => Ok(strict),
        other => Err(ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value \
             of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }}",
            json_type(&other)
        ))),
    });
    parsed.map_err(|error| match error.reason {
        Reason::BadRequest => ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {} ({})",
            def.kind,
            error.message,
            summary(body)
        )),
        _ => error,
    })
}

/// The beginning of a body: as it is where it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    let head = body.get(..SUMMARY_BYTES).unwrap_or(body);
    let dots = if head.len() < body.len() { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => {
            let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{dots}")
        }
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A body without kind or version is of the kind that the path says; another one is refused.
fn check_kind(def: &ResourceDef, value: &mut Value) -> Result<(), ApiError> {
    let Some(map) = value.as_object_mut() else {
        return Err(def.cannot_be_handled("the object provided is no JSON object"));
    };
    let text = |map: &serde_json::Map<_, _>, name: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get \
             version/kind; json parse error: json: cannot unmarshal {} into Go struct field \
             .{name} of type string",
            def.kind,
            json_type(other)
        ))),
    };
    let kind = text(map, "kind")?;
    let api_version = text(map, "apiVersion")?;
    let own_version = def.api_version();
    let kind = if kind.is_empty() { &def.kind } else { &*kind };
    let given = if api_version.is_empty() {
        &own_version
    } else {
        &api_version
    };
    let fits = kind == def.kind && *given == own_version;
    if !fits {
        return Err(wrong_kind(def, kind, given));
    }
    map.insert("kind".to_owned(), def.kind.as_ref().into());
    map.insert("apiVersion".to_owned(), own_version.into());
    Ok(())
}

/// Why an object of one kind cannot be written as one of another.
fn wrong_kind(def: &ResourceDef, kind: &str, given: &str) -> ApiError {
    let version = given.rsplit('/').next().unwrap_or(given);
    let known = BUILTINS
        .iter()
        .find(|row| row.kind == kind && row.api_version() == given);
    let why = match known {
        None => {
            format!("no kind {kind:?} is registered for version {given:?} in scheme {SCHEME:?}")
        }
        Some(row) if is_same(row, def) => {
            return ApiError::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version \
                 ({})",
                def.api_version()
            ));
        }
        Some(_) => format!(
            "converting ({version}.{kind}) to ({}.{}): unknown conversion",
            internal_package(&def.group),
            def.kind
        ),
    };
    ApiError::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        def.kind
    ))
}

/// Whether two rows are versions of one kind.
fn is_same(one: &ResourceDef, other: &ResourceDef) -> bool {
    one.kind == other.kind && one.storage_prefix == other.storage_prefix
}

/// Where Kubernetes keeps the internal form of a group's kinds.
fn internal_package(group: &str) -> &str {
    match group.split('.').next().unwrap_or_default() {
        "" | "events" => "core",
        "extensions" => "networking",
        first => first,
    }
}

/// Puts the namespace of the path into the object, which may not name another.
pub(crate) fn take_namespace(target: &Target, object: &mut Object) -> Result<(), ApiError> {
    if !target.def.is_namespaced() {
        object.remove(&["metadata", "namespace"]);
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
        // What is no number is ignored, as Kubernetes does.
        if object.resource_version().parse().unwrap_or(0_u64) > 0 {
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
            let name = named.name().to_owned();
            match self.create_once(named).await {
                Ok(cached) => return Ok(cached),
                Err(WriteError::Api(error)) => return Err(error),
                Err(WriteError::Changed) if generated && tries < GENERATE_NAME_TRIES => {}
                Err(WriteError::Changed) => {
                    let of = self.def().group_resource();
                    return Err(if base.is_empty() {
                        ApiError::already_exists(&of, &name)
                    } else {
                        ApiError::generate_name_conflict(&of, &name)
                    });
                }
            }
        }
    }

    async fn create_once(&self, mut object: Object) -> Result<Cached, WriteError> {
        let def = self.def();
        if def.ending {
            let why = "create not allowed while custom resource definition is terminating";
            let of = def.group_resource();
            return Err(ApiError::forbidden(&of, object.name(), why).into());
        }
        def.default(&mut object);
        // What admission adds is nobody's.
        if !self.owned {
            ownership::track(self, &mut object, None);
        }
        let request = self.admission(Operation::Create);
        self.server.admission.mutate(&request, &mut object, None)?;
        self.dedup_owner_references(&mut object, TWICE_AFTER_ADMISSION);
        rules::begin_create(def, &mut object, &self.server.clock);
        def.check(&object)?;
        self.server.admission.validate(&request, &object, None)?;
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
            self.charge(Some(&object), None).make().await?;
            let _given = self.give(&mut object, None).await?;
            return Ok(self.pretended(&object, 0)?);
        }
        let given = self.give(&mut object, None).await?;
        let charge = self.charge(Some(&object), None);
        let written = match charge.make().await {
            Ok(()) => self.server.registry.insert(def, &object).await,
            Err(error) => {
                undo(given).await;
                return Err(error.into());
            }
        };
        if written.is_err() {
            charge.undo().await;
            undo(given).await;
        }
        written
    }

    /// Addresses and ports for a Service.
    async fn give(
        &self,
        new: &mut Object,
        old: Option<&Object>,
    ) -> Result<Option<Given<'_>>, ApiError> {
        let dry_run = self.options.dry_run;
        service_addresses::give(self.server, self.target, self.part, new, old, dry_run).await
    }

    /// What a write makes of the namespace's quotas.
    fn charge<'a>(&'a self, new: Option<&'a Object>, old: Option<&'a Object>) -> Charge<'a> {
        Charge {
            server: self.server,
            target: self.target,
            new,
            old,
            dry_run: self.options.dry_run,
        }
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
                let mut object = make(None)?;
                authorization::check_verb(&*self.server.authorization.all, self.context, "create")?;
                object.remove(&["metadata", "resourceVersion"]);
                match self.create_once(object).await {
                    Ok(cached) => return Ok(Written::Created(cached)),
                    Err(WriteError::Changed) => continue,
                    Err(WriteError::Api(error)) => return Err(error),
                }
            };
            let old = served(def, &cached)?;
            let mut new = self.prepared(make(Some(&old))?, &old)?;
            if is_done(&new, &old) {
                if !self.options.dry_run {
                    match registry.remove(def, &old, cached.revision).await {
                        Ok(_) => {
                            self.charge(Some(&old), None).undo().await;
                            service_addresses::take_back(self.server, def, &old, None).await;
                        }
                        Err(WriteError::Changed) => continue,
                        Err(WriteError::Api(error)) => return Err(error),
                    }
                }
                return Ok(Written::Deleted(new));
            }
            if new == old {
                return Ok(Written::Updated(cached));
            }
            let given = self.give(&mut new, Some(&old)).await?;
            let charge = self.charge(Some(&new), Some(&old));
            if let Err(error) = charge.make().await {
                undo(given).await;
                return Err(error);
            }
            if self.options.dry_run {
                return Ok(Written::Updated(self.pretended(&new, cached.revision)?));
            }
            let written = registry.replace(def, &new, cached.revision).await;
            if let Ok(cached) = written {
                service_addresses::take_back(self.server, def, &old, Some(&new)).await;
                return Ok(Written::Updated(cached));
            }
            charge.undo().await;
            undo(given).await;
            if let Err(WriteError::Api(error)) = written {
                return Err(error);
            }
        }
        Err(self.conflict(MODIFIED))
    }

    /// The wanted object, as it will be written over the old one.
    fn prepared(&self, mut new: Object, old: &Object) -> Result<Object, ApiError> {
        let def = self.def();
        self.check_revision(&mut new, old)?;
        def.default(&mut new);
        // What admission changes is nobody's.
        if !self.owned && self.part == Part::Main {
            ownership::track(self, &mut new, Some(old));
        }
        let request = self.admission(Operation::Update);
        self.server
            .admission
            .mutate(&request, &mut new, Some(old))?;
        self.dedup_owner_references(&mut new, TWICE_AFTER_ADMISSION);
        def.prepare_for_update(self.part, &mut new, old);
        // A part writes less than was sent.
        if !self.owned && self.part != Part::Main {
            ownership::track(self, &mut new, Some(old));
        }
        def.check_update(self.part, &new, old)?;
        self.server.admission.validate(&request, &new, Some(old))?;
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
                // Kubernetes names the resource here.
                let def = self.def();
                return Err(ApiError::invalid(
                    &def.group,
                    &def.plural,
                    &self.target.name,
                    &[error],
                ));
            }
            let revision = old.resource_version().to_owned();
            new.set(&["metadata", "resourceVersion"], revision.into());
            return Ok(());
        }
        if asked.parse::<u64>().is_err() {
            // A plain error of Kubernetes' storage: 500 without a reason.
            let text = format!("strconv.ParseUint: parsing {asked:?}: invalid syntax");
            return Err(ApiError::new(Reason::Unknown, text));
        }
        if asked != old.resource_version() {
            return Err(self.conflict(MODIFIED));
        }
        Ok(())
    }

    /// Takes out owner references that stand there twice, and warns of it.
    pub(crate) fn dedup_owner_references(&self, object: &mut Object, warning: &str) {
        let twice = rules::dedup_owner_references(object);
        if !twice.is_empty() {
            self.context.warn(format!("{warning}{}", twice.join(", ")));
        }
    }

    /// 409 where the uid that was sent is not the one that is there.
    pub(crate) fn check_uid(&self, asked: &str, old: Option<&Object>) -> Result<(), ApiError> {
        let actual = old.map(Object::uid).unwrap_or_default();
        if asked.is_empty() || asked == actual {
            return Ok(());
        }
        let (def, target) = (self.def(), self.target);
        let place = match target.namespace.as_str() {
            "" => target.name.clone(),
            namespace => format!("{namespace}/{}", target.name),
        };
        Err(self.conflict(&format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{place}, ResourceVersion: \
             0, AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in \
             object meta: {actual}",
            def.storage_prefix
        )))
    }

    pub(crate) fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(&self.def().group_resource(), &self.target.name, why)
    }

    fn admission(&self, operation: Operation) -> admission::Request<'_> {
        admission::Request {
            registry: &self.server.registry,
            authorization: &self.server.authorization,
            context: self.context,
            target: self.target,
            operation,
            now: self.server.clock.now(),
        }
    }

    /// What a dry run answers: as if written.
    fn pretended(&self, object: &Object, revision: u64) -> Result<Cached, ApiError> {
        let mut stored = object.clone();
        let kind = self.server.registry.kind(self.def())?;
        if let Some(conversion) = &self.def().conversion {
            conversion.to_stored(&mut stored);
        }
        let encoded = Encoded::of(&stored, &kind.def).map_err(ApiError::internal)?;
        Ok(Cached {
            revision,
            encoded: Arc::new(encoded),
        })
    }
}

/// What was given to a write that has not come to be is free again.
async fn undo(given: Option<Given<'_>>) {
    if let Some(given) = given {
        given.undo().await;
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
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
}
