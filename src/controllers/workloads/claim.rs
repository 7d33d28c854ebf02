//! Who belongs to a workload: those that its selector matches. One that nobody manages is adopted,
//! one that matches no more is released, what another manages is left alone. The decision is pure.
//! Kubernetes: `pkg/controller/controller_ref_manager.go`.

use super::{Flavor, Written};
use crate::client::{ClientError, PatchKind};
use crate::controllers::def::Context;
use crate::controllers::members::{Member, Members};
use crate::meta::labels::Selector;
use crate::meta::{ApiError, GroupVersionResource, Object, Reason};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is to be done with one that may belong to a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It is the workload's.
    Keep,
    /// It becomes the workload's.
    Adopt,
    /// It is the workload's no more.
    Release,
    /// It is none of its business.
    Leave,
}

/// Decides: `uid` is the workload's, `deleting` whether it is being deleted itself.
fn decide(member: &Member, uid: &str, deleting: bool, matches: bool) -> Claim {
    match &member.owner {
        Some(owner) if &*owner.uid != uid => Claim::Leave,
        Some(_) if matches => Claim::Keep,
        Some(_) if deleting => Claim::Leave,
        Some(_) => Claim::Release,
        None if deleting || !matches || member.deleting => Claim::Leave,
        None => Claim::Adopt,
    }
}

/// Those of `members` that belong to `workload`, after adoption and release; `wanted` says which may
/// be adopted or released at all (not: pods that have ended).
pub(super) async fn claim(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
    (members, resource): (&Members, &GroupVersionResource),
    selector: &Selector,
    wanted: impl Fn(&Member) -> bool,
) -> Result<Vec<Arc<Member>>, ClientError> {
    let deleting = workload.deletion_timestamp().is_some();
    let owned = members.owned_by(workload.uid());
    let strays = members.strays(workload.namespace());
    let mut own = Vec::with_capacity(owned.len());
    let mut checked = false;
    for member in owned.into_iter().chain(strays) {
        if !wanted(&member) {
            continue;
        }
        match decide(&member, workload.uid(), deleting, member.matches(selector)) {
            Claim::Keep => own.push(member),
            Claim::Leave => {}
            Claim::Release => {
                release(context, (flavor, workload), (members, resource), &member).await?;
            }
            Claim::Adopt => {
                if !checked {
                    may_adopt(context, flavor, workload).await?;
                    checked = true;
                }
                if adopt(context, (flavor, workload), (members, resource), &member).await? {
                    own.push(members.get(&member.key).unwrap_or(member));
                }
            }
        }
    }
    Ok(own)
}

/// The workload as it stands now must be the one that adopts, and must not be on its way out.
async fn may_adopt(
    context: &Context,
    flavor: &Flavor,
    workload: &Object,
) -> Result<(), ClientError> {
    let now = flavor.read(context, &workload.key()).await?;
    let same = now.filter(|now| now.uid() == workload.uid() && now.deletion_timestamp().is_none());
    if same.is_some() {
        return Ok(());
    }
    let (namespace, name) = (workload.namespace(), workload.name());
    let message = format!("{namespace}/{name} has just been deleted");
    Err(ClientError::Api(ApiError::new(Reason::Conflict, message)))
}

async fn adopt(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
    at: (&Members, &GroupVersionResource),
    member: &Member,
) -> Result<bool, ClientError> {
    let owner = flavor.owner_reference(workload);
    let mut patch = json!({"metadata": {"uid": &*member.uid, "ownerReferences": [owner]}});
    if let (Some(finalizer), Some(metadata)) = (flavor.finalizer(), patch.get_mut("metadata")) {
        metadata["finalizers"] = json!([finalizer]);
    }
    patch_owners(context, at, member, &patch).await
}

async fn release(
    context: &Context,
    (flavor, workload): (&Flavor, &Object),
    at: (&Members, &GroupVersionResource),
    member: &Member,
) -> Result<(), ClientError> {
    let owner = json!({"$patch": "delete", "uid": workload.uid()});
    let mut patch = json!({"metadata": {"uid": &*member.uid, "ownerReferences": [owner]}});
    if let (Some(finalizer), Some(metadata)) = (flavor.finalizer(), patch.get_mut("metadata")) {
        metadata["$deleteFromPrimitiveList/finalizers"] = json!([finalizer]);
    }
    patch_owners(context, at, member, &patch).await.map(|_| ())
}

/// False if it is gone, or another has taken its name.
async fn patch_owners(
    context: &Context,
    (members, resource): (&Members, &GroupVersionResource),
    member: &Member,
    patch: &Value,
) -> Result<bool, ClientError> {
    let at = (member.key.namespace.as_str(), member.key.name.as_str());
    let patched = context
        .client
        .patch::<Written>(resource, at, "", PatchKind::Strategic, patch);
    match patched.await {
        Ok(written) => {
            members.progress().reached(written.revision()).await;
            Ok(true)
        }
        Err(error) => match error.reason() {
            Some(Reason::NotFound | Reason::Conflict | Reason::Invalid) => Ok(false),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(owner: Option<&str>, deleting: bool) -> Member {
        let mut object = json!({"metadata": {"name": "m", "namespace": "n", "uid": "m"}});
        if let Some(uid) = owner {
            object["metadata"]["ownerReferences"] =
                json!([{"kind": "ReplicaSet", "name": "r", "uid": uid, "controller": true}]);
        }
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Member::of(&Object::from_value(object).unwrap())
    }

    #[test]
    fn a_stray_is_adopted_and_what_does_not_match_is_released() {
        let of = |owner, going, workload_going, matches| {
            decide(&member(owner, going), "w", workload_going, matches)
        };
        assert_eq!(of(None, false, false, true), Claim::Adopt);
        assert_eq!(of(None, true, false, true), Claim::Leave, "it goes anyway");
        assert_eq!(of(None, false, true, true), Claim::Leave, "its owner goes");
        assert_eq!(of(None, false, false, false), Claim::Leave);
        assert_eq!(of(Some("w"), false, false, true), Claim::Keep);
        assert_eq!(of(Some("w"), true, false, true), Claim::Keep);
        assert_eq!(of(Some("w"), false, false, false), Claim::Release);
        assert_eq!(of(Some("w"), false, true, false), Claim::Leave);
        assert_eq!(of(Some("x"), false, false, true), Claim::Leave);
    }
}
