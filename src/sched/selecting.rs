//! Which Services and workloads select a pod: its fellows are the pods that they select, too. Must not
//! know what is done with them.
//! Kubernetes: component-helpers `scheduling/corev1` DefaultSelector.

use crate::client::{Change, HasMeta};
use crate::meta::ObjectKey;
use crate::meta::labels::Selector;
use crate::sched::node_info::PodInfo;
use crate::sched::terms::matches;
use crate::sched::view::SelectingView;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What selects pods: (group, version, plural), and the kind that owners have.
pub(crate) const SELECTING: [(&str, &str, &str, &str); 4] = [
    ("", "v1", "services", SERVICE),
    ("", "v1", "replicationcontrollers", "ReplicationController"),
    ("apps", "v1", "replicasets", "ReplicaSet"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
];
const SERVICE: &str = "Service";

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Selecting {
    owners: HashMap<(&'static str, ObjectKey), Selector>,
    /// By namespace, then by name.
    services: HashMap<String, BTreeMap<String, Selector>>,
}

fn selector_of(view: &SelectingView) -> Option<Selector> {
    let selector = view.spec.selector.as_ref()?;
    // That of a Service or a ReplicationController is the labels themselves.
    let fields = selector.as_object()?;
    let selector = if fields.values().all(Value::is_string) {
        Selector::from_labels(
            fields
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())),
        )
    } else {
        Selector::from_label_selector(Some(selector)).ok()?
    };
    (!selector.is_everything()).then_some(selector)
}

impl Selecting {
    /// One of a kind has changed.
    pub(crate) fn changed(&mut self, kind: &'static str, change: &Change<SelectingView>) {
        let (view, selector) = match change {
            Change::Applied(view, _) => (view, selector_of(view)),
            Change::Deleted(view) => (view, None),
            Change::Synced => return,
        };
        let key = view.key();
        if kind == SERVICE {
            let own = self.services.entry(key.namespace.to_string()).or_default();
            match selector {
                Some(selector) => own.insert(key.name.to_string(), selector),
                None => own.remove(key.name.as_str()),
            };
            return;
        }
        match selector {
            Some(selector) => self.owners.insert((kind, key), selector),
            None => self.owners.remove(&(kind, key)),
        };
    }

    /// What selects a pod.
    pub(crate) fn of(&self, pod: &PodInfo) -> Vec<Selector> {
        let services = self.services.get(pod.namespace()).into_iter().flatten();
        let services = services.map(|(_, selector)| selector);
        let mut found: Vec<Selector> = services
            .filter(|selector| matches(selector, pod.labels()))
            .cloned()
            .collect();
        let owners = &pod.pod.metadata.owner_references;
        if let Some(owner) = owners.iter().find(|owner| owner.controller) {
            let kinds = SELECTING.iter().map(|(_, _, _, kind)| *kind);
            let kind = kinds.into_iter().find(|kind| *kind == owner.kind);
            let key = ObjectKey::new(pod.namespace(), owner.name.as_str());
            let own = kind.and_then(|kind| self.owners.get(&(kind, key)));
            found.extend(own.cloned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn view<T: serde::de::DeserializeOwned>(object: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_pod_is_selected_by_its_services_and_its_owner() {
        let mut all = Selecting::default();
        let named = |name: &str| json!({"name": name, "namespace": "n"});
        let service = json!({"metadata": named("s"), "spec": {"selector": {"app": "a"}}});
        let other = json!({"metadata": named("o"), "spec": {"selector": {"app": "b"}}});
        let set =
            json!({"metadata": named("r"), "spec": {"selector": {"matchLabels": {"hash": "x"}}}});
        let service: Arc<SelectingView> = view(service);
        all.changed("Service", &Change::Applied(service.clone(), None));
        all.changed("Service", &Change::Applied(view(other), None));
        all.changed("ReplicaSet", &Change::Applied(view(set), None));
        let owner = json!([{"kind": "ReplicaSet", "name": "r", "controller": true}]);
        let metadata = json!({"name": "p", "namespace": "n", "labels": {"app": "a", "hash": "x"},
            "ownerReferences": owner});
        let pod = PodInfo::new(view(json!({ "metadata": metadata })));
        let found = all.of(&pod);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|selector| matches(selector, pod.labels())));
        all.changed("Service", &Change::Deleted(service));
        assert_eq!(all.of(&pod).len(), 1);
        let bare = json!({"metadata": {"name": "q", "namespace": "n", "labels": {"app": "c"}}});
        assert!(all.of(&PodInfo::new(view(bare))).is_empty());
    }
}
