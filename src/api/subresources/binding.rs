//! `pods/binding`: the scheduler's word that a pod runs on a node. Once, and never on a pod that is
//! going.
//! Kubernetes: registry `core/pod/storage` BindingREST.

use super::success;
use crate::api::context::Context;
use crate::api::registry::WriteError;
use crate::api::verbs::{Target, options, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::{ApiError, FieldError, GroupResource, Object, time};
use crate::stdx::Clock;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// Times that a binding is tried on a newer revision of the pod.
const BIND_TRIES: usize = 16;

/// Serves a binding, of `pods/<name>/binding` or of `bindings`.
pub(super) async fn bind(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_untabled(context)?;
    let options = options::create(context)?;
    let body = read_body(server, request.into_body()).await?;
    let binding = codec::decode(context, &body)?.value;
    let binding = Object::from_value(binding)
        .ok_or_else(|| ApiError::bad_request("the body is no Binding"))?;
    let name = if target.name.is_empty() {
        binding.name()
    } else {
        &target.name
    };
    if !binding.name().is_empty() && binding.name() != name {
        let text = "name in URL does not match name in Binding object";
        return Err(ApiError::bad_request(text));
    }
    check(&binding, name)?;
    let registry = &server.registry;
    let scheme = registry.scheme();
    let found = scheme.resource("", "v1", "pods");
    let def = found.ok_or_else(|| ApiError::internal("pods are not served"))?;
    for _ in 0..BIND_TRIES {
        let (mut pod, revision) = registry.get(def, &target.namespace, name)?;
        assign(&mut pod, &binding, &server.clock).map_err(|why| conflict(name, &why))?;
        let written = if options.dry_run {
            Ok(())
        } else {
            registry.replace(def, &pod, revision).await.map(|_| ())
        };
        match written {
            Ok(()) => {
                return respond::value(&accepted, StatusCode::CREATED, &success(201));
            }
            Err(WriteError::Changed) => {}
            Err(WriteError::Api(error)) => return Err(error),
        }
    }
    Err(conflict(name, "the pod is changing too fast"))
}

fn check(binding: &Object, name: &str) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    let kind = binding.str_at(&["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported(
            "target.kind",
            kind,
            &["Node", "<empty>"],
        ));
    }
    if binding.str_at(&["target", "name"]).is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("", "Binding", name, &errors))
}

fn conflict(name: &str, why: &str) -> ApiError {
    let of = GroupResource {
        group: String::new(),
        resource: "pods/binding".to_owned(),
    };
    ApiError::conflict(&of, name, why)
}

/// Binds the pod: pure but for the time.
fn assign(pod: &mut Object, binding: &Object, clock: &Clock) -> Result<(), String> {
    let name = pod.name().to_owned();
    for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let asked = binding.str_at(&["metadata", field]);
        let actual = pod.str_at(&["metadata", field]);
        if !asked.is_empty() && asked != actual {
            return Err(format!(
                "Precondition failed: {label} in precondition: {asked}, {label} in object meta: \
                 {actual}"
            ));
        }
    }
    if pod.deletion_timestamp().is_some() {
        return Err(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let node = pod.str_at(&["spec", "nodeName"]);
    if !node.is_empty() {
        return Err(format!("pod {name} is already assigned to node {node:?}"));
    }
    let gates = pod.get(&["spec", "schedulingGates"]);
    if gates
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
    {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let node = binding.str_at(&["target", "name"]);
    pod.set(&["spec", "nodeName"], json!(node));
    for map in ["annotations", "labels"] {
        let added = binding.get(&["metadata", map]).and_then(Value::as_object);
        for (key, value) in added.into_iter().flatten() {
            pod.set(&["metadata", map, key], value.clone());
        }
    }
    pod.remove(&["status", "nominatedNodeName"]);
    let scheduled = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": time::rfc3339(clock.now()),
    });
    let conditions = pod.get(&["status", "conditions"]).and_then(Value::as_array);
    let others = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.get("type").and_then(Value::as_str) != Some("PodScheduled"));
    let mut list: Vec<Value> = others.cloned().collect();
    list.push(scheduled);
    pod.set(&["status", "conditions"], Value::Array(list));
    Ok(())
}
