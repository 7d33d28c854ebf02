//! How long failed pods of DaemonSets stay before they are made anew: a second first, then twice as
//! long each time, so that a node that always refuses a pod is not asked in a loop.
//! Kubernetes: client-go `util/flowcontrol` Backoff.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// The first delay.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// Delays that are remembered at most; those that are long over are forgotten when there are more.
const REMEMBERED_MAX: usize = 10_000;

/// By the unique id of the DaemonSet and the node: when a pod was last let go, and the delay then.
#[derive(Default)]
pub(crate) struct Delays(Mutex<HashMap<Of, (Timestamp, SignedDuration)>>);

/// The unique id of a DaemonSet, and a node.
type Of = (Box<str>, Box<str>);

impl Delays {
    /// How long the failed pod of a node has to stay yet; none if it may go now, which is remembered.
    pub(super) fn wait(&self, uid: &str, node: &str, now: Timestamp) -> Option<Duration> {
        let mut all = self.0.lock();
        let is_over = |last: Timestamp| now.duration_since(last) > LONGEST.saturating_mul(2);
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, (last, _)| !is_over(*last));
            if all.len() >= REMEMBERED_MAX {
                all.clear();
            }
        }
        let entry = all.entry((uid.into(), node.into()));
        let (last, delay) = entry.or_insert((now, SignedDuration::ZERO));
        let left = delay.saturating_sub(now.duration_since(*last));
        if let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
            return Some(left);
        }
        *delay = if is_over(*last) {
            FIRST
        } else {
            delay.saturating_mul(2).clamp(FIRST, LONGEST)
        };
        *last = now;
        None
    }
}
