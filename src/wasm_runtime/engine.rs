//! The engines: pools of growing size, built when the one before is full, and one that allocates
//! on demand for what does not fit a pool. All have the same tunables, so that code compiled once
//! runs in each. Must not know what a container is.
//!
//! A sandbox costs the process about [`MAPS_PER_SANDBOX`] memory mappings, and a process that
//! passes `vm.max_map_count` fails at every allocation: hence the admission here.

use super::features;
use super::limits::{FIBER_STACK_BYTES, WASM_STACK_BYTES};
use super::preview1;
use super::state::State;
use super::ticker::Ticker;
use super::{RuntimeError, preview1::AcceptAbi};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use wasmtime::component;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig,
};

/// Memory mappings that a sandbox needs: two for its stack, three or four for its memory.
const MAPS_PER_SANDBOX: usize = 6;
/// Memory mappings that are left to everything else in the process.
const MAPS_RESERVED: usize = 2_600;
/// Once three quarters of the sandboxes exist, the mappings are really counted each so many.
const MAPS_COUNTED_EACH: usize = 512;
/// Mappings that must be left over by a count.
const MAPS_SPARE: usize = 600;
/// What Linux allows a process when it cannot be read.
const MAPS_DEFAULT: usize = 65_530;
/// Sandboxes of the pools but the last, which takes what the machine allows. Small ones first: a
/// pool costs time and mappings when it is made.
const POOLS: [usize; 3] = [64, 512, 2_048];
/// Address space of a linear memory where it is plentiful: no bounds checks are compiled in.
const RESERVATION_LARGE: u64 = 4 << 30;
/// The same on machines with small address spaces (39 bits on many ARM boards).
const RESERVATION_SMALL: u64 = 64 << 20;
/// Pools up to this size keep the memory of free slots resident: sandboxes that come and go start
/// in a tenth of the time. Larger ones are for crowds, and give everything back afterwards.
const WARM_POOL_MAX: usize = 64;
/// Bytes of a linear memory that stay resident in a free slot and are reset by copying.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;
/// The same for tables.
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;
/// Free slots that stay warm in each pool.
const WARM_SLOTS: u32 = 32;
/// Elements of a table that fits the pool. Python and Go guests need about 6,000.
const POOL_TABLE_ELEMENTS: usize = 20_000;

/// Every engine of the process.
pub(super) struct Engines {
    tiers: Vec<Tier>,
    ticker: Arc<Ticker>,
    running: AtomicUsize,
    sandboxes_max: usize,
    /// `sandboxes_max`, or less when a count of the mappings said so.
    cap: AtomicUsize,
    maps_max: usize,
    reservation: u64,
    compiler: OnceLock<Engine>,
    build: Mutex<()>,
}

struct Tier {
    /// Slots of the pool; none for the engine that allocates on demand.
    slots: Option<usize>,
    used: AtomicUsize,
    broken: AtomicBool,
    engine: OnceLock<Arc<Tiered>>,
}

/// An engine and what is linked for it.
pub(super) struct Tiered {
    pub(super) engine: Engine,
    components: OnceLock<component::Linker<State>>,
    modules: [OnceLock<Linker<preview1::State>>; 2],
}

/// The index of a tier.
pub(super) type TierIndex = usize;

/// A place for one sandbox; free again when dropped.
pub(super) struct Slot {
    engines: Arc<Engines>,
    tier: TierIndex,
}

impl Engines {
    /// Engines that are built when they are needed.
    pub(super) fn new(ticker: Arc<Ticker>) -> Arc<Self> {
        let maps_max = maps_max();
        let maps = maps_max.saturating_sub(MAPS_RESERVED);
        let reservation = reservation();
        let sandboxes_max = maps / MAPS_PER_SANDBOX;
        let mut left = sandboxes_max;
        if reservation < RESERVATION_LARGE {
            // A small address space: one pool that surely fits, the rest on demand.
            left = left.min(POOLS.iter().sum());
        }
        let mut tiers = Vec::new();
        for size in POOLS.into_iter().chain([usize::MAX]) {
            let slots = size.min(left);
            if slots > 0 {
                tiers.push(Tier::new(Some(slots)));
            }
            left -= slots;
        }
        tiers.push(Tier::new(None));
        Arc::new(Self {
            tiers,
            ticker,
            running: AtomicUsize::new(0),
            sandboxes_max,
            cap: AtomicUsize::new(sandboxes_max),
            maps_max,
            reservation,
            compiler: OnceLock::new(),
            build: Mutex::new(()),
        })
    }

    pub(super) fn tiers(&self) -> usize {
        self.tiers.len()
    }

    /// Sandboxes that exist now.
    pub(super) fn running(&self) -> usize {
        self.running.load(SeqCst)
    }

    /// Sandboxes that this machine has room for.
    pub(super) fn sandboxes_max(&self) -> usize {
        self.sandboxes_max
    }

    /// A place for a sandbox, in a pool if `poolable` and one has room.
    pub(super) fn admit(self: &Arc<Self>, poolable: bool) -> Result<Slot, RuntimeError> {
        let max = self.cap.load(SeqCst);
        let counted = self
            .running
            .fetch_update(SeqCst, SeqCst, |n| (n < max).then_some(n + 1));
        match counted {
            Ok(running) => self.count_maps(running),
            Err(running) => {
                let hint = "raise it with `sysctl vm.max_map_count=...`";
                return Err(RuntimeError::NoRoom {
                    running,
                    reason: format!("vm.max_map_count allows {max}: {hint}"),
                });
            }
        }
        let tier = self.tiers.iter().position(|tier| tier.take(poolable));
        let Some(tier) = tier else {
            self.running.fetch_sub(1, SeqCst);
            return Err(RuntimeError::Setup("no engine can be built".into()));
        };
        Ok(Slot {
            engines: self.clone(),
            tier,
        })
    }

    /// Now and then, when there are many sandboxes, looks how many mappings are really left: guests
    /// differ, and a process that runs out of them dies.
    fn count_maps(&self, running: usize) {
        if running < self.sandboxes_max / 4 * 3 || !running.is_multiple_of(MAPS_COUNTED_EACH) {
            return;
        }
        let Ok(maps) = std::fs::read("/proc/self/maps") else {
            return;
        };
        let used = maps.iter().filter(|byte| **byte == b'\n').count();
        let left = self.maps_max.saturating_sub(used + MAPS_SPARE);
        let cap = running + 1 + left / MAPS_PER_SANDBOX;
        self.cap.store(cap.min(self.sandboxes_max), SeqCst);
    }

    /// The engine of a tier, built if it is the first time. A pool that cannot be built is left
    /// out from then on.
    pub(super) fn get(&self, tier: TierIndex) -> Result<Arc<Tiered>, RuntimeError> {
        let found = self.tiers.get(tier);
        let found = found.ok_or_else(|| RuntimeError::Setup(format!("no tier {tier}")))?;
        if let Some(built) = found.engine.get() {
            return Ok(built.clone());
        }
        let _one_at_a_time = self.build.lock();
        if let Some(built) = found.engine.get() {
            return Ok(built.clone());
        }
        let engine = match self.build(found.slots) {
            Ok(engine) => engine,
            Err(error) => {
                found.broken.store(true, SeqCst);
                return Err(RuntimeError::setup(&error));
            }
        };
        self.ticker.add(engine.clone());
        let tiered = Arc::new(Tiered {
            engine,
            components: OnceLock::new(),
            modules: [OnceLock::new(), OnceLock::new()],
        });
        Ok(found.engine.get_or_init(|| tiered).clone())
    }

    /// The engine that compiles: it has no pool, so it is cheap.
    pub(super) fn compiler(&self) -> Result<Engine, RuntimeError> {
        if let Some(engine) = self.compiler.get() {
            return Ok(engine.clone());
        }
        let _one_at_a_time = self.build.lock();
        if let Some(engine) = self.compiler.get() {
            return Ok(engine.clone());
        }
        let engine = self.build(None).map_err(|e| RuntimeError::setup(&e))?;
        Ok(self.compiler.get_or_init(|| engine).clone())
    }

    fn build(&self, slots: Option<usize>) -> wasmtime::Result<Engine> {
        let started = std::time::Instant::now();
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .memory_reservation(self.reservation)
            .memory_init_cow(true)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(FIBER_STACK_BYTES)
            .wasm_component_model(true)
            .wasm_component_model_async(true);
        if let Some(slots) = slots {
            let pool = pool(slots, self.reservation);
            config.async_stack_zeroing(slots > WARM_POOL_MAX);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        let engine = Engine::new(&config)?;
        tracing::debug!(slots, took = ?started.elapsed(), "wasm engine built");
        Ok(engine)
    }
}

impl Tier {
    fn new(slots: Option<usize>) -> Self {
        Self {
            slots,
            used: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            engine: OnceLock::new(),
        }
    }

    fn take(&self, poolable: bool) -> bool {
        if self.broken.load(SeqCst) || (self.slots.is_some() && !poolable) {
            return false;
        }
        let max = self.slots.unwrap_or(usize::MAX);
        let taken = self
            .used
            .fetch_update(SeqCst, SeqCst, |n| (n < max).then_some(n + 1));
        taken.is_ok()
    }
}

impl Tiered {
    /// The linker of components, with every host feature.
    pub(super) fn components(&self) -> Result<&component::Linker<State>, RuntimeError> {
        if let Some(linker) = self.components.get() {
            return Ok(linker);
        }
        let mut linker = component::Linker::new(&self.engine);
        features::link(&mut linker).map_err(|e| RuntimeError::setup(&e))?;
        Ok(self.components.get_or_init(|| linker))
    }

    /// The linker of core modules, with the `sock_accept` that the module was built for.
    pub(super) fn modules(&self, abi: AcceptAbi) -> Result<&Linker<preview1::State>, RuntimeError> {
        let [standard, wasmedge] = &self.modules;
        let cell = match abi {
            AcceptAbi::None | AcceptAbi::Standard => standard,
            AcceptAbi::WasmEdge => wasmedge,
        };
        if let Some(linker) = cell.get() {
            return Ok(linker);
        }
        let linker = preview1::linker(&self.engine, abi).map_err(|e| RuntimeError::setup(&e))?;
        Ok(cell.get_or_init(|| linker))
    }
}

impl Slot {
    pub(super) fn tier(&self) -> TierIndex {
        self.tier
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(tier) = self.engines.tiers.get(self.tier) {
            tier.used.fetch_sub(1, SeqCst);
        }
        self.engines.running.fetch_sub(1, SeqCst);
    }
}

fn pool(slots: usize, reservation: u64) -> PoolingAllocationConfig {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX / 64);
    // Guests that consist of several modules, or run several tasks, need more than one of each;
    // what a pool lacks is found on demand.
    let some_more = slots.saturating_add(slots / 8).saturating_add(8);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(40))
        .total_memories(some_more)
        .total_tables(slots.saturating_mul(8))
        .total_stacks(some_more)
        .total_gc_heaps(0)
        .max_memory_size(usize::try_from(reservation).unwrap_or(usize::MAX))
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_tables_per_module(8)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(Enabled::Auto);
    if slots as usize <= WARM_POOL_MAX {
        pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES);
    }
    pool
}

/// Mappings that the kernel allows a process.
fn maps_max() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(MAPS_DEFAULT)
}

/// The address space that a linear memory gets: told from the highest mapping of this process,
/// its stack, because that is what the kernel gives rather than what the processor could.
fn reservation() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let highest = maps
        .lines()
        .filter(|line| line.ends_with("[stack]"))
        .filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok())
        .max();
    match highest {
        Some(address) if address < 1 << 45 => RESERVATION_SMALL,
        _ => RESERVATION_LARGE,
    }
}
