//! What a guest may take, every limit by name, and the memory accounts: a container's own limit
//! and the node's budget that all containers share. Must not know why a limit was set.

use super::course::Course;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// The largest wasm binary that is compiled, in bytes.
pub const WASM_BYTES_MAX: u64 = 128 << 20;
/// Host memory that one call of a guest may make the host allocate for its arguments, in bytes.
pub(super) const HOSTCALL_FUEL: usize = 32 << 20;
/// Handles (sockets, streams, pollables, files) that one container may hold at once.
pub const HANDLES_MAX: usize = 32_768;
/// Core instances that a container's component may consist of.
pub(super) const INSTANCES_MAX: usize = 1_024;
/// Tables that a container may have.
pub(super) const TABLES_MAX: usize = 256;
/// Linear memories that a container may have.
pub(super) const MEMORIES_MAX: usize = 64;
/// Elements that one table may have.
pub(super) const TABLE_ELEMENTS_MAX: usize = 10_000_000;
/// What a table element is charged, in bytes.
const TABLE_ELEMENT_BYTES: u64 = 8;
/// Random bytes that a guest may ask for in one call.
pub(super) const RANDOM_BYTES_MAX: u64 = 4 << 20;
/// Bytes of native stack for wasm frames.
pub(super) const WASM_STACK_BYTES: usize = 512 << 10;
/// Bytes of native stack for a guest and the host functions that it calls.
pub(super) const FIBER_STACK_BYTES: usize = 1 << 20;

/// Bytes of memory that all guests of a node may hold together. Shared by reference.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: AtomicU64,
    used: AtomicU64,
    /// Who waits is woken when this many bytes are held.
    mark: AtomicU64,
    marked: Notify,
}

impl MemoryBudget {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicU64::new(limit_bytes),
            used: AtomicU64::new(0),
            mark: AtomicU64::new(u64::MAX),
            marked: Notify::new(),
        })
    }

    /// Waits until at least `bytes` are held. One waiter at a time.
    pub async fn reached(&self, bytes: u64) {
        self.mark.store(bytes, Relaxed);
        while self.used() < bytes {
            self.marked.notified().await;
        }
    }

    /// Bytes that are held now.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Changes the limit; what is held stays held.
    pub fn set_limit(&self, limit_bytes: u64) {
        self.limit.store(limit_bytes, Relaxed);
    }

    /// Takes `bytes`, or nothing if the limit would be passed.
    pub fn try_take(&self, bytes: u64) -> bool {
        let limit = self.limit();
        let before = self.used.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= limit)
        });
        if before.is_ok_and(|before| before + bytes >= self.mark.load(Relaxed)) {
            // Kept if nobody waits yet.
            self.marked.notify_one();
        }
        before.is_ok()
    }

    /// Gives `bytes` back.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// A container without a limit of its own.
const UNLIMITED: u64 = u64::MAX;

/// One container's memory: every linear memory and table of all its instances.
#[derive(Debug)]
pub(super) struct ContainerMemory {
    /// [`UNLIMITED`] if there is none.
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    budget: Arc<MemoryBudget>,
}

impl ContainerMemory {
    pub(super) fn new(limit: Option<u64>, budget: Arc<MemoryBudget>) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicU64::new(limit.unwrap_or(UNLIMITED)),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            budget,
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Another limit holds from now on. One below what is in use is refused, as no guest gives memory
    /// back: the error tells what is in use.
    pub(super) fn set_limit(&self, limit: Option<u64>) -> Result<(), u64> {
        let limit = limit.unwrap_or(UNLIMITED);
        let used = self.used();
        if limit < used {
            return Err(used);
        }
        self.limit.store(limit, Relaxed);
        Ok(())
    }

    /// Takes `bytes`, or says why not.
    fn take(&self, bytes: u64) -> Result<(), String> {
        let used = self.used();
        let sum = used.saturating_add(bytes);
        let limit = self.limit.load(Relaxed);
        if sum > limit {
            return Err(format!(
                "memory limit of {limit} bytes reached: {used} in use, {bytes} more asked for"
            ));
        }
        if !self.budget.try_take(bytes) {
            return Err(format!(
                "the node's memory for guests is used up: {} of {} bytes, {bytes} more asked for",
                self.budget.used(),
                self.budget.limit()
            ));
        }
        self.used.fetch_add(bytes, Relaxed);
        self.peak.fetch_max(sum, Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
        self.budget.give_back(bytes);
    }
}

/// The limiter of one store. What the store has taken goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: Arc<ContainerMemory>,
    course: Arc<Course>,
    taken: u64,
}

impl Limiter {
    pub(super) fn new(memory: Arc<ContainerMemory>, course: Arc<Course>) -> Self {
        Self {
            memory,
            course,
            taken: 0,
        }
    }

    fn grow(&mut self, current: u64, desired: u64) -> bool {
        let more = desired.saturating_sub(current);
        match self.memory.take(more) {
            Ok(()) => {
                self.taken += more;
                self.course.granted(more);
                true
            }
            Err(why) => {
                self.course.refused(more, why);
                false
            }
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.memory.give_back(self.taken);
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum the guest's growth fails anyway: that is no lack of memory.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| elements as u64 * TABLE_ELEMENT_BYTES;
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::super::course::Ending;
    use super::*;
    use wasmtime::ResourceLimiter as _;

    #[test]
    fn the_container_and_the_node_both_bound_growth_and_drop_gives_back() {
        let budget = MemoryBudget::new(100);
        let memory = ContainerMemory::new(Some(60), budget.clone());
        let limiter = |memory| {
            let course = Arc::new(Course::default());
            (Limiter::new(memory, course.clone()), course)
        };
        let (mut one, _) = limiter(memory);
        assert!(one.memory_growing(0, 50, None).unwrap());
        assert!(!one.memory_growing(50, 70, None).unwrap());
        let other = ContainerMemory::new(None, budget.clone());
        let (mut two, course) = limiter(other);
        assert!(!two.memory_growing(0, 51, None).unwrap());
        let why = course.explains(Ending::Other).unwrap();
        assert!(why.contains("node's memory"), "{why}");
        assert!(two.memory_growing(0, 50, None).unwrap());
        drop(one);
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_limit_may_change_but_not_below_what_is_in_use() {
        let memory = ContainerMemory::new(Some(60), MemoryBudget::new(100));
        memory.take(50).unwrap();
        assert_eq!(memory.set_limit(Some(40)), Err(50));
        assert!(memory.take(20).is_err(), "the limit that was holds");
        assert_eq!(memory.set_limit(Some(80)), Ok(()));
        memory.take(20).unwrap();
        assert_eq!(memory.set_limit(None), Ok(()));
    }
}
