//! How much a container may print: a burst, and so much a second. Must not know where it goes.

use crate::kubelet::logs::LogLimits;
use tokio::time::Instant;

/// What a line costs beyond its text: its time and its stream.
const LINE_COST: u64 = 40;
/// Share of the burst that must be there again before lines are taken again, so that what is
/// dropped is told now and then and not between any two lines.
const RESUME_SHARE: u64 = 16;

/// What one container may print.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u64,
    burst: u64,
    per_second: u64,
    refilled: Instant,
    /// Lines are dropped until enough is there again.
    paused: bool,
    lines: u64,
    bytes: u64,
}

impl Allowance {
    /// All of the burst.
    pub(super) fn new(limits: &LogLimits, now: Instant) -> Self {
        Self {
            left: limits.burst_bytes,
            burst: limits.burst_bytes,
            per_second: limits.bytes_per_second,
            refilled: now,
            paused: false,
            lines: 0,
            bytes: 0,
        }
    }

    /// Adds what the time since the last call has earned.
    pub(super) fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_micros();
        let earned = passed.saturating_mul(u128::from(self.per_second)) / 1_000_000;
        if earned == 0 {
            return;
        }
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(earned).min(self.burst);
        self.refilled = now;
        self.paused &= self.left < self.burst / RESUME_SHARE;
    }

    /// Whether a line of so many bytes is taken; one that is not is counted.
    pub(super) fn pay(&mut self, bytes: usize) -> bool {
        let cost = bytes as u64 + LINE_COST;
        if !self.paused && cost <= self.left {
            self.left -= cost;
            return true;
        }
        self.paused = true;
        self.lines += 1;
        self.bytes += bytes as u64;
        false
    }

    /// What is to be said of lines that were dropped, once.
    pub(super) fn take_dropped(&mut self) -> Option<String> {
        let (lines, bytes) = (
            std::mem::take(&mut self.lines),
            std::mem::take(&mut self.bytes),
        );
        (lines > 0).then(|| {
            format!(
                "[wkube: {lines} lines ({bytes} bytes) were dropped here: a container may log \
                 {} KiB a second]",
                self.per_second >> 10
            )
        })
    }
}
