//! What survives a crash: the store on a disk that forgets what was not synced, cut at random
//! moments, and on a disk that fails. A failing seed is printed; `SEEDS` runs the same ones.

mod disk;
mod killed;
mod ledger;
mod store;
