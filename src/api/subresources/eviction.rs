//! `pods/eviction`: a deletion that the pod's PodDisruptionBudget may refuse, and is told of. Must not
//! work out what a budget allows: that stands in its status.
//! Kubernetes: registry `core/pod/storage` EvictionREST.

use super::success;
use crate::api::context::Context;
use crate::api::registry::{Filter, WriteError, matching, served};
use crate::api::verbs::delete::delete_one;
use crate::api::verbs::{Target, options, read_body};
use crate::api::{ApiServer, Body, codec, respond};
use crate::meta::labels::Selector;
use crate::meta::options::DeleteOptions;
use crate::meta::{ApiError, GroupResource, Object, Reason, time};
use crate::resources::DefRef;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

/// Times that what others write meanwhile is tried.
const TRIES: usize = 20;
/// Pods that a budget remembers as being evicted; more are not confirmed by its controller.
const DISRUPTED_PODS_MAX: usize = 2_000;
/// What a client waits while the budget is worked out (seconds).
const RETRY_SECONDS: u32 = 10;

const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const SEVERAL: &str = "This pod has more than one PodDisruptionBudget, which the eviction \
    subresource does not support.";

/// Serves an eviction.
pub(super) async fn evict(
    server: &ApiServer,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_untabled(context)?;
    let create = options::create(context)?;
    let body = read_body(server, request.into_body()).await?;
    let eviction = Object::from_value(codec::decode(context, &body)?.value)
        .ok_or_else(|| ApiError::bad_request("the body is no Eviction"))?;
    if eviction.name() != target.name {
        let text = "name in URL does not match name in Eviction object";
        return Err(ApiError::bad_request(text));
    }
    let mut options = match eviction.get(&["deleteOptions"]) {
        Some(options) => DeleteOptions::parse_body(options)?,
        None => DeleteOptions::default(),
    };
    options.dry_run |= create.dry_run;
    let eviction = Eviction {
        server,
        context,
        target,
        options,
    };
    eviction.run().await?;
    respond::value(&accepted, StatusCode::CREATED, &success(201))
}

struct Eviction<'a> {
    server: &'a ApiServer,
    context: &'a Context,
    target: &'a Target,
    /// As the client sent them.
    options: DeleteOptions,
}

impl Eviction<'_> {
    async fn run(&self) -> Result<(), ApiError> {
        let own_revision = self.options.preconditions.resource_version.is_some();
        let mut tries = 0;
        let pod = loop {
            tries += 1;
            let (pod, _) = self.pod()?;
            let phase = pod.str_at(&["status", "phase"]);
            let ended =
                pod.deletion_timestamp().is_some() || matches!(phase, "Succeeded" | "Failed");
            if !ended && phase != "Pending" {
                break pod;
            }
            // It may become ready meanwhile, and then a budget counts it.
            let at = (!ended).then_some(&pod);
            match self.delete(at).await {
                Err(error) if is_conflict(&error) && !own_revision && tries < TRIES => {}
                done => return done,
            }
        };
        let Some(budget) = self.budget_of(&pod)? else {
            return self.delete(None).await;
        };
        if !is_ready(&pod) && lets_unready_go(&budget) {
            let done = self.delete(Some(&pod)).await;
            return match done {
                Err(error) if is_conflict(&error) && !own_revision => {
                    Err(being_processed(budget.name()))
                }
                done => done,
            };
        }
        self.take_from(budget.name()).await?;
        self.delete(None).await
    }

    fn pod(&self) -> Result<(Object, u64), ApiError> {
        let Target {
            def,
            namespace,
            name,
            ..
        } = self.target;
        self.server.registry.get(def, namespace, name)
    }

    fn budgets_def(&self) -> Result<DefRef, ApiError> {
        let scheme = self.server.registry.scheme();
        let def = scheme.resource("policy", "v1", "poddisruptionbudgets");
        def.cloned()
            .ok_or_else(|| ApiError::internal("poddisruptionbudgets are not served"))
    }

    /// The one budget that the pod is counted in, if there is one.
    fn budget_of(&self, pod: &Object) -> Result<Option<Object>, ApiError> {
        let registry = &self.server.registry;
        let def = self.budgets_def()?;
        let snapshot = registry.cache.snapshot(&*registry.kind(&def)?);
        let filter = Filter::in_namespace(&self.target.namespace);
        let mut found = None;
        for (_, cached) in matching(&snapshot.objects, &filter) {
            let budget = served(&def, cached)?;
            // One that cannot be read matches nothing.
            let selector = Selector::from_label_selector(budget.get(&["spec", "selector"]));
            if !selector.is_ok_and(|selector| selector.matches_object(pod)) {
                continue;
            }
            if found.is_some() {
                return Err(ApiError {
                    code: 500,
                    ..ApiError::new(Reason::Unknown, SEVERAL)
                });
            }
            found = Some(budget);
        }
        Ok(found)
    }

    /// Takes one disruption from the budget, or refuses.
    async fn take_from(&self, name: &str) -> Result<(), ApiError> {
        let registry = &self.server.registry;
        let def = self.budgets_def()?;
        for _ in 0..TRIES {
            let (mut budget, revision) = registry.get(&def, &self.target.namespace, name)?;
            let now = time::rfc3339(self.server.clock.now());
            take_one(&mut budget, &self.target.name, &now)?;
            if self.options.dry_run {
                return Ok(());
            }
            match registry.replace(&def, &budget, revision).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Changed) => {}
                Err(WriteError::Api(error)) => return Err(error),
            }
        }
        let text = format!("couldn't update PodDisruptionBudget {name:?} due to conflicts");
        let mut error = ApiError::new(Reason::Timeout, text);
        error.details = json!({ "retryAfterSeconds": RETRY_SECONDS });
        Err(error)
    }

    /// Says in the pod that it is evicted, and deletes it; `at` is what it must still be.
    async fn delete(&self, at: Option<&Object>) -> Result<(), ApiError> {
        let mut options = self.options.clone();
        let asked = &mut options.preconditions.resource_version;
        if let (Some(at), None) = (at, asked.as_ref()) {
            *asked = Some(at.resource_version().to_owned());
        }
        if !options.dry_run {
            self.say_evicted(&mut options).await?;
        }
        delete_one(self.server, self.context, self.target, &options)
            .await
            .map(|_| ())
    }

    async fn say_evicted(&self, options: &mut DeleteOptions) -> Result<(), ApiError> {
        let registry = &self.server.registry;
        let conditions = &mut options.preconditions;
        for _ in 0..TRIES {
            let (mut pod, revision) = self.pod()?;
            let differs = |asked: &Option<String>, own: &str| {
                asked.as_ref().is_some_and(|asked| asked != own)
            };
            // The deletion says what is wrong.
            if differs(&conditions.uid, pod.uid())
                || differs(&conditions.resource_version, pod.resource_version())
            {
                return Ok(());
            }
            let condition = json!({
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            });
            let now = time::rfc3339(self.server.clock.now());
            set_condition(&mut pod, condition, &now);
            match registry.replace(&self.target.def, &pod, revision).await {
                Ok(written) => {
                    if let Some(asked) = &mut conditions.resource_version {
                        *asked = written.revision.to_string();
                    }
                    return Ok(());
                }
                Err(WriteError::Changed) => {}
                Err(WriteError::Api(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_conflict(error: &ApiError) -> bool {
    error.reason == Reason::Conflict
}

fn is_ready(pod: &Object) -> bool {
    let conditions = pod.get(&["status", "conditions"]).and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn count(budget: &Object, field: &str) -> i64 {
    let count = budget.get(&["status", field]).and_then(Value::as_i64);
    count.unwrap_or(0)
}

/// Whether a pod that is not ready may go without counting.
fn lets_unready_go(budget: &Object) -> bool {
    let wanted = count(budget, "desiredHealthy");
    budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow"
        || (wanted > 0 && count(budget, "currentHealthy") >= wanted)
}

/// A refusal that tells which budget is why.
fn refused(cause: String, retry_seconds: u32) -> ApiError {
    let mut error = ApiError::new(Reason::TooManyRequests, VIOLATES);
    let mut details = Map::new();
    let causes = json!([{ "reason": "DisruptionBudget", "message": cause }]);
    details.insert("causes".to_owned(), causes);
    if retry_seconds > 0 {
        details.insert("retryAfterSeconds".to_owned(), json!(retry_seconds));
    }
    error.details = Value::Object(details);
    error
}

fn being_processed(budget: &str) -> ApiError {
    let cause = format!("The disruption budget {budget} is still being processed by the server.");
    refused(cause, RETRY_SECONDS)
}

/// One disruption less is allowed, and the pod is remembered until it is gone.
fn take_one(budget: &mut Object, pod: &str, now: &str) -> Result<(), ApiError> {
    let name = budget.name().to_owned();
    if count(budget, "observedGeneration") < budget.generation() {
        return Err(being_processed(&name));
    }
    let of = GroupResource {
        group: "policy".to_owned(),
        resource: "poddisruptionbudget".to_owned(),
    };
    let allowed = count(budget, "disruptionsAllowed");
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(ApiError::forbidden(&of, &name, why));
    }
    let disrupted = budget.get(&["status", "disruptedPods"]);
    let disrupted = disrupted.and_then(Value::as_object).map_or(0, Map::len);
    if disrupted > DISRUPTED_PODS_MAX {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(ApiError::forbidden(&of, &name, why));
    }
    if allowed == 0 {
        return Err(refused(why_none(budget), 0));
    }
    budget.set(&["status", "disruptionsAllowed"], json!(allowed - 1));
    if allowed == 1 {
        let condition = json!({
            "type": "DisruptionAllowed",
            "status": "False",
            "reason": "InsufficientPods",
            "message": "",
            "observedGeneration": count(budget, "observedGeneration"),
        });
        set_condition(budget, condition, now);
    }
    budget.set(&["status", "disruptedPods", pod], json!(now));
    Ok(())
}

fn why_none(budget: &Object) -> String {
    let conditions = budget
        .get(&["status", "conditions"])
        .and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    let failed = conditions.find(|condition| {
        condition["type"] == "DisruptionAllowed"
            && condition["status"] == "False"
            && condition["reason"] == "SyncFailed"
    });
    let name = budget.name();
    match failed.map(|condition| condition["message"].as_str().unwrap_or_default()) {
        Some(why) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed \
             sync: {why}"
        ),
        None => format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            count(budget, "desiredHealthy"),
            count(budget, "currentHealthy")
        ),
    }
}

/// Sets a condition; its time is that of its last change.
fn set_condition(object: &mut Object, mut condition: Value, now: &str) {
    let list = object.get(&["status", "conditions"]).cloned();
    let mut list = match list {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let same = |old: &Value, field: &str| old.get(field) == condition.get(field);
    let place = list.iter().position(|old| same(old, "type"));
    let old = place.map(|place| list.remove(place));
    let since = old
        .filter(|old| same(old, "status"))
        .and_then(|old| old.get("lastTransitionTime").cloned());
    if let Value::Object(condition) = &mut condition {
        let since = since.unwrap_or_else(|| json!(now));
        condition.insert("lastTransitionTime".to_owned(), since);
    }
    list.insert(place.unwrap_or(list.len()), condition);
    object.set(&["status", "conditions"], Value::Array(list));
}
