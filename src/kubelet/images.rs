//! Images for containers: what the pull policy asks for, the secrets for it, and the Events in
//! Kubernetes' words.
//!
//! Kubernetes: kubelet `images/image_manager.go`.

use crate::client::EventType;
use crate::kubelet::node::Node;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::{ImageFailure, ImageInfo};
use crate::kubelet::sync_pod::Done;
use crate::meta::GroupVersionResource;
use crate::oci::Keyring;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use std::sync::Arc;
use std::time::Duration;

/// What a look at the local images says.
pub(super) enum Look {
    /// It is there and may be used.
    There(ImageInfo),
    /// It must be pulled.
    Pull,
    /// It cannot be had: reason and message.
    Failed(&'static str, String),
}

fn name_of(container: &Container) -> &str {
    container.image.as_deref().unwrap_or_default()
}

/// Looks whether the image of `container` is there, as its pull policy says; tells by Events.
pub(super) fn look(node: &Node, pod: &Pod, container: &Container) -> Look {
    let image = name_of(container);
    let there = match node.runtime.image(pod, image) {
        Ok(there) => there,
        Err(failure) => {
            let (reason, message) = tell_failed(node, pod, container, &failure);
            return Look::Failed(reason, message);
        }
    };
    let policy = pod_spec::pull_policy(container);
    match (there, policy) {
        (Some(info), policy) if info.local || policy != "Always" => {
            let message = format!(
                "Container image \"{image}\" already present on machine and can be accessed by \
                 the pod"
            );
            node.event(pod, &container.name, EventType::Normal, "Pulled", message);
            Look::There(info)
        }
        (_, "Never") => {
            let message =
                format!("Container image \"{image}\" is not present with pull policy of Never");
            let reason = "ErrImageNeverPull";
            node.event(pod, &container.name, EventType::Warning, reason, &*message);
            tell_error(node, pod, container, reason);
            Look::Failed(reason, message)
        }
        _ => Look::Pull,
    }
}

/// Pulls the image of `container`.
pub(super) async fn pull(node: Arc<Node>, pod: Arc<Pod>, container: Container) -> Done {
    let image = name_of(&container).to_owned();
    let message = format!("Pulling image \"{image}\"");
    node.event(&pod, &container.name, EventType::Normal, "Pulling", message);
    let asked = node.clock.instant();
    // Dropping the permit lets the next one begin.
    let permit = node.pulls.clone().acquire_owned().await;
    let begun = node.clock.instant();
    let keyring = keyring(&node, &pod).await;
    let result = node.runtime.pull(&pod, &image, &keyring).await;
    drop(permit);
    let ended = node.clock.instant();
    Done::Image {
        container: container.name,
        result,
        took: ended.duration_since(begun),
        waited: ended.duration_since(asked),
    }
}

/// The pod's pull secrets. One that is missing or wrong is told and left out, as Kubernetes does.
async fn keyring(node: &Node, pod: &Pod) -> Keyring {
    let mut keyring = Keyring::default();
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let named = pod_spec::spec(pod).and_then(|spec| spec.image_pull_secrets.as_deref());
    for reference in named.unwrap_or_default() {
        let namespace = pod_spec::namespace(pod);
        let found = node
            .client
            .get::<Secret>(&secrets, namespace, &reference.name)
            .await;
        let added = match found {
            Ok(secret) => add(&mut keyring, &secret),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = added {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image \
                 may not succeed.",
                reference.name
            );
            let reason = "FailedToRetrieveImagePullSecret";
            node.event(pod, "", EventType::Warning, reason, message);
            tracing::debug!(
                secret = reference.name,
                error,
                "an image pull secret is not used"
            );
        }
    }
    keyring
}

fn add(keyring: &mut Keyring, secret: &Secret) -> Result<(), String> {
    let data = secret.data.as_ref();
    let entry = |key: &str| data.and_then(|data| data.get(key));
    let added = if let Some(config) = entry(".dockerconfigjson") {
        keyring.add_docker_config_json(&config.0)
    } else if let Some(config) = entry(".dockercfg") {
        keyring.add_docker_cfg(&config.0)
    } else {
        return Err("it holds no registry credentials".to_owned());
    };
    added.map_err(|error| error.to_string())
}

/// An image was pulled.
pub(super) fn tell_pulled(
    node: &Node,
    pod: &Pod,
    container: &Container,
    info: &ImageInfo,
    took: Duration,
    waited: Duration,
) {
    let message = format!(
        "Successfully pulled image \"{}\" in {} ({} including waiting). Image size: {} bytes.",
        name_of(container),
        go_duration(took),
        go_duration(waited),
        info.size_bytes
    );
    node.event(pod, &container.name, EventType::Normal, "Pulled", message);
}

/// An image could not be had: tells it, and returns the reason and message of the waiting state.
pub(super) fn tell_failed(
    node: &Node,
    pod: &Pod,
    container: &Container,
    failure: &ImageFailure,
) -> (&'static str, String) {
    let (reason, event, message) = match failure {
        ImageFailure::InvalidName(why) => ("InvalidImageName", "InspectFailed", why.clone()),
        ImageFailure::Inspect(why) => {
            let image = name_of(container);
            let message = format!("Failed to inspect image \"{image}\": {why}");
            ("ImageInspectError", "InspectFailed", message)
        }
        ImageFailure::Pull(why) => {
            let image = name_of(container);
            let message = format!("Failed to pull image \"{image}\": {why}");
            node.event(pod, &container.name, EventType::Warning, "Failed", message);
            tell_error(node, pod, container, "ErrImagePull");
            return ("ErrImagePull", why.clone());
        }
    };
    node.event(pod, &container.name, EventType::Warning, event, &*message);
    tell_error(node, pod, container, reason);
    (reason, message)
}

/// The pull waits.
pub(super) fn tell_backoff(node: &Node, pod: &Pod, container: &Container) {
    let message = format!("Back-off pulling image \"{}\"", name_of(container));
    node.event(pod, &container.name, EventType::Normal, "BackOff", message);
    tell_error(node, pod, container, "ImagePullBackOff");
}

fn tell_error(node: &Node, pod: &Pod, container: &Container, reason: &str) {
    let message = format!("Error: {reason}");
    node.event(pod, &container.name, EventType::Warning, "Failed", message);
}

/// A duration as Go prints one that was rounded to milliseconds: `1.204s`, `12ms`, `1m2.5s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1_000, rest % 1_000);
    while seconds.ends_with('0') {
        seconds.pop();
    }
    let seconds = seconds.trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (millis, text) in [
            (12, "12ms"),
            (1_204, "1.204s"),
            (2_000, "2s"),
            (62_500, "1m2.5s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
