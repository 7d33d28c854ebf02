//! What a kind does beyond its shape: defaulting, what a create or an update resets, validation,
//! warnings, generation, graceful deletion. Every method has a default, so that a plain kind is
//! `&Plain`. Must not know verbs, storage or HTTP; the API calls these in Kubernetes' order:
//! decode, default, (mutating admission), prepare, validate, (validating admission), store.
//! Kubernetes: apiserver `registry/rest` create and update strategies.

use crate::meta::{FieldError, Object, names};
use jiff::Timestamp;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// Which part of an object an update writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The object itself.
    Main,
    /// `status`.
    Status,
    /// `finalize` of a Namespace.
    Finalize,
    /// `ephemeralcontainers` of a Pod.
    EphemeralContainers,
    /// `resize` of a Pod.
    Resize,
    /// `approval` of a CertificateSigningRequest.
    Approval,
}

impl Part {
    /// The part a subresource of that name writes.
    pub fn of_subresource(name: &str) -> Option<Self> {
        Some(match name {
            "" => Self::Main,
            "status" => Self::Status,
            "finalize" => Self::Finalize,
            "ephemeralcontainers" => Self::EphemeralContainers,
            "resize" => Self::Resize,
            "approval" => Self::Approval,
            _ => return None,
        })
    }
}

/// The behaviour of a kind. Callers use the functions of `ResourceDef` that wrap these and add what
/// holds for all kinds (metadata rules, generation).
pub trait Strategy: Send + Sync + 'static {
    /// Fills in defaults. Idempotent; also run on stored objects when they are read back.
    fn default(&self, _object: &mut Object) {}

    /// Takes out what a creator may not set (status) and fills in what the server sets.
    fn prepare_for_create(&self, object: &mut Object) {
        if self.has_status() {
            object.remove(&["status"]);
        }
    }

    /// Checks a whole object, metadata apart.
    fn validate(&self, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Takes back what an update of this part may not change. The default: an update of the object
    /// keeps the old status, an update of the status keeps the old rest.
    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main if self.has_status() => keep(new, old, "status"),
            Part::Main => {}
            _ => keep_all_but_status(new, old),
        }
    }

    /// Checks an update, metadata apart.
    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        match part {
            Part::Main => self.validate(new),
            _ => Vec::new(),
        }
    }

    /// Texts for the `Warning` headers of a create (`old` is absent) or an update.
    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        Vec::new()
    }

    /// Whether the kind has a status that only the status subresource writes.
    fn has_status(&self) -> bool {
        false
    }

    /// Whether the server counts `metadata.generation`.
    fn tracks_generation(&self) -> bool {
        false
    }

    /// Whether the update asks for something new, which makes a new generation.
    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        new.get(&["spec"]) != old.get(&["spec"])
    }

    /// What is wrong with a name; with `prefix`, it is a `generateName`.
    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        if !self.checks_metadata() {
            return names::path_segment(name);
        }
        names::dns1123_subdomain(&masked(name, prefix))
    }

    /// Whether the kind's own rules check its metadata. Where they do not, it is checked after them,
    /// and more loosely: a name need only fit into a path.
    fn checks_metadata(&self) -> bool {
        true
    }

    /// Whether a finalizer without a domain must be one that Kubernetes knows.
    fn has_standard_finalizers(&self) -> bool {
        self.checks_metadata()
    }

    /// How many seconds of grace a deletion gets, given what the client asked for. `None`: the
    /// kind knows no graceful deletion and goes at once.
    fn grace_seconds(&self, _object: &Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether a deletion that does not say what becomes of the dependents leaves them alone.
    fn orphans_dependents(&self) -> bool {
        false
    }

    /// The text of the `Warning` header of a deletion that does not say what becomes of the dependents.
    fn delete_warning(&self) -> Option<&'static str> {
        None
    }

    /// Marks an object that is being deleted for the first time, before it is known what holds it.
    fn prepare_for_delete(&self, _object: &mut Object, _now: Timestamp) {}

    /// Whether a PUT of an object that does not exist creates it.
    fn allows_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without a resourceVersion is allowed.
    fn allows_unconditional_update(&self) -> bool {
        true
    }
}

/// Where a row's behaviour is: in its own file for a built-in kind, made at run time for a custom one.
#[derive(Clone)]
pub enum Behaviour {
    /// Of a built-in kind.
    Static(&'static dyn Strategy),
    /// Of a custom kind.
    Made(Arc<dyn Strategy>),
}

impl Deref for Behaviour {
    type Target = dyn Strategy;

    fn deref(&self) -> &(dyn Strategy + 'static) {
        match self {
            Self::Static(strategy) => *strategy,
            Self::Made(strategy) => &**strategy,
        }
    }
}

/// The strategy of a kind with nothing special.
pub struct Plain;

impl Strategy for Plain {}

/// A `generateName` is checked with its last dash covered, as the random part will.
pub(crate) fn masked(name: &str, prefix: bool) -> Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(head) if prefix && !head.is_empty() => Cow::Owned(format!("{head}a")),
        _ => Cow::Borrowed(name),
    }
}

/// Puts the old value of a top-level field back.
pub(crate) fn keep(new: &mut Object, old: &Object, field: &str) {
    match old.get(&[field]) {
        Some(value) if new.get(&[field]) == Some(value) => {}
        Some(value) => new.set(&[field], value.clone()),
        None => {
            new.remove(&[field]);
        }
    }
}

/// Puts everything back but status and metadata.
pub(crate) fn keep_all_but_status(new: &mut Object, old: &Object) {
    keep_all_but(new, old, &["status", "metadata"]);
}

/// Puts everything back but the named top-level fields.
pub(crate) fn keep_all_but(new: &mut Object, old: &Object, free: &[&str]) {
    let is_free = |name: &String| free.contains(&name.as_str());
    new.fields_mut()
        .retain(|name, _| is_free(name) || old.fields().contains_key(name));
    for (name, value) in old.fields() {
        // What an update has left alone, nearly always everything, needs no copy.
        if !is_free(name) && new.fields().get(name) != Some(value) {
            new.fields_mut().insert(name.clone(), value.clone());
        }
    }
}
