//! Looks at every step of a simulation: what is promised is promised at every moment.

use super::world::resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use wkube::client::{Client, Query, with_query};
use wkube::meta::watch::WatchType;

/// What a Deployment promises while it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Promise {
    /// Its ReplicaSets never want more pods than this together. Kubernetes: surge is of what is wanted;
    /// a pod that is told to go may still be there when the one in its place has come.
    pub(super) pods_max: u64,
    /// Never fewer available ones, once there were that many.
    pub(super) available_min: u64,
    /// Whether there were.
    kept_once: bool,
}

/// What is known of a pod.
#[derive(Clone, Debug, Default)]
struct Seen {
    app: String,
    node: String,
    available: bool,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Seen>,
    /// The ReplicaSets: of which Deployment, and how many pods they want.
    sets: BTreeMap<String, (String, u64)>,
    promises: BTreeMap<String, Promise>,
    /// The pods of each Job that have succeeded.
    succeeded: BTreeMap<String, BTreeSet<String>>,
    /// What each Job has counted.
    counted: BTreeMap<String, u64>,
    latest: String,
    wrong: Vec<String>,
}

pub(super) struct Watcher {
    state: Mutex<State>,
    changes: AtomicU64,
}

impl Watcher {
    pub(super) fn start(admin: &Client) -> Arc<Self> {
        let watcher = Arc::new(Self {
            state: Mutex::default(),
            changes: AtomicU64::new(0),
        });
        for plural in [
            "pods",
            "deployments",
            "replicasets",
            "statefulsets",
            "daemonsets",
            "jobs",
        ] {
            tokio::spawn(watcher.clone().follow(admin.clone(), plural));
        }
        watcher
    }

    /// Follows a resource for as long as the simulation runs.
    async fn follow(self: Arc<Self>, client: Client, plural: &'static str) {
        let resource = resource(plural);
        let mut revision = "0".to_owned();
        loop {
            let query = Query::new()
                .with("watch", "true")
                .with("allowWatchBookmarks", "true")
                .with("resourceVersion", &revision);
            let path = with_query(Client::path(&resource, "default", "", ""), &query);
            let Ok(mut watch) = client.watch(&path, "application/json").await else {
                return;
            };
            while let Ok(Some(event)) = watch.next().await {
                if let Some(at) = event.object.pointer("/metadata/resourceVersion") {
                    revision = at.as_str().unwrap().to_owned();
                }
                match event.kind {
                    WatchType::Bookmark => {}
                    kind => self.seen(plural, kind == WatchType::Deleted, &event.object),
                }
            }
        }
    }

    /// How often anything has changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// What changed last.
    pub(super) fn latest(&self) -> String {
        self.state.lock().unwrap().latest.clone()
    }

    /// What is promised of a Deployment from now on.
    pub(super) fn promise(&self, app: &str, pods_max: u64, available_min: u64) {
        let mut state = self.state.lock().unwrap();
        let promise = Promise {
            pods_max,
            available_min,
            kept_once: false,
        };
        state.promises.insert(app.to_owned(), promise);
    }

    /// Another size: what held before or holds now is kept in between.
    pub(super) fn resized(&self, app: &str, pods_max: u64, available_min: u64) {
        let mut state = self.state.lock().unwrap();
        if let Some(promise) = state.promises.get_mut(app) {
            promise.pods_max = promise.pods_max.max(pods_max);
            promise.available_min = promise.available_min.min(available_min);
        }
    }

    /// Nodes may vanish: nobody can promise what is available.
    pub(super) fn no_promise_of_available(&self) {
        for promise in self.state.lock().unwrap().promises.values_mut() {
            promise.available_min = 0;
        }
    }

    /// The pods of a Job that have succeeded.
    pub(super) fn succeeded(&self, job: &str) -> u64 {
        let state = self.state.lock().unwrap();
        state.succeeded.get(job).map_or(0, |pods| pods.len() as u64)
    }

    /// What was broken.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        match state.wrong.first() {
            Some(first) => Err(format!("{first} (of {})", state.wrong.len())),
            None => Ok(()),
        }
    }

    fn seen(&self, plural: &str, deleted: bool, object: &Value) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        let name = text(object, "/metadata/name");
        state.latest = format!("{plural}/{name} deleted={deleted}: {}", object["status"]);
        match plural {
            "pods" => pod(&mut state, deleted, object),
            "jobs" if !deleted => job(&mut state, object),
            "replicasets" => set(&mut state, deleted, object),
            _ => {}
        }
    }
}

fn pod(state: &mut State, deleted: bool, pod: &Value) {
    let (uid, name) = (text(pod, "/metadata/uid"), text(pod, "/metadata/name"));
    let phase = text(pod, "/status/phase");
    let owner = pod.pointer("/metadata/ownerReferences/0");
    if let Some(owner) = owner.filter(|owner| owner["kind"] == "Job" && phase == "Succeeded") {
        let job = text(owner, "/name");
        state.succeeded.entry(job).or_default().insert(uid.clone());
    }
    if deleted {
        let app = state.pods.remove(&uid).unwrap_or_default().app;
        check_available(state, &app, &name);
        return;
    }
    let going = pod.pointer("/metadata/deletionTimestamp").is_some();
    let active = !going && phase != "Succeeded" && phase != "Failed";
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let now = Seen {
        app: text(pod, "/metadata/labels/app"),
        node: text(pod, "/spec/nodeName"),
        available: active && ready,
    };
    let app = now.app.clone();
    let node = now.node.clone();
    let before = state.pods.insert(uid, now).unwrap_or_default();
    if !before.node.is_empty() && before.node != node {
        let what = format!("pod {name} was on {} and is on {node}", before.node);
        state.wrong.push(what);
    }
    check_available(state, &app, &name);
}

fn check_available(state: &mut State, app: &str, name: &str) {
    let pods = state.pods.values();
    let available = pods.filter(|pod| pod.app == app && pod.available).count() as u64;
    let Some(promise) = state.promises.get_mut(app) else {
        return;
    };
    if available >= promise.available_min {
        promise.kept_once = true;
    } else if promise.kept_once {
        let what = format!(
            "after {name}: {available} pods of {app} are available, at least {} must be",
            promise.available_min
        );
        state.wrong.push(what);
    }
}

/// The ReplicaSets of a Deployment want no more than it allows.
fn set(state: &mut State, deleted: bool, set: &Value) {
    let (uid, name) = (text(set, "/metadata/uid"), text(set, "/metadata/name"));
    let app = text(set, "/metadata/labels/app");
    let replicas = set.pointer("/spec/replicas").and_then(Value::as_u64);
    if deleted {
        state.sets.remove(&uid);
    } else {
        let wanted = (app.clone(), replicas.unwrap_or(0));
        state.sets.insert(uid, wanted);
    }
    let of_app = state.sets.values().filter(|(of, _)| *of == app);
    let wanted: u64 = of_app.map(|(_, replicas)| replicas).sum();
    let Some(promise) = state.promises.get(&app) else {
        return;
    };
    if wanted > promise.pods_max {
        let what = format!(
            "after {name}: {wanted} pods of {app} are wanted, at most {} are allowed",
            promise.pods_max
        );
        state.wrong.push(what);
    }
}

/// A Job counts up, never beyond what it wants, and nothing twice.
fn job(state: &mut State, job: &Value) {
    let name = text(job, "/metadata/name");
    let counted = job.pointer("/status/succeeded").and_then(Value::as_u64);
    let counted = counted.unwrap_or(0);
    let before = state.counted.insert(name.clone(), counted).unwrap_or(0);
    if counted < before {
        let what = format!("job {name} has counted {before} and then {counted}");
        state.wrong.push(what);
    }
    let wanted = job.pointer("/spec/completions").and_then(Value::as_u64);
    if wanted.is_some_and(|wanted| counted > wanted) {
        let what = format!("job {name} has counted {counted} of {wanted:?}");
        state.wrong.push(what);
    }
}

pub(super) fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
