//! What a StatefulSet does next, and what its status says: pure.
//! Kubernetes: `pkg/controller/statefulset/stateful_set_control.go`.

use super::identity;
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::history::REVISION_LABEL;
use crate::controllers::workloads::{number, number_or_percent};
use crate::meta::Object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A StatefulSet, its pods, and the revisions that it is at and that it goes to.
pub(super) struct View<'a> {
    pub(super) set: &'a Object,
    /// Its pods, those on their way out included.
    pub(super) pods: &'a [Arc<Member>],
    /// The name of the revision that pods below the partition have.
    pub(super) current: &'a str,
    /// The name of the revision of its template.
    pub(super) update: &'a str,
    pub(super) collisions: i64,
    pub(super) now: Timestamp,
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// The pod of this number is to be, with its claims.
    Create {
        /// Which one.
        ordinal: i64,
        /// Of the update revision; else of the current one.
        updated: bool,
    },
    /// A pod has ended: it goes, and comes again.
    Recreate(Arc<Member>),
    /// A pod goes.
    Delete(Arc<Member>),
    /// A pod's claims are to be there, and to belong to whom the retention policy says.
    Claims(i64, Arc<Member>),
    /// A pod is to bear its labels and mount its claims.
    Identity(i64, Arc<Member>),
}

/// What is to be done and told.
#[derive(Debug)]
pub(super) struct Plan {
    /// In this order. Where one fails, those behind it are not begun.
    pub(super) acts: Vec<Act>,
    /// The status.
    pub(super) status: Map<String, Value>,
    /// When the next pod will be available, if one is ready and not yet so.
    pub(super) next_available: Option<Duration>,
}

fn running_and_ready(pod: &Member) -> bool {
    pod.pod.phase == Phase::Running && pod.pod.ready.is_some()
}

fn healthy(pod: &Member) -> bool {
    running_and_ready(pod) && !pod.deleting
}

fn revision(pod: &Member) -> &str {
    pod.label(REVISION_LABEL).unwrap_or_default()
}

/// Decides.
pub(super) fn plan(view: &View<'_>) -> Plan {
    let mut replicas: Vec<(i64, Option<&Arc<Member>>)> = Vec::new();
    let start = identity::start(view.set);
    let wanted = number(view.set, &["spec", "replicas"]);
    replicas.extend((start..start + wanted).map(|ordinal| (ordinal, None)));
    let mut condemned: Vec<(i64, &Arc<Member>)> = Vec::new();
    for pod in view.pods {
        let Some(ordinal) = identity::ordinal(view.set.name(), &pod.key.name) else {
            continue;
        };
        let place = usize::try_from(ordinal - start).ok();
        match place.and_then(|place| replicas.get_mut(place)) {
            Some((_, place)) => *place = Some(pod),
            None => condemned.push((ordinal, pod)),
        }
    }
    condemned.sort_by_key(|(ordinal, _)| -ordinal);
    let mut counted = Counted::new(view, &replicas, &condemned);
    let mut acts = Vec::new();
    if view.set.deletion_timestamp().is_none() {
        let steps = Steps {
            view,
            replicas: &replicas,
            condemned: &condemned,
            monotonic: view.set.str_at(&["spec", "podManagementPolicy"]) != "Parallel",
        };
        if steps.living(&mut acts) && steps.surplus(&mut acts) {
            let before = acts.len();
            steps.outdated(&mut acts);
            counted.current -= acts.len() - before;
        }
    }
    Plan {
        acts,
        status: status(view, &counted),
        next_available: counted.next_available,
    }
}

struct Steps<'a> {
    view: &'a View<'a>,
    replicas: &'a [(i64, Option<&'a Arc<Member>>)],
    condemned: &'a [(i64, &'a Arc<Member>)],
    /// One pod at a time, in order.
    monotonic: bool,
}

impl Steps<'_> {
    fn available(&self, pod: &Member) -> bool {
        running_and_ready(pod) && self.view.until_available(pod).is_none()
    }

    /// Which revision a pod that is to be made has. Kubernetes: newVersionedStatefulSetPod.
    fn updated(&self, ordinal: i64) -> bool {
        let set = self.view.set;
        let strategy = ["spec", "updateStrategy", "type"];
        if set.str_at(&strategy) != "RollingUpdate" {
            return true;
        }
        let rolling = set.get(&["spec", "updateStrategy", "rollingUpdate"]);
        let kept = match rolling {
            Some(_) => partition(set),
            None => number(set, &["status", "currentReplicas"]),
        };
        ordinal >= identity::start(set) + kept
    }

    /// The pods that are wanted. Answers whether what comes after them may be done.
    fn living(&self, acts: &mut Vec<Act>) -> bool {
        let has_claims = !identity::claim_templates(self.view.set).is_empty();
        for (ordinal, pod) in self.replicas {
            let ordinal = *ordinal;
            let Some(pod) = *pod else {
                let updated = self.updated(ordinal);
                acts.push(Act::Create { ordinal, updated });
                if self.monotonic {
                    return false;
                }
                continue;
            };
            if pod.pod.ended() {
                if !pod.deleting {
                    acts.push(Act::Recreate(pod.clone()));
                }
                if self.monotonic {
                    return false;
                }
                continue;
            }
            let pending = pod.pod.phase == Phase::Pending;
            if has_claims && pending {
                acts.push(Act::Claims(ordinal, pod.clone()));
            }
            if self.monotonic && (pod.deleting || !self.available(pod)) {
                return false;
            }
            if !identity::matches(pod) || has_claims && !pending {
                acts.push(Act::Identity(ordinal, pod.clone()));
            }
        }
        true
    }

    /// The pods that are not wanted, the greatest number first.
    fn surplus(&self, acts: &mut Vec<Act>) -> bool {
        if !identity::claim_templates(self.view.set).is_empty() {
            let claims =
                |(ordinal, pod): &(i64, &Arc<Member>)| Act::Claims(*ordinal, (*pod).clone());
            acts.extend(self.condemned.iter().map(claims));
        }
        // A pod that serves nobody may go first, where it is the only one of that sort below all others.
        let living = self.replicas.iter().map(|(_, pod)| *pod);
        let sick = living.chain(self.condemned.iter().rev().map(|(_, pod)| Some(*pod)));
        let mut sick = sick.filter(|pod| pod.is_none_or(|pod| !healthy(pod)));
        let first_sick = sick.next().flatten();
        for (_, pod) in self.condemned {
            if pod.deleting {
                if self.monotonic {
                    return false;
                }
                continue;
            }
            let is_first_sick = first_sick.is_some_and(|first| first.uid == pod.uid);
            if self.monotonic && !self.available(pod) && !is_first_sick {
                return false;
            }
            acts.push(Act::Delete((*pod).clone()));
            if self.monotonic {
                return false;
            }
        }
        true
    }

    /// The pods of another revision, the greatest number first.
    fn outdated(&self, acts: &mut Vec<Act>) {
        let set = self.view.set;
        if set.str_at(&["spec", "updateStrategy", "type"]) == "OnDelete" {
            return;
        }
        let kept = usize::try_from(partition(set)).unwrap_or(usize::MAX);
        let targets = || self.replicas.iter().skip(kept).rev();
        let outdated = |pod: &Member| revision(pod) != self.view.update && pod.active();
        let path = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
        let Some(max) = set.get(&path) else {
            for (_, pod) in targets() {
                match pod {
                    Some(pod) if outdated(pod) => return acts.push(Act::Delete((*pod).clone())),
                    Some(pod) if healthy(pod) => {}
                    _ => return,
                }
            }
            return;
        };
        let all = self.replicas.len();
        let all = i64::try_from(all).unwrap_or(i64::MAX);
        let max = number_or_percent(Some(max), all, false).max(1);
        let max = usize::try_from(max).unwrap_or(1);
        let missing = |pod: &&Arc<Member>| !self.available(pod) || pod.deleting;
        let gone = |pod: &Option<&Arc<Member>>| pod.as_ref().is_none_or(missing);
        let unavailable = self.replicas.iter().filter(|(_, pod)| gone(pod)).count();
        // One that serves nobody costs nothing: it goes whatever else is missing.
        let mut room = max.saturating_sub(unavailable);
        for (_, pod) in targets() {
            let Some(pod) = pod else { continue };
            if !outdated(pod) {
                continue;
            }
            if self.available(pod) {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            acts.push(Act::Delete((*pod).clone()));
        }
    }
}

fn partition(set: &Object) -> i64 {
    number(
        set,
        &["spec", "updateStrategy", "rollingUpdate", "partition"],
    )
}

impl View<'_> {
    /// How long a ready pod has to stay so before it is available; none if it is.
    fn until_available(&self, pod: &Member) -> Option<Duration> {
        let wait = SignedDuration::from_secs(number(self.set, &["spec", "minReadySeconds"]));
        let left = wait.saturating_sub(self.now.duration_since(pod.pod.ready?));
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

#[derive(Debug, Default)]
struct Counted {
    replicas: usize,
    ready: usize,
    available: usize,
    current: usize,
    updated: usize,
    next_available: Option<Duration>,
}

impl Counted {
    fn new(
        view: &View<'_>,
        replicas: &[(i64, Option<&Arc<Member>>)],
        condemned: &[(i64, &Arc<Member>)],
    ) -> Self {
        let mut counted = Self::default();
        let living = replicas.iter().filter_map(|(_, pod)| *pod);
        for pod in living.chain(condemned.iter().map(|(_, pod)| *pod)) {
            counted.replicas += 1;
            if running_and_ready(pod) {
                counted.ready += 1;
                match view.until_available(pod) {
                    None => counted.available += 1,
                    Some(left) => {
                        let next = counted.next_available.get_or_insert(left);
                        *next = left.min(*next);
                    }
                }
            }
            if !pod.deleting {
                counted.current += usize::from(revision(pod) == view.current);
                counted.updated += usize::from(revision(pod) == view.update);
            }
        }
        counted
    }
}

fn status(view: &View<'_>, counted: &Counted) -> Map<String, Value> {
    let set = view.set;
    let wanted = usize::try_from(number(set, &["spec", "replicas"])).unwrap_or(0);
    let rolling = set.str_at(&["spec", "updateStrategy", "type"]) == "RollingUpdate";
    let all = |count: usize| count == wanted;
    let complete = rolling && all(counted.updated) && all(counted.ready) && all(counted.replicas);
    let (current, revision) = if complete {
        (counted.updated, view.update)
    } else {
        (counted.current, view.current)
    };
    let mut status = Map::new();
    let mut put = |name: &str, value: Value| status.insert(name.to_owned(), value);
    put("observedGeneration", json!(set.generation()));
    put("replicas", json!(counted.replicas));
    put("availableReplicas", json!(counted.available));
    put("collisionCount", json!(view.collisions));
    put("currentRevision", json!(revision));
    put("updateRevision", json!(view.update));
    let counts = [
        ("readyReplicas", counted.ready),
        ("currentReplicas", current),
        ("updatedReplicas", counted.updated),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(name, json!(count));
    }
    if let Some(conditions) = set.get(&["status", "conditions"]) {
        put("conditions", conditions.clone());
    }
    status
}
