//! `metrics.k8s.io`: what nodes and pods use, as `kubectl top` and autoscalers ask for it. Nodes are
//! asked when somebody asks, at most every [`FRESH`]; how much a container uses is what it has used
//! since it was last asked for, or since it started. Nothing is kept but the last two readings.
//! Kubernetes: the metrics server, `k8s.io/metrics`.

use crate::api::codec;
use crate::api::context::Context;
use crate::api::registry::served;
use crate::api::request_info::query_pairs;
use crate::api::streams::node;
use crate::api::verbs::Target;
use crate::api::verbs::get::answer_object;
use crate::api::verbs::shape::{IncludeObject, Shaper, list_metadata};
use crate::api::{ApiServer, Body, respond};
use crate::meta::options::{ListOptions, Query};
use crate::meta::time::rfc3339;
use crate::meta::{ApiError, Object, time};
use crate::resources::DefRef;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// How old readings may be that are shown once more. Kubernetes: metric-resolution, there 15 seconds.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// A reading before the last one is of use up to this age; then what a container has used since it
/// started says more.
const OLD: SignedDuration = SignedDuration::from_mins(5);
/// How long a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes of a node's answer.
const SUMMARY_BYTES_MAX: usize = 64 << 20;
/// The group.
pub(super) const GROUP: &str = "metrics.k8s.io";

/// What has been read. One reads at a time; who comes meanwhile sees what he has read.
#[derive(Default)]
pub(crate) struct Usage(tokio::sync::Mutex<Readings>);

#[derive(Default)]
struct Readings {
    at: Option<Timestamp>,
    /// By the pod's unique id and the container's name.
    containers: HashMap<(String, String), Reading>,
    pods: Vec<PodReading>,
    /// Bytes in use, by node.
    nodes: HashMap<String, u64>,
}

struct PodReading {
    node: String,
    namespace: String,
    name: String,
    uid: String,
    containers: Vec<String>,
}

/// What a container has used at two times.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Timestamp,
    cpu_nanos: u64,
    memory: u64,
    started: Timestamp,
    before: Option<(Timestamp, u64)>,
}

impl Reading {
    /// The next reading of the same container.
    fn after(self, known: Option<&Self>) -> Self {
        let same = known.filter(|known| {
            known.started == self.started
                && known.cpu_nanos <= self.cpu_nanos
                && self.at.duration_since(known.at) <= OLD
        });
        Self {
            before: same.map(|known| (known.at, known.cpu_nanos)),
            ..self
        }
    }

    /// Billionths of a core, and in which time.
    fn cores(&self) -> (u64, SignedDuration) {
        let (since, used) = self.before.unwrap_or((self.started, 0));
        let window = self.at.duration_since(since);
        let nanos = u128::try_from(window.as_nanos())
            .unwrap_or(0)
            .max(1_000_000);
        let used = u128::from(self.cpu_nanos.saturating_sub(used)) * 1_000_000_000;
        (u64::try_from(used / nanos).unwrap_or(u64::MAX), window)
    }
}

/// Serves a get or a list.
pub(super) async fn read(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let mut readings = server.usage.0.lock().await;
    refresh(server, &mut readings).await?;
    let mut objects = match &*target.def.plural {
        "nodes" => nodes(server, &readings)?,
        _ => pods(server, &readings)?,
    };
    drop(readings);
    objects.sort_by_key(Object::key);
    if context.info.verb == "get" {
        let wanted = |object: &Object| {
            object.name() == target.name && object.namespace() == target.namespace
        };
        let found = objects.into_iter().find(wanted);
        let object = found.ok_or_else(|| missing(target))?;
        return answer_object(server, context, target, &accepted, object, StatusCode::OK);
    }
    let pairs: Vec<(String, String)> = query_pairs(&context.query).collect();
    let options = ListOptions::parse(Query::new(&pairs))?;
    let field = |field: &str, object: &Object| match field {
        "metadata.name" => Some(object.name().to_owned()),
        "metadata.namespace" => Some(object.namespace().to_owned()),
        _ => None,
    };
    objects.retain(|object| {
        (target.namespace.is_empty() || object.namespace() == target.namespace)
            && options.labels.matches_object(object)
            && options.fields.matches(|name| field(name, object))
    });
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::of(context, accepted.shape)?,
        now: server.clock.now(),
    };
    let list = shaper.list(objects, list_metadata(""));
    respond::value(&accepted, StatusCode::OK, &list)
}

fn missing(target: &Target) -> ApiError {
    let mut of = target.def.group_resource();
    of.resource = match &*target.def.plural {
        "nodes" => "nodemetrics".to_owned(),
        _ => "podmetrics".to_owned(),
    };
    match target.namespace.as_str() {
        "" => ApiError::not_found(&of, &target.name),
        namespace => ApiError::not_found(&of, &format!("{namespace}/{}", target.name)),
    }
}

fn row(server: &ApiServer, plural: &str) -> Result<DefRef, ApiError> {
    let scheme = server.registry.scheme();
    let found = scheme.resource("", "v1", plural).cloned();
    found.ok_or_else(|| ApiError::internal(format!("{plural} are not served")))
}

/// Asks all nodes, unless that was done just now. A node that does not answer is left out.
async fn refresh(server: &ApiServer, readings: &mut Readings) -> Result<(), ApiError> {
    let now = server.clock.now();
    if readings.at.is_some_and(|at| now.duration_since(at) < FRESH) {
        return Ok(());
    }
    let def = row(server, "nodes")?;
    let (objects, _) = server.registry.kind(&def)?.all();
    let names = objects.keys().map(|key| key.trim_matches('/').to_owned());
    let asked = names.map(async |name| {
        let summary = tokio::time::timeout(ANSWER_MAX, summary(server, &name)).await;
        Some((name, summary.ok().flatten()?, server.clock.now()))
    });
    let answers = futures::future::join_all(asked).await;
    let known = std::mem::take(&mut readings.containers);
    readings.pods.clear();
    readings.nodes.clear();
    for (node, summary, at) in answers.into_iter().flatten() {
        take(readings, &known, (&node, &summary), at);
    }
    readings.at = Some(now);
    Ok(())
}

/// What the agent of a node tells; none if it tells nothing.
async fn summary(server: &ApiServer, node: &str) -> Option<Value> {
    let answer = node::get(server, node, "/stats/summary").await.ok()?;
    let body = Limited::new(answer.into_body(), SUMMARY_BYTES_MAX);
    let bytes = body.collect().await.ok()?.to_bytes();
    serde_json::from_slice(&bytes).ok()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Enters what a node has told.
fn take(
    readings: &mut Readings,
    known: &HashMap<(String, String), Reading>,
    (node, summary): (&str, &Value),
    at: Timestamp,
) {
    let memory = number(summary, "/node/memory/workingSetBytes");
    readings.nodes.insert(node.to_owned(), memory);
    for pod in list(summary, "pods") {
        let text = |path: &str| {
            pod.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let uid = text("/podRef/uid").to_owned();
        let mut containers = Vec::new();
        for container in list(pod, "containers") {
            let of = |field: &str| container.get(field).and_then(Value::as_str);
            let Some(name) = of("name") else { continue };
            let started = of("startTime").and_then(time::parse);
            let reading = Reading {
                at,
                cpu_nanos: number(container, "/cpu/usageCoreNanoSeconds"),
                memory: number(container, "/memory/workingSetBytes"),
                started: started.unwrap_or(at).min(at),
                before: None,
            };
            let key = (uid.clone(), name.to_owned());
            let reading = reading.after(known.get(&key));
            readings.containers.insert(key, reading);
            containers.push(name.to_owned());
        }
        readings.pods.push(PodReading {
            node: node.to_owned(),
            namespace: text("/podRef/namespace").to_owned(),
            name: text("/podRef/name").to_owned(),
            uid,
            containers,
        });
    }
}

impl Readings {
    fn of<'a>(&'a self, pod: &'a PodReading) -> impl Iterator<Item = (&'a str, &'a Reading)> {
        pod.containers.iter().filter_map(|name| {
            let key = (pod.uid.clone(), name.clone());
            Some((name.as_str(), self.containers.get(&key)?))
        })
    }
}

fn usage(cores: u64, memory: u64) -> Value {
    json!({"cpu": format!("{cores}n"), "memory": format!("{}Ki", memory >> 10)})
}

/// A length of time as Go writes it, in thousandths of a second.
fn go(window: SignedDuration) -> String {
    let millis = window.as_millis();
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    seconds.truncate(seconds.trim_end_matches('0').trim_end_matches('.').len());
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// What all metrics objects have, made of the object that they tell of.
fn head(kind: &str, of: &Object, (at, window): (Timestamp, SignedDuration)) -> Object {
    let mut metadata = Map::new();
    let mut put = |field: &str, value: Value| metadata.insert(field.to_owned(), value);
    put("name", json!(of.name()));
    if !of.namespace().is_empty() {
        put("namespace", json!(of.namespace()));
    }
    put("creationTimestamp", json!(rfc3339(at)));
    if let Some(labels) = of.get(&["metadata", "labels"]) {
        put("labels", labels.clone());
    }
    let mut object = Object::default();
    object.set(&["kind"], kind.into());
    object.set(&["apiVersion"], "metrics.k8s.io/v1beta1".into());
    object.set(&["metadata"], Value::Object(metadata));
    object.set(&["timestamp"], json!(rfc3339(at)));
    object.set(&["window"], json!(go(window)));
    object
}

fn pods(server: &ApiServer, readings: &Readings) -> Result<Vec<Object>, ApiError> {
    let def = row(server, "pods")?;
    let mut objects = Vec::new();
    for reading in &readings.pods {
        let found = server
            .registry
            .find(&def, &reading.namespace, &reading.name)?;
        let Some((pod, _)) = found.filter(|(pod, _)| pod.uid() == reading.uid) else {
            continue;
        };
        let mut when = None;
        let mut containers = Vec::new();
        for (name, reading) in readings.of(reading) {
            let (cores, window) = reading.cores();
            containers.push(json!({"name": name, "usage": usage(cores, reading.memory)}));
            when = when.max(Some((reading.at, window)));
        }
        let Some(when) = when else { continue };
        let mut object = head("PodMetrics", &pod, when);
        object.set(&["containers"], Value::Array(containers));
        objects.push(object);
    }
    Ok(objects)
}

fn nodes(server: &ApiServer, readings: &Readings) -> Result<Vec<Object>, ApiError> {
    let def = row(server, "nodes")?;
    let (all, _) = server.registry.kind(&def)?.all();
    let mut objects = Vec::new();
    for cached in all.values() {
        let node = served(&def, cached)?;
        let Some(memory) = readings.nodes.get(node.name()) else {
            continue;
        };
        let mut sum = 0_u64;
        let mut when = (readings.at.unwrap_or(server.clock.now()), FRESH);
        for pod in readings.pods.iter().filter(|pod| pod.node == node.name()) {
            for (_, reading) in readings.of(pod) {
                let (cores, window) = reading.cores();
                sum = sum.saturating_add(cores);
                when = (reading.at, window);
            }
        }
        let mut object = head("NodeMetrics", &node, when);
        object.set(&["usage"], usage(sum, *memory));
        objects.push(object);
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn use_is_what_was_used_since_the_last_reading_or_since_the_start() {
        let reading = |millis: i64, cpu_nanos: u64, started: i64| Reading {
            at: at(millis),
            cpu_nanos,
            memory: 0,
            started: at(started),
            before: None,
        };
        let first = reading(4_000, 2_000_000_000, 0).after(None);
        assert_eq!(first.cores(), (500_000_000, SignedDuration::from_secs(4)));
        let second = reading(14_000, 3_000_000_000, 0).after(Some(&first));
        assert_eq!(second.cores(), (100_000_000, SignedDuration::from_secs(10)));
        let restarted = reading(24_000, 1_000_000_000, 22_000).after(Some(&second));
        assert_eq!(
            restarted.cores(),
            (500_000_000, SignedDuration::from_secs(2))
        );
        let late = reading(14_000 + 600_000, 3_070_000_000, 0).after(Some(&second));
        assert_eq!(late.cores().0, 5_000_000, "nobody has asked for long");
    }

    #[test]
    fn windows_are_written_as_go_does() {
        let go = |millis: i64| go(SignedDuration::from_millis(millis));
        assert_eq!(go(15_000), "15s");
        assert_eq!(go(10_020), "10.02s");
        assert_eq!(go(61_500), "1m1.5s");
        assert_eq!(go(7_200_000), "2h0m0s");
    }
}
