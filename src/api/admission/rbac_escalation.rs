//! Nobody gives away what he has not: who writes a role must have what it allows, who binds one too,
//! unless he may `escalate` or `bind` it.
//! Kubernetes: `pkg/registry/rbac/*/policybased`.

use super::{Operation, Plugin, Request};
use crate::api::authentication::GROUP_MASTERS;
use crate::api::authorization::{Attributes, Decision};
use crate::api::request_info::RequestInfo;
use crate::meta::{ApiError, GroupResource, Object};
use crate::resources::rbac::GROUP;
use crate::resources::rbac::policy::{PolicyRule, compact, missing, quoted};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) struct RbacEscalation;

impl Plugin for RbacEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    // Not a change, but Kubernetes looks at it before it looks at what is wrong with the object.
    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let def = &request.target.def;
        if def.group != GROUP || request.operation == Operation::Delete {
            return Ok(());
        }
        // The server's own, and those who need no role.
        if request.context.user.is_in(GROUP_MASTERS) {
            return Ok(());
        }
        if old.is_some_and(|old| only_collected(object, old)) {
            return Ok(());
        }
        match def.plural.as_ref() {
            "roles" | "clusterroles" => role(request, object, old),
            "rolebindings" | "clusterrolebindings" => binding(request, object),
            _ => Ok(()),
        }
    }
}

/// Whether an update only changes what the garbage collector must be able to change.
fn only_collected(new: &Object, old: &Object) -> bool {
    let bare = |object: &Object| {
        let mut bare = object.clone();
        for field in ["finalizers", "ownerReferences", "managedFields"] {
            bare.remove(&["metadata", field]);
        }
        bare
    };
    bare(new) == bare(old)
}

fn role(request: &Request<'_>, role: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let resource = &request.target.def.plural;
    if may(request, "escalate", resource, &request.target.name) {
        return Ok(());
    }
    confirm(request, role, PolicyRule::of_role(role))?;
    let gathers = |role: &Object| {
        role.get(&["aggregationRule", "clusterRoleSelectors"])
            .and_then(Value::as_array)
            .is_some_and(|selectors| !selectors.is_empty())
    };
    if gathers(role) || old.is_some_and(gathers) {
        // It can gather anything.
        let all = vec!["*".to_owned()];
        let everything = vec![
            PolicyRule {
                groups: all.clone(),
                resources: all.clone(),
                verbs: all.clone(),
                ..PolicyRule::default()
            },
            PolicyRule {
                urls: all.clone(),
                verbs: all,
                ..PolicyRule::default()
            },
        ];
        if confirm(request, role, everything).is_err() {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(forbidden(request, role, why));
        }
    }
    Ok(())
}

fn binding(request: &Request<'_>, binding: &Object) -> Result<(), ApiError> {
    let (kind, name) = (
        binding.str_at(&["roleRef", "kind"]),
        binding.str_at(&["roleRef", "name"]),
    );
    let resource = match kind {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        // What is wrong with it is told by who looks at objects.
        _ => return Ok(()),
    };
    if may(request, "bind", resource, name) {
        return Ok(());
    }
    let namespace = &request.target.namespace;
    let Some(rules) = request.authorization.rbac.role(kind, name, namespace) else {
        return Err(ApiError::not_found(&group_resource(resource), name));
    };
    confirm(request, binding, rules)
}

/// Whether the user may do something to a role beyond reading and writing it.
fn may(request: &Request<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let info = RequestInfo {
        is_resource: true,
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        version: "*".to_owned(),
        namespace: request.target.namespace.clone(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..RequestInfo::default()
    };
    let decision = request.authorization.all.authorize(&Attributes {
        user: &request.context.user,
        info: &info,
        field_selector: "",
    });
    matches!(decision, Decision::Allow(_))
}

/// Refuses rules that the user does not have.
fn confirm(request: &Request<'_>, object: &Object, rules: Vec<PolicyRule>) -> Result<(), ApiError> {
    let user = &request.context.user;
    let rbac = &request.authorization.rbac;
    let held = rbac.held(user, &request.target.namespace);
    let lacking = missing(&held.rules, &rules);
    if lacking.is_empty() {
        return Ok(());
    }
    let lacking: BTreeSet<String> = compact(lacking).iter().map(ToString::to_string).collect();
    let lacking: Vec<String> = lacking.into_iter().collect();
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lacking.join("\n")
    );
    if !held.error.is_empty() {
        why += &format!("; resolution errors: [{}]", held.error);
    }
    Err(forbidden(request, object, &why))
}

fn forbidden(request: &Request<'_>, object: &Object, why: &str) -> ApiError {
    ApiError::forbidden(&request.target.def.group_resource(), object.name(), why)
}

fn group_resource(resource: &str) -> GroupResource {
    GroupResource {
        group: GROUP.to_owned(),
        resource: resource.to_owned(),
    }
}
