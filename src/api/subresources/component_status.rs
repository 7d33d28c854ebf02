//! `componentstatuses`: the parts of the control plane, which are rooms of this process, and its
//! store. Must not know more of them than whether they run.

use crate::api::codec;
use crate::api::context::Context;
use crate::api::request_info::query_pairs;
use crate::api::verbs::Target;
use crate::api::verbs::get::answer_object;
use crate::api::verbs::shape::{IncludeObject, Shaper, list_metadata};
use crate::api::{ApiServer, Body, respond};
use crate::meta::options::{ListOptions, Query};
use crate::meta::{ApiError, Object};
use http::{Response, StatusCode};
use serde_json::json;

/// The components, as Kubernetes calls them.
const COMPONENTS: [&str; 3] = ["controller-manager", "scheduler", "etcd-0"];

/// Serves a get or a list.
pub(super) fn read(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    context.warn("v1 ComponentStatus is deprecated in v1.19+");
    let accepted = codec::accept(context)?;
    // A list may name one object, too: by its field selector.
    if context.info.verb == "get" {
        let known = COMPONENTS.iter().find(|name| **name == target.name);
        let of = target.def.group_resource();
        let name = known.ok_or_else(|| ApiError::not_found(&of, &target.name))?;
        let object = component(server, name);
        return answer_object(server, context, target, &accepted, object, StatusCode::OK);
    }
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    let options = ListOptions::parse(Query::new(&pairs))?;
    let named =
        |field: &str, object: &Object| (field == "metadata.name").then(|| object.name().to_owned());
    let objects = COMPONENTS
        .iter()
        .map(|name| component(server, name))
        .filter(|object| options.labels.matches_object(object))
        .filter(|object| options.fields.matches(|field| named(field, object)))
        .collect();
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::of(context, accepted.shape)?,
        now: server.clock.now(),
    };
    let list = shaper.list(objects, list_metadata(""));
    respond::value(&accepted, StatusCode::OK, &list)
}

fn component(server: &ApiServer, name: &str) -> Object {
    let failure = if name.starts_with("etcd") {
        server.registry.store.read_only()
    } else {
        // What shares a process with who answers runs until both stop.
        let stopping = server.shutdown.is_stopped();
        stopping.then(|| "process is shutting down".to_owned())
    };
    let condition = match failure {
        None => json!({ "type": "Healthy", "status": "True", "message": "ok" }),
        Some(why) => json!({ "type": "Healthy", "status": "False", "error": why }),
    };
    let mut object = Object::default();
    object.set(&["kind"], "ComponentStatus".into());
    object.set(&["apiVersion"], "v1".into());
    object.set(&["metadata", "name"], name.into());
    object.set(&["conditions"], json!([condition]));
    object
}
