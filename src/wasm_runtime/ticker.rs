//! The thread that advances the engines' epochs, so that a guest that spins is interrupted. It
//! sleeps while no guest runs: an idle server must not wake up. Must not know what a guest is.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use wasmtime::Engine;

/// How often a running guest is interrupted.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// Ticks without a running guest after which the thread goes to sleep: guests that answer a
/// request now and then do not wake it each time.
const IDLE_TICKS: u32 = 4;

/// Counts guests that run right now and ticks while there is one.
pub(super) struct Ticker {
    running: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
    engines: Mutex<Vec<Engine>>,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Ticker {
    /// Starts the thread. It ends with [`Ticker::stop`].
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            engines: Mutex::new(Vec::new()),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let shared = ticker.clone();
        std::thread::Builder::new()
            .name("wkube-epoch".into())
            .stack_size(64 << 10)
            .spawn(move || shared.run())?;
        Ok(ticker)
    }

    pub(super) fn add(&self, engine: Engine) {
        self.engines.lock().push(engine);
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _guard = self.lock.lock();
        self.wake.notify_all();
    }

    /// A guest begins to run; it runs until the returned guard is dropped.
    pub(super) fn enter(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            let _guard = self.lock.lock();
            self.wake.notify_all();
        }
        Running(self)
    }

    fn run(&self) {
        let mut idle = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            let mut guard = self.lock.lock();
            if idle >= IDLE_TICKS {
                // The flag is up before the count is read, and a guest counts itself before it
                // reads the flag: one of the two sees the other.
                self.asleep.store(true, Ordering::SeqCst);
                if self.running.load(Ordering::SeqCst) == 0 && !self.stopped.load(Ordering::SeqCst)
                {
                    self.wake.wait(&mut guard);
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = 0;
            }
            self.wake.wait_for(&mut guard, TICK);
            drop(guard);
            if self.running.load(Ordering::SeqCst) == 0 {
                idle += 1;
                continue;
            }
            idle = 0;
            for engine in self.engines.lock().iter() {
                engine.increment_epoch();
            }
        }
    }
}

/// While it lives, a guest runs.
pub(super) struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
