//! horizontal-pod-autoscaler: as many pods as their use of resources asks for. What is measured is in
//! `measure`, how many pods it asks for in `calculate`, how fast they come and go in `normalize`.
//! Kubernetes: `pkg/controller/podautoscaler`.

mod calculate;
mod measure;
mod normalize;
#[cfg(test)]
mod tests;

use crate::client::{ClientError, EventType, ObjectReference, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::scale::Scaled;
use crate::meta::labels::Selector;
use crate::meta::quantity::Quantity;
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use calculate::{TOLERANCE, Tolerance};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use measure::{Measured, Scene};
use normalize::{Bounds, History};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// How often an autoscaler is looked at. Kubernetes: horizontal-pod-autoscaler-sync-period.
const SYNC_PERIOD: Duration = Duration::from_secs(15);

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "horizontal-pod-autoscaler-controller",
    account: Some("horizontal-pod-autoscaler"),
    watches: &[Watched {
        resource: AUTOSCALERS,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: None,
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

const AUTOSCALERS: (&str, &str, &str) = ("autoscaling", "v2", "horizontalpodautoscalers");

fn autoscalers() -> GroupVersionResource {
    GroupVersionResource::new(AUTOSCALERS.0, AUTOSCALERS.1, AUTOSCALERS.2)
}

/// What the autoscalers have wanted and done lately; lost with the process, as in Kubernetes.
#[derive(Default)]
pub(crate) struct Histories(Mutex<HashMap<ObjectKey, History>>);

/// A text field of a value; empty if it is none.
fn go_text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// An autoscaler, and what is said of it in this turn.
struct Turn<'a> {
    context: &'a Context,
    scaler: &'a Object,
    status: Map<String, Value>,
    now: Timestamp,
}

/// Why a turn ends early: it has been told.
struct Ended;

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let resource = autoscalers();
    let read = context
        .client
        .get::<Value>(&resource, &key.namespace, &key.name);
    let scaler = match read.await {
        Ok(value) => Object::from_value(value).unwrap_or_default(),
        Err(error) if error.is_not_found() => {
            context.caches.histories.0.lock().remove(&key);
            return Ok(Next::Wait);
        }
        Err(error) => return Err(error),
    };
    let now = context.clock.now();
    let looked = {
        let mut all = context.caches.histories.0.lock();
        all.entry(key.clone()).or_default().looked
    };
    if let Some((at, generation)) = looked
        && generation == scaler.generation()
    {
        // What it has said itself is no reason to look again.
        let period = SignedDuration::try_from(SYNC_PERIOD).unwrap_or_default();
        let left = period.saturating_sub(now.duration_since(at));
        if let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
            return Ok(Next::After(left));
        }
    }
    let status = match scaler.get(&["status"]) {
        Some(Value::Object(status)) => status.clone(),
        _ => Map::new(),
    };
    let mut turn = Turn {
        context: &context,
        scaler: &scaler,
        status,
        now,
    };
    let mut history = context.caches.histories.0.lock().get(&key).cloned();
    let history = history.get_or_insert_default();
    history.looked = Some((now, scaler.generation()));
    let _ = turn.run(history).await;
    let history = history.clone();
    context
        .caches
        .histories
        .0
        .lock()
        .insert(key.clone(), history);
    let status = Value::Object(turn.status);
    if scaler.get(&["status"]) != Some(&status) {
        let mut changed = scaler.clone();
        changed.set(&["status"], status);
        let body = changed.into_value();
        let (namespace, name) = (&key.namespace, &key.name);
        let updated = context
            .client
            .update::<IgnoredAny>(&resource, namespace, name, "status", &body);
        match updated.await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
    Ok(Next::After(SYNC_PERIOD))
}

impl Turn<'_> {
    fn tell(&self, kind: EventType, reason: &str, message: &str) {
        let about = ObjectReference {
            api_version: "autoscaling/v2".to_owned(),
            kind: "HorizontalPodAutoscaler".to_owned(),
            namespace: self.scaler.namespace().to_owned(),
            name: self.scaler.name().to_owned(),
            uid: self.scaler.uid().to_owned(),
            ..ObjectReference::default()
        };
        self.context.events.event(&about, kind, reason, message);
    }

    /// Sets a condition; it has changed when it last did not hold, or held.
    fn say(&mut self, (kind, holds): (&str, bool), reason: &str, message: &str) {
        let holds = if holds { "True" } else { "False" };
        let mut list = match self.status.get("conditions") {
            Some(Value::Array(list)) => list.clone(),
            _ => Vec::new(),
        };
        let known = list.iter_mut().find(|one| go_text(one, "type") == kind);
        let since = known
            .as_ref()
            .filter(|known| go_text(known, "status") == holds)
            .and_then(|known| known.get("lastTransitionTime").cloned());
        let condition = json!({
            "type": kind,
            "status": holds,
            "lastTransitionTime": since.unwrap_or_else(|| json!(rfc3339(self.now))),
            "reason": reason,
            "message": message,
        });
        match known {
            Some(known) => *known = condition,
            None => list.push(condition),
        }
        self.status
            .insert("conditions".to_owned(), Value::Array(list));
    }

    fn number(&self, path: &[&str]) -> Option<i64> {
        self.scaler.get(path).and_then(Value::as_i64)
    }

    /// The target could not be asked for its size.
    fn no_scale(&mut self, error: &str) -> Ended {
        self.tell(EventType::Warning, "FailedGetScale", error);
        let message =
            format!("the HPA controller was unable to get the target's current scale: {error}");
        self.say(("AbleToScale", false), "FailedGetScale", &message);
        Ended
    }

    async fn run(&mut self, history: &mut History) -> Result<(), Ended> {
        let client = &self.context.client;
        let text = |field: &str| {
            self.scaler
                .str_at(&["spec", "scaleTargetRef", field])
                .to_owned()
        };
        let target = Scaled {
            api_version: text("apiVersion"),
            kind: text("kind"),
            key: ObjectKey::new(self.scaler.namespace(), text("name")),
        };
        let found = async {
            let resource = target.resource(client).await?;
            let scale = target.read(client, &resource).await?;
            Ok::<_, ClientError>((resource, scale))
        };
        let (resource, mut scale) = match found.await {
            Ok(found) => found,
            Err(error) => return Err(self.no_scale(&error.to_string())),
        };
        let message = "the HPA controller was able to get the target's current scale";
        self.say(("AbleToScale", true), "SucceededGetScale", message);
        let current = scale
            .get(&["spec", "replicas"])
            .and_then(Value::as_i64)
            .unwrap_or(0);
        history.begin(current, self.now);
        let min = self.number(&["spec", "minReplicas"]).unwrap_or(1);
        let max = self.number(&["spec", "maxReplicas"]).unwrap_or(1);
        let mut metrics = None;
        let (wanted, why) = if current == 0 && min != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.say(("ScalingActive", false), "ScalingDisabled", message);
            (current, String::new())
        } else if current > max {
            (
                max,
                "Current number of replicas above Spec.MaxReplicas".to_owned(),
            )
        } else if current < min {
            (
                min,
                "Current number of replicas below Spec.MinReplicas".to_owned(),
            )
        } else {
            let (wanted, name, statuses) = self.measure(&scale, current, history).await?;
            metrics = Some(statuses);
            let bounds = Bounds {
                current,
                min,
                max,
                behavior: self
                    .scaler
                    .get(&["spec", "behavior"])
                    .filter(|one| !one.is_null()),
                now: self.now,
            };
            let (set, said) = history.normalize(wanted, bounds);
            for (kind, holds, reason, message) in said {
                self.say((kind, holds), reason, message);
            }
            let why = match wanted > current {
                true => format!("{name} above target"),
                false => "All metrics below target".to_owned(),
            };
            (set, why)
        };
        let rescale = wanted != current;
        if rescale {
            scale.set(&["spec", "replicas"], json!(wanted));
            self.rescale(&target, (&resource, scale), (current, wanted, &why))
                .await?;
            history.changed(current, wanted, self.now);
        }
        self.settle((current, wanted), metrics.unwrap_or_default(), rescale);
        Ok(())
    }

    async fn rescale(
        &mut self,
        target: &Scaled,
        (resource, scale): (&GroupVersionResource, Object),
        (current, wanted, why): (i64, i64, &str),
    ) -> Result<(), Ended> {
        let (namespace, name) = (&target.key.namespace, &target.key.name);
        let body = scale.into_value();
        let updated = self
            .context
            .client
            .update::<IgnoredAny>(resource, namespace, name, "scale", &body);
        if let Err(error) = updated.await {
            let message = format!("New size: {wanted}; reason: {why}; error: {error}");
            self.tell(EventType::Warning, "FailedRescale", &message);
            let message =
                format!("the HPA controller was unable to update the target scale: {error}");
            self.say(("AbleToScale", false), "FailedUpdateScale", &message);
            self.keep(current);
            return Err(Ended);
        }
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        self.say(("AbleToScale", true), "SucceededRescale", &message);
        let message = format!("New size: {wanted}; reason: {why}");
        self.tell(EventType::Normal, "SuccessfulRescale", &message);
        Ok(())
    }

    /// The numbers of the status.
    fn settle(&mut self, (current, wanted): (i64, i64), metrics: Vec<Value>, rescaled: bool) {
        match current {
            0 => self.status.remove("currentReplicas"),
            current => self
                .status
                .insert("currentReplicas".to_owned(), json!(current)),
        };
        self.status
            .insert("desiredReplicas".to_owned(), json!(wanted));
        match metrics.is_empty() {
            true => self.status.remove("currentMetrics"),
            false => self
                .status
                .insert("currentMetrics".to_owned(), Value::Array(metrics)),
        };
        if rescaled {
            self.status
                .insert("lastScaleTime".to_owned(), json!(rfc3339(self.now)));
        }
    }

    /// Nothing is known but how many there are.
    fn keep(&mut self, current: i64) {
        self.status
            .insert("currentReplicas".to_owned(), json!(current));
        self.status.entry("desiredReplicas").or_insert(json!(0));
    }

    /// How many pods the metrics ask for, by which of them, and what is told of each.
    async fn measure(
        &mut self,
        scale: &Object,
        current: i64,
        history: &mut History,
    ) -> Result<(i64, String, Vec<Value>), Ended> {
        let selector = scale.str_at(&["status", "selector"]).to_owned();
        let pods = match self.pods(&selector, history).await {
            Ok(pods) => pods,
            Err(error) => return Err(self.uncounted(current, &error)),
        };
        let scene = Scene {
            context: self.context,
            namespace: self.scaler.namespace(),
            selector: &selector,
            pods: &pods,
            current,
            tolerance: tolerance(self.scaler),
        };
        let metrics = self
            .scaler
            .get(&["spec", "metrics"])
            .and_then(Value::as_array);
        let metrics = metrics.cloned().unwrap_or_default();
        let (mut best, mut statuses) = (None::<Measured>, Vec::new());
        let (mut invalid, mut first) = (0, None);
        for metric in &metrics {
            match scene.measure(metric).await {
                Ok(measured) => {
                    statuses.push(measured.status.clone());
                    if best
                        .as_ref()
                        .is_none_or(|best| best.replicas == 0 || measured.replicas > best.replicas)
                    {
                        best = Some(measured);
                    }
                }
                Err(failure) => {
                    self.tell(EventType::Warning, failure.reason, &failure.message);
                    // As Kubernetes' list has an entry for each.
                    statuses.push(json!({"type": ""}));
                    invalid += 1;
                    first.get_or_insert(failure);
                }
            }
        }
        let count = metrics.len();
        let wanted = best.as_ref().map_or(0, |best| best.replicas);
        if let Some(failure) = first.filter(|_| invalid >= count || wanted < current) {
            let why = &failure.message;
            let message = format!("the HPA was unable to compute the replica count: {why}");
            self.say(("ScalingActive", false), failure.reason, &message);
            let what = match failure.what.as_str() {
                "" => String::new(),
                what => format!("{what}: "),
            };
            let error = format!(
                "invalid metrics ({invalid} invalid out of {count}), first error is: {what}{why}"
            );
            return Err(self.uncounted(current, &error));
        }
        let name = best.map(|best| best.name).unwrap_or_default();
        let message =
            format!("the HPA was able to successfully calculate a replica count from {name}");
        self.say(("ScalingActive", true), "ValidMetricFound", &message);
        Ok((wanted, name, statuses))
    }

    fn uncounted(&mut self, current: i64, error: &str) -> Ended {
        self.keep(current);
        self.tell(EventType::Warning, "FailedComputeMetricsReplicas", error);
        Ended
    }

    /// The pods of a selector; what is wrong with it is said.
    async fn pods(&mut self, selector: &str, history: &mut History) -> Result<Vec<Object>, String> {
        if selector.is_empty() {
            let message = "selector is required";
            self.tell(EventType::Warning, "SelectorRequired", message);
            let message_of = "the HPA target's scale is missing a selector";
            self.say(("ScalingActive", false), "InvalidSelector", message_of);
            return Err(message.to_owned());
        }
        let parsed = Selector::parse(selector).map_err(|error| {
            let message = format!(
                "couldn't convert selector into a corresponding internal selector object: {error}"
            );
            self.tell(EventType::Warning, "InvalidSelector", &message);
            self.say(("ScalingActive", false), "InvalidSelector", &message);
            message
        })?;
        history.selector = Some(parsed);
        let pods = GroupVersionResource::new("", "v1", "pods");
        let query = Query::new().with("labelSelector", selector);
        let namespace = self.scaler.namespace();
        let listed = self.context.client.list::<Value>(&pods, namespace, &query);
        let listed = listed.await.map_err(|error| error.to_string())?;
        let pods: Vec<Object> = listed
            .items
            .into_iter()
            .filter_map(Object::from_value)
            .collect();
        let others = self.others(&pods);
        if !others.is_empty() {
            let mut all = vec![self.scaler.key()];
            all.extend(others);
            all.sort();
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let message = format!(
                "pods by selector {selector} are controlled by multiple HPAs: [{}]",
                all.join(" ")
            );
            self.tell(EventType::Warning, "AmbiguousSelector", &message);
            self.say(("ScalingActive", false), "AmbiguousSelector", &message);
            return Err(message);
        }
        Ok(pods)
    }

    /// Other autoscalers whose target has one of these pods.
    fn others(&self, pods: &[Object]) -> Vec<ObjectKey> {
        let own = self.scaler.key();
        let all = self.context.caches.histories.0.lock();
        let rivals = all.iter().filter(|(key, history)| {
            let selects = |selector: &Selector| pods.iter().any(|pod| selector.matches_object(pod));
            **key != own
                && key.namespace == own.namespace
                && history.selector.as_ref().is_some_and(selects)
        });
        rivals.map(|(key, _)| key.clone()).collect()
    }
}

/// How near its target a use counts as there: as the behaviour says, or a tenth.
fn tolerance(scaler: &Object) -> Tolerance {
    let of = |way: &str| {
        let value = scaler.get(&["spec", "behavior", way, "tolerance"]);
        let value = value.filter(|value| !value.is_null());
        let quantity = value.and_then(|value| Quantity::from_value(value).ok());
        quantity.map_or(TOLERANCE, |quantity| quantity.approximate())
    };
    Tolerance {
        down: of("scaleDown"),
        up: of("scaleUp"),
    }
}
