//! What happens in a simulation: one of several plots, whose moments a seed chooses; and what must be
//! true when all is over.

use super::faults::Faults;
use super::watch::text;
use super::world::World;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;

/// Nodes at the beginning.
const NODES: u8 = 3;
/// Steps of a plot at most.
const STEPS_MAX: u32 = 8;
/// The longest time between two steps.
const PAUSE_MAX: Duration = Duration::from_secs(90);

/// Tells the story of a seed; the error is what was broken.
pub(super) async fn tell(seed: u64) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (refused, lost) = match rng.random_range(0..3) {
        0 => (0, 0),
        1 => (rng.random_range(1..80), 0),
        _ => (rng.random_range(1..50), rng.random_range(1..30)),
    };
    let mut world = World::start(Faults::new(seed, refused, lost), NODES).await;
    let rng = &mut rng;
    match seed % 4 {
        0 => rollouts(&mut world, rng).await,
        1 => jobs(&mut world, rng).await,
        2 => lost_nodes(&mut world, rng).await,
        _ => drains(&mut world, rng).await,
    }
    world.faults.end();
    for number in 1..=NODES {
        world.node_up(number).await;
        let usable = json!({ "spec": { "unschedulable": null } });
        world.patch("nodes", &format!("n{number}"), &usable).await;
    }
    world.until_quiet().await?;
    world.watcher.verdict()?;
    if let Err(why) = all_is_as_wanted(&world).await {
        return Err(format!("{why}; {}", pods(&world).await));
    }
    for plural in ["deployments", "statefulsets", "daemonsets", "jobs"] {
        for object in world.list(plural).await {
            world.delete(plural, &text(&object, "/metadata/name")).await;
        }
    }
    world.until_quiet().await?;
    for plural in ["pods", "replicasets", "controllerrevisions"] {
        let left = world.list(plural).await;
        if let Some(first) = left.first() {
            return Err(format!(
                "{} {plural} are orphans: {}; {}",
                left.len(),
                text(first, "/metadata/name"),
                pods(&world).await
            ));
        }
    }
    world.end().await;
    Ok(())
}

/// The pods as they are, for whoever looks for the reason.
async fn pods(world: &World) -> String {
    let pods = world.list("pods").await;
    let pods = pods.iter().map(|pod| {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let conditions = conditions.into_iter().flatten().map(|condition| {
            let of = |field: &str| text(condition, field);
            format!(
                "{}={} since {}",
                of("/type"),
                of("/status"),
                of("/lastTransitionTime")
            )
        });
        format!(
            "{} on {:?}, {} (going: {:?}): {}",
            text(pod, "/metadata/name"),
            text(pod, "/spec/nodeName"),
            text(pod, "/status/phase"),
            text(pod, "/metadata/deletionTimestamp"),
            conditions.collect::<Vec<_>>().join(", ")
        )
    });
    pods.collect::<Vec<_>>().join("; ")
}

/// How the pods of a template start.
fn manners(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => json!({ "mock.wkube.io/start-takes": format!("{}s", rng.random_range(1..20)) }),
        1 => json!({ "mock.wkube.io/fail-pull": "1" }),
        _ => json!({}),
    }
}

fn template(app: &str, version: u32, rng: &mut StdRng) -> Value {
    json!({
        "metadata": { "labels": { "app": app }, "annotations": manners(rng) },
        "spec": {
            "terminationGracePeriodSeconds": rng.random_range(0..5),
            "containers": [{ "name": "c", "image": format!("app:{version}") }],
        },
    })
}

/// A Deployment and what it promises.
struct Rolling {
    name: String,
    replicas: u64,
    surge: u64,
    unavailable: u64,
    version: u32,
}

impl Rolling {
    async fn make(world: &World, rng: &mut StdRng, name: &str) -> Self {
        let rolling = Self {
            name: name.to_owned(),
            replicas: rng.random_range(1..9),
            surge: rng.random_range(0..3),
            unavailable: rng.random_range(0..3),
            version: 1,
        };
        // Both cannot be nothing.
        let surge = rolling.surge + u64::from(rolling.surge + rolling.unavailable == 0);
        let rolling = Self { surge, ..rolling };
        rolling.promise(world);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name },
            "spec": {
                "replicas": rolling.replicas,
                "minReadySeconds": rng.random_range(0..4),
                "selector": { "matchLabels": { "app": name } },
                "strategy": { "rollingUpdate": {
                    "maxSurge": rolling.surge, "maxUnavailable": rolling.unavailable } },
                "template": template(name, 1, rng),
            },
        });
        world.make("deployments", &deployment).await;
        rolling
    }

    fn promise(&self, world: &World) {
        let least = self.replicas.saturating_sub(self.unavailable);
        world
            .watcher
            .promise(&self.name, self.replicas + self.surge, least);
    }

    /// Another template, another size, or both at once.
    async fn change(&mut self, world: &World, rng: &mut StdRng) {
        let mut spec = json!({});
        if rng.random_bool(0.7) {
            self.version += 1;
            spec["template"] = template(&self.name, self.version, rng);
        }
        if rng.random_bool(0.5) {
            self.replicas = rng.random_range(1..9);
            let least = self.replicas.saturating_sub(self.unavailable);
            let most = self.replicas + self.surge;
            world.watcher.resized(&self.name, most, least);
            spec["replicas"] = json!(self.replicas);
        }
        let patch = json!({ "spec": spec });
        world.patch("deployments", &self.name, &patch).await;
    }
}

async fn pause(world: &World, rng: &mut StdRng) {
    let time = rng.random_range(Duration::from_millis(10)..PAUSE_MAX);
    world.clock.sleep(time).await;
}

/// Now and then somebody dies.
async fn deaths(world: &mut World, rng: &mut StdRng) {
    let away = rng.random_range(Duration::from_millis(10)..Duration::from_secs(60));
    match rng.random_range(0..4) {
        0 => world.crash_controllers(away).await,
        1 => world.crash_scheduler(away).await,
        _ => {}
    }
}

/// Rollouts upon rollouts, and sizes that change in the middle.
async fn rollouts(world: &mut World, rng: &mut StdRng) {
    let mut all = vec![Rolling::make(world, rng, "a").await];
    if rng.random_bool(0.5) {
        all.push(Rolling::make(world, rng, "b").await);
    }
    for _ in 0..rng.random_range(1..=STEPS_MAX) {
        pause(world, rng).await;
        let which = rng.random_range(0..all.len());
        all[which].change(world, rng).await;
        deaths(world, rng).await;
    }
}

/// Many Jobs at once.
async fn jobs(world: &mut World, rng: &mut StdRng) {
    for number in 0..rng.random_range(1..8) {
        let completions = rng.random_range(1..6);
        let indexed = rng.random_bool(0.4);
        let again = rng.random_bool(0.3);
        let mut annotations = json!({
            "mock.wkube.io/run-for": format!("{}s", rng.random_range(1..30)),
        });
        if again {
            annotations["mock.wkube.io/exit-code"] = json!("1");
            annotations["mock.wkube.io/fail-runs"] = json!("1");
        }
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": format!("job-{number}") },
            "spec": {
                "completions": completions,
                "parallelism": rng.random_range(1..4),
                "completionMode": if indexed { "Indexed" } else { "NonIndexed" },
                "backoffLimit": 100,
                "template": {
                    "metadata": { "annotations": annotations },
                    "spec": {
                        "restartPolicy": if again { "OnFailure" } else { "Never" },
                        "containers": [{ "name": "c", "image": "job:1" }],
                    },
                },
            },
        });
        world.make("jobs", &job).await;
        if rng.random_bool(0.3) {
            pause(world, rng).await;
            deaths(world, rng).await;
        }
    }
}

/// A StatefulSet and a DaemonSet.
async fn sets(world: &World, rng: &mut StdRng) {
    let policy = if rng.random_bool(0.5) {
        "OrderedReady"
    } else {
        "Parallel"
    };
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "set" },
        "spec": {
            "serviceName": "set",
            "replicas": rng.random_range(1..4),
            "podManagementPolicy": policy,
            "selector": { "matchLabels": { "app": "set" } },
            "template": template("set", 1, rng),
        },
    });
    world.make("statefulsets", &set).await;
    let each = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": "each" },
        "spec": {
            "selector": { "matchLabels": { "app": "each" } },
            "template": template("each", 1, rng),
        },
    });
    world.make("daemonsets", &each).await;
}

/// Nodes vanish, and come back or not for long.
async fn lost_nodes(world: &mut World, rng: &mut StdRng) {
    let mut rolling = Rolling::make(world, rng, "a").await;
    world.watcher.no_promise_of_available();
    sets(world, rng).await;
    for _ in 0..rng.random_range(1..=STEPS_MAX / 2) {
        pause(world, rng).await;
        let number = rng.random_range(1..=NODES);
        world.node_down(number).await;
        if rng.random_bool(0.5) {
            rolling.change(world, rng).await;
            world.watcher.no_promise_of_available();
        }
        let away = rng.random_range(Duration::from_secs(1)..Duration::from_secs(500));
        world.clock.sleep(away).await;
        if rng.random_bool(0.3) {
            world.delete("nodes", &format!("n{number}")).await;
            pause(world, rng).await;
        }
        world.node_up(number).await;
        deaths(world, rng).await;
    }
}

/// Nodes are emptied one after the other while things change.
async fn drains(world: &mut World, rng: &mut StdRng) {
    let mut rolling = Rolling::make(world, rng, "a").await;
    world.watcher.no_promise_of_available();
    sets(world, rng).await;
    for _ in 0..rng.random_range(1..=STEPS_MAX / 2) {
        pause(world, rng).await;
        let node = format!("n{}", rng.random_range(1..=NODES));
        let cordon = json!({ "spec": { "unschedulable": true } });
        world.patch("nodes", &node, &cordon).await;
        for pod in world.list("pods").await {
            let owner = text(&pod, "/metadata/ownerReferences/0/kind");
            if text(&pod, "/spec/nodeName") == node && owner != "DaemonSet" {
                world.delete("pods", &text(&pod, "/metadata/name")).await;
            }
        }
        if rng.random_bool(0.5) {
            rolling.change(world, rng).await;
            world.watcher.no_promise_of_available();
        }
        deaths(world, rng).await;
        let uncordon = json!({ "spec": { "unschedulable": null } });
        world.patch("nodes", &node, &uncordon).await;
    }
}

/// What must be true in the end.
async fn all_is_as_wanted(world: &World) -> Result<(), String> {
    let number = |object: &Value, pointer: &str| {
        let number = object.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or(0)
    };
    for (plural, wanted, fields) in [
        (
            "deployments",
            "/spec/replicas",
            ["replicas", "updatedReplicas", "availableReplicas"],
        ),
        (
            "statefulsets",
            "/spec/replicas",
            ["replicas", "updatedReplicas", "availableReplicas"],
        ),
        (
            "daemonsets",
            "/status/desiredNumberScheduled",
            [
                "currentNumberScheduled",
                "updatedNumberScheduled",
                "numberAvailable",
            ],
        ),
    ] {
        for object in world.list(plural).await {
            for field in fields {
                let is = number(&object, &format!("/status/{field}"));
                if is != number(&object, wanted) {
                    return Err(format!("{field} is {is} in the end: {}", object["status"]));
                }
            }
            if plural == "daemonsets" && number(&object, wanted) != u64::from(NODES) {
                return Err(format!("not one a node: {}", object["status"]));
            }
        }
    }
    for job in world.list("jobs").await {
        let name = text(&job, "/metadata/name");
        let (wanted, is) = (
            number(&job, "/spec/completions"),
            number(&job, "/status/succeeded"),
        );
        let known = world
            .faults
            .unknown_pods
            .load(std::sync::atomic::Ordering::Relaxed)
            == 0;
        if is != wanted || (known && world.watcher.succeeded(&name) != wanted) {
            return Err(format!(
                "{} pods succeeded: {job}",
                world.watcher.succeeded(&name)
            ));
        }
        let left = job.pointer("/status/uncountedTerminatedPods");
        if left
            .and_then(Value::as_object)
            .is_some_and(|left| !left.is_empty())
        {
            return Err(format!("not all are counted: {job}"));
        }
    }
    owners(world).await
}

/// Everything has its owner, and no finalizer is left on what has ended.
async fn owners(world: &World) -> Result<(), String> {
    let mut uids = Vec::new();
    for plural in [
        "deployments",
        "statefulsets",
        "daemonsets",
        "jobs",
        "replicasets",
    ] {
        let list = world.list(plural).await;
        uids.extend(list.iter().map(|object| text(object, "/metadata/uid")));
    }
    for plural in ["pods", "replicasets"] {
        for object in world.list(plural).await {
            let owner = text(&object, "/metadata/ownerReferences/0/uid");
            if !uids.contains(&owner) {
                return Err(format!("nobody's {plural}: {}", object["status"]));
            }
            if object.pointer("/metadata/finalizers/0").is_some() {
                return Err(format!("not let go: {}", object["status"]));
            }
        }
    }
    Ok(())
}
