//! The backend that keeps nothing: `serve --ephemeral`, and tests. Must promise everything that
//! the contract says but for what outlives the process.

use super::index::Index;
use super::plan::plan;
use super::view::View;
use super::{
    Committed, KeyValue, Range, Revision, Sink, Store, StoreError, StoreOptions, StoreStats, Watch,
    Write,
};
use async_trait::async_trait;
use std::sync::Arc;

/// A store in memory.
pub struct MemoryStore {
    view: Arc<View>,
}

impl MemoryStore {
    /// An empty store at revision 0.
    pub fn new(options: StoreOptions) -> Self {
        Self {
            view: View::new(Index::default(), &options),
        }
    }

    fn open(&self) -> Result<(), StoreError> {
        if self.view.lock().is_closed() {
            return Err(StoreError::Closed);
        }
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, write: Write) -> Result<Committed, StoreError> {
        let mut stream = self.view.lock();
        if stream.is_closed() {
            return Err(StoreError::Closed);
        }
        let event = self
            .view
            .read(|index| plan(&write, index.get(&write.key), index.revision() + 1))?;
        let committed = Committed {
            revision: event.revision,
            previous: event.previous.clone(),
        };
        self.view.publish(&mut stream, vec![event]);
        Ok(committed)
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        self.open()?;
        Ok(self.view.read(|index| index.get(key).cloned()))
    }

    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Range, StoreError> {
        self.open()?;
        Ok(self.view.snapshot().range(prefix, after, limit))
    }

    fn revision(&self) -> Revision {
        self.view.read(Index::revision)
    }

    async fn watch(
        &self,
        prefix: &str,
        after: Revision,
        sink: Arc<dyn Sink>,
    ) -> Result<Watch, StoreError> {
        self.view.watch(prefix, after, sink)
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.view.compact(revision)
    }

    fn read_only(&self) -> Option<String> {
        None
    }

    fn stats(&self) -> StoreStats {
        let stats = self.view.stats();
        // Each write is a commit of its own, and each has a revision.
        StoreStats {
            writes: stats.revision,
            commits: stats.revision,
            ..stats
        }
    }

    async fn close(&self) {
        let mut stream = self.view.lock();
        self.view.close(&mut stream);
    }
}
