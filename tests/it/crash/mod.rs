//! What survives a crash: the store on a disk that forgets what was not synced, cut at random
//! moments, and on a disk that fails. A failing seed is printed; `cargo xtask soak` runs as many as one
//! has time for and keeps those that fail.

mod disk;
mod killed;
mod ledger;
mod store;

/// The seeds of one run of the test that `name` is a word for: the one that `cargo xtask soak` asks
/// for, else the `usual` ones and those that failed once.
pub(crate) fn seeds(name: &str, usual: impl IntoIterator<Item = u64>) -> Vec<u64> {
    if let Ok(seed) = std::env::var("WKUBE_SOAK_SEED") {
        return vec![seed.parse().unwrap()];
    }
    let kept = include_str!("seeds.txt").lines().filter_map(|line| {
        let seed = line.strip_prefix(name)?.strip_prefix(' ')?;
        Some(seed.parse().unwrap())
    });
    usual.into_iter().chain(kept).collect()
}
