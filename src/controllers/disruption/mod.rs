//! disruption-controller: says in the status of each PodDisruptionBudget how many of its pods may go
//! now, which the eviction of a pod looks at; and takes back from pods that were to go and stayed
//! that they go. What is said is decided in `plan`.
//! Kubernetes: `pkg/controller/disruption`.

mod plan;

pub(crate) use plan::go_selector;

use crate::client::{ClientError, EventType, ObjectReference, PatchKind};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, Owner};
use crate::controllers::scale::Scaled;
use crate::meta::labels::Selector;
use crate::meta::time::rfc3339;
use crate::meta::{ApiError, GroupVersionResource, Object, ObjectKey, Reason, time};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use plan::Expected;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long a pod may be said to go and stay. Kubernetes: stalePodDisruptionTimeout.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(2);

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "disruption-controller",
    account: Some("disruption-controller"),
    watches: &[Watched {
        resource: BUDGETS,
        fields: "",
        key: |budget| Some(budget.key()),
    }],
    listen: Some(|caches, queue| {
        let all = Arc::downgrade(caches);
        caches.pods.listen(move |before, now| {
            let Some(caches) = all.upgrade() else { return };
            for pod in before.into_iter().chain(now) {
                for key in caches.budgets.matching(pod) {
                    queue.add(key);
                }
            }
        });
    }),
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// Pods that were to go and stayed.
pub(crate) static STALE: ControllerDef = ControllerDef {
    name: "stale_pod_disruption",
    account: Some("disruption-controller"),
    watches: &[Watched {
        resource: ("", "v1", "pods"),
        fields: "",
        key: |pod| said_to_go(pod).map(|_| pod.key()),
    }],
    listen: None,
    workers: 1,
    reconcile: |context, key| refresh(context, key).boxed(),
};

const BUDGETS: (&str, &str, &str) = ("policy", "v1", "poddisruptionbudgets");

fn budgets() -> GroupVersionResource {
    GroupVersionResource::new(BUDGETS.0, BUDGETS.1, BUDGETS.2)
}

/// Which pods are whose, as last read.
#[derive(Default)]
pub(crate) struct Budgets(RwLock<HashMap<String, BTreeMap<String, Selector>>>);

impl Budgets {
    fn set(&self, key: &ObjectKey, selector: Option<Selector>) {
        let mut all = self.0.write();
        let own = all.entry(key.namespace.clone()).or_default();
        match selector {
            Some(selector) => own.insert(key.name.clone(), selector),
            None => own.remove(&key.name),
        };
        if own.is_empty() {
            all.remove(&key.namespace);
        }
    }

    fn matching(&self, pod: &Member) -> Vec<ObjectKey> {
        let namespace = pod.key.namespace.as_str();
        let all = self.0.read();
        let own = all.get(namespace).into_iter().flatten();
        own.filter(|(_, selector)| pod.matches(selector))
            .map(|(name, _)| ObjectKey::new(namespace, name.as_str()))
            .collect()
    }
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let resource = budgets();
    let read = context
        .client
        .get::<Value>(&resource, &key.namespace, &key.name);
    let budget = match read.await {
        Ok(value) => Object::from_value(value).unwrap_or_default(),
        Err(error) if error.is_not_found() => {
            context.caches.budgets.set(&key, None);
            return Ok(Next::Wait);
        }
        Err(error) => return Err(error),
    };
    let selector = budget
        .get(&["spec", "selector"])
        .filter(|value| !value.is_null());
    // Without a selector it is for no pod; an empty one is for all.
    let selector = selector.and_then(|value| Selector::from_label_selector(Some(value)).ok());
    context.caches.budgets.set(&key, selector.clone());
    let mut pods = context.caches.pods.in_namespace(&key.namespace);
    pods.retain(|pod| {
        selector
            .as_ref()
            .is_some_and(|selector| pod.matches(selector))
    });
    let about = reference(&budget);
    let tell = |kind, reason: &str, message: String| {
        context.events.event(&about, kind, reason, message);
    };
    if pods.is_empty() {
        tell(
            EventType::Normal,
            "NoPods",
            "No matching pods found".to_owned(),
        );
    }
    let now = context.clock.now();
    let (status, next) = match expected(&context, &budget, &pods).await {
        Ok(expected) => {
            if expected.unmanaged {
                tell(
                    EventType::Warning,
                    "UnmanagedPods",
                    plan::unmanaged(&budget),
                );
            }
            let counted = plan::count(&budget, &pods, &expected, now);
            for name in &counted.stayed {
                let (namespace, pod) = (
                    &key.namespace,
                    pods.iter().find(|pod| pod.key.name == *name),
                );
                let message = format!(
                    "Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't"
                );
                if let Some(pod) = pod {
                    let about = pod_reference(pod);
                    context
                        .events
                        .event(&about, EventType::Warning, "NotDeleted", message);
                }
            }
            (plan::status(&budget, &counted, now), counted.next)
        }
        Err(error) => {
            let message = format!("Failed to calculate the number of expected pods: {error}");
            tell(
                EventType::Warning,
                "CalculateExpectedPodCountFailed",
                message,
            );
            (plan::failed(&budget, &error.to_string(), now), None)
        }
    };
    if let Some(status) = status {
        let mut changed = budget;
        changed.set(&["status"], status);
        let body = changed.into_value();
        let (namespace, name) = (&key.namespace, &key.name);
        let updated = context
            .client
            .update::<IgnoredAny>(&resource, namespace, name, "status", &body);
        match updated.await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(next.map_or(Next::Wait, Next::After))
}

fn reference(budget: &Object) -> ObjectReference {
    ObjectReference {
        api_version: "policy/v1".to_owned(),
        kind: "PodDisruptionBudget".to_owned(),
        namespace: budget.namespace().to_owned(),
        name: budget.name().to_owned(),
        uid: budget.uid().to_owned(),
        ..ObjectReference::default()
    }
}

/// How Events speak of a pod.
pub(super) fn pod_reference(pod: &Member) -> ObjectReference {
    ObjectReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        uid: pod.uid.to_string(),
        ..ObjectReference::default()
    }
}

/// How many pods there are to be: those that are there, or, where a share of them is asked for, as
/// many as those who keep them want.
async fn expected(
    context: &Context,
    budget: &Object,
    pods: &[Arc<Member>],
) -> Result<Expected, ClientError> {
    if plan::counts_what_is_there(budget) {
        let count = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        return Ok(Expected {
            count,
            unmanaged: false,
        });
    }
    let mut scales: HashMap<Box<str>, i64> = HashMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = &pod.owner else {
            unmanaged = true;
            continue;
        };
        if scales.contains_key(&owner.uid) {
            continue;
        }
        // A ReplicaSet of a Deployment is as large as the Deployment wants at the moment.
        let set = ObjectKey::new(pod.key.namespace.as_str(), &*owner.name);
        let set = context.caches.replica_sets.get(&set);
        let set = set.filter(|set| set.uid == owner.uid);
        let above = set.and_then(|set| set.owner.clone());
        let keeper = above.as_ref().unwrap_or(owner);
        if !scales.contains_key(&keeper.uid) {
            let scale = scale(context, pod, keeper).await?;
            scales.insert(keeper.uid.clone(), scale);
        }
        if above.is_some() {
            scales.insert(owner.uid.clone(), 0);
        }
    }
    Ok(Expected {
        count: scales.values().sum(),
        unmanaged,
    })
}

async fn scale(context: &Context, pod: &Member, owner: &Owner) -> Result<i64, ClientError> {
    let scaled = Scaled {
        api_version: owner.api_version.to_string(),
        kind: owner.kind.to_string(),
        key: ObjectKey::new(pod.key.namespace.as_str(), &*owner.name),
    };
    let lost = || {
        let message = format!("found no controllers for pod {:?}", pod.key.name);
        ClientError::Api(ApiError::new(Reason::NotFound, message))
    };
    let resource = scaled.resource(&context.client).await?;
    let scale = match scaled.read(&context.client, &resource).await {
        Ok(scale) => scale,
        Err(error) if error.is_not_found() => {
            let (group, plural) = (&resource.group, &resource.resource);
            let name = match group.as_str() {
                "" => plural.clone(),
                group => format!("{plural}.{group}"),
            };
            let there = context.client.get::<IgnoredAny>(
                &resource,
                &scaled.key.namespace,
                &scaled.key.name,
            );
            let message = format!("{name} does not implement the scale subresource");
            let cannot = || ClientError::Api(ApiError::new(Reason::NotFound, message));
            return Err(match there.await {
                Err(error) if error.is_not_found() => lost(),
                _ => cannot(),
            });
        }
        Err(error) => return Err(error),
    };
    if scale.uid() != &*owner.uid {
        return Err(lost());
    }
    let replicas = scale.get(&["spec", "replicas"]).and_then(Value::as_i64);
    Ok(replicas.unwrap_or(0))
}

/// Since when a pod that stays is said to go, by another than its node.
fn said_to_go(pod: &Object) -> Option<Timestamp> {
    let ended = matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    if ended || pod.deletion_timestamp().is_some() {
        return None;
    }
    let conditions = pod.get(&["status", "conditions"])?.as_array()?;
    let text = |one: &Value, field: &str| {
        one.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let condition = conditions
        .iter()
        .find(|one| text(one, "type") == "DisruptionTarget")?;
    let holds = text(condition, "status") == "True";
    if !holds || text(condition, "reason") == "TerminationByKubelet" {
        return None;
    }
    time::parse(&text(condition, "lastTransitionTime"))
}

async fn refresh(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let pods = GroupVersionResource::new("", "v1", "pods");
    let read = context
        .shared
        .get::<Value>(&pods, &key.namespace, &key.name);
    let pod = match read.await {
        Ok(value) => Object::from_value(value).unwrap_or_default(),
        Err(error) if error.is_not_found() => return Ok(Next::Wait),
        Err(error) => return Err(error),
    };
    let Some(since) = said_to_go(&pod) else {
        return Ok(Next::Wait);
    };
    let now = context.clock.now();
    let left = STALE_AFTER.saturating_sub(now.duration_since(since));
    if let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
        return Ok(Next::After(left));
    }
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "False",
        "lastTransitionTime": rfc3339(now),
    });
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [condition]}});
    let at = (key.namespace.as_str(), key.name.as_str());
    let kind = PatchKind::Strategic;
    let patched = context
        .client
        .patch::<IgnoredAny>(&pods, at, "status", kind, &patch);
    match patched.await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(Next::Wait),
    }
}
