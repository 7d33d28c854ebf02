//! Which backend: one arm each. Must not know what a backend does.

use super::{MemoryStore, RedbStore, Store, StoreError, StoreOptions};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this process, gone with it.
    Memory,
    /// In a data directory of this machine.
    Redb(PathBuf),
}

/// Opens the store at `url`. Reads the whole of it from disk, so not to be called where others
/// wait.
pub fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match url {
        StoreUrl::Memory => Arc::new(MemoryStore::new(options.clone())),
        StoreUrl::Redb(folder) => Arc::new(RedbStore::open(folder, options)?),
    })
}
