//! The decisions as timelines: a pod whose runs end as a script says is driven through `plan` by a
//! pretended node, and what happened when is compared. No clock, no runtime, no server.

use super::*;
use crate::kubelet::probes::Outcome;
use crate::kubelet::status;
use k8s_openapi::api::core::v1::Probe;
use serde_json::json;
use std::collections::HashMap;

/// A run of a container: how long, and the exit code.
type Run = (u64, i32);

struct Pretend {
    pod: Pod,
    state: PodState,
    now: Timestamp,
    /// Runs of each container; the last one repeats. None at all: it runs for ever.
    runs: HashMap<&'static str, Vec<Run>>,
    /// So many pulls of a container's image fail.
    bad_pulls: HashMap<&'static str, usize>,
    /// The seconds after which each run of a container fails its liveness probe.
    fails: HashMap<&'static str, u64>,
    fails_at: Vec<(Timestamp, String)>,
    /// The seconds that a container's preStop hook takes.
    hooks: HashMap<&'static str, u64>,
    hooks_end: Vec<(Timestamp, String)>,
    /// The seconds after which a container ends that is asked to stop; the others are deaf.
    obeys: HashMap<&'static str, u64>,
    ends: Vec<(Timestamp, String, i32)>,
    log: Vec<String>,
}

impl Pretend {
    fn new(spec: serde_json::Value) -> Self {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": spec,
        }))
        .unwrap();
        Self {
            pod,
            state: PodState::new(Timestamp::UNIX_EPOCH),
            now: Timestamp::UNIX_EPOCH,
            runs: HashMap::new(),
            bad_pulls: HashMap::new(),
            fails: HashMap::new(),
            fails_at: Vec::new(),
            hooks: HashMap::new(),
            hooks_end: Vec::new(),
            obeys: HashMap::new(),
            ends: Vec::new(),
            log: Vec::new(),
        }
    }

    fn runs(mut self, container: &'static str, runs: &[Run]) -> Self {
        self.runs.insert(container, runs.to_vec());
        self
    }

    fn bad_pulls(mut self, container: &'static str, failing: usize) -> Self {
        self.bad_pulls.insert(container, failing);
        self
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        self.log.push(format!("{}s {what}", self.now.as_second()));
    }

    fn start(&mut self, name: &str) {
        let restarts = {
            let state = self.state.container_mut(name);
            state.begin_run("wasm://0".to_owned(), "image", self.now);
            state.started(self.now);
            state.restarts
        };
        self.say(format!("start {name}#{restarts}"));
        if let Some(seconds) = self.fails.get(name) {
            let at = later(self.now, Duration::from_secs(*seconds));
            self.fails_at.push((at, name.to_owned()));
        }
        let script = self.runs.get(name);
        let run = script.and_then(|runs| runs.get(restarts as usize).or(runs.last()));
        if let Some((seconds, code)) = run {
            let at = later(self.now, Duration::from_secs(*seconds));
            self.ends.push((at, name.to_owned(), *code));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::PrepareSandbox => self.state.sandbox = Sandbox::Ready,
            Action::EnsureImage { container } => {
                let left = self.bad_pulls.get_mut(container.as_str());
                if let Some(left) = left.filter(|left| **left > 0) {
                    *left -= 1;
                    let now = self.now;
                    let state = self.state.container_mut(&container);
                    state.pull_failed("ErrImagePull", "no".to_owned(), now);
                    self.say(format!("pull of {container} failed"));
                } else {
                    let id = "id".to_owned();
                    self.state.container_mut(&container).pull = ImageState::Ready { id };
                }
            }
            Action::StartContainer { container } => self.start(&container),
            Action::TellUnready => {
                self.say("unready");
                self.state.unready_told = true;
            }
            Action::StopContainer {
                container,
                until,
                why,
            } => {
                let again = matches!(why, Why::Probe { restart: true, .. });
                let why = match why {
                    Why::Probe { kind, .. } => format!(" ({})", kind.word()),
                    _ => String::new(),
                };
                self.say(format!("stop {container}{why}"));
                let takes = self.hooks.get(container.as_str()).copied();
                if let Some(takes) = takes {
                    let done = later(self.now, Duration::from_secs(takes));
                    self.hooks_end.push((done, container.clone()));
                }
                let hook = takes.is_some();
                let state = self.state.container_mut(&container);
                state.stop = Stop::Begun { until, hook };
                state.failed_probe = again;
            }
            Action::AskToStop { container, kill_at } => {
                let at = self.now;
                if self.hooks.contains_key(container.as_str()) {
                    self.say(format!("ask {container}"));
                }
                self.state.container_mut(&container).stop = Stop::Asked { at, kill_at };
                if let Some(takes) = self.obeys.get(container.as_str()) {
                    let end = later(at, Duration::from_secs(*takes));
                    self.ends.retain(|(_, name, _)| name != &container);
                    self.ends.push((end, container, 143));
                }
            }
            Action::GiveUpStart { container } => self.say(format!("give up {container}")),
            Action::KillContainer { container } => {
                self.say(format!("kill {container}"));
                self.state.container_mut(&container).stop = Stop::Killed;
                self.ends.retain(|(_, name, _)| name != &container);
                self.ends.push((self.now, container, 137));
            }
            Action::BeginAnew => {
                self.say("anew");
                self.state.begin_anew(&self.pod, self.now);
            }
            Action::End(verdict) => {
                self.say(format!("end: {}", verdict.reason));
                self.state.verdict = Some(verdict);
            }
            Action::ReleaseSandbox => self.state.sandbox = Sandbox::Released,
            Action::TellEnd => {
                let status = status::build(&self.pod, &self.state, None, &[], self.now);
                self.say(status.phase.unwrap());
                self.state.end_told = true;
            }
            Action::Delete => {
                self.say("delete");
                self.state.removed = true;
            }
            Action::Forget => self.say("forget"),
            Action::WaitUntil(_) => {}
        }
    }

    /// Lets time pass until `end` or until nothing is left to happen.
    fn until(&mut self, end: i64) -> &mut Self {
        let end = Timestamp::from_second(end).unwrap();
        loop {
            self.state.settle(&self.pod, self.now);
            let actions = plan(&self.pod, &self.state, self.now);
            let mut wake = None;
            let mut acted = false;
            for action in actions {
                match action {
                    Action::WaitUntil(when) => wake = Some(when),
                    Action::Forget => {
                        self.say("forget");
                        return self;
                    }
                    action => {
                        acted = true;
                        self.act(action);
                    }
                }
            }
            if acted {
                continue;
            }
            self.ends.sort();
            let next = self
                .ends
                .first()
                .map(|(at, ..)| *at)
                .into_iter()
                .chain(wake)
                .chain(self.hooks_end.iter().map(|(at, _)| *at).min())
                .chain(self.fails_at.iter().map(|(at, _)| *at).min())
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return self;
            };
            assert!(next >= self.now, "the plan waits for the past");
            self.now = next;
            let now = self.now;
            let state = &mut self.state;
            self.fails_at.retain(|(at, name)| {
                if *at <= now {
                    let once = Probe {
                        failure_threshold: Some(1),
                        ..Probe::default()
                    };
                    let no = Outcome::Failure {
                        words: String::new(),
                        refused: false,
                    };
                    let probes = &mut state.container_mut(name).probes;
                    probes.note(Kind::Liveness, &once, &no);
                }
                *at > now
            });
            self.hooks_end.retain(|(at, name)| {
                if let Stop::Begun { hook, .. } = &mut state.container_mut(name).stop
                    && *at <= now
                {
                    *hook = false;
                }
                *at > now
            });
            if self.ends.first().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, name, code) = self.ends.remove(0);
                self.say(format!("exit {name} {code}"));
                let reason = if code == 0 { "Completed" } else { "Error" };
                let now = self.now;
                let state = self.state.container_mut(&name);
                state.ended(code, reason, String::new(), now);
            }
        }
    }

    fn starts(&self) -> Vec<&str> {
        let starts = self.log.iter().filter(|line| line.contains("start"));
        starts.map(|line| line.split_once('s').unwrap().0).collect()
    }

    fn phase(&self) -> String {
        let status = status::build(&self.pod, &self.state, None, &[], self.now);
        status.phase.unwrap()
    }

    fn waiting(&self, index: usize) -> Option<(String, String)> {
        let status = status::build(&self.pod, &self.state, None, &[], self.now);
        let waiting = status.container_statuses?.remove(index).state?.waiting?;
        Some((waiting.reason?, waiting.message.unwrap_or_default()))
    }
}

fn one(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "image"}]})
}

#[test]
fn a_crashing_container_waits_as_long_as_kubernetes_lets_it() {
    let mut pod = Pretend::new(one("Always")).runs("a", &[(1, 1)]);
    pod.until(1_500);
    // The first restart is at once; then 10, 20, 40, 80, 160 and 300 seconds after each exit.
    let starts = [
        "0", "1", "12", "33", "74", "155", "316", "617", "918", "1219",
    ];
    assert_eq!(pod.starts(), starts);
    assert_eq!(pod.phase(), "Running");
    let (reason, message) = pod.waiting(0).unwrap();
    assert_eq!(reason, "CrashLoopBackOff");
    let wanted = "back-off 5m0s restarting failed container=a pod=p_ns(u)";
    assert_eq!(message, wanted);
}

#[test]
fn ten_minutes_of_running_forget_the_crashes() {
    let runs = [(1, 1), (1, 1), (1, 1), (601, 1), (1, 1), (1, 1)];
    let mut pod = Pretend::new(one("Always")).runs("a", &runs);
    pod.until(660);
    let starts = ["0", "1", "12", "33", "634", "645"];
    assert_eq!(pod.starts(), starts);
}

#[test]
fn completed_runs_of_always_wait_as_crashes_do() {
    let mut pod = Pretend::new(one("Always")).runs("a", &[(0, 0)]);
    pod.until(35);
    assert_eq!(pod.starts(), ["0", "0", "10", "30"]);
}

#[test]
fn policies_decide_what_an_exit_means() {
    for (policy, runs, wanted) in [
        (
            "Never",
            [(1, 0)].as_slice(),
            "0s start a#0, 1s exit a 0, 1s Succeeded",
        ),
        ("Never", &[(1, 3)], "0s start a#0, 1s exit a 3, 1s Failed"),
        (
            "OnFailure",
            &[(1, 0)],
            "0s start a#0, 1s exit a 0, 1s Succeeded",
        ),
        (
            "OnFailure",
            &[(1, 3), (1, 0)],
            "0s start a#0, 1s exit a 3, 1s start a#1, 2s exit a 0, 2s Succeeded",
        ),
    ] {
        let mut pod = Pretend::new(one(policy)).runs("a", runs);
        assert_eq!(pod.until(100).log.join(", "), wanted, "{policy}");
    }
}

#[test]
fn a_pod_succeeds_only_if_all_its_containers_do() {
    let spec = json!({"restartPolicy": "Never",
        "containers": [{"name": "a", "image": "image"}, {"name": "b", "image": "image"}]});
    let mut pod = Pretend::new(spec).runs("a", &[(5, 0)]).runs("b", &[(1, 1)]);
    pod.until(3);
    assert_eq!(pod.phase(), "Running");
    pod.until(9);
    assert_eq!(pod.phase(), "Failed");
}

fn with_init(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy,
        "initContainers": [{"name": "i", "image": "image"}, {"name": "j", "image": "image"}],
        "containers": [{"name": "a", "image": "image"}]})
}

#[test]
fn init_containers_run_one_after_the_other_and_before_the_rest() {
    let mut pod = Pretend::new(with_init("Always"))
        .runs("i", &[(2, 1), (2, 0)])
        .runs("j", &[(3, 0)]);
    pod.until(3);
    assert_eq!(pod.phase(), "Pending");
    assert_eq!(pod.waiting(0).unwrap().0, "PodInitializing");
    pod.until(60);
    let wanted = "0s start i#0, 2s exit i 1, 2s start i#1, 4s exit i 0, 4s start j#0, \
                  7s exit j 0, 7s start a#0";
    assert_eq!(pod.log.join(", "), wanted);
    assert_eq!(pod.phase(), "Running");
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let mut pod = Pretend::new(with_init("Never")).runs("i", &[(2, 1)]);
    let wanted = "0s start i#0, 2s exit i 1, 2s Failed";
    assert_eq!(pod.until(100).log.join(", "), wanted);
}

#[test]
fn helpers_start_first_stay_and_end_last() {
    let spec = json!({"restartPolicy": "Never",
        "initContainers": [{"name": "h", "image": "image", "restartPolicy": "Always"}],
        "containers": [{"name": "a", "image": "image"}]});
    let mut pod = Pretend::new(spec).runs("a", &[(5, 0)]);
    pod.until(60);
    let wanted = "0s start h#0, 0s start a#0, 5s exit a 0, 5s stop h, 35s kill h, 35s exit h 137, \
                  35s Succeeded";
    assert_eq!(pod.log.join(", "), wanted);
}

#[test]
fn pulls_that_fail_wait_and_say_so() {
    let mut pod = Pretend::new(one("Always")).bad_pulls("a", 3);
    pod.until(1);
    assert_eq!(
        pod.waiting(0).unwrap(),
        ("ErrImagePull".to_owned(), "no".to_owned())
    );
    pod.until(9);
    let (reason, message) = pod.waiting(0).unwrap();
    assert_eq!(reason, "ImagePullBackOff");
    assert_eq!(
        message,
        "Back-off pulling image \"image\": ErrImagePull: no"
    );
    pod.until(100);
    let wanted = "0s pull of a failed, 10s pull of a failed, 30s pull of a failed, 70s start a#0";
    assert_eq!(pod.log.join(", "), wanted);
}

#[test]
fn deletion_tells_unready_stops_kills_reports_and_removes() {
    let mut pod = Pretend::new(one("Always"));
    pod.until(5);
    pod.pod.metadata.deletion_timestamp = Some(
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(pod.now),
    );
    pod.pod.metadata.deletion_grace_period_seconds = Some(4);
    let wanted = "0s start a#0, 5s unready, 5s stop a, 9s kill a, 9s exit a 137, 9s Running, \
                  9s delete, 9s forget";
    assert_eq!(pod.until(100).log.join(", "), wanted);
}

#[test]
fn a_removed_pod_is_killed_and_nobody_is_told() {
    let mut pod = Pretend::new(one("Always"));
    pod.until(5);
    pod.state.removed = true;
    // Two seconds are the least that a container gets.
    let wanted = "0s start a#0, 5s stop a, 7s kill a, 7s exit a 137, 7s forget";
    assert_eq!(pod.until(100).log.join(", "), wanted);
}

#[test]
fn the_deadline_of_a_pod_fails_it() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(7);
    let mut pod = Pretend::new(spec);
    pod.until(100);
    let wanted = "0s start a#0, 7s end: DeadlineExceeded, 7s unready, 7s stop a, 37s kill a, 37s exit a 137, \
                  37s Failed";
    assert_eq!(pod.log.join(", "), wanted);
}

#[test]
fn a_new_image_starts_the_container_anew_whatever_the_policy() {
    let mut pod = Pretend::new(one("Never"));
    pod.until(5);
    let spec = pod.pod.spec.as_mut().unwrap();
    spec.containers[0].image = Some("other".to_owned());
    spec.termination_grace_period_seconds = Some(1);
    pod.until(5);
    assert_eq!(pod.log, ["0s start a#0", "5s stop a"]);
}

#[test]
fn after_a_crash_of_the_node_each_policy_gets_its_due() {
    let after = |policy: &str, runs: &[Run], at: i64| {
        let mut pod = Pretend::new(with_init(policy))
            .runs("i", &[(0, 0)])
            .runs("j", &[(0, 0)])
            .runs("a", runs);
        pod.until(at);
        let kept = serde_json::to_string(&pod.state).unwrap();
        let state: PodState = serde_json::from_str(&kept).unwrap();
        pod.state = state.recovered(&pod.pod, pod.now);
        pod.ends.clear();
        pod.log.clear();
        pod.until(at + 5);
        let phase = pod.phase();
        (pod.log.join(", "), phase, pod)
    };
    // What may run again does, init containers first.
    let (log, phase, pod) = after("Always", &[(1_000, 0)], 10);
    let wanted = "10s start i#1, 10s exit i 0, 10s start j#1, 10s exit j 0, 10s start a#1";
    assert_eq!((log.as_str(), phase.as_str()), (wanted, "Running"));
    let last = pod.state.container("a").last_exit.clone().unwrap();
    assert_eq!(
        (last.code, last.reason.as_str()),
        (137, "ContainerStatusUnknown")
    );
    // What must not run twice has failed, and what had finished stays so.
    let (log, phase, _) = after("Never", &[(1_000, 0)], 10);
    assert_eq!((log.as_str(), phase.as_str()), ("10s Failed", "Failed"));
    for policy in ["Never", "OnFailure"] {
        let (log, phase, _) = after(policy, &[(3, 0)], 10);
        assert_eq!(
            (log.as_str(), phase.as_str()),
            ("10s Succeeded", "Succeeded")
        );
    }
}

fn probed(policy: &str, probe: serde_json::Value) -> Pretend {
    let mut pod = Pretend::new(json!({"restartPolicy": policy,
        "containers": [{"name": "a", "image": "image", "livenessProbe": probe}]}));
    pod.fails.insert("a", 30);
    pod.obeys.insert("a", 0);
    pod
}

#[test]
fn a_container_that_fails_its_liveness_probe_is_restarted_as_kubernetes_does() {
    let mut pod = probed("Always", json!({}));
    pod.until(500);
    // A run that lasts longer than the wait is followed by the next one at once.
    let starts = ["0", "30", "60", "90", "120", "190", "300", "490"];
    assert_eq!(pod.starts(), starts);
    // It starts again although it ended well: `OnFailure` would not have it otherwise.
    let mut pod = probed("OnFailure", json!({}));
    pod.until(40);
    let wanted = "0s start a#0, 30s stop a (liveness), 30s exit a 143, 30s start a#1";
    assert_eq!(pod.log.join(", "), wanted);
    let mut pod = probed("Never", json!({}));
    pod.until(40);
    assert_eq!(pod.phase(), "Failed");
    // The probe's own grace counts, but not less than two seconds.
    for (grace, killed) in [(5, "35s kill a"), (1, "32s kill a")] {
        let mut pod = probed("Never", json!({"terminationGracePeriodSeconds": grace}));
        pod.obeys.clear();
        pod.until(100);
        assert_eq!(pod.log[2], killed);
    }
}

#[test]
fn the_words_of_a_stop_are_kubernetes_words() {
    let kind = Kind::Liveness;
    for (why, words) in [
        (Why::End, "Stopping container a"),
        (
            Why::DefinitionChanged,
            "Container a definition changed, will be restarted",
        ),
        (
            Why::Probe {
                kind,
                restart: true,
            },
            "Container a failed liveness probe, will be restarted",
        ),
        (
            Why::Probe {
                kind: Kind::Startup,
                restart: false,
            },
            "Container a failed startup probe",
        ),
        (Why::PostStartHook, "FailedPostStartHook"),
    ] {
        assert_eq!(why.message("a"), words);
    }
}

fn deleted(pod: &mut Pretend, at: i64, grace: i64) -> String {
    pod.until(at);
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(pod.now);
    pod.pod.metadata.deletion_timestamp = Some(now);
    pod.pod.metadata.deletion_grace_period_seconds = Some(grace);
    pod.log.clear();
    pod.until(100).log.join(", ")
}

#[test]
fn a_pre_stop_hook_runs_within_the_grace_and_two_seconds_are_left_after_it() {
    let case = |hook: u64, obeys: Option<u64>| {
        let mut pod = Pretend::new(one("Always"));
        pod.hooks.insert("a", hook);
        if let Some(obeys) = obeys {
            pod.obeys.insert("a", obeys);
        }
        deleted(&mut pod, 5, 10)
    };
    let end = "Running, 8s delete, 8s forget";
    assert_eq!(
        case(3, Some(0)),
        format!("5s unready, 5s stop a, 8s ask a, 8s exit a 143, 8s {end}")
    );
    // What the hook has taken is gone.
    assert!(case(3, None).contains("8s ask a, 15s kill a"));
    // A hook that takes too long is not waited for.
    assert!(case(60, None).contains("5s stop a, 15s ask a, 17s kill a"));
    assert!(case(9, None).contains("14s ask a, 16s kill a"));
}

#[test]
fn helpers_wait_for_their_turn_to_end_and_their_hooks_do_not() {
    let spec = json!({
        "initContainers": [
            {"name": "h", "image": "image", "restartPolicy": "Always"},
            {"name": "i", "image": "image", "restartPolicy": "Always"}],
        "containers": [{"name": "a", "image": "image"}]});
    let mut pod = Pretend::new(spec.clone());
    for (name, hook, obeys) in [("h", 1, 1), ("i", 6, 1), ("a", 2, 3)] {
        pod.hooks.insert(name, hook);
        pod.obeys.insert(name, obeys);
    }
    let wanted = "5s unready, 5s stop i, 5s stop h, 5s stop a, 7s ask a, 10s exit a 143, \
                  11s ask i, 12s exit i 143, 12s ask h, 13s exit h 143, 13s Running, 13s delete, \
                  13s forget";
    assert_eq!(deleted(&mut pod, 5, 30), wanted);
    // When the grace is over, all are asked at once.
    let mut pod = Pretend::new(spec);
    let wanted = "5s unready, 5s stop i, 5s stop h, 5s stop a, 9s kill a, 9s exit a 137, \
                  11s kill i, 11s kill h, ";
    let log = deleted(&mut pod, 5, 4);
    assert!(log.starts_with(wanted), "{log}");
}

#[test]
fn the_next_container_waits_until_the_helper_before_it_has_started() {
    let spec = json!({
        "initContainers": [
            {"name": "h", "image": "image", "restartPolicy": "Always", "startupProbe": {}},
            {"name": "i", "image": "image"}],
        "containers": [{"name": "a", "image": "image"}]});
    let mut pod = Pretend::new(spec).runs("i", &[(2, 0)]);
    pod.until(5);
    assert_eq!(pod.log.join(", "), "0s start h#0");
    let probe = Probe::default();
    let probes = &mut pod.state.container_mut("h").probes;
    assert!(probes.note(Kind::Startup, &probe, &Outcome::Success));
    pod.until(20);
    let wanted = "0s start h#0, 5s start i#0, 7s exit i 0, 7s start a#0";
    assert_eq!(pod.log.join(", "), wanted);
}

#[test]
fn an_end_that_restarts_all_begins_the_pod_anew_and_waits_when_it_happens_again() {
    let rule = json!({"action": "RestartAllContainers",
        "exitCodes": {"operator": "In", "values": [42]}});
    let spec = json!({"restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "image"}],
        "containers": [{"name": "a", "image": "image"},
            {"name": "b", "image": "image", "restartPolicy": "Never",
             "restartPolicyRules": [rule]}]});
    let mut pod = Pretend::new(spec.clone())
        .runs("i", &[(1, 0)])
        .runs("b", &[(5, 42), (1, 42), (3, 0)]);
    pod.obeys.insert("a", 1);
    pod.until(6);
    let restarting = |pod: &Pretend| {
        let status = status::build(&pod.pod, &pod.state, None, &[], pod.now);
        let conditions = status.conditions.unwrap();
        let found = conditions
            .iter()
            .find(|c| c.type_ == "AllContainersRestarting");
        let found = found.unwrap();
        (
            found.status.clone(),
            found.reason.clone().unwrap_or_default(),
        )
    };
    let started = ("True".to_owned(), "RestartAllContainersStarted".to_owned());
    assert_eq!(restarting(&pod), started);
    pod.until(60);
    let first = "0s start i#0, 1s exit i 0, 1s start a#0, 1s start b#0, 6s exit b 42, 6s stop a, \
                 7s exit a 143, 7s anew, ";
    // The second time it waits ten seconds.
    let second = "7s start i#1, 8s exit i 0, 8s start a#1, 8s start b#1, 9s exit b 42, 9s stop a, \
                  10s exit a 143, 19s anew, ";
    let third = "19s start i#2, 20s exit i 0, 20s start a#2, 20s start b#2, 23s exit b 0";
    assert_eq!(pod.log.join(", "), format!("{first}{second}{third}"));
    assert_eq!(restarting(&pod), ("False".to_owned(), String::new()));
    // Another end is what the policy says.
    let mut pod = Pretend::new(spec).runs("i", &[(0, 0)]);
    pod = pod.runs("a", &[(2, 0)]).runs("b", &[(1, 41)]);
    pod.until(9);
    assert_eq!(pod.phase(), "Failed");
}
