//! From the number of pods that is wanted to the one that is set: not down before a while has
//! passed, not faster than the behaviour allows, not beyond the limits. Pure; what was wanted and done
//! lately is handed in.
//! Kubernetes: `pkg/controller/podautoscaler/horizontal.go` normalizeDesiredReplicas,
//! normalizeDesiredReplicasWithBehaviors.

use super::go_text;
use crate::meta::labels::Selector;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How long the highest of what was wanted holds. Kubernetes:
/// horizontal-pod-autoscaler-downscale-stabilization.
const DOWNSCALE_STABILIZATION_SECONDS: i64 = 300;
/// Without a behaviour, pods at most double, or become this many.
const SCALE_UP_MINIMUM: i64 = 4;
/// Recommendations and changes that are remembered of an autoscaler: an hour (the longest window)
/// of one every 15 seconds.
const REMEMBERED_MAX: usize = 256;

/// What was wanted and done lately.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    recommendations: Vec<(Timestamp, i64)>,
    ups: Vec<(Timestamp, i64)>,
    downs: Vec<(Timestamp, i64)>,
    /// When it was last looked at, and at which generation.
    pub(super) looked: Option<(Timestamp, i64)>,
    /// Which pods its target has.
    pub(super) selector: Option<Selector>,
}

/// A condition: type, whether it holds, reason, message.
pub(super) type Said = (&'static str, bool, &'static str, &'static str);

/// The limits of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    pub(super) current: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    /// `spec.behavior`.
    pub(super) behavior: Option<&'a Value>,
    pub(super) now: Timestamp,
}

const IN_RANGE: (&str, &str) = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_FAST_UP: (&str, &str) = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const TOO_FAST_DOWN: (&str, &str) = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const TOO_MANY: (&str, &str) = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: (&str, &str) = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const HIGHER_BEFORE: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent \
     recommendation",
);
const LOWER_BEFORE: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");

fn remember(list: &mut Vec<(Timestamp, i64)>, entry: (Timestamp, i64)) {
    list.push(entry);
    let surplus = list.len().saturating_sub(REMEMBERED_MAX);
    list.drain(..surplus);
}

impl History {
    /// What there was before anything was wanted.
    pub(super) fn begin(&mut self, current: i64, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Remembers a change of the size.
    pub(super) fn changed(&mut self, before: i64, after: i64, now: Timestamp) {
        match after > before {
            true => remember(&mut self.ups, (now, after - before)),
            false => remember(&mut self.downs, (now, before - after)),
        }
    }

    fn since(list: &[(Timestamp, i64)], seconds: i64, now: Timestamp) -> impl Iterator<Item = i64> {
        let window = SignedDuration::from_secs(seconds);
        let recent = move |at: &Timestamp| now.duration_since(*at) < window;
        list.iter()
            .filter(move |(at, _)| recent(at))
            .map(|(_, count)| *count)
    }

    /// The number of pods that is set, and what is said of it.
    pub(super) fn normalize(&mut self, wanted: i64, bounds: Bounds<'_>) -> (i64, [Said; 2]) {
        let (stable, why) = match bounds.behavior {
            None => (self.stable_down(wanted, bounds.now), HIGHER_BEFORE),
            Some(behavior) => {
                let why = match wanted >= bounds.current {
                    true => LOWER_BEFORE,
                    false => HIGHER_BEFORE,
                };
                (self.stable(wanted, behavior, bounds), why)
            }
        };
        remember(&mut self.recommendations, (bounds.now, wanted));
        let able = if stable == wanted { READY } else { why };
        let (set, limit) = match bounds.behavior {
            None => limited(stable, bounds),
            Some(behavior) => self.limited_by(stable, behavior, bounds),
        };
        let said = [
            ("AbleToScale", true, able.0, able.1),
            ("ScalingLimited", set != stable, limit.0, limit.1),
        ];
        (set, said)
    }

    fn stable_down(&self, wanted: i64, now: Timestamp) -> i64 {
        let recent = Self::since(&self.recommendations, DOWNSCALE_STABILIZATION_SECONDS, now);
        recent.fold(wanted, i64::max)
    }

    fn stable(&self, wanted: i64, behavior: &Value, bounds: Bounds<'_>) -> i64 {
        let window = |way: &str, default: i64| {
            let seconds = behavior.pointer(&format!("/{way}/stabilizationWindowSeconds"));
            seconds.and_then(Value::as_i64).unwrap_or(default)
        };
        let recent = |seconds| Self::since(&self.recommendations, seconds, bounds.now);
        let up = recent(window("scaleUp", 0)).fold(wanted, i64::min);
        let down = window("scaleDown", DOWNSCALE_STABILIZATION_SECONDS);
        let down = recent(down).fold(wanted, i64::max);
        bounds.current.max(up).min(down)
    }

    fn limited_by(
        &self,
        wanted: i64,
        behavior: &Value,
        bounds: Bounds<'_>,
    ) -> (i64, (&'static str, &'static str)) {
        let current = bounds.current;
        if wanted > current {
            let fastest = self
                .fastest(&behavior["scaleUp"], true, bounds)
                .max(current);
            let (most, why) = match bounds.max > fastest {
                true => (fastest, TOO_FAST_UP),
                false => (bounds.max, TOO_MANY),
            };
            if wanted > most {
                return (most, why);
            }
        } else if wanted < current {
            let fastest = self
                .fastest(&behavior["scaleDown"], false, bounds)
                .min(current);
            let (least, why) = match bounds.min < fastest {
                true => (fastest, TOO_FAST_DOWN),
                false => (bounds.min, TOO_FEW),
            };
            if wanted < least {
                return (least, why);
            }
        }
        (wanted, IN_RANGE)
    }

    /// How far the policies of one way let it go in one turn.
    fn fastest(&self, rules: &Value, up: bool, bounds: Bounds<'_>) -> i64 {
        let select = go_text(rules, "selectPolicy");
        if select == "Disabled" {
            return bounds.current;
        }
        let policies = rules.get("policies").and_then(Value::as_array);
        let limits = policies.into_iter().flatten().map(|policy| {
            let number = |field: &str| policy.get(field).and_then(Value::as_i64).unwrap_or(0);
            let sum = |list: &[(Timestamp, i64)]| -> i64 {
                Self::since(list, number("periodSeconds"), bounds.now).sum()
            };
            let start = bounds.current - sum(&self.ups) + sum(&self.downs);
            let value = number("value");
            match (go_text(policy, "type"), up) {
                ("Pods", true) => start + value,
                ("Pods", false) => start - value,
                (_, true) => (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64,
                (_, false) => (start as f64 * (1.0 - value as f64 / 100.0)) as i64,
            }
        });
        // The policy that changes most decides, or the one that changes least.
        let largest = up != (select == "Min");
        let found = if largest { limits.max() } else { limits.min() };
        found.unwrap_or(bounds.current)
    }
}

fn limited(wanted: i64, bounds: Bounds<'_>) -> (i64, (&'static str, &'static str)) {
    let fastest = (bounds.current * 2).max(SCALE_UP_MINIMUM);
    let (most, why) = match bounds.max > fastest {
        true => (fastest, TOO_FAST_UP),
        false => (bounds.max, TOO_MANY),
    };
    if wanted < bounds.min {
        (bounds.min, TOO_FEW)
    } else if wanted > most {
        (most, why)
    } else {
        (wanted, IN_RANGE)
    }
}
