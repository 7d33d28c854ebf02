//! A whole cluster in one process, in virtual time, with seeded faults: writes that fail, answers that are
//! lost, controllers and a scheduler that die, nodes that vanish, starts that are slow. While it rolls
//! out, scales, runs jobs and drains, [`watch::Watcher`] looks at every step; in the end all is as wanted,
//! and quiet. A failing seed is printed; `cargo xtask soak cluster` runs as many as one has time for.

mod faults;
mod story;
mod watch;
mod world;

/// Seeds of an ordinary run.
const SEEDS: std::ops::Range<u64> = 0..200;
/// Threads that they are shared by.
const THREADS: u64 = 2;

#[test]
fn a_cluster_with_faults_keeps_its_promises() {
    let seeds = crate::crash::seeds("cluster", SEEDS);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (seeds, failed) = (&seeds, &failed);
            let mine = move |(index, _): &(usize, &u64)| *index as u64 % THREADS == thread;
            scope.spawn(move || {
                for (_, seed) in seeds.iter().enumerate().filter(mine) {
                    if let Err(why) = run(*seed) {
                        failed.lock().unwrap().push(format!("seed {seed}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn run(seed: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(story::tell(seed))
}
