//! How many pods a measured use asks for: pure.
//! Kubernetes: `pkg/controller/podautoscaler/replica_calculator.go`, `metrics/utilization.go`.

use super::go_text;
use crate::meta::quantity::Quantity;
use crate::meta::{Object, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long the processor time of a new pod is not believed while it is not ready. Kubernetes:
/// horizontal-pod-autoscaler-cpu-initialization-period.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_mins(5);
/// A pod that has been unready since so soon after its start has never been ready. Kubernetes:
/// horizontal-pod-autoscaler-initial-readiness-delay.
const INITIAL_READINESS: SignedDuration = SignedDuration::from_secs(30);
/// A use this near its target is at its target. Kubernetes: horizontal-pod-autoscaler-tolerance.
pub(super) const TOLERANCE: f64 = 0.1;

/// What was measured of a pod, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) value: i64,
    pub(super) at: Timestamp,
    pub(super) window: SignedDuration,
}

/// By pod.
pub(super) type Samples = BTreeMap<String, Sample>;

/// What the use of a pod is compared with.
pub(super) enum Target<'a> {
    /// A percentage of what it asks for.
    Utilization(i64, &'a BTreeMap<String, i64>),
    /// An amount, in thousandths.
    Average(i64),
}

/// By how much less or more than the target is still the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerance {
    pub(super) fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// How many pods there are to be, and what is used: percent of what is asked for, if that is the
/// target, and thousandths a pod.
#[derive(Debug, PartialEq)]
pub(super) struct Proposal {
    pub(super) replicas: i64,
    pub(super) utilization: Option<i64>,
    pub(super) average: i64,
}

/// The use as a part of the target, in percent of what is asked for, and in thousandths a pod.
fn ratio(samples: &Samples, target: &Target<'_>) -> Result<(f64, Option<i64>, i64), String> {
    let count = i64::try_from(samples.len()).unwrap_or(1).max(1);
    match target {
        Target::Average(target) => {
            let sum: i64 = samples.values().map(|sample| sample.value).sum();
            let average = sum / count;
            Ok((average as f64 / *target as f64, None, average))
        }
        Target::Utilization(target, requests) => {
            let (mut used, mut asked, mut count) = (0, 0, 0);
            for (pod, sample) in samples {
                if let Some(request) = requests.get(pod) {
                    used += sample.value;
                    asked += request;
                    count += 1;
                }
            }
            if asked == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let percent = used * 100 / asked;
            Ok((percent as f64 / *target as f64, Some(percent), used / count))
        }
    }
}

/// Pods by what is known of them.
#[derive(Default)]
struct Groups {
    ready: i64,
    unready: Vec<String>,
    missing: Vec<String>,
    ignored: Vec<String>,
}

fn group(pods: &[Object], samples: &Samples, is_cpu: bool, now: Timestamp) -> Groups {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name().to_owned();
        let phase = pod.str_at(&["status", "phase"]);
        if pod.deletion_timestamp().is_some() || phase == "Failed" {
            groups.ignored.push(name);
        } else if phase == "Pending" {
            groups.unready.push(name);
        } else {
            match samples.get(&name) {
                None => groups.missing.push(name),
                Some(sample) if is_cpu && !is_settled(pod, sample, now) => {
                    groups.unready.push(name)
                }
                Some(_) => groups.ready += 1,
            }
        }
    }
    groups
}

/// Whether the processor time of a pod says what it will need: not while it starts.
fn is_settled(pod: &Object, sample: &Sample, now: Timestamp) -> bool {
    let conditions = pod.get(&["status", "conditions"]).and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|one| go_text(one, "type") == "Ready");
    let start = time::parse(pod.str_at(&["status", "startTime"]));
    let (Some(ready), Some(start)) = (ready, start) else {
        return false;
    };
    let unready = go_text(ready, "status") == "False";
    let since = time::parse(go_text(ready, "lastTransitionTime")).unwrap_or(start);
    let after = |at: Timestamp, wait| at.checked_add(wait).unwrap_or(at);
    if after(start, CPU_INITIALIZATION) > now {
        !unready && sample.at >= after(since, sample.window)
    } else {
        !(unready && after(start, INITIAL_READINESS) > since)
    }
}

/// How many pods are wanted.
pub(super) fn propose(
    pods: &[Object],
    mut samples: Samples,
    (target, is_cpu): (&Target<'_>, bool),
    (current, tolerance): (i64, Tolerance),
    now: Timestamp,
) -> Result<Proposal, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(pods, &samples, is_cpu, now);
    for name in groups.ignored.iter().chain(&groups.unready) {
        samples.remove(name);
    }
    if samples.is_empty() {
        let words = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(words.to_owned());
    }
    let (used, utilization, average) = ratio(&samples, target)?;
    let proposal = |replicas: i64| Proposal {
        replicas,
        utilization,
        average,
    };
    let rebalance = !groups.unready.is_empty() && used > 1.0;
    if !rebalance && groups.missing.is_empty() {
        return Ok(match tolerance.covers(used) {
            true => proposal(current),
            false => proposal(up(used * groups.ready as f64)),
        });
    }
    // Of what is not known, the best is assumed when there may be fewer, the worst when more.
    let mut assume = |name: &String, value: i64| {
        let window = SignedDuration::ZERO;
        samples.insert(
            name.clone(),
            Sample {
                value,
                at: now,
                window,
            },
        );
    };
    for name in &groups.missing {
        if used < 1.0 {
            assume(name, at_target(target, name));
        } else if used > 1.0 {
            assume(name, 0);
        }
    }
    if rebalance {
        groups.unready.iter().for_each(|name| assume(name, 0));
    }
    let (now_used, _, _) = ratio(&samples, target)?;
    let turned = (used < 1.0 && now_used > 1.0) || (used > 1.0 && now_used < 1.0);
    if tolerance.covers(now_used) || turned {
        return Ok(proposal(current));
    }
    let replicas = up(now_used * samples.len() as f64);
    let astray = (now_used < 1.0 && replicas > current) || (now_used > 1.0 && replicas < current);
    Ok(proposal(if astray { current } else { replicas }))
}

/// What a pod of which nothing is known is taken to use, when there may be fewer.
fn at_target(target: &Target<'_>, pod: &str) -> i64 {
    match target {
        Target::Average(target) => *target,
        Target::Utilization(target, requests) => {
            requests.get(pod).copied().unwrap_or(0) * (*target).max(100) / 100
        }
    }
}

/// The next whole number.
fn up(number: f64) -> i64 {
    number.ceil().clamp(0.0, f64::from(i32::MAX)) as i64
}

/// What pods ask for of a resource, in thousandths: each container of them, or one.
pub(super) fn requests(
    pods: &[Object],
    resource: &str,
    container: &str,
) -> Result<BTreeMap<String, i64>, String> {
    let amount =
        |value: &Value| Quantity::from_value(value).map_or(0, |quantity| quantity.millis());
    let mut all = BTreeMap::new();
    for pod in pods {
        let of_pod = pod.get(&["spec", "resources", "requests", resource]);
        if let Some(asked) = of_pod.filter(|_| container.is_empty()) {
            all.insert(pod.name().to_owned(), amount(asked));
            continue;
        }
        let list = |field: &str| pod.get(&["spec", field]).and_then(Value::as_array);
        let stays = |one: &&Value| go_text(one, "restartPolicy") == "Always";
        let sidecars = list("initContainers").into_iter().flatten().filter(stays);
        let containers = list("containers").into_iter().flatten().chain(sidecars);
        let mut sum = 0;
        for one in containers {
            let name = go_text(one, "name");
            if !container.is_empty() && name != container {
                continue;
            }
            let asked = one
                .pointer("/resources/requests")
                .and_then(|all| all.get(resource));
            let Some(asked) = asked else {
                let pod = pod.name();
                return Err(format!(
                    "missing request for {resource} in container {name} of Pod {pod}"
                ));
            };
            sum += amount(asked);
        }
        all.insert(pod.name().to_owned(), sum);
    }
    Ok(all)
}
