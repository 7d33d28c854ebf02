//! `delete`: marks what has grace or finalizers, removes what has neither. Answers the object, or a
//! Status when it is gone.
//! Kubernetes: apiserver `registry/generic/registry` Delete, `registry/rest` BeforeDelete.

use super::get::answer_object;
use super::{Target, options, read_body, rules};
use crate::api::admission::{self, Operation};
use crate::api::context::Context;
use crate::api::quota::Charge;
use crate::api::registry::WriteError;
use crate::api::{ApiServer, Body, codec, respond, service_addresses};
use crate::meta::options::{DeleteOptions, Propagation};
use crate::meta::{ApiError, GroupResource, Object};
use crate::resources::DefRef;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// Times that a deletion is tried on a newer revision.
const DELETE_TRIES: usize = 32;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Kinds (group, resource) whose deletion answers with the object and not with a Status.
/// Kubernetes: `ReturnDeletedObject` in the kinds' storage.
const ANSWERED_WITH_OBJECT: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// How a deletion has ended.
pub(crate) enum Deleted {
    /// The object is gone; this is what it was.
    Gone(Object),
    /// It goes when its grace is over and its finalizers are gone.
    Pending(Object),
}

/// Serves a delete.
pub(crate) async fn delete(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let body = read_body(server, request.into_body()).await?;
    let options = options::delete(context, &body)?;
    if let (None, Some(warning)) = (options.propagation, target.def.strategy.delete_warning()) {
        context.warn(warning);
    }
    let deleted = delete_one(server, context, target, &options).await?;
    let def = &target.def;
    let whole = ANSWERED_WITH_OBJECT.contains(&(&*def.group, &*def.plural));
    let (object, status) = match deleted {
        Deleted::Gone(object) if !whole => {
            let status = gone_status(def, &object);
            return respond::value(&accepted, StatusCode::OK, &status);
        }
        Deleted::Gone(object) => (object, StatusCode::OK),
        // Old clients are told that a cascade goes on.
        Deleted::Pending(object) if options.asked_to_cascade => (object, StatusCode::ACCEPTED),
        Deleted::Pending(object) => (object, StatusCode::OK),
    };
    answer_object(server, context, target, &accepted, object, status)
}

fn gone_status(def: &DefRef, object: &Object) -> Value {
    let mut details = json!({
        "name": object.name(),
        "kind": def.plural,
        "uid": object.uid(),
    });
    if !def.group.is_empty()
        && let Value::Object(details) = &mut details
    {
        details.insert("group".to_owned(), json!(def.group));
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    })
}

/// Deletes one object.
pub(crate) async fn delete_one(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    let registry = &server.registry;
    let def = &target.def;
    for _ in 0..DELETE_TRIES {
        let (old, revision) = registry.get(def, &target.namespace, &target.name)?;
        check_preconditions(target, options, &old)?;
        let request = admission::Request {
            registry,
            authorization: &server.authorization,
            context,
            target,
            operation: Operation::Delete,
            now: server.clock.now(),
        };
        server.admission.validate(&request, &old, Some(&old))?;
        let step = plan(server, target, options, &old);
        let written = match &step {
            Step::Wait => Ok(()),
            _ if options.dry_run => Ok(()),
            Step::Mark(new) => registry.replace(def, new, revision).await.map(|_| ()),
            Step::Remove => registry.remove(def, &old, revision).await.map(|_| ()),
        };
        match written {
            Ok(()) => {}
            Err(WriteError::Changed) => continue,
            Err(WriteError::Api(error)) => return Err(error),
        }
        if matches!(step, Step::Remove) {
            let charge = Charge {
                server,
                target,
                new: Some(&old),
                old: None,
                dry_run: options.dry_run,
            };
            charge.undo().await;
            if !options.dry_run {
                service_addresses::take_back(server, def, &old, None).await;
            }
        }
        return Ok(match step {
            Step::Wait => Deleted::Pending(old),
            Step::Remove => Deleted::Gone(old),
            Step::Mark(mut new) => {
                let now = registry.find_cached(def, &target.namespace, &target.name)?;
                if let Some(now) = now.filter(|_| !options.dry_run) {
                    new.set_resource_version(now.revision);
                }
                Deleted::Pending(new)
            }
        });
    }
    Err(ApiError::conflict(
        &def.group_resource(),
        &target.name,
        "the object has been modified; please apply your changes to the latest version and try again",
    ))
}

fn check_preconditions(
    target: &Target,
    options: &DeleteOptions,
    old: &Object,
) -> Result<(), ApiError> {
    let failed = |what: &str, asked: &str, actual: &str| {
        let then = match what {
            "UID" => "deleted and then recreated",
            _ => "modified",
        };
        let why = format!(
            "the {what} in the precondition ({asked}) does not match the {what} in record \
             ({actual}). The object might have been {then}"
        );
        // Kubernetes names the kind here.
        let of = GroupResource {
            group: target.def.group.to_string(),
            resource: target.def.kind.to_string(),
        };
        Err(ApiError::conflict(&of, &target.name, &why))
    };
    let conditions = &options.preconditions;
    match (&conditions.uid, &conditions.resource_version) {
        (Some(uid), _) if uid != old.uid() => failed("UID", uid, old.uid()),
        (_, Some(revision)) if revision != old.resource_version() => {
            failed("ResourceVersion", revision, old.resource_version())
        }
        _ => Ok(()),
    }
}

enum Step {
    /// A deletion is under way and this one adds nothing.
    Wait,
    /// Write the mark and the finalizers.
    Mark(Object),
    /// Remove it now.
    Remove,
}

/// What a deletion does to an object: pure.
fn plan(server: &ApiServer, target: &Target, options: &DeleteOptions, old: &Object) -> Step {
    let def = &target.def;
    let mut new = old.clone();
    let graceful = match grace(def, old, options) {
        Grace::Pending => return Step::Wait,
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    set_finalizers(&mut new, propagation(def, old, options));
    if old.deletion_timestamp().is_none() {
        def.strategy
            .prepare_for_delete(&mut new, server.clock.now());
    }
    let held = new.finalizers().next().is_some() || is_held_namespace(&new);
    match graceful {
        Some(seconds) if seconds > 0 || held => {
            rules::begin_delete(&mut new, &server.clock, seconds);
        }
        // How it ends may be changed while it waits.
        None if held && old.deletion_timestamp().is_some() => {
            return if &new == old {
                Step::Wait
            } else {
                Step::Mark(new)
            };
        }
        None if held => rules::begin_delete(&mut new, &server.clock, 0),
        _ => return Step::Remove,
    }
    if def.kind == "Namespace" {
        new.set(&["status", "phase"], json!("Terminating"));
        new.remove(&["metadata", "deletionGracePeriodSeconds"]);
    }
    Step::Mark(new)
}

enum Grace {
    None,
    Pending,
    Seconds(i64),
}

fn grace(def: &DefRef, old: &Object, options: &DeleteOptions) -> Grace {
    let wanted = def.grace_seconds(old, options.grace_period_seconds);
    let Some(wanted) = wanted else {
        return Grace::None;
    };
    if old.deletion_timestamp().is_none() {
        return Grace::Seconds(wanted);
    }
    // A deletion that is under way can only be made shorter.
    match (rules::grace_of(old), options.grace_period_seconds) {
        (None | Some(0), _) => Grace::None,
        (Some(present), Some(asked)) if asked < present => Grace::Seconds(asked),
        _ => Grace::Pending,
    }
}

/// What becomes of the dependents: as asked, else as the finalizers say, else as is the kind's way.
fn propagation(def: &DefRef, old: &Object, options: &DeleteOptions) -> Option<Propagation> {
    let decided = old
        .finalizers()
        .any(|name| matches!(name, ORPHAN | FOREGROUND));
    let orphans = def.strategy.orphans_dependents() && !decided;
    options
        .propagation
        .or(orphans.then_some(Propagation::Orphan))
}

/// Adds or takes away the finalizers by which the garbage collector is asked to act.
fn set_finalizers(object: &mut Object, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut list: Vec<String> = object
        .finalizers()
        .filter(|name| !matches!(*name, ORPHAN | FOREGROUND))
        .map(str::to_owned)
        .collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Orphan => list.push(ORPHAN.to_owned()),
        Propagation::Foreground => list.push(FOREGROUND.to_owned()),
    }
    if list.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], json!(list));
    }
}

/// A Namespace is held by the finalizers of its spec, until what is in it is gone.
fn is_held_namespace(object: &Object) -> bool {
    object.kind() == "Namespace"
        && object
            .get(&["spec", "finalizers"])
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
}
