//! Who belongs to whom: of every object that workloads count (pods, ReplicaSets) the few facts they
//! count by, indexed by owner, beside those that belong to nobody. Fed by the manager's informers,
//! in order; a workload that has written waits until its write stands here, so that it never acts
//! on what it has forgotten. Takes the place of client-go's listers, indexers and expectations.
//! Must not know what a workload does with them.
//! Kubernetes: `pkg/controller/controller_utils.go`, `controller_ref_manager.go`.

use crate::client::{Progress, WorkQueue};
use crate::controllers::job_facts::JobFacts;
use crate::meta::labels::Selector;
use crate::meta::{Object, ObjectKey, time};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where a pod stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not all its containers have run.
    #[default]
    Pending,
    /// Its node is silent.
    Unknown,
    /// It runs.
    Running,
    /// All ended well.
    Succeeded,
    /// One did not.
    Failed,
}

/// What is known of a pod beyond what every member has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
    /// `spec.nodeName`.
    pub(crate) node: Box<str>,
    /// Of a pod that is not bound, the one node that it is for, if there is one.
    pub(crate) target: Box<str>,
    /// `status.phase`.
    pub(crate) phase: Phase,
    /// Since when it is ready, if it is.
    pub(crate) ready: Option<Timestamp>,
    /// The most restarts of a container.
    pub(crate) restarts: i64,
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`.
    pub(crate) deletion_cost: i32,
    /// Whether its node has ended it to save itself.
    pub(crate) evicted: bool,
    /// What a Job counts by; none for the pods of others.
    pub(crate) job: Option<Box<JobFacts>>,
}

impl PodFacts {
    /// Whether it will run no more.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    fn of(pod: &Object) -> Self {
        let status = |name: &str| pod.get(&["status", name]).and_then(Value::as_array);
        let ready = status("conditions")
            .into_iter()
            .flatten()
            .find(|condition| {
                let says = |name: &str| condition.get(name).and_then(Value::as_str);
                says("type") == Some("Ready") && says("status") == Some("True")
            });
        let since = ready.and_then(|condition| condition.get("lastTransitionTime"));
        let since = since.and_then(Value::as_str).and_then(time::parse);
        let restarts = status("containerStatuses").into_iter().flatten();
        let restarts = restarts.filter_map(|container| container.get("restartCount")?.as_i64());
        let cost = pod.annotation("controller.kubernetes.io/pod-deletion-cost");
        let node = pod.str_at(&["spec", "nodeName"]);
        Self {
            target: if node.is_empty() { target_of(pod) } else { "" }.into(),
            node: node.into(),
            phase: match pod.str_at(&["status", "phase"]) {
                "Running" => Phase::Running,
                "Succeeded" => Phase::Succeeded,
                "Failed" => Phase::Failed,
                "Unknown" => Phase::Unknown,
                _ => Phase::Pending,
            },
            ready: ready.map(|_| since.unwrap_or(Timestamp::UNIX_EPOCH)),
            restarts: restarts.max().unwrap_or(0),
            deletion_cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            evicted: pod.str_at(&["status", "reason"]) == "Evicted",
            job: JobFacts::of(pod),
        }
    }
}

/// The node that a pod's affinity names, as that of a DaemonSet's pods does.
/// Kubernetes: GetTargetNodeName.
fn target_of(pod: &Object) -> &str {
    let path = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = pod.get(&path).and_then(Value::as_array);
    let by_name = terms
        .into_iter()
        .flatten()
        .filter_map(|term| term.get("matchFields")?.as_array())
        .flatten()
        .find(|field| {
            let says = |name: &str| field.get(name).and_then(Value::as_str);
            says("key") == Some("metadata.name") && says("operator") == Some("In")
        });
    let values = by_name.and_then(|field| field.get("values")?.as_array());
    match values.map(Vec::as_slice) {
        Some([Value::String(name)]) => name,
        _ => "",
    }
}

/// The owner that a member is managed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its API version.
    pub(crate) api_version: Box<str>,
    /// Its kind.
    pub(crate) kind: Box<str>,
    /// Its name, in the member's namespace.
    pub(crate) name: Box<str>,
    /// Its unique id.
    pub(crate) uid: Box<str>,
}

impl Owner {
    fn of(object: &Object) -> Option<Self> {
        let owners = object.get(&["metadata", "ownerReferences"])?.as_array()?;
        let is_controller = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
        let owner = owners.iter().find(is_controller)?;
        let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            api_version: text("apiVersion").into(),
            kind: text("kind").into(),
            name: text("name").into(),
            uid: text("uid").into(),
        })
    }
}

/// One that may belong to a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// Namespace and name.
    pub(crate) key: ObjectKey,
    /// Unique id.
    pub(crate) uid: Box<str>,
    /// Labels, sorted by key.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// Who manages it.
    pub(crate) owner: Option<Owner>,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// Of a pod what a pod has; nothing is in it for other kinds.
    pub(crate) pod: PodFacts,
    /// Of a node its taints.
    pub(crate) taints: Box<[Taint]>,
}

impl Member {
    /// The facts of `object`.
    pub(crate) fn of(object: &Object) -> Self {
        let labels = object.get(&["metadata", "labels"]);
        let mut labels: Vec<(Box<str>, Box<str>)> = labels
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                (
                    key.as_str().into(),
                    value.as_str().unwrap_or_default().into(),
                )
            })
            .collect();
        labels.sort();
        let created = object.str_at(&["metadata", "creationTimestamp"]);
        Self {
            key: object.key(),
            uid: object.uid().into(),
            labels: labels.into(),
            owner: Owner::of(object),
            deleting: object.deletion_timestamp().is_some(),
            created: time::parse(created).unwrap_or(Timestamp::UNIX_EPOCH),
            pod: PodFacts::of(object),
            taints: object
                .get(&["spec", "taints"])
                .and_then(|taints| Vec::deserialize(taints).ok())
                .unwrap_or_default()
                .into(),
        }
    }

    /// Whether it is a pod that runs or will run, and is to stay.
    pub(crate) fn active(&self) -> bool {
        !self.deleting && !self.pod.ended()
    }

    /// The label of a key.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(own, _)| (**own).cmp(key));
        let at = at.ok().and_then(|at| self.labels.get(at));
        at.map(|(_, value)| &**value)
    }

    /// Whether its labels match.
    pub(crate) fn matches(&self, selector: &Selector) -> bool {
        selector.matches(|key| self.label(key))
    }
}

/// Told of each change: what was, what is. One of them is there.
type Listener = Box<dyn Fn(Option<&Member>, Option<&Member>) + Send + Sync>;

/// All of one resource, by whom they belong to.
#[derive(Default)]
pub(crate) struct Members {
    index: RwLock<Index>,
    listeners: RwLock<Vec<Listener>>,
    progress: Progress,
}

#[derive(Default)]
struct Index {
    all: BTreeMap<ObjectKey, Arc<Member>>,
    /// By the unique id of the owner, then by name.
    owned: HashMap<Box<str>, BTreeMap<Box<str>, Arc<Member>>>,
    /// Those without an owner, by namespace, then by name.
    strays: HashMap<Box<str>, BTreeMap<Box<str>, Arc<Member>>>,
}

impl Index {
    fn shelf(&mut self, member: &Member) -> &mut BTreeMap<Box<str>, Arc<Member>> {
        match &member.owner {
            Some(owner) => self.owned.entry(owner.uid.clone()).or_default(),
            None => {
                let namespace = member.key.namespace.as_str();
                self.strays.entry(namespace.into()).or_default()
            }
        }
    }

    fn add(&mut self, member: Arc<Member>) {
        let name = member.key.name.as_str().into();
        self.shelf(&member).insert(name, member.clone());
        self.all.insert(member.key.clone(), member);
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Member>> {
        let member = self.all.remove(key)?;
        let shelf = self.shelf(&member);
        shelf.remove(key.name.as_str());
        if shelf.is_empty() {
            match &member.owner {
                Some(owner) => self.owned.remove(&owner.uid),
                None => self.strays.remove(key.namespace.as_str()),
            };
        }
        Some(member)
    }
}

impl Members {
    /// What tells how far these facts have come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// An object is new or has changed.
    pub(crate) fn applied(&self, object: &Object) {
        let member = Arc::new(Member::of(object));
        let before = {
            let mut index = self.index.write();
            let before = index.remove(&member.key);
            index.add(member.clone());
            before
        };
        self.tell(before.as_deref(), Some(&member));
    }

    /// An object is gone.
    pub(crate) fn removed(&self, key: &ObjectKey) {
        let before = self.index.write().remove(key);
        if before.is_some() {
            self.tell(before.as_deref(), None);
        }
    }

    fn tell(&self, before: Option<&Member>, now: Option<&Member>) {
        for listener in self.listeners.read().iter() {
            listener(before, now);
        }
    }

    /// Calls `listener` at each change, after it stands here; it must be quick.
    pub(crate) fn listen(
        &self,
        listener: impl Fn(Option<&Member>, Option<&Member>) + Send + Sync + 'static,
    ) {
        self.listeners.write().push(Box::new(listener));
    }

    /// The one of a key.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<Member>> {
        self.index.read().all.get(key).cloned()
    }

    /// Waits until all of `doomed` are gone, or known to be going.
    pub(crate) async fn going(&self, doomed: &[Arc<Member>]) {
        self.until(doomed, |now| now.deleting).await;
    }

    /// Waits until all of `members` are gone, or known to be as `done` says.
    pub(crate) async fn until(&self, members: &[Arc<Member>], done: impl Fn(&Member) -> bool) {
        loop {
            let seen = self.progress.now();
            let stays = |of: &Arc<Member>| {
                let now = self.get(&of.key);
                now.is_some_and(|now| now.uid == of.uid && !done(&now))
            };
            if !members.iter().any(stays) {
                return;
            }
            self.progress.reached(seen + 1).await;
        }
    }

    /// Those that the owner with this unique id manages, by name.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<Member>> {
        let index = self.index.read();
        let owned = index.owned.get(uid).into_iter().flatten();
        owned.map(|(_, member)| member.clone()).collect()
    }

    /// All of a namespace, by name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<Member>> {
        let index = self.index.read();
        let own = index.all.range(ObjectKey::new(namespace, "")..);
        own.take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, member)| member.clone())
            .collect()
    }

    /// All that `wanted` says, of whatever namespace.
    pub(crate) fn filtered(&self, wanted: impl Fn(&Member) -> bool) -> Vec<Arc<Member>> {
        let index = self.index.read();
        let all = index.all.values().filter(|member| wanted(member));
        all.cloned().collect()
    }

    /// Those of a namespace that nobody manages, by name.
    pub(crate) fn strays(&self, namespace: &str) -> Vec<Arc<Member>> {
        let index = self.index.read();
        let strays = index.strays.get(namespace).into_iter().flatten();
        strays.map(|(_, member)| member.clone()).collect()
    }
}

/// The selectors of all workloads of one resource: which of them a stray may belong to.
#[derive(Default)]
pub(crate) struct Selectors(RwLock<HashMap<Box<str>, Named>>);

/// Of one namespace, by the workload's name.
type Named = BTreeMap<Box<str>, Selector>;

impl Selectors {
    /// A workload is new or has changed.
    pub(crate) fn applied(&self, workload: &Object) {
        let (namespace, name) = (workload.namespace(), workload.name());
        let mut all = self.0.write();
        let own = all.entry(namespace.into()).or_default();
        match selector_of(workload) {
            Some(selector) => own.insert(name.into(), selector),
            None => own.remove(name),
        };
    }

    /// A workload is gone.
    pub(crate) fn removed(&self, key: &ObjectKey) {
        let mut all = self.0.write();
        if let Some(own) = all.get_mut(key.namespace.as_str()) {
            own.remove(key.name.as_str());
            if own.is_empty() {
                all.remove(key.namespace.as_str());
            }
        }
    }

    /// All workloads.
    pub(crate) fn all(&self) -> Vec<ObjectKey> {
        let all = self.0.read();
        all.iter()
            .flat_map(|(namespace, own)| {
                own.keys()
                    .map(move |name| ObjectKey::new(&**namespace, &**name))
            })
            .collect()
    }

    /// The workloads whose selector matches.
    fn matching(&self, member: &Member) -> Vec<ObjectKey> {
        let namespace = member.key.namespace.as_str();
        let all = self.0.read();
        let own = all.get(namespace).into_iter().flatten();
        own.filter(|(_, selector)| member.matches(selector))
            .map(|(name, _)| ObjectKey::new(namespace, &**name))
            .collect()
    }
}

/// A workload's selector; none if it selects nothing, or everything.
pub(crate) fn selector_of(workload: &Object) -> Option<Selector> {
    let selector = workload.get(&["spec", "selector"])?;
    // A ReplicationController's selector is the labels themselves.
    let is_plain = selector.as_object()?.values().all(Value::is_string);
    let selector = if is_plain {
        let labels = selector.as_object()?.iter();
        Selector::from_labels(
            labels.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())),
        )
    } else {
        Selector::from_label_selector(Some(selector)).ok()?
    };
    (!selector.is_everything()).then_some(selector)
}

/// Puts into `queue` the workloads of `kind` that a change of a member concerns: who managed it,
/// who manages it, and, if nobody does, all whose selector matches.
pub(crate) fn concern(
    members: &Members,
    selectors: Arc<Selectors>,
    kind: &'static str,
    queue: WorkQueue<ObjectKey>,
) {
    members.listen(move |before, now| {
        let owner = |member: Option<&Member>| {
            let member = member?;
            let owner = member.owner.as_ref().filter(|owner| &*owner.kind == kind)?;
            Some(ObjectKey::new(member.key.namespace.as_str(), &*owner.name))
        };
        let (was, is) = (owner(before), owner(now));
        if was != is {
            was.into_iter().for_each(|key| queue.add(key));
        }
        is.into_iter().for_each(|key| queue.add(key));
        let stray = now.filter(|member| member.owner.is_none() && !member.deleting);
        let matching = stray.map(|member| selectors.matching(member));
        matching
            .into_iter()
            .flatten()
            .for_each(|key| queue.add(key));
    });
}
