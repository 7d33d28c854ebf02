//! Processor time of a container: counted at every poll of its futures, and held to a quota per
//! period as a kernel's CFS bandwidth does. Must not know what the futures are.

use super::course::Course;
use super::ticker::{TICK, Ticker};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wasmtime::UpdateDeadline;

/// The period of a CPU limit, as Kubernetes' default `cpuCFSQuotaPeriod`.
pub(super) const QUOTA_PERIOD: Duration = Duration::from_millis(100);
/// The smallest quota: a limit of 1m would otherwise never end a tick.
const QUOTA_MIN: Duration = Duration::from_millis(1);

/// What a container has used, and may.
pub(super) struct Meter {
    ticker: Arc<Ticker>,
    started: Instant,
    used_nanos: AtomicU64,
    /// Whether there is a quota: most containers have none, and take no lock.
    limited: AtomicBool,
    quota: Mutex<Option<Quota>>,
}

struct Quota {
    per_period: Duration,
    window: Window,
}

#[derive(Clone, Copy)]
struct Window {
    ends: Instant,
    used: Duration,
}

impl Meter {
    /// `cpu_millis_limit`: thousandths of a core; none is no limit.
    pub(super) fn new(ticker: Arc<Ticker>, cpu_millis_limit: Option<u32>) -> Arc<Self> {
        let meter = Self {
            ticker,
            started: Instant::now(),
            used_nanos: AtomicU64::new(0),
            limited: AtomicBool::new(false),
            quota: Mutex::new(None),
        };
        meter.set_limit(cpu_millis_limit);
        Arc::new(meter)
    }

    /// Another limit holds from the next poll on.
    pub(super) fn set_limit(&self, cpu_millis_limit: Option<u32>) {
        let now = Instant::now();
        let mut quota = self.quota.lock();
        let fresh = Window {
            ends: now + QUOTA_PERIOD,
            used: Duration::ZERO,
        };
        let window = quota.as_ref().map_or(fresh, |quota| quota.window);
        *quota = cpu_millis_limit.filter(|m| *m > 0).map(|millis| Quota {
            per_period: (QUOTA_PERIOD * millis / 1000).max(QUOTA_MIN),
            window,
        });
        self.limited.store(quota.is_some(), Relaxed);
    }

    /// Nanoseconds for which a thread ran the container.
    pub(super) fn used_nanos(&self) -> u64 {
        self.used_nanos.load(Relaxed)
    }

    fn charge(&self, ran: Duration, now: Instant) {
        let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        self.used_nanos.fetch_add(nanos, Relaxed);
        if self.limited.load(Relaxed)
            && let Some(quota) = self.quota.lock().as_mut()
        {
            quota.window.roll(now, quota.per_period);
            quota.window.used += ran;
        }
    }

    /// When the container may run again, if its quota is used up at `now`.
    fn throttled(&self, now: Instant) -> Option<Instant> {
        if !self.limited.load(Relaxed) {
            return None;
        }
        let mut quota = self.quota.lock();
        let quota = quota.as_mut()?;
        quota.window.roll(now, quota.per_period);
        (quota.window.used >= quota.per_period).then_some(quota.window.ends)
    }

    /// What an epoch's end means for a guest whose poll is under way: nothing if the poll has
    /// just begun (the epoch passed while the guest was parked), else a turn for the others.
    pub(super) fn on_epoch(&self, course: &Course) -> UpdateDeadline {
        let began = self.started + Duration::from_nanos(course.poll_began());
        if began.elapsed() < TICK / 2 {
            return UpdateDeadline::Continue(1);
        }
        course.interrupted();
        // Not `Yield`: it queues the task anew at once, and tokio then looks after timers and
        // sockets only at every 61st poll. yield_now goes behind them.
        UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
    }
}

impl Window {
    /// Begins the next period if this one is over. What was used beyond the quota is carried on,
    /// so that a long poll does not buy more than the limit.
    fn roll(&mut self, now: Instant, per_period: Duration) {
        if now < self.ends {
            return;
        }
        let periods = 1 + (now - self.ends).as_nanos() / QUOTA_PERIOD.as_nanos();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        self.used = self.used.saturating_sub(per_period.saturating_mul(periods));
        self.ends += QUOTA_PERIOD.saturating_mul(periods);
    }
}

/// A future whose polls are counted and throttled.
pub(super) struct Metered<F> {
    inner: Pin<Box<F>>,
    meter: Arc<Meter>,
    course: Arc<Course>,
    throttle: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<F> Metered<F> {
    pub(super) fn new(inner: F, meter: Arc<Meter>, course: Arc<Course>) -> Self {
        Self {
            inner: Box::pin(inner),
            meter,
            course,
            throttle: None,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        while let Some(until) = this.meter.throttled(Instant::now()) {
            let sleep = this
                .throttle
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.throttle = None;
        }
        let start = Instant::now();
        let since = start - this.meter.started;
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        this.course.poll_begins(nanos);
        let running = this.meter.ticker.enter();
        let polled = this.inner.as_mut().poll(cx);
        drop(running);
        if polled.is_pending() {
            this.course.poll_ended();
        }
        let end = Instant::now();
        this.meter.charge(end - start, end);
        polled
    }
}
