//! A certificate request says who asks, in the server's words, and when its conditions were set.
//! Kubernetes: `pkg/registry/certificates/certificates` PrepareForCreate,
//! populateConditionTimestamps.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object, time};
use serde_json::{Value, json};

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";

pub(super) struct CertificateSigningRequest;

impl Plugin for CertificateSigningRequest {
    fn name(&self) -> &'static str {
        "CertificateSigningRequest"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let def = &request.target.def;
        if def.group != GROUP || def.plural != RESOURCE {
            return Ok(());
        }
        match (request.operation, old) {
            (Operation::Create, _) => requestor(request, object),
            (Operation::Update, Some(old)) if !request.target.subresource.is_empty() => {
                times(&time::rfc3339(request.now), object, old);
            }
            _ => {}
        }
        Ok(())
    }
}

fn requestor(request: &Request<'_>, object: &mut Object) {
    let user = &request.context.user;
    let fields = [
        ("username", json!(user.name), user.name.is_empty()),
        ("uid", json!(user.uid), user.uid.is_empty()),
        ("groups", json!(user.groups), user.groups.is_empty()),
        ("extra", json!(user.extra), user.extra.is_empty()),
    ];
    for (field, value, is_empty) in fields {
        if is_empty {
            object.remove(&["spec", field]);
        } else {
            object.set(&["spec", field], value);
        }
    }
}

/// Conditions without times get that of now; one that stays as it is keeps when it came.
fn times(now: &str, object: &mut Object, old: &Object) {
    let mut conditions = match object.get(&["status", "conditions"]) {
        Some(Value::Array(list)) => list.clone(),
        _ => return,
    };
    let before = old.get(&["status", "conditions"]).and_then(Value::as_array);
    for condition in &mut conditions {
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let same = before.into_iter().flatten().find(|one| {
            one.get("type") == condition.get("type") && one.get("status") == condition.get("status")
        });
        let since = same.and_then(|one| text(one, "lastTransitionTime"));
        let Value::Object(fields) = condition else {
            continue;
        };
        fields.entry("lastUpdateTime").or_insert_with(|| json!(now));
        let since = since.unwrap_or_else(|| now.to_owned());
        fields
            .entry("lastTransitionTime")
            .or_insert_with(|| json!(since));
    }
    object.set(&["status", "conditions"], Value::Array(conditions));
}
