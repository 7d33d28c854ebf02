//! What a pod says of other pods: terms of affinity, constraints of spread. Read once when the pod
//! is seen, matched many times. Pure.
//! Kubernetes: kube-scheduler `framework/types.go` AffinityTerm, `plugins/podtopologyspread`.

use crate::meta::labels::Selector;
use crate::sched::view::{PodView, SpreadView, TermView, WeightedTermView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;
/// The labels of every namespace.
pub(crate) type Namespaces = HashMap<String, Labels>;

/// Which pods are meant, and within what they count as together.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    selector: Selector,
    namespaces: BTreeSet<String>,
    namespace_selector: Option<Selector>,
    /// The label of nodes whose value tells places apart.
    pub(crate) topology_key: String,
    /// How much it counts; 0 for required terms.
    pub(crate) weight: i64,
}

/// Whether labels match.
pub(crate) fn matches(selector: &Selector, labels: &Labels) -> bool {
    selector.matches(|key| labels.get(key).map(String::as_str))
}

/// A label selector with requirements for the values that the pod itself has at `keys`.
fn with_keys(
    selector: Option<&Value>,
    labels: &Labels,
    keys: &[String],
    operator: &str,
) -> Option<Value> {
    let mut selector = selector?.clone();
    let added = keys.iter().filter_map(|key| {
        let value = labels.get(key)?;
        Some(json!({"key": key, "operator": operator, "values": [value]}))
    });
    let added: Vec<Value> = added.collect();
    if !added.is_empty() {
        let fields = selector.as_object_mut()?;
        let listed = fields.entry("matchExpressions").or_insert(json!([]));
        if listed.is_null() {
            *listed = json!([]);
        }
        listed.as_array_mut()?.extend(added);
    }
    Some(selector)
}

impl Term {
    fn new(view: &TermView, weight: i64, pod: &PodView) -> Self {
        let labels = &pod.metadata.labels;
        let selector = with_keys(
            view.label_selector.as_ref(),
            labels,
            &view.match_label_keys,
            "In",
        );
        let keys = &view.mismatch_label_keys;
        let selector = with_keys(selector.as_ref(), labels, keys, "NotIn");
        let read = |selector: Option<&Value>| {
            Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())
        };
        let mut namespaces: BTreeSet<String> = view.namespaces.iter().cloned().collect();
        let by_labels = view.namespace_selector.as_ref().filter(|of| !of.is_null());
        if namespaces.is_empty() && by_labels.is_none() {
            namespaces.insert(pod.metadata.own.namespace.clone());
        }
        Self {
            selector: read(selector.as_ref()),
            namespaces,
            namespace_selector: by_labels.map(|of| read(Some(of))),
            topology_key: view.topology_key.clone(),
            weight,
        }
    }

    /// Whether it means a pod.
    pub(crate) fn means(&self, pod: (&str, &Labels), namespaces: &Namespaces) -> bool {
        let (namespace, labels) = pod;
        let none = Labels::new();
        let by_labels =
            |selector: &Selector| matches(selector, namespaces.get(namespace).unwrap_or(&none));
        let within = self.namespaces.contains(namespace)
            || self.namespace_selector.as_ref().is_some_and(by_labels);
        within && matches(&self.selector, labels)
    }
}

/// All that a pod says of others by affinity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) required: Vec<Term>,
    pub(crate) required_anti: Vec<Term>,
    pub(crate) preferred: Vec<Term>,
    pub(crate) preferred_anti: Vec<Term>,
}

impl Terms {
    pub(crate) fn new(pod: &PodView) -> Self {
        let required = |list: &[TermView]| -> Vec<Term> {
            list.iter().map(|term| Term::new(term, 0, pod)).collect()
        };
        let preferred = |list: &[WeightedTermView]| -> Vec<Term> {
            let term = |of: &WeightedTermView| Term::new(&of.pod_affinity_term, of.weight, pod);
            list.iter().map(term).collect()
        };
        let (with, without) = (
            &pod.spec.affinity.pod_affinity,
            &pod.spec.affinity.pod_anti_affinity,
        );
        Self {
            required: required(&with.required),
            required_anti: required(&without.required),
            preferred: preferred(&with.preferred),
            preferred_anti: preferred(&without.preferred),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// All terms.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Term> {
        self.required
            .iter()
            .chain(&self.required_anti)
            .chain(&self.preferred)
            .chain(&self.preferred_anti)
    }
}

/// How evenly the pods of a sort are to be spread.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    /// The label of nodes whose value tells places apart.
    pub(crate) topology_key: String,
    /// All of which must match.
    selectors: Vec<Selector>,
    /// How many more one place may have than another.
    pub(crate) max_skew: i64,
    /// Fewer places than this count as if there were an empty one.
    pub(crate) min_domains: usize,
    /// Whether it must hold (`DoNotSchedule`), or is only better.
    pub(crate) must: bool,
    /// Whether only nodes count that the pod's selector and affinity allow.
    pub(crate) honors_affinity: bool,
    /// Whether only nodes count whose taints the pod tolerates.
    pub(crate) honors_taints: bool,
}

impl Spread {
    pub(crate) fn new(view: &SpreadView, pod: &PodView) -> Self {
        let labels = &pod.metadata.labels;
        let selector = with_keys(
            view.label_selector.as_ref(),
            labels,
            &view.match_label_keys,
            "In",
        );
        let selector = Selector::from_label_selector(selector.as_ref());
        Self {
            topology_key: view.topology_key.clone(),
            selectors: vec![selector.unwrap_or_else(|_| Selector::nothing())],
            max_skew: view.max_skew.max(1),
            min_domains: usize::try_from(view.min_domains.unwrap_or(1)).unwrap_or(1),
            must: view.when_unsatisfiable != "ScheduleAnyway",
            honors_affinity: view.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_taints: view.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    /// Whether pods of these labels, in the pod's namespace, are of the sort.
    pub(crate) fn means(&self, labels: &Labels) -> bool {
        self.selectors
            .iter()
            .all(|selector| matches(selector, labels))
    }

    /// How the pods of a Service or a workload are spread that say nothing of it themselves.
    /// Kubernetes: systemDefaultConstraints.
    pub(crate) fn by_default(selectors: &[Selector]) -> Vec<Self> {
        let spread = |key: &str, max_skew: i64| Self {
            topology_key: key.to_owned(),
            selectors: selectors.to_vec(),
            max_skew,
            min_domains: 1,
            must: false,
            honors_affinity: true,
            honors_taints: false,
        };
        vec![
            spread("kubernetes.io/hostname", 3),
            spread("topology.kubernetes.io/zone", 5),
        ]
    }
}
