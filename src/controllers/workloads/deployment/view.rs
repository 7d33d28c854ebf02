//! A Deployment and its ReplicaSets as the decisions see them: numbers read once. Pure.
//! Kubernetes: `pkg/controller/deployment/util/deployment_util.go`.

use crate::controllers::workloads::{number, number_or_percent, template};
use crate::meta::{Object, time};
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Ordering;

/// The revision of a template, on ReplicaSets, and of the newest one on the Deployment.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Older revisions that a ReplicaSet stood for.
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many pods the Deployment wanted when the ReplicaSet was last scaled.
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// How many it could have had then, those of the surge included.
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Asks for the template of an older revision; kept for retired versions of the API.
pub(super) const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// A Deployment.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    /// As it was read.
    pub(super) object: Object,
    /// Pods wanted.
    pub(super) replicas: i64,
    /// Whether its strategy is RollingUpdate; Recreate if not.
    pub(super) rolling: bool,
    /// Pods over `replicas` that may be.
    pub(super) max_surge: i64,
    /// Pods of `replicas` that may be missing.
    pub(super) max_unavailable: i64,
}

impl Deployment {
    pub(super) fn new(object: Object) -> Self {
        let replicas = number(&object, &["spec", "replicas"]);
        let rolling = object.str_at(&["spec", "strategy", "type"]) != "Recreate";
        let part = |name: &str| object.get(&["spec", "strategy", "rollingUpdate", name]);
        let (mut max_surge, mut max_unavailable) = (0, 0);
        if rolling {
            max_surge = number_or_percent(part("maxSurge"), replicas, true);
            max_unavailable = number_or_percent(part("maxUnavailable"), replicas, false);
            // Both round to nothing: then one may be missing, or nothing would ever move.
            if max_surge == 0 && max_unavailable == 0 {
                max_unavailable = 1;
            }
            max_unavailable = max_unavailable.min(replicas);
        }
        Self {
            object,
            replicas,
            rolling,
            max_surge,
            max_unavailable,
        }
    }

    /// `spec.template`.
    pub(super) fn template(&self) -> &Value {
        self.object
            .get(&["spec", "template"])
            .unwrap_or(&Value::Null)
    }

    /// `spec.paused`.
    pub(super) fn paused(&self) -> bool {
        self.object.get(&["spec", "paused"]) == Some(&Value::Bool(true))
    }

    /// `spec.progressDeadlineSeconds`, if one is kept.
    pub(super) fn progress_deadline(&self) -> Option<i64> {
        self.limit("progressDeadlineSeconds")
    }

    /// `spec.revisionHistoryLimit`, if one is kept.
    pub(super) fn history_limit(&self) -> Option<i64> {
        self.limit("revisionHistoryLimit")
    }

    /// The greatest number stands for none.
    fn limit(&self, name: &str) -> Option<i64> {
        let limit = self.object.get(&["spec", name])?.as_i64()?;
        (limit != i64::from(i32::MAX)).then_some(limit)
    }

    /// A count of the status.
    pub(super) fn status(&self, name: &str) -> i64 {
        number(&self.object, &["status", name])
    }

    /// The most pods there may be.
    pub(super) fn max_pods(&self) -> i64 {
        self.replicas + self.max_surge
    }
}

/// A ReplicaSet of a Deployment.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// As it was read.
    pub(super) object: Object,
    /// Pods wanted of it.
    pub(super) replicas: i64,
    /// Pods that are there.
    pub(super) actual: i64,
    /// Of them ready.
    pub(super) ready: i64,
    /// Of them available.
    pub(super) available: i64,
    /// Pods on their way out.
    pub(super) terminating: Option<i64>,
    created: Timestamp,
}

impl Set {
    pub(super) fn new(object: Object) -> Self {
        let status = |name: &str| number(&object, &["status", name]);
        let created = time::parse(object.str_at(&["metadata", "creationTimestamp"]));
        let terminating = object.get(&["status", "terminatingReplicas"]);
        Self {
            replicas: number(&object, &["spec", "replicas"]),
            actual: status("replicas"),
            ready: status("readyReplicas"),
            available: status("availableReplicas"),
            terminating: terminating.and_then(Value::as_i64),
            created: created.unwrap_or(Timestamp::UNIX_EPOCH),
            object,
        }
    }

    /// Its revision; none if it is no number.
    pub(super) fn revision(&self) -> Option<i64> {
        match self.object.annotation(REVISION) {
            Some(text) => text.parse().ok(),
            None => Some(0),
        }
    }

    /// A number in an annotation.
    pub(super) fn annotated(&self, name: &str) -> Option<i64> {
        self.object.annotation(name)?.parse().ok()
    }

    /// Whether its pods are made of the Deployment's template.
    pub(super) fn has_template_of(&self, deployment: &Deployment) -> bool {
        let own = self
            .object
            .get(&["spec", "template"])
            .unwrap_or(&Value::Null);
        template::equal_but_hash(own, deployment.template())
    }

    /// The older first.
    pub(super) fn by_age(&self, other: &Self) -> Ordering {
        let names = (self.object.name(), other.object.name());
        self.created
            .cmp(&other.created)
            .then_with(|| names.0.cmp(names.1))
    }

    /// Whether pods are wanted of it.
    pub(super) fn is_active(&self) -> bool {
        self.replicas > 0
    }
}

/// A Deployment and all that it has.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The Deployment.
    pub(super) deployment: Deployment,
    /// The ReplicaSet of its template, if there is one.
    pub(super) new: Option<Set>,
    /// All others, the older first.
    pub(super) old: Vec<Set>,
    /// Whether pods of the others have not ended yet, those on their way out included.
    pub(super) old_pods_run: bool,
}

impl View {
    /// Sorts the ReplicaSets: of several with the Deployment's template the oldest is the new one.
    /// Kubernetes: FindNewReplicaSet, FindOldReplicaSets.
    pub(super) fn new(deployment: Deployment, mut sets: Vec<Set>) -> Self {
        sets.sort_by(Set::by_age);
        let at = sets.iter().position(|set| set.has_template_of(&deployment));
        let new = at.map(|at| sets.remove(at));
        Self {
            deployment,
            new,
            old: sets,
            old_pods_run: false,
        }
    }

    /// All ReplicaSets.
    pub(super) fn all(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(&self.new)
    }

    /// Pods wanted of all ReplicaSets together.
    pub(super) fn wanted(&self) -> i64 {
        self.all().map(|set| set.replicas).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn surge_rounds_up_and_unavailable_down_and_one_of_them_is_something() {
        let of = |replicas: i64, surge: Value, unavailable: Value| {
            let object = json!({"spec": {"replicas": replicas, "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            }}});
            let deployment = Deployment::new(Object::from_value(object).unwrap());
            (deployment.max_surge, deployment.max_unavailable)
        };
        assert_eq!(of(10, json!("25%"), json!("25%")), (3, 2));
        assert_eq!(of(1, json!("25%"), json!("25%")), (1, 0));
        assert_eq!(of(3, json!(0), json!("10%")), (0, 1));
        assert_eq!(of(3, json!(2), json!(5)), (2, 3));
        assert_eq!(of(0, json!("25%"), json!(1)), (0, 0));
    }
}
