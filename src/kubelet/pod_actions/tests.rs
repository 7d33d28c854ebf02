//! The decisions as timelines: a pod whose runs end as a script says is driven through `plan` by a
//! pretended node, and what happened when is compared. No clock, no runtime, no server.

use super::*;
use crate::kubelet::status;
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
                container, kill_at, ..
            } => {
                self.say(format!("stop {container}"));
                self.state.container_mut(&container).stop = Stop::Asked { kill_at };
            }
            Action::GiveUpStart { container } => self.say(format!("give up {container}")),
            Action::KillContainer { container } => {
                self.say(format!("kill {container}"));
                self.state.container_mut(&container).stop = Stop::Killed;
                self.ends.retain(|(_, name, _)| name != &container);
                self.ends.push((self.now, container, 137));
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
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return self;
            };
            assert!(next >= self.now, "the plan waits for the past");
            self.now = next;
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
    let wanted = "0s start a#0, 5s stop a, 5s kill a, 5s exit a 137, 5s forget";
    assert_eq!(pod.until(100).log.join(", "), wanted);
}

#[test]
fn the_deadline_of_a_pod_fails_it() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(7);
    let mut pod = Pretend::new(spec);
    pod.until(100);
    let wanted = "0s start a#0, 7s end: DeadlineExceeded, 7s stop a, 37s kill a, 37s exit a 137, \
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
