//! Jobs without a cluster: pods end as they like, writes fail, the controller dies between any two
//! writes; and at every step what a user was promised holds.

use super::backoff::Failures;
use super::ended;
use super::plan::{self, Act, Decision};
use super::pods;
use super::track::{self, Done, Tracked};
use super::view::{View, facts};
use crate::controllers::job_facts::{INDEX, TRACKING};
use crate::controllers::members::Member;
use crate::controllers::workloads::{conditions, number};
use crate::meta::time::rfc3339;
use crate::meta::{Object, time};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// How many Jobs are walked.
const SEEDS: u64 = 100;
/// Steps after which a Job must have ended.
const STEPS_MAX: usize = 3_000;
const START: i64 = 1_700_000_000;

struct World {
    job: Object,
    pods: BTreeMap<String, Object>,
    failures: Failures,
    clock: i64,
    made: usize,
    /// Pods that the Job took away itself.
    taken: usize,
    /// Indexes of which a pod has succeeded, and successes of pods.
    succeeded: (BTreeSet<u32>, usize),
    told: Vec<String>,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut job = json!({
            "metadata": {"name": "j", "namespace": "n", "uid": "j"},
            "spec": {
                "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
                "podReplacementPolicy": "TerminatingOrFailed", "suspend": false,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
            },
            "status": {},
        });
        for (field, value) in spec.as_object().unwrap() {
            job["spec"][field] = value.clone();
        }
        Self {
            job: Object::from_value(job).unwrap(),
            pods: BTreeMap::new(),
            failures: Failures::default(),
            clock: START,
            made: 0,
            taken: 0,
            succeeded: (BTreeSet::new(), 0),
            told: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).unwrap()
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.pods
            .values()
            .map(|pod| Arc::new(Member::of(pod)))
            .collect()
    }

    fn status(&self, field: &str) -> i64 {
        number(&self.job, &["status", field])
    }

    /// One turn of the controller; `luck` says whether a write succeeds.
    fn turn(&mut self, mut luck: impl FnMut() -> bool) {
        if ended(&self.job).is_some() {
            return;
        }
        let job = self.job.clone();
        let view = View::new(&job, self.members(), self.failures);
        let decision = plan::decide(&view, self.now());
        let done = self.act(&view, &decision, &mut luck);
        let mut tracked = track::track(&view, decision, done, self.now());
        if !luck() {
            return;
        }
        self.write(&tracked);
        self.failures = view.failures;
        self.told.extend(
            tracked
                .events
                .iter()
                .map(|(_, reason, _)| (*reason).to_owned()),
        );
        let mut removed = HashSet::new();
        for pod in &tracked.counted {
            if luck() {
                self.untrack(&pod.key.name);
                removed.insert(pod.uid.to_string());
            }
        }
        let stays = |uid: &str| {
            let of = |pod: &&Arc<Member>| *pod.uid == *uid && facts(pod).tracked;
            view.pods.iter().find(of).is_some() && !removed.contains(uid)
        };
        track::settle(&mut tracked.status, stays);
        let whole = removed.len() == tracked.counted.len();
        let ends = whole && track::enact(&mut tracked, self.now());
        if luck() {
            self.write(&tracked);
            if ends {
                self.told.push(tracked.finish.unwrap().reason);
            }
        }
    }

    fn write(&mut self, tracked: &Tracked) {
        self.job
            .set(&["status"], Value::Object(tracked.status.clone()));
    }

    fn act(
        &mut self,
        view: &View<'_>,
        decision: &Decision,
        luck: &mut impl FnMut() -> bool,
    ) -> Done {
        let mut done = Done {
            active: view.active.len(),
            ready: view.ready,
            terminating: view.terminating,
            whole: true,
        };
        match &decision.act {
            Act::Nothing => {}
            Act::Create(indexes) => {
                let template = pods::template(view.job);
                for index in indexes {
                    if !luck() {
                        break;
                    }
                    self.create(pods::pod(view, &template, *index));
                    done.active += 1;
                }
            }
            Act::Delete(doomed) | Act::End(doomed) => {
                for pod in doomed {
                    if !luck() {
                        done.whole = false;
                        continue;
                    }
                    if matches!(decision.act, Act::Delete(_)) {
                        self.taken += usize::from(facts(pod).tracked);
                        self.untrack(&pod.key.name);
                    }
                    self.delete(&pod.key.name);
                    done.active -= 1;
                    done.terminating += usize::from(self.pods.contains_key(&pod.key.name));
                }
            }
        }
        done
    }

    fn create(&mut self, pod: Value) {
        self.made += 1;
        let name = format!("p{:04}", self.made);
        let mut pod = Object::from_value(pod).unwrap();
        pod.set(&["metadata", "name"], json!(name));
        pod.set(&["metadata", "namespace"], json!("n"));
        pod.set(&["metadata", "uid"], json!(name));
        pod.set(
            &["metadata", "creationTimestamp"],
            json!(rfc3339(self.now())),
        );
        pod.set(&["status"], json!({"phase": "Pending"}));
        self.pods.insert(name, pod);
    }

    fn delete(&mut self, name: &str) {
        let now = rfc3339(self.now());
        if let Some(pod) = self.pods.get_mut(name) {
            if pod.deletion_timestamp().is_none() {
                pod.set(&["metadata", "deletionTimestamp"], json!(now));
            }
            self.sweep(name);
        }
    }

    fn untrack(&mut self, name: &str) {
        if let Some(pod) = self.pods.get_mut(name) {
            pod.remove(&["metadata", "finalizers"]);
            self.sweep(name);
        }
    }

    /// What goes, has ended or was never begun, and is waited for by nobody, is gone; of what has
    /// ended and is counted nobody asks any more.
    fn sweep(&mut self, name: &str) {
        let gone = self.pods.get(name).is_some_and(|pod| {
            let phase = pod.str_at(&["status", "phase"]);
            let ended = matches!(phase, "Succeeded" | "Failed");
            let never_begun = pod.deletion_timestamp().is_some() && phase == "Pending";
            pod.finalizers().next().is_none() && (ended || never_begun)
        });
        if gone {
            self.pods.remove(name);
        }
    }

    /// A pod gets on: it runs, then ends well or badly.
    fn follow(&mut self, name: &str, dice: &mut StdRng, fails: f64) {
        let now = rfc3339(self.now());
        let Some(pod) = self.pods.get_mut(name) else {
            return;
        };
        let going = pod.deletion_timestamp().is_some();
        let phase = match pod.str_at(&["status", "phase"]) {
            "Pending" if !going => "Running",
            "Pending" => "Failed",
            "Running" if dice.random_bool(fails) => "Failed",
            "Running" => "Succeeded",
            _ => return,
        };
        pod.set(&["status", "phase"], json!(phase));
        if phase != "Running" {
            let code = if phase == "Failed" {
                dice.random_range(1..4)
            } else {
                0
            };
            let state = json!({"terminated": {"exitCode": code, "finishedAt": now}});
            pod.set(
                &["status", "containerStatuses"],
                json!([{"name": "c", "state": state}]),
            );
        }
        if phase == "Succeeded" && pod.finalizers().next().is_some() {
            self.succeeded.1 += 1;
            let index: Option<u32> = pod.annotation(INDEX).and_then(|index| index.parse().ok());
            self.succeeded.0.extend(index);
        }
        self.sweep(name);
    }

    fn some_pod(&self, dice: &mut StdRng) -> Option<String> {
        let names: Vec<&String> = self.pods.keys().collect();
        (!names.is_empty()).then(|| names[dice.random_range(0..names.len())].clone())
    }

    /// What holds at every step.
    fn check(&self, seed: u64) {
        let active: Vec<&Object> = self
            .pods
            .values()
            .filter(|pod| Member::of(pod).active())
            .collect();
        let parallelism = number(&self.job, &["spec", "parallelism"]);
        assert!(
            active.len() as i64 <= parallelism,
            "seed {seed}: too many pods"
        );
        let indexes: Vec<&str> = active
            .iter()
            .filter_map(|pod| pod.annotation(INDEX))
            .collect();
        let different: BTreeSet<&&str> = indexes.iter().collect();
        assert_eq!(
            different.len(),
            indexes.len(),
            "seed {seed}: an index twice"
        );
        let (succeeded, failed) = (self.status("succeeded"), self.status("failed"));
        let most = self.made - self.taken;
        assert!(
            succeeded + failed <= most as i64,
            "seed {seed}: counted twice"
        );
        let kinds: Vec<Value> = conditions::of(&self.job);
        let holds = |kind: &str| conditions::find(&kinds, kind).is_some();
        assert!(
            !holds("Complete") || holds("SuccessCriteriaMet"),
            "seed {seed}"
        );
        assert!(!holds("Failed") || holds("FailureTarget"), "seed {seed}");
    }

    /// Walks until the Job has ended; a lost write now and then, a pod lost now and then.
    fn walk(&mut self, seed: u64, dice: &mut StdRng, (unlucky, fails): (f64, f64)) {
        for _ in 0..STEPS_MAX {
            self.clock += dice.random_range(0..60);
            match dice.random_range(0..10) {
                0..5 => {
                    let mut coin = StdRng::seed_from_u64(dice.random());
                    self.turn(|| !coin.random_bool(unlucky));
                }
                9 if dice.random_bool(unlucky) => {
                    if let Some(name) = self.some_pod(dice) {
                        self.delete(&name);
                    }
                }
                _ => {
                    if let Some(name) = self.some_pod(dice) {
                        self.follow(&name, dice, fails);
                    }
                }
            }
            self.check(seed);
            if ended(&self.job).is_some() {
                return;
            }
        }
        panic!("seed {seed}: it has not ended: {:?}", self.job);
    }
}

fn spec(dice: &mut StdRng) -> Value {
    let mut spec = Map::new();
    let mut set = |field: &str, value: Value| spec.insert(field.to_owned(), value);
    set("parallelism", json!(dice.random_range(1..6)));
    set("backoffLimit", json!(dice.random_range(0..5)));
    if dice.random_bool(0.3) {
        set("podReplacementPolicy", json!("Failed"));
    }
    match dice.random_range(0..4) {
        0 => set("completions", Value::Null),
        1 => set("completions", json!(dice.random_range(1..9))),
        which => {
            set("completions", json!(dice.random_range(1..9)));
            if which == 3 {
                set("backoffLimitPerIndex", json!(dice.random_range(0..3)));
                set("backoffLimit", json!(i32::MAX));
                if dice.random_bool(0.5) {
                    set("maxFailedIndexes", json!(dice.random_range(0..3)));
                }
            }
            set("completionMode", json!("Indexed"))
        }
    };
    Value::Object(spec)
}

#[test]
fn no_end_is_counted_twice_and_none_is_lost() {
    let mut ends = BTreeMap::<String, usize>::new();
    for seed in 0..SEEDS {
        let mut dice = StdRng::seed_from_u64(seed);
        let spec = spec(&mut dice);
        let mut world = World::new(spec.clone());
        let rates = (dice.random_range(0.0..0.3), dice.random_range(0.0..0.6));
        world.walk(seed, &mut dice, rates);
        let end = conditions::text(&ended(&world.job).unwrap(), "reason").to_owned();
        *ends.entry(end.clone()).or_default() += 1;
        let waiting = world
            .pods
            .values()
            .filter(|pod| pod.finalizers().next().is_some());
        assert_eq!(
            waiting.count(),
            0,
            "seed {seed}: a pod is waited for in vain"
        );
        let (succeeded, failed) = (world.status("succeeded"), world.status("failed"));
        let uncounted = world.job.get(&["status", "uncountedTerminatedPods"]);
        assert_eq!(uncounted, Some(&json!({})), "seed {seed}");
        let made = (world.made - world.taken) as i64;
        if spec["completionMode"] == "Indexed" {
            let (done, _) = &world.succeeded;
            let ended_well = super::indexes::Indexes::default().with(done.iter().copied());
            let said = world.job.str_at(&["status", "completedIndexes"]);
            let said = super::indexes::Indexes::parse(said, u32::MAX);
            assert_eq!(said.common(&ended_well), said.len(), "seed {seed}");
            assert_eq!(succeeded, i64::from(said.len()), "seed {seed}");
            assert!(failed >= made - world.succeeded.1 as i64, "seed {seed}");
        } else {
            // One that was booked as failed stays so, though it may yet end well.
            assert!(succeeded <= world.succeeded.1 as i64, "seed {seed}: {spec}");
            // What still goes when a Job that waits for the end of pods has succeeded, is neither.
            let left = spec["podReplacementPolicy"] == "Failed" && end == "CompletionsReached";
            assert!(succeeded + failed == made || left, "seed {seed}: {spec}");
        }
    }
    let expected = [
        "BackoffLimitExceeded",
        "CompletionsReached",
        "FailedIndexes",
        "MaxFailedIndexesExceeded",
    ];
    assert_eq!(
        ends.keys().collect::<Vec<_>>(),
        expected,
        "all ends are met: {ends:?}"
    );
}

/// Turns and pods in turn, until nothing changes.
fn run(world: &mut World, fails: f64) {
    let mut dice = StdRng::seed_from_u64(1);
    for _ in 0..50 {
        world.turn(|| true);
        for name in world.pods.keys().cloned().collect::<Vec<_>>() {
            world.follow(&name, &mut dice, fails);
        }
        world.turn(|| true);
        world.clock += 1_000;
    }
}

#[test]
fn a_job_that_succeeds_says_so_in_order() {
    let mut world = World::new(json!({"completions": 2}));
    world.turn(|| true);
    let status = world.job.get(&["status"]).unwrap();
    let started = rfc3339(time::parse(&rfc3339(world.now())).unwrap());
    let expected = json!({
        "active": 1, "ready": 0, "terminating": 0, "startTime": started,
        "uncountedTerminatedPods": {},
    });
    assert_eq!(status, &expected);
    run(&mut world, 0.0);
    let list = conditions::of(&world.job);
    let kinds: Vec<&str> = list
        .iter()
        .map(|one| conditions::text(one, "type"))
        .collect();
    assert_eq!(kinds, ["SuccessCriteriaMet", "Complete"]);
    let message = "Reached expected number of succeeded pods";
    assert!(list.iter().all(|one| one["message"] == message));
    assert_eq!(world.status("succeeded"), 2);
    assert_eq!(world.status("active"), 0);
    assert!(world.job.get(&["status", "completionTime"]).is_some());
    assert_eq!(world.told, ["CompletionsReached"]);
}

#[test]
fn a_suspended_job_has_no_pods_and_starts_anew() {
    let mut world = World::new(json!({"parallelism": 2, "completions": 2}));
    world.turn(|| true);
    assert_eq!(world.pods.len(), 2);
    world.job.set(&["spec", "suspend"], json!(true));
    world.turn(|| true);
    assert!(world.pods.is_empty(), "no node had begun with them");
    assert_eq!(world.job.get(&["status", "startTime"]), None);
    assert_eq!(
        world.status("failed"),
        0,
        "what the Job takes away is no failure"
    );
    world.clock += 100;
    world.job.set(&["spec", "suspend"], json!(false));
    world.turn(|| true);
    assert_eq!(world.told, ["Suspended", "Resumed"]);
    assert_eq!(
        world.job.str_at(&["status", "startTime"]),
        rfc3339(world.now())
    );
    let suspended = &conditions::of(&world.job)[0];
    assert_eq!(suspended["status"], "False");
    assert_eq!(suspended["reason"], "JobResumed");
    run(&mut world, 0.0);
    assert_eq!(world.status("succeeded"), 2);
}

#[test]
fn a_deadline_and_too_many_failures_end_a_job() {
    let mut world =
        World::new(json!({"activeDeadlineSeconds": 30, "parallelism": 2, "completions": 5}));
    world.turn(|| true);
    world.clock += 29;
    let job = world.job.clone();
    let view = View::new(&job, world.members(), Failures::default());
    let next = plan::decide(&view, world.now()).next;
    assert_eq!(next, Some(std::time::Duration::from_secs(1)));
    world.clock += 1;
    world.turn(|| true);
    let end = conditions::of(&world.job);
    assert_eq!(end[0]["type"], "FailureTarget");
    assert_eq!(end[0]["reason"], "DeadlineExceeded");
    assert_eq!(
        end[0]["message"],
        "Job was active longer than specified deadline"
    );
    assert_eq!(world.status("failed"), 2, "all that runs has failed");
    let mut world = World::new(json!({"backoffLimit": 1, "parallelism": 3, "completions": 3}));
    run(&mut world, 1.0);
    let end = ended(&world.job).unwrap();
    assert_eq!(
        end["message"],
        "Job has reached the specified backoff limit"
    );
    assert_eq!(world.status("failed"), 3);
}

#[test]
fn a_success_policy_ends_a_job_before_all_have_succeeded() {
    let rules = json!([{"succeededIndexes": "0,2-3", "succeededCount": 2}]);
    let mut world = World::new(json!({
        "completionMode": "Indexed", "completions": 5, "parallelism": 5,
        "successPolicy": {"rules": rules},
    }));
    let mut dice = StdRng::seed_from_u64(1);
    world.turn(|| true);
    for (name, met) in [("p0002", false), ("p0001", false), ("p0003", true)] {
        world.follow(name, &mut dice, 0.0);
        world.follow(name, &mut dice, 0.0);
        world.turn(|| true);
        let list = conditions::of(&world.job);
        assert_eq!(
            conditions::find(&list, "SuccessCriteriaMet").is_some(),
            met,
            "{name}"
        );
    }
    run(&mut world, 0.0);
    let end = ended(&world.job).unwrap();
    assert_eq!(end["type"], "Complete");
    assert_eq!(end["reason"], "SuccessPolicy");
    assert_eq!(end["message"], "Matched rules at index 0");
    assert_eq!(world.job.str_at(&["status", "completedIndexes"]), "0-2");
    assert_eq!(world.status("failed"), 0, "the others were not needed");
}

#[test]
fn an_index_fails_for_itself() {
    let mut world = World::new(json!({
        "completionMode": "Indexed", "completions": 3, "parallelism": 3,
        "backoffLimitPerIndex": 1, "backoffLimit": i32::MAX, "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}},
        ]},
    }));
    world.turn(|| true);
    let end = |world: &mut World, name: &str, phase: &str, code: i64| {
        let state = json!({"terminated": {"exitCode": code, "finishedAt": rfc3339(world.now())}});
        let status = json!({"phase": phase, "containerStatuses": [{"name": "c", "state": state}]});
        world.pods.get_mut(name).unwrap().set(&["status"], status);
        world.turn(|| true);
    };
    end(&mut world, "p0001", "Succeeded", 0);
    end(&mut world, "p0002", "Failed", 2);
    assert_eq!(world.job.str_at(&["status", "failedIndexes"]), "1");
    end(&mut world, "p0003", "Failed", 1);
    assert!(
        world.pods["p0003"]
            .finalizers()
            .any(|name| name == TRACKING),
        "it knows the count"
    );
    world.clock += 11;
    world.turn(|| true);
    let again = "batch.kubernetes.io/job-index-failure-count";
    assert_eq!(world.pods["p0004"].annotation(again), Some("1"));
    world.turn(|| true);
    end(&mut world, "p0004", "Failed", 1);
    assert_eq!(world.job.str_at(&["status", "failedIndexes"]), "1,2");
    let end = ended(&world.job).unwrap();
    assert_eq!(
        (&end["reason"], &end["message"]),
        (&json!("FailedIndexes"), &json!("Job has failed indexes"))
    );
    assert_eq!((world.status("succeeded"), world.status("failed")), (1, 3));
}
