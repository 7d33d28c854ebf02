//! Which pods go first when there are too many: pure.
//! Kubernetes: `pkg/controller/controller_utils.go`, ActivePodsWithRanks.

use crate::controllers::members::Member;
use jiff::Timestamp;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

/// Sorts `pods` so that those that are to go first stand first: not bound before bound, pending
/// before running, not ready before ready, cheap before dear, where many of `related` are before
/// where few are, ready for a short time before long, restarted often, young.
pub(in crate::controllers::workloads) fn first_to_go_first(
    pods: &mut [Arc<Member>],
    related: &[Arc<Member>],
    now: Timestamp,
) {
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| pod.active()) {
        *on_node.entry(&pod.pod.node).or_default() += 1;
    }
    let neighbours = |pod: &Member| on_node.get(&*pod.pod.node).copied().unwrap_or(0);
    pods.sort_by(|one, other| {
        let (a, b) = (&one.pod, &other.pod);
        let bound = |node: &str| !node.is_empty();
        bound(&a.node)
            .cmp(&bound(&b.node))
            .then_with(|| a.phase.cmp(&b.phase))
            .then_with(|| a.ready.is_some().cmp(&b.ready.is_some()))
            .then_with(|| a.deletion_cost.cmp(&b.deletion_cost))
            .then_with(|| Reverse(neighbours(one)).cmp(&Reverse(neighbours(other))))
            .then_with(|| match (a.ready, b.ready) {
                (Some(a), Some(b)) => younger((a, &one.uid), (b, &other.uid), now),
                _ => Ordering::Equal,
            })
            .then_with(|| b.restarts.cmp(&a.restarts))
            .then_with(|| younger((one.created, &one.uid), (other.created, &other.uid), now))
    });
}

/// The younger first; those about as old, by powers of two, in an order that means nothing.
/// Kubernetes: logarithmicRankDiff.
fn younger(one: (Timestamp, &str), other: (Timestamp, &str), now: Timestamp) -> Ordering {
    if one.0 == other.0 {
        return Ordering::Equal;
    }
    let scale = |since: Timestamp| {
        let nanos = now.duration_since(since).as_nanos();
        u128::try_from(nanos).ok().and_then(u128::checked_ilog2)
    };
    scale(one.0)
        .cmp(&scale(other.0))
        .then_with(|| one.1.cmp(other.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::members::{Phase, PodFacts};
    use crate::meta::Object;
    use serde_json::json;

    fn pod(name: &str, facts: PodFacts) -> Arc<Member> {
        let object = json!({"metadata": {"name": name, "uid": name}});
        let mut member = Member::of(&Object::from_value(object).unwrap());
        member.pod = facts;
        Arc::new(member)
    }

    #[test]
    fn what_serves_least_goes_first() {
        let now = Timestamp::from_second(100_000).unwrap();
        let ago = |seconds: i64| Some(Timestamp::from_second(100_000 - seconds).unwrap());
        let on = |node: &str, phase, ready| PodFacts {
            node: node.into(),
            phase,
            ready,
            ..PodFacts::default()
        };
        let dear = PodFacts {
            deletion_cost: 1,
            ..on("b", Phase::Running, ago(1000))
        };
        let expected = vec![
            pod("unbound", on("", Phase::Pending, None)),
            pod("pending", on("b", Phase::Pending, None)),
            pod("running", on("b", Phase::Running, None)),
            pod("crowded", on("a", Phase::Running, ago(1000))),
            pod("young", on("b", Phase::Running, ago(10))),
            pod("old", on("b", Phase::Running, ago(1000))),
            pod("dear", dear),
        ];
        let crowd: Vec<_> = (0..9)
            .map(|index| pod(&format!("x{index}"), on("a", Phase::Running, None)))
            .collect();
        let mut pods: Vec<_> = expected.iter().rev().cloned().collect();
        first_to_go_first(&mut pods, &crowd, now);
        let names = |pods: &[Arc<Member>]| -> Vec<String> {
            pods.iter().map(|pod| pod.key.name.to_string()).collect()
        };
        assert_eq!(names(&pods), names(&expected));
    }
}
