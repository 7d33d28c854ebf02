//! Rollouts without a cluster: the plan is carried out step by step, the ReplicaSets follow when
//! they happen to, and at every step what a user was promised holds.

use super::plan::{self, Step};
use super::view::{Deployment, REVISION, Set, View};
use crate::meta::Object;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

/// How many rollouts are walked.
const SEEDS: u64 = 200;
/// Steps after which a rollout must have come to its end.
const STEPS_MAX: usize = 4_000;

/// A Deployment, its ReplicaSets, and how many of each set's pods are ready.
struct World {
    deployment: Object,
    sets: Vec<Object>,
    clock: i64,
}

impl World {
    fn new(replicas: i64, strategy: Value) -> Self {
        let deployment = json!({
            "metadata": {"name": "d", "namespace": "n", "uid": "d", "generation": 1},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "a"}},
                "strategy": strategy,
                "progressDeadlineSeconds": 600,
                "revisionHistoryLimit": 2,
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"image": 0}},
            },
            "status": {},
        });
        Self {
            deployment: Object::from_value(deployment).unwrap(),
            sets: Vec::new(),
            clock: 1_000,
        }
    }

    fn view(&self) -> View {
        let sets = self.sets.iter().cloned().map(Set::new).collect();
        let mut view = View::new(Deployment::new(self.deployment.clone()), sets);
        view.old_pods_run = view.old.iter().any(|set| set.actual > 0);
        view
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).unwrap()
    }

    fn change(&mut self, path: &[&str], value: Value) {
        self.deployment.set(path, value);
        let generation = self.deployment.generation() + 1;
        self.deployment
            .set(&["metadata", "generation"], json!(generation));
    }

    /// One step of the plan; whether it rests.
    fn step(&mut self) -> bool {
        let step = plan::next(&self.view(), self.now());
        match step {
            Step::Rest(_) => return true,
            Step::Status(object, _) | Step::Rollback(object, _) => self.deployment = object,
            Step::Create(mut set) => {
                let said = plan::created(&self.view().deployment, &set, self.now());
                self.deployment = said.unwrap_or_else(|| self.deployment.clone());
                set.set(&["metadata", "uid"], json!(set.name()));
                set.set(&["metadata", "generation"], json!(1));
                let created = crate::meta::time::rfc3339(self.now());
                set.set(&["metadata", "creationTimestamp"], json!(created));
                assert!(self.sets.iter().all(|other| other.name() != set.name()));
                self.sets.push(set);
            }
            Step::Update(changes) => {
                for (mut set, _) in changes {
                    set.set(&["metadata", "generation"], json!(set.generation() + 1));
                    let name = set.name().to_owned();
                    *self.sets.iter_mut().find(|of| of.name() == name).unwrap() = set;
                }
            }
            Step::Delete(doomed) => {
                for set in &doomed {
                    assert_eq!(Set::new(set.clone()).actual, 0, "pods are not abandoned");
                }
                let stays = |set: &Object| doomed.iter().all(|gone| gone.name() != set.name());
                self.sets.retain(stays);
            }
        }
        false
    }

    /// A ReplicaSet makes or deletes a pod, or one of its pods becomes ready.
    fn follow(&mut self, dice: &mut StdRng) -> bool {
        let busy = |set: &Object| {
            let set = Set::new(set.clone());
            set.actual != set.replicas || set.ready < set.actual
        };
        let busy: Vec<usize> = (0..self.sets.len())
            .filter(|i| busy(&self.sets[*i]))
            .collect();
        let Some(index) = (!busy.is_empty()).then(|| busy[dice.random_range(0..busy.len())]) else {
            return false;
        };
        let set = Set::new(self.sets[index].clone());
        let (mut actual, mut ready) = (set.actual, set.ready);
        if actual < set.replicas {
            actual += 1;
        } else if actual > set.replicas {
            // Those that are not ready go first.
            actual -= 1;
            ready = ready.min(actual);
        } else {
            ready += 1;
        }
        let status = json!({
            "replicas": actual, "readyReplicas": ready, "availableReplicas": ready,
            "terminatingReplicas": 0, "observedGeneration": set.object.generation(),
        });
        self.sets[index].set(&["status"], status);
        true
    }

    fn ready(&self) -> i64 {
        self.sets
            .iter()
            .cloned()
            .map(|set| Set::new(set).ready)
            .sum()
    }

    fn wanted(&self) -> i64 {
        self.sets
            .iter()
            .cloned()
            .map(|set| Set::new(set).replicas)
            .sum()
    }

    /// Walks until nothing is left to do; `holds` is asked after every step.
    fn walk(&mut self, dice: &mut StdRng, holds: impl Fn(&Self)) {
        for _ in 0..STEPS_MAX {
            self.clock += 1;
            let rests = if dice.random_bool(0.5) {
                self.step();
                false
            } else {
                !self.follow(dice) && self.step()
            };
            holds(self);
            if rests {
                return;
            }
        }
        panic!(
            "it never comes to rest: {}",
            self.deployment.fields()["status"]
        );
    }
}

fn strategy(dice: &mut StdRng) -> Value {
    let amount = |dice: &mut StdRng| match dice.random_range(0..3) {
        0 => json!(dice.random_range(0..4)),
        1 => json!(format!("{}%", dice.random_range(0..101))),
        _ => json!("25%"),
    };
    let (surge, unavailable) = (amount(dice), amount(dice));
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

#[test]
fn a_rolling_update_keeps_its_limits_at_every_step() {
    for seed in 0..SEEDS {
        let mut dice = StdRng::seed_from_u64(seed);
        let replicas = dice.random_range(1..13);
        let strategy = strategy(&mut dice);
        let mut world = World::new(replicas, strategy);
        world.walk(&mut dice, |_| {});
        assert_eq!(world.ready(), replicas, "seed {seed}");
        for revision in 1..5 {
            world.change(&["spec", "template", "spec", "image"], json!(revision));
            world.walk(&mut dice, |world| {
                let deployment = world.view().deployment;
                let least = replicas - deployment.max_unavailable;
                assert!(
                    world.ready() >= least,
                    "seed {seed}: {} ready",
                    world.ready()
                );
                assert!(world.wanted() <= deployment.max_pods(), "seed {seed}");
            });
            let view = world.view();
            let new = view.new.unwrap();
            assert_eq!(
                (new.replicas, new.ready),
                (replicas, replicas),
                "seed {seed}"
            );
            assert!(view.old.iter().all(|set| set.actual == 0), "seed {seed}");
            assert!(view.old.len() <= 2, "seed {seed}: the history has a limit");
            let number = (revision + 1).to_string();
            assert_eq!(world.deployment.annotation(REVISION), Some(number.as_str()));
            let found = crate::controllers::workloads::conditions::of(&world.deployment);
            let progressing = found.iter().find(|c| c["type"] == "Progressing").unwrap();
            assert_eq!(
                progressing["reason"], "NewReplicaSetAvailable",
                "seed {seed}"
            );
        }
    }
}

#[test]
fn recreate_never_has_pods_of_two_templates() {
    for seed in 0..SEEDS {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut world = World::new(dice.random_range(1..6), json!({"type": "Recreate"}));
        world.walk(&mut dice, |_| {});
        world.change(&["spec", "template", "spec", "image"], json!(1));
        world.walk(&mut dice, |world| {
            let with_pods = world.sets.iter().cloned().map(Set::new);
            let with_pods = with_pods.filter(|set| set.actual > 0).count();
            assert!(with_pods <= 1, "seed {seed}");
        });
    }
}

#[test]
fn a_change_of_size_alone_makes_no_replica_set_and_a_halted_rollout_is_scaled_in_proportion() {
    let mut dice = StdRng::seed_from_u64(1);
    let rolling = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}});
    let mut world = World::new(10, rolling);
    world.walk(&mut dice, |_| {});
    world.change(&["spec", "replicas"], json!(4));
    world.walk(&mut dice, |_| {});
    assert_eq!(world.sets.len(), 1);
    world.change(&["spec", "replicas"], json!(10));
    world.walk(&mut dice, |_| {});
    assert_eq!((world.sets.len(), world.ready()), (1, 10));
    // Kubernetes' own example: 10 replicas, surge 3, unavailable 2; a rollout that does not get on
    // stands at 8 and 5; 15 wanted are shared as 11 and 7.
    world.change(
        &["spec", "template", "spec", "image"],
        json!("unresolvable"),
    );
    while !world.step() {}
    let sizes = |world: &World| -> Vec<i64> {
        let sets = world.sets.iter().cloned();
        sets.map(|set| Set::new(set).replicas).collect()
    };
    assert_eq!(sizes(&world), [8, 5]);
    world.change(&["spec", "replicas"], json!(15));
    while !world.step() {}
    assert_eq!(sizes(&world), [11, 7]);
}

#[test]
fn an_old_template_comes_back_under_a_new_number() {
    let mut dice = StdRng::seed_from_u64(1);
    let mut world = World::new(2, json!({"type": "Recreate"}));
    world.walk(&mut dice, |_| {});
    world.change(&["spec", "template", "spec", "image"], json!(1));
    world.walk(&mut dice, |_| {});
    world.change(&["spec", "template", "spec", "image"], json!(0));
    world.walk(&mut dice, |_| {});
    let mut revisions: Vec<_> = world
        .sets
        .iter()
        .map(|set| set.annotation(REVISION))
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [Some("2"), Some("3")]);
    let first = world.view().new.unwrap().object;
    assert_eq!(
        first.annotation("deployment.kubernetes.io/revision-history"),
        Some("1")
    );
}

#[test]
fn what_does_not_get_on_is_told_after_its_deadline() {
    let mut world = World::new(1, json!({"type": "Recreate"}));
    while !world.step() {}
    let reason = |world: &World| -> String {
        let found = crate::controllers::workloads::conditions::of(&world.deployment);
        let progressing = found.iter().find(|c| c["type"] == "Progressing").unwrap();
        progressing["reason"].as_str().unwrap().to_owned()
    };
    let Step::Rest(Some(wait)) = plan::next(&world.view(), world.now()) else {
        panic!("it is to be looked at again");
    };
    assert_eq!(reason(&world), "NewReplicaSetCreated");
    world.clock += i64::try_from(wait.as_secs()).unwrap();
    while !world.step() {}
    assert_eq!(reason(&world), "ProgressDeadlineExceeded");
    assert_eq!(plan::next(&world.view(), world.now()), Step::Rest(None));
}
