//! A pod's priority class becomes a number, and only one class is every other pod's.
//! Kubernetes: admission plugin Priority.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

const GROUP: &str = "scheduling.k8s.io";
const RESOURCE: &str = "priorityclasses";
const NUMBER_GIVEN: &str = "the integer value of priority must not be provided in pod spec; \
     priority admission controller computed the value from the given PriorityClass name";

/// Classes that every cluster has.
const SYSTEM: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

pub(super) struct Priority;

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.is_main("", "pods") {
            return Ok(());
        }
        if let Some(old) = old {
            // What was worked out at the start stays, whatever an update leaves out.
            for field in ["priority", "preemptionPolicy"] {
                if pod.get(&["spec", field]).is_none()
                    && let Some(value) = old.get(&["spec", field])
                {
                    pod.set(&["spec", field], value.clone());
                }
            }
            return Ok(());
        }
        if request.operation != Operation::Create {
            return Ok(());
        }
        fill_in(request, pod)
    }

    fn validate(
        &self,
        request: &Request<'_>,
        class: &Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        // Kubernetes: registry `scheduling/priorityclass/storage`, which keeps its own.
        let removes = request.operation == Operation::Delete && request.is_main(GROUP, RESOURCE);
        if removes && SYSTEM.contains(&class.name()) {
            let why = "this is a system priority class and cannot be deleted";
            return Err(request.forbidden(class, why));
        }
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if !writes || !request.is_main(GROUP, RESOURCE) || !is_default(class) {
            return Ok(());
        }
        match default_class(request)? {
            Some(other) if other.name() != class.name() => {
                let why = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    other.name()
                );
                Err(request.forbidden(class, &why))
            }
            _ => Ok(()),
        }
    }
}

/// Gives a new pod the number of its class.
fn fill_in(request: &Request<'_>, pod: &mut Object) -> Result<(), ApiError> {
    let name = pod.str_at(&["spec", "priorityClassName"]).to_owned();
    let class = match name.as_str() {
        "" => default_class(request)?,
        name => {
            let Some(class) = request.find(GROUP, RESOURCE, "", name)? else {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(request.forbidden(pod, &why));
            };
            Some(class)
        }
    };
    let number = |class: &Object| class.get(&["value"]).and_then(Value::as_i64);
    let priority = class.as_ref().and_then(number).unwrap_or(0);
    let asked = pod.get(&["spec", "priority"]).and_then(Value::as_i64);
    if asked.is_some_and(|asked| asked != priority) {
        return Err(request.forbidden(pod, NUMBER_GIVEN));
    }
    let policy = class
        .as_ref()
        .map(|class| class.str_at(&["preemptionPolicy"]));
    let policy = policy.filter(|policy| !policy.is_empty());
    let policy = policy.unwrap_or("PreemptLowerPriority");
    let given = pod.str_at(&["spec", "preemptionPolicy"]);
    if !given.is_empty() && given != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(request.forbidden(pod, &why));
    }
    pod.set(&["spec", "priority"], json!(priority));
    pod.set(&["spec", "preemptionPolicy"], json!(policy));
    if let Some(class) = class.filter(|_| name.is_empty()) {
        pod.set(&["spec", "priorityClassName"], json!(class.name()));
    }
    Ok(())
}

/// The class of pods that name none: of several, which a race may have made, the least.
fn default_class(request: &Request<'_>) -> Result<Option<Object>, ApiError> {
    let mut found: Option<Object> = None;
    for class in request.all(GROUP, RESOURCE, None)? {
        let value = |class: &Object| class.get(&["value"]).and_then(Value::as_i64);
        let is_less = found
            .as_ref()
            .is_none_or(|least| value(&class) < value(least));
        if is_default(&class) && is_less {
            found = Some(class);
        }
    }
    Ok(found)
}

fn is_default(class: &Object) -> bool {
    class.get(&["globalDefault"]) == Some(&Value::Bool(true))
}
