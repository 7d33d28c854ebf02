//! The scheduler's decision as data: each case of `tests/golden/sched/cases.yaml` has nodes, the
//! pods on them, a pod, and what is decided.

use super::*;
use crate::client::HasMeta;
use crate::sched::view::{NodeView, PodView};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Case {
    name: String,
    nodes: Vec<NodeView>,
    #[serde(default)]
    pods: Vec<PodView>,
    pod: PodView,
    node: Option<String>,
    message: Option<String>,
}

#[test]
fn decisions_are_as_the_cases_say() {
    let text = include_str!("../../../tests/golden/sched/cases.yaml");
    let cases: Vec<Case> = serde_yaml::from_str(text).unwrap();
    for case in cases {
        let mut nodes: Vec<NodeInfo> = Vec::new();
        for node in case.nodes {
            let mut info = NodeInfo::default();
            info.set_node(Arc::new(node));
            nodes.push(info);
        }
        for (number, pod) in case.pods.into_iter().enumerate() {
            let node = nodes
                .iter_mut()
                .find(|node| node.name() == pod.spec.node_name)
                .unwrap();
            let mut key = pod.key();
            key.name = format!("pod-{number}");
            node.add_pod(key, Arc::new(PodInfo::new(Arc::new(pod))));
        }
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        let (decision, _) = decide(&PodInfo::new(Arc::new(case.pod)), &nodes, 0);
        let wanted = match (case.node, case.message) {
            (Some(node), None) => Decision::Node(node),
            (None, Some(message)) => Decision::Nowhere(message),
            _ => panic!("{}: a case has a node or a message", case.name),
        };
        assert_eq!(decision, wanted, "{}", case.name);
    }
}

#[test]
fn of_many_nodes_enough_are_looked_at_and_they_take_turns() {
    assert_eq!([50, 99, 100, 5_000].map(enough), [50, 99, 100, 500]);
    let mut nodes = Vec::new();
    for number in 0..400 {
        let mut info = NodeInfo::default();
        let view = serde_json::json!({
            "metadata": { "name": format!("n{number:03}") },
            "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "10" } },
        });
        info.set_node(Arc::new(serde_json::from_value(view).unwrap()));
        nodes.push(info);
    }
    let nodes: Vec<&NodeInfo> = nodes.iter().collect();
    let pod = PodInfo::new(Arc::default());
    let (first, looked_at) = decide(&pod, &nodes, 0);
    assert!(looked_at < 400, "{looked_at}");
    let (second, _) = decide(&pod, &nodes, looked_at);
    assert_ne!(first, second);
}
