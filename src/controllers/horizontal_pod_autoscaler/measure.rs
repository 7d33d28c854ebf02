//! What is measured for an autoscaler: each of its metrics, what it proposes, and what is said where
//! it cannot be had. wkube measures resources itself; metrics of pods, of objects and of the outside
//! would come from APIs that nobody serves here.
//! Kubernetes: `pkg/controller/podautoscaler/horizontal.go` computeReplicasForMetrics,
//! `metrics/client.go`.

use super::calculate::{Proposal, Sample, Samples, Target, Tolerance, propose, requests};
use super::go_text;
use crate::client::{ClientError, Query};
use crate::controllers::def::Context;
use crate::controllers::disruption::go_selector;
use crate::meta::quantity::Quantity;
use crate::meta::{GroupVersionResource, Object, go_duration, time};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// Who could tell of custom metrics is not there.
const NO_CUSTOM: &str = "unable to fetch metrics from custom metrics API: no custom metrics API \
                         (custom.metrics.k8s.io) registered";

/// What a metric comes to.
pub(super) struct Measured {
    pub(super) replicas: i64,
    /// How it is called in Events.
    pub(super) name: String,
    /// Its entry of `status.currentMetrics`.
    pub(super) status: Value,
}

/// Why a metric comes to nothing.
pub(super) struct Failure {
    /// The reason of the Event and of the condition; none if neither is said.
    pub(super) reason: &'static str,
    /// What the Event says.
    pub(super) message: String,
    /// What comes before it elsewhere.
    pub(super) what: String,
}

/// The pods of a target, and how they are counted.
pub(super) struct Scene<'a> {
    pub(super) context: &'a Context,
    pub(super) namespace: &'a str,
    /// `status.selector` of the target's scale.
    pub(super) selector: &'a str,
    pub(super) pods: &'a [Object],
    pub(super) current: i64,
    pub(super) tolerance: Tolerance,
}

impl Scene<'_> {
    /// Measures one entry of `spec.metrics`.
    pub(super) async fn measure(&self, metric: &Value) -> Result<Measured, Failure> {
        let of = |field: &str| metric.get(field).unwrap_or(&Value::Null);
        match go_text(metric, "type") {
            "Resource" => {
                let (of, resource) = (of("resource"), go_text(of("resource"), "name"));
                let measured = self.resource(of, resource, "").await;
                let failed = |message| Failure {
                    reason: "FailedGetResourceMetric",
                    message,
                    what: format!("failed to get {resource} resource metric value"),
                };
                let (proposal, current) = measured.map_err(failed)?;
                let name = match proposal.utilization {
                    Some(_) => format!("{resource} resource utilization (percentage of request)"),
                    None => format!("{resource} resource"),
                };
                let status = json!({
                    "type": "Resource",
                    "resource": {"name": resource, "current": current},
                });
                Ok(Measured {
                    replicas: proposal.replicas,
                    name,
                    status,
                })
            }
            "ContainerResource" => {
                let of = of("containerResource");
                let (resource, container) = (go_text(of, "name"), go_text(of, "container"));
                let measured = self.resource(of, resource, container).await;
                let failed = |message| Failure {
                    reason: "FailedGetContainerResourceMetric",
                    message,
                    what: format!("failed to get {container} container metric value"),
                };
                let (proposal, current) = measured.map_err(failed)?;
                let name = match proposal.utilization {
                    Some(_) => {
                        format!("{resource} container resource utilization (percentage of request)")
                    }
                    None => format!("{resource} resource"),
                };
                let status = json!({
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": resource, "container": container, "current": current,
                    },
                });
                Ok(Measured {
                    replicas: proposal.replicas,
                    name,
                    status,
                })
            }
            kind => Err(self.nowhere(kind, metric)),
        }
    }

    /// What is said of a metric that nobody serves.
    fn nowhere(&self, kind: &str, metric: &Value) -> Failure {
        let namespace = self.namespace;
        let text = |path: &str| {
            metric
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match kind {
            "Pods" => Failure {
                reason: "FailedGetPodsMetric",
                message: format!(
                    "unable to get metric {}: {NO_CUSTOM}",
                    text("/pods/metric/name")
                ),
                what: "failed to get pods metric value".to_owned(),
            },
            "Object" => {
                let (name, kind) = (
                    text("/object/metric/name"),
                    text("/object/describedObject/kind"),
                );
                let object = text("/object/describedObject/name");
                let why = format!(
                    "unable to get metric {name}: {kind} on {namespace} {object}/{NO_CUSTOM}"
                );
                let average = text("/object/target/type") == "AverageValue";
                Failure {
                    reason: "FailedGetObjectMetric",
                    message: why.clone(),
                    what: match average {
                        false => "failed to get object metric value".to_owned(),
                        true => format!(
                            "failed to get object metric value: failed to get {name} object metric"
                        ),
                    },
                }
            }
            "External" => {
                let name = text("/external/metric/name");
                let selector = go_selector(metric.pointer("/external/metric/selector"));
                let why = format!(
                    "unable to get external metric {namespace}/{name}/{selector}: unable to fetch \
                     metrics from external metrics API: the server could not find the requested \
                     resource (get {name}.external.metrics.k8s.io)"
                );
                let average = metric.pointer("/external/target/averageValue");
                let between = match average.filter(|value| !value.is_null()) {
                    Some(_) => format!("failed to get {name} external metric"),
                    None => format!("failed to get external metric {name}"),
                };
                Failure {
                    reason: "FailedGetExternalMetric",
                    message: why,
                    what: format!("failed to get {name} external metric value: {between}"),
                }
            }
            other => Failure {
                reason: "InvalidMetricSourceType",
                message: format!("unknown metric source type {other:?}"),
                what: String::new(),
            },
        }
    }

    /// What the use of a resource proposes, and how it is told.
    async fn resource(
        &self,
        of: &Value,
        resource: &str,
        container: &str,
    ) -> Result<(Proposal, Value), String> {
        let target = of.get("target").unwrap_or(&Value::Null);
        let now = self.context.clock.now();
        let set = |field: &str| target.get(field).filter(|value| !value.is_null());
        let (is_cpu, limits) = (resource == "cpu", (self.current, self.tolerance));
        let amount = |millis: i64| json!(Quantity::from_millis(millis).to_string());
        if let Some(average) = set("averageValue") {
            let wanted = Quantity::from_value(average).map_or(0, |quantity| quantity.millis());
            let why = |error| format!("failed to get {resource} usage: {error}");
            let samples = self.samples(resource, container).await.map_err(why)?;
            let target = (&Target::Average(wanted), is_cpu);
            let proposal = propose(self.pods, samples, target, limits, now).map_err(why)?;
            let current = json!({"averageValue": amount(proposal.average)});
            return Ok((proposal, current));
        }
        let Some(percent) = set("averageUtilization").and_then(Value::as_i64) else {
            let words = "invalid resource metric source: neither an average utilization target nor \
                         an average value (usage) target was set";
            return Err(words.to_owned());
        };
        let why = |error| format!("failed to get {resource} utilization: {error}");
        let samples = self.samples(resource, container).await.map_err(why)?;
        let asked = requests(self.pods, resource, container).map_err(why)?;
        let target = (&Target::Utilization(percent, &asked), is_cpu);
        let proposal = propose(self.pods, samples, target, limits, now).map_err(why)?;
        let current = json!({
            "averageUtilization": proposal.utilization,
            "averageValue": amount(proposal.average),
        });
        Ok((proposal, current))
    }

    /// What the pods use of a resource, as metrics.k8s.io tells.
    async fn samples(&self, resource: &str, container: &str) -> Result<Samples, String> {
        let unable = |why: String| format!("unable to get metrics for resource {resource}: {why}");
        let fetch = |error: ClientError| {
            unable(format!(
                "unable to fetch metrics from resource metrics API: {error}"
            ))
        };
        let pods = GroupVersionResource::new("metrics.k8s.io", "v1beta1", "pods");
        let query = Query::new().with("labelSelector", self.selector);
        let listed = self
            .context
            .client
            .list::<Value>(&pods, self.namespace, &query);
        let listed = listed.await.map_err(fetch)?;
        if listed.items.is_empty() {
            let words = "no metrics returned from resource metrics API";
            return Err(unable(words.to_owned()));
        }
        let mut samples = Samples::new();
        for pod in listed.items.into_iter().filter_map(Object::from_value) {
            let value = used(&pod, resource, container).map_err(|pod| {
                let namespace = self.namespace;
                unable(format!(
                    "failed to get container metrics: container {container} not present in \
                     metrics for pod {namespace}/{pod}"
                ))
            })?;
            let Some(value) = value else { continue };
            let window = go_duration::nanoseconds(pod.str_at(&["window"])).unwrap_or(0);
            let at = time::parse(pod.str_at(&["timestamp"]));
            let sample = Sample {
                value,
                at: at.unwrap_or(self.context.clock.now()),
                window: SignedDuration::from_nanos(window),
            };
            samples.insert(pod.name().to_owned(), sample);
        }
        Ok(samples)
    }
}

/// What a pod, or one container of it, uses of a resource, in thousandths; none if that is not told,
/// the pod's name if it has no such container.
fn used(pod: &Object, resource: &str, container: &str) -> Result<Option<i64>, String> {
    let list = pod.get(&["containers"]).and_then(Value::as_array);
    let mut containers = list.into_iter().flatten();
    let of = |one: &Value| {
        let value = one
            .pointer("/usage")
            .and_then(|usage| usage.get(resource))?;
        Quantity::from_value(value)
            .ok()
            .map(|quantity| quantity.millis())
    };
    if container.is_empty() {
        let all: Option<Vec<i64>> = containers.map(of).collect();
        return Ok(all
            .filter(|all| !all.is_empty())
            .map(|all| all.iter().sum()));
    }
    let found = containers.find(|one| go_text(one, "name") == container);
    found.map(of).ok_or_else(|| pod.name().to_owned())
}
