//! The recorder of Events: what a component tells people about an object. Recording never waits
//! and never fails the work it speaks of: the queue is bounded, and what is over it is dropped and
//! counted. What waits is written many at a time: at thousands of pods a second one after the other
//! would lag behind. The same Event again becomes a count, and one object cannot flood the store.
//! Kubernetes: client-go `tools/record` (correlator: aggregation of equal events, spam filter).

use crate::client::{Client, ClientError, PatchKind};
use crate::meta::GroupVersionResource;
use crate::stdx::{Clock, Shutdown};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that may wait to be written; more are dropped.
const QUEUE_EVENTS_MAX: usize = 10_000;
/// Events that are written at the same time.
const BATCH_EVENTS_MAX: usize = 64;
/// How many different Events are remembered for counting.
const REMEMBERED_EVENTS_MAX: usize = 4_096;
/// Events of one object that may come at once.
const OBJECT_BURST: f64 = 25.0;
/// Events of one object per second after the burst: one in five minutes.
const OBJECT_EVENTS_PER_SECOND: f64 = 1.0 / 300.0;

/// `Event.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The object that an Event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectReference {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects, whose Events go to `default`.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
    /// Revision, may be empty.
    pub resource_version: String,
    /// For example `spec.containers{nginx}`; may be empty.
    pub field_path: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    about: ObjectReference,
    kind: EventType,
    reason: String,
    message: String,
}

struct Recorded {
    identity: Identity,
    at: Timestamp,
}

/// Records Events of one component. Cheap to clone.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<Recorded>,
    clock: Clock,
    dropped: Arc<std::sync::atomic::AtomicU64>,
}

impl EventRecorder {
    /// A recorder for `component` (`kubelet`, `default-scheduler`) on `host` (may be empty), that
    /// writes through `client` until `shutdown`.
    pub fn start(
        client: Client,
        component: &str,
        host: &str,
        clock: Clock,
        shutdown: &Shutdown,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_EVENTS_MAX);
        let writer = Writer {
            client,
            source: json!({ "component": component, "host": host }),
            component: component.to_owned(),
            instance: if host.is_empty() { component } else { host }.to_owned(),
            remembered: HashMap::new(),
            buckets: HashMap::new(),
            counter: 0,
        };
        shutdown.spawn_until_stopped(writer.run(receiver));
        Self {
            queue,
            clock,
            dropped: Arc::default(),
        }
    }

    /// Records an Event. Never waits.
    pub fn event(
        &self,
        about: &ObjectReference,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let identity = Identity {
            about: ObjectReference {
                resource_version: String::new(),
                ..about.clone()
            },
            kind,
            reason: reason.to_owned(),
            message: message.into(),
        };
        let recorded = Recorded {
            identity,
            at: self.clock.now(),
        };
        if self.queue.try_send(recorded).is_err() {
            self.dropped
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// How many Events were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct Known {
    name: String,
    count: u64,
    last: Timestamp,
}

struct Bucket {
    tokens: f64,
    at: Timestamp,
}

struct Writer {
    client: Client,
    source: Value,
    component: String,
    instance: String,
    remembered: HashMap<Identity, Known>,
    buckets: HashMap<ObjectReference, Bucket>,
    counter: u64,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Recorded>) {
        let mut waiting = Vec::new();
        while receiver.recv_many(&mut waiting, BATCH_EVENTS_MAX).await > 0 {
            // Equal Events of one batch are one write: two at the same time would lose a count.
            let mut batch: Vec<(Recorded, u64)> = Vec::with_capacity(waiting.len());
            let mut places: HashMap<Identity, usize> = HashMap::new();
            for recorded in waiting.drain(..) {
                if !self.admit(&recorded) {
                    continue;
                }
                match places
                    .get(&recorded.identity)
                    .and_then(|at| batch.get_mut(*at))
                {
                    Some((known, count)) => {
                        known.at = recorded.at;
                        *count += 1;
                    }
                    None => {
                        places.insert(recorded.identity.clone(), batch.len());
                        batch.push((recorded, 1));
                    }
                }
            }
            let writes: Vec<_> = batch
                .into_iter()
                .map(|(recorded, count)| self.write(recorded, count))
                .collect();
            futures::future::join_all(writes).await;
        }
    }

    /// Takes a token of the object's bucket.
    fn admit(&mut self, recorded: &Recorded) -> bool {
        if self.buckets.len() >= REMEMBERED_EVENTS_MAX {
            // Full buckets say nothing; what remains is at most what was over its rate.
            let now = recorded.at;
            self.buckets
                .retain(|_, bucket| refilled(bucket, now) < OBJECT_BURST);
            if self.buckets.len() >= REMEMBERED_EVENTS_MAX {
                self.buckets.clear();
            }
        }
        let about = ObjectReference {
            field_path: String::new(),
            ..recorded.identity.about.clone()
        };
        let full = Bucket {
            tokens: OBJECT_BURST,
            at: recorded.at,
        };
        let bucket = self.buckets.entry(about).or_insert(full);
        bucket.tokens = refilled(bucket, recorded.at);
        bucket.at = recorded.at;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// The write of an Event that happened `count` times since the last one. What is remembered
    /// of it changes here and now, the write is done by whoever polls it.
    fn write(&mut self, recorded: Recorded, count: u64) -> impl Future<Output = ()> + use<> {
        let namespace = match recorded.identity.about.namespace.as_str() {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let now = seconds(recorded.at);
        let (name, body, patch);
        if let Some(known) = self.remembered.get_mut(&recorded.identity) {
            known.count += count;
            known.last = recorded.at;
            name = known.name.clone();
            let sum = known.count;
            patch = Some(json!({ "count": sum, "lastTimestamp": now }));
            body = self.body(&recorded, &namespace, &name, &now, count);
        } else {
            if self.remembered.len() >= REMEMBERED_EVENTS_MAX {
                self.forget_older_half();
            }
            name = self.name(&recorded);
            patch = None;
            body = self.body(&recorded, &namespace, &name, &now, count);
            let known = Known {
                name: name.clone(),
                count,
                last: recorded.at,
            };
            self.remembered.insert(recorded.identity, known);
        }
        let client = self.client.clone();
        async move {
            if let Err(error) = send(&client, (&namespace, &name), &body, patch).await {
                tracing::debug!(%error, event = name, "an Event was not written");
            }
        }
    }

    fn name(&mut self, recorded: &Recorded) -> String {
        self.counter += 1;
        let nanos = recorded
            .at
            .as_nanosecond()
            .saturating_add(i128::from(self.counter));
        format!("{}.{:x}", recorded.identity.about.name, nanos)
    }

    fn body(
        &self,
        recorded: &Recorded,
        namespace: &str,
        name: &str,
        now: &str,
        count: u64,
    ) -> Value {
        let Identity {
            about,
            kind,
            reason,
            message,
        } = &recorded.identity;
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": reference(about),
            "type": kind.as_str(),
            "reason": reason,
            "message": message,
            "source": self.source,
            "reportingComponent": self.component,
            "reportingInstance": self.instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": null,
            "count": count,
        })
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<Timestamp> = self.remembered.values().map(|known| known.last).collect();
        times.sort_unstable();
        if let Some(middle) = times.get(times.len() / 2).copied() {
            self.remembered.retain(|_, known| known.last > middle);
        }
    }
}

/// Counts a known Event up by `patch`; one that is new, or has expired meanwhile, is made.
async fn send(
    client: &Client,
    at: (&str, &str),
    body: &Value,
    patch: Option<Value>,
) -> Result<(), ClientError> {
    let events = GroupVersionResource::new("", "v1", "events");
    if let Some(patch) = patch {
        let patched = client
            .patch::<IgnoredAny>(&events, at, "", PatchKind::Merge, &patch)
            .await;
        match patched {
            Err(error) if error.is_not_found() => {}
            other => return other.map(|_| ()),
        }
    }
    let created = client.create::<IgnoredAny>(&events, at.0, None, body);
    created.await.map(|_| ())
}

fn refilled(bucket: &Bucket, now: Timestamp) -> f64 {
    let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
    (bucket.tokens + passed * OBJECT_EVENTS_PER_SECOND).min(OBJECT_BURST)
}

fn reference(about: &ObjectReference) -> Value {
    let fields = [
        ("apiVersion", &about.api_version),
        ("kind", &about.kind),
        ("namespace", &about.namespace),
        ("name", &about.name),
        ("uid", &about.uid),
        ("fieldPath", &about.field_path),
    ];
    let present = fields.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(
        present
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect(),
    )
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
