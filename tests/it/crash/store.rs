//! Power cuts and failing disks, under the store alone.

use super::disk::{Disk, Fault};
use super::ledger::Ledger;
use crate::store::support::{Seen, put, text, write};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;
use wkube::store::{Durability, Precondition, RedbStore, Store, StoreError, StoreOptions, Write};

/// Each is a disk that loses its power at least `CUTS` times.
const SEEDS: std::ops::Range<u64> = 0..50;
const CUTS: usize = 4;
const KEYS: u64 = 12;
/// Writers that wait for their answers at the same time.
const WRITERS: u64 = 4;
/// Rounds of writes in a life that no cut has ended.
const ROUNDS: usize = 40;

fn options() -> StoreOptions {
    StoreOptions {
        // Small, so that the mark is moved and relaxed writes are logged all the time.
        revision_step: 9,
        relaxed_delay_max: Duration::ZERO,
        ..StoreOptions::default()
    }
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    RedbStore::open_backend(disk.database.clone(), disk.log.clone(), &options())
}

/// Writes at random; the values name the write, so they are all different.
fn random_write(rng: &mut StdRng, serial: u64, revision: u64, relaxed: f64) -> Write {
    let key = format!("/k/{}", rng.random_range(0..KEYS));
    let size = [3, 300, 9_000][rng.random_range(0..3)];
    let value = format!("{serial}-{}", "x".repeat(size));
    let value = rng.random_bool(0.85).then_some(value);
    let precondition = match rng.random_range(0..6) {
        0 => Precondition::Absent,
        1 => Precondition::Revision(revision),
        _ => Precondition::None,
    };
    let mut write = write(&key, precondition, value.as_deref());
    if rng.random_bool(relaxed) {
        write.durability = Durability::Relaxed;
    }
    write
}

fn state(write: &Write) -> Option<String> {
    let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    write.value.as_ref().map(text)
}

/// Writes until the power is gone or the rounds are over. Returns whether it went on to the end.
async fn live(store: &RedbStore, rng: &mut StdRng, serial: &mut u64, ledger: &mut Ledger) {
    let start = store.revision();
    let (seen, _watch) = Seen::watch(store, "", start).await.unwrap();
    for _ in 0..ROUNDS {
        let relaxed = [0.3, 1.0][rng.random_range(0..2)];
        let writes: Vec<Write> = (0..WRITERS)
            .map(|_| {
                *serial += 1;
                let write = random_write(rng, *serial, store.revision(), relaxed);
                ledger.sent(&write.key, &state(&write));
                write
            })
            .collect();
        let commits = writes.iter().map(|write| store.commit(write.clone()));
        let answers = join_all(commits).await;
        let mut down = false;
        for (write, answer) in writes.iter().zip(answers) {
            match answer {
                Ok(committed) => {
                    let synced = write.durability == Durability::Synced;
                    ledger.done(&write.key, &state(write), committed.revision, synced);
                }
                Err(StoreError::Precondition { actual }) => {
                    ledger.told(actual);
                    ledger.refused(&write.key, &state(write));
                }
                Err(StoreError::ReadOnly(_)) => down = true,
                Err(error) => panic!("an answer that no crash explains: {error}"),
            }
        }
        if down {
            break;
        }
    }
    for event in &*seen.events.lock() {
        // A watcher has seen it, so it counts, answered or not.
        ledger.told(event.revision);
    }
}

async fn run(seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    let mut disk = Disk::new();
    let mut serial = 0;
    let mut cuts = 0;
    while cuts < CUTS {
        let context = format!("seed {seed}, after {cuts} cuts");
        // Mostly in the midst of work, sometimes while it opens or recovers.
        let moment = match rng.random_range(0..4) {
            0 => rng.random_range(0..40),
            _ => rng.random_range(0..1_500),
        };
        disk.fail(Fault::PowerCut(moment));
        match open(&disk) {
            Ok(store) => {
                ledger.check(&store, &context).await;
                live(&store, rng, &mut serial, &mut ledger).await;
                if rng.random_bool(0.2) {
                    store.close().await;
                } else {
                    disk.cut();
                    store.close().await;
                }
            }
            Err(error) => assert!(disk.is_off(), "{context}: {error}"),
        }
        cuts += 1;
        disk = disk.survivor(rng);
    }
    let context = format!("seed {seed}, at the end");
    let store = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    ledger.check(&store, &context).await;
    goes_on(&store, ledger.told).await;
    store.close().await;
}

/// The store is as good as any: revisions go on, preconditions hold, the past is refused.
async fn goes_on(store: &RedbStore, told: u64) {
    let before = store.range("", None, 0).await.unwrap().items;
    for kv in before {
        let actual = kv.mod_revision;
        let make = write(&kv.key, Precondition::Absent, Some("new"));
        let refused = StoreError::Precondition { actual };
        assert_eq!(store.commit(make).await.err(), Some(refused));
        let update = write(&kv.key, Precondition::Revision(actual), Some("new"));
        assert!(store.commit(update).await.unwrap().revision > told);
    }
    assert!(put(store, "/new", "new").await.revision > told);
    if told > 1 {
        let past = Seen::watch(store, "", told - 1).await;
        assert!(matches!(past.err(), Some(StoreError::Compacted { .. })));
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_power_cuts() {
    for seed in super::seeds("power", SEEDS) {
        run(seed).await;
    }
}

/// A store with one key, on a disk that is then made to fail.
async fn failing(fault: Fault) -> (Disk, RedbStore) {
    let disk = Disk::new();
    let options = StoreOptions {
        relaxed_delay_max: Duration::from_secs(3_600),
        ..StoreOptions::default()
    };
    let store = RedbStore::open_backend(disk.database.clone(), disk.log.clone(), &options).unwrap();
    put(&store, "/a", "kept").await;
    disk.fail(fault);
    (disk, store)
}

#[tokio::test]
async fn a_failed_sync_makes_the_store_read_only() {
    let (disk, store) = failing(Fault::SyncFails(0)).await;
    let (seen, _watch) = Seen::watch(&store, "", 1).await.unwrap();
    let writes = (0..20).map(|n| {
        let key = format!("/{n}");
        store.commit(write(&key, Precondition::None, Some("lost")))
    });
    for answer in join_all(writes).await {
        assert!(matches!(answer.err(), Some(StoreError::ReadOnly(_))));
    }
    let why = store.read_only().unwrap();
    assert!(why.contains("could not sync"), "{why}");
    // The disk would say yes now, but what it holds is not known.
    let again = store
        .commit(write("/b", Precondition::None, Some("lost")))
        .await;
    let told = again.err().unwrap().to_string();
    assert!(told.contains("read-only") && told.contains(&why), "{told}");
    let mut lease = write("/lease", Precondition::None, Some("lost"));
    lease.durability = Durability::Relaxed;
    assert!(store.commit(lease).await.is_err());
    // Reads and watches go on with what is certain.
    assert_eq!(store.revision(), 1);
    assert_eq!(store.range("", None, 0).await.unwrap().items.len(), 1);
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "kept");
    assert!(seen.events.lock().is_empty());
    store.close().await;
    let store = open(&disk.as_it_is()).unwrap();
    assert_eq!(store.read_only(), None);
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "kept");
    put(&store, "/a", "new").await;
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_makes_the_store_read_only() {
    let (disk, store) = failing(Fault::Full(100_000)).await;
    let mut done = 0;
    let error = loop {
        let key = format!("/{done}");
        let value = "x".repeat(3_000);
        match store
            .commit(write(&key, Precondition::Absent, Some(&value)))
            .await
        {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 100, "it cannot have had room for all of these");
    };
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert!(done > 0);
    assert!(store.read_only().is_some());
    store.close().await;
    let store = open(&disk.as_it_is()).unwrap();
    for n in 0..done {
        assert!(store.get(&format!("/{n}")).await.unwrap().is_some(), "/{n}");
    }
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "kept");
    store.close().await;
}

#[tokio::test]
async fn a_relaxed_write_that_cannot_be_kept_is_told_by_read_only() {
    let (disk, store) = failing(Fault::SyncFails(0)).await;
    let mut lease = write("/lease", Precondition::None, Some("x"));
    lease.durability = Durability::Relaxed;
    // Within the mark, so it is answered without the disk.
    store.commit(lease).await.unwrap();
    assert_eq!(store.read_only(), None);
    store.close().await;
    assert!(store.read_only().is_some());
    assert!(open(&disk.as_it_is()).is_ok());
}
