//! The scheduler's decision as data: each case of `tests/golden/sched/cases.yaml` has nodes, the
//! pods on them, a pod, and what is decided.

use super::*;
use crate::client::HasMeta;
use crate::sched::view::{BudgetView, NodeView, PodView};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Case {
    name: String,
    nodes: Vec<NodeView>,
    #[serde(default)]
    pods: Vec<PodView>,
    pod: PodView,
    #[serde(default)]
    budgets: Vec<BudgetView>,
    #[serde(default)]
    namespaces: std::collections::BTreeMap<String, crate::sched::terms::Labels>,
    node: Option<String>,
    message: Option<String>,
    /// The node that is promised, then those that leave it.
    #[serde(default)]
    promise: Vec<String>,
}

#[test]
fn decisions_are_as_the_cases_say() {
    let text = include_str!("../../../tests/golden/sched/cases.yaml");
    let cases: Vec<Case> = serde_yaml::from_str(text).unwrap();
    for case in cases {
        let mut cluster = Cluster::default();
        for (name, labels) in case.namespaces {
            cluster.namespaces.insert(name, labels);
        }
        for node in case.nodes {
            cluster.set_node(Arc::new(node));
        }
        for (number, mut pod) in case.pods.into_iter().enumerate() {
            if pod.metadata.own.name.is_empty() {
                pod.metadata.own.name = format!("pod-{number}");
            }
            let node = pod.spec.node_name.clone();
            let pod = PodInfo::new(Arc::new(pod));
            cluster.place(&pod.key(), &node, Arc::new(pod));
        }
        for budget in case.budgets {
            cluster.budgets.insert(budget.key(), Arc::new(budget));
        }
        let pod = PodInfo::new(Arc::new(case.pod));
        cluster.prepare(&pod);
        let (decision, _) = decide(&pod, &cluster, 0);
        let Decision::Nowhere(why) = decision else {
            let Decision::Node(node) = decision else {
                unreachable!()
            };
            assert_eq!(
                (Some(node), None),
                (case.node, case.message),
                "{}",
                case.name
            );
            continue;
        };
        assert_eq!(Some(why.message), case.message, "{}", case.name);
        assert_eq!(None, case.node, "{}", case.name);
        let victims = why.promise.map(|(node, victims)| {
            let names = victims.iter().map(|own| own.key().name.to_string());
            std::iter::once(node).chain(names).collect()
        });
        assert_eq!(
            victims.unwrap_or_else(Vec::new),
            case.promise,
            "{}",
            case.name
        );
    }
}

#[test]
fn of_many_nodes_enough_are_looked_at_and_they_take_turns() {
    assert_eq!([50, 99, 100, 5_000].map(enough), [50, 99, 100, 500]);
    let mut cluster = Cluster::default();
    for number in 0..400 {
        let view = serde_json::json!({
            "metadata": { "name": format!("n{number:03}") },
            "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "10" } },
        });
        cluster.set_node(Arc::new(serde_json::from_value(view).unwrap()));
    }
    let pod = PodInfo::new(Arc::default());
    cluster.prepare(&pod);
    let node = |start| match decide(&pod, &cluster, start) {
        (Decision::Node(name), looked_at) => (name, looked_at),
        (Decision::Nowhere(why), _) => panic!("{why:?}"),
    };
    let (first, looked_at) = node(0);
    assert!(looked_at < 400, "{looked_at}");
    assert_ne!(first, node(looked_at).0);
}
