//! What `serve` applies once it is ready, and when that is ready itself. Follows a pod's condition
//! by a watch; must not know how pods become ready.

use crate::cli::context::CliError;
use crate::cli::discovery::Discovery;
use crate::cli::manifests::Manifest;
use crate::cli::serve::voice::LogFormat;
use crate::client::Client;
use crate::meta::{GroupVersionResource, Object};
use crate::stdx::Clock;
use serde_json::Value;
use std::time::Duration;

/// Where objects without a namespace go.
const NAMESPACE: &str = "default";

/// Creates what manifests say; what is there already (a server started again) is left as it is.
/// Answers the pods among it, by namespace and name.
pub(crate) async fn apply(
    client: &Client,
    manifests: Vec<Manifest>,
    voice: LogFormat,
) -> Result<Vec<(String, String)>, CliError> {
    if manifests.is_empty() {
        return Ok(Vec::new());
    }
    let discovery = Discovery::read(client).await?;
    let mut pods = Vec::new();
    for Manifest { place, mut object } in manifests {
        let row = discovery
            .by_kind(object.api_version(), object.kind())
            .map_err(|error| place.unrecognized(&object, &error))?;
        let namespace = match (row.namespaced, object.namespace()) {
            (false, _) => String::new(),
            (true, "") => NAMESPACE.to_owned(),
            (true, own) => own.to_owned(),
        };
        if row.namespaced {
            object.set(&["metadata", "namespace"], Value::String(namespace.clone()));
        }
        let name = object.name().to_owned();
        let made = client
            .create::<Value>(&row.resource, &namespace, None, object.fields())
            .await;
        match made {
            Ok(_) => voice.say_applied(&format!("{} created", row.object_name(&name))),
            Err(error) if error.is_already_exists() => {
                voice.say_applied(&format!("{} unchanged", row.object_name(&name)));
            }
            Err(error) => {
                return Err(place.refused(error, "creating"));
            }
        }
        if row.kind == "Pod" {
            pods.push((namespace, name));
        }
    }
    Ok(pods)
}

/// Waits until all pods are ready, or one can never be.
pub(crate) async fn wait(
    client: &Client,
    pods: &[(String, String)],
    timeout_seconds: u64,
    clock: &Clock,
) -> Result<(), CliError> {
    let all = async {
        for (namespace, name) in pods {
            until_ready(client, namespace, name, clock).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = all => done,
        () = clock.sleep(Duration::from_secs(timeout_seconds)) => {
            let names: Vec<String> = pods.iter().map(|(ns, name)| format!("{ns}/{name}")).collect();
            let what = format!(
                "timed out after {timeout_seconds} s waiting for pods to be ready: {}",
                names.join(", ")
            );
            Err(CliError::new(what))
        }
    }
}

async fn until_ready(
    client: &Client,
    namespace: &str,
    name: &str,
    clock: &Clock,
) -> Result<(), CliError> {
    let pods = GroupVersionResource::new("", "v1", "pods");
    let ready = client.follow(&pods, (namespace, name), clock, |pod| {
        let pod = pod.cloned().and_then(Object::from_value);
        match pod.map_or_else(|| Err(gone(name)), |pod| is_ready(&pod)) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    });
    ready.await?
}

fn gone(name: &str) -> CliError {
    CliError::new(format!("pod {name:?} was deleted before it was ready"))
}

/// Whether a pod is ready, or has done its work. An error if it has failed for good.
fn is_ready(pod: &Object) -> Result<bool, CliError> {
    let condition = |kind: &str| {
        let list = pod
            .get(&["status", "conditions"])
            .and_then(Value::as_array)?;
        let found = list
            .iter()
            .find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
        found.get("status").and_then(Value::as_str)
    };
    match pod.str_at(&["status", "phase"]) {
        "Succeeded" => Ok(true),
        "Failed" => Err(CliError::new(format!("pod {} has failed", pod.key()))),
        _ => Ok(condition("Ready") == Some("True")),
    }
}
