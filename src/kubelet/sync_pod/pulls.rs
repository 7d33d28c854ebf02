//! The images of a pod's containers: looked for, pulled, and told when they cannot be had.

use super::{Worker, find};
use crate::kubelet::images;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::{ImageFailure, ImageInfo};
use crate::kubelet::state::ImageState;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    pub(super) fn ensure_image(&mut self, pod: &Arc<Pod>, container: &str, now: Timestamp) {
        let Some(spec) = find(pod, container) else {
            return;
        };
        match images::look(&self.node, pod, spec) {
            images::Look::There(info) => {
                self.state(|state| {
                    state.container_mut(container).pull = ImageState::Ready {
                        id: info.id.clone(),
                    };
                });
                self.images.insert(container.to_owned(), info);
            }
            images::Look::Failed(reason, message) => {
                self.state(|state| {
                    state
                        .container_mut(container)
                        .pull_failed(reason, message, now)
                });
            }
            images::Look::Pull => {
                self.state(|state| {
                    state.container_mut(container).pull = ImageState::Pulling { since: now };
                });
                let (node, pod) = (self.node.clone(), pod.clone());
                let container = spec.clone();
                self.operations
                    .push(Box::pin(images::pull(node, pod, container)));
            }
        }
    }

    pub(super) fn image_done(
        &mut self,
        pod: &Pod,
        container: &str,
        result: Result<ImageInfo, ImageFailure>,
        (took, waited): (Duration, Duration),
    ) {
        let now = self.node.clock.now();
        let Some(spec) = find(pod, container) else {
            return;
        };
        self.pull_backoffs_told.remove(container);
        match result {
            Ok(info) => {
                self.node.status_changed.notify_one();
                images::tell_pulled(&self.node, pod, spec, &info, took, waited);
                self.state(|state| {
                    let of = state.container_mut(container);
                    of.pull = ImageState::Ready {
                        id: info.id.clone(),
                    };
                    of.pull_wait = Default::default();
                });
                self.images.insert(container.to_owned(), info);
            }
            Err(failure) => {
                let (reason, message) = images::tell_failed(&self.node, pod, spec, &failure);
                self.state(|state| {
                    state
                        .container_mut(container)
                        .pull_failed(reason, message, now)
                });
            }
        }
    }

    pub(super) fn tell_pull_backoffs(&mut self, pod: &Pod, now: Timestamp) {
        for container in pod_spec::all_containers(pod) {
            let name = &container.name;
            let waits = self.state(|state| {
                let of = state.container(name);
                matches!(&of.pull, ImageState::Failed { reason, .. } if reason == "ErrImagePull")
                    && of.pull_error_until(now).is_none()
            });
            if waits && self.pull_backoffs_told.insert(name.clone()) {
                images::tell_backoff(&self.node, pod, container);
            }
        }
    }
}
