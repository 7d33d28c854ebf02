//! The controllers that keep as many pods as somebody wants: what they share (who is adopted, how
//! pods are made and deleted, templates and their hashes), and one folder for each. A controller
//! here reads its object anew in its turn, counts its members by `controllers::members`, decides
//! purely, writes, and waits until what it wrote stands in the members before its turn ends: so it
//! needs no expectations as client-go's have, and never makes one pod twice.
//! Kubernetes: `pkg/controller/controller_utils.go`, `controller_ref_manager.go`.

mod claim;
mod conditions;
pub(super) mod cron_job;
pub(super) mod daemon_set;
pub(super) mod deployment;
mod history;
pub(super) mod job;
mod pod_control;
pub(super) mod replica_set;
pub(super) mod stateful_set;
mod template;

use crate::client::{ClientError, Meta, ObjectReference};
use crate::controllers::def::Context;
use crate::controllers::job_facts::TRACKING;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a workload is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flavor {
    /// Group, version, plural.
    pub(crate) resource: (&'static str, &'static str, &'static str),
    /// `apps/v1`.
    pub(crate) api_version: &'static str,
    /// Kind.
    pub(crate) kind: &'static str,
}

impl Flavor {
    /// The resource.
    pub(crate) fn gvr(&self) -> GroupVersionResource {
        let (group, version, plural) = self.resource;
        GroupVersionResource::new(group, version, plural)
    }

    /// The finalizer that a pod has from when it belongs to one of these.
    fn finalizer(&self) -> Option<&'static str> {
        (self.kind == "Job").then_some(TRACKING)
    }

    /// The object of a key as it stands now; none if it is gone.
    async fn read(
        &self,
        context: &Context,
        key: &ObjectKey,
    ) -> Result<Option<Object>, ClientError> {
        let gvr = self.gvr();
        let read = context.client.get::<Value>(&gvr, &key.namespace, &key.name);
        match read.await {
            Ok(value) => Ok(Object::from_value(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How Events speak of `object`.
    fn reference(&self, object: &Object) -> ObjectReference {
        ObjectReference {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            resource_version: object.resource_version().to_owned(),
            field_path: String::new(),
        }
    }

    /// The owner reference of what `object` manages.
    fn owner_reference(&self, object: &Object) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": object.name(),
            "uid": object.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }
}

/// What is read of an answer to a write: who was written, and at which revision.
#[derive(Deserialize)]
struct Written {
    metadata: Meta,
}

impl Written {
    /// The revision to wait for; 0, which is always reached, if there is none.
    fn revision(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or(0)
    }
}

/// A whole number at `path`, 0 if absent.
fn number(object: &Object, path: &[&str]) -> i64 {
    object.get(path).and_then(Value::as_i64).unwrap_or(0)
}

/// An absolute number, or a percentage of `of`, rounded up or down; 0 if there is none.
/// Kubernetes: GetScaledValueFromIntOrPercent.
pub(in crate::controllers) fn number_or_percent(value: Option<&Value>, of: i64, up: bool) -> i64 {
    let Some(value) = value else { return 0 };
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
    let percent: i64 = percent.and_then(|text| text.parse().ok()).unwrap_or(0);
    let product = percent.saturating_mul(of);
    if up {
        product.saturating_add(99) / 100
    } else {
        product / 100
    }
}
