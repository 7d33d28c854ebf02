//! What every backend promises, one promise a test.

use super::support::{Fixture, Open, Seen, delete, put, shown, text, write};
use parking_lot::Mutex;
use std::sync::Arc;
use wkube::store::{
    Durability, Event, Precondition, Revision, Sink, StoreError, StoreOptions, Watch,
};

fn fresh(open: Open<'_>) -> Fixture {
    open(StoreOptions::default())
}

pub(super) async fn a_new_store_is_at_revision_zero(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    assert_eq!(store.revision(), 0);
    assert!(store.get("/a").await.unwrap().is_none());
    let range = store.range("", None, 0).await.unwrap();
    assert_eq!(
        (range.revision, range.items.len(), range.more),
        (0, 0, false)
    );
    assert_eq!(store.read_only(), None);
}

pub(super) async fn each_write_gets_the_next_revision(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    assert_eq!(put(store, "/a", "1").await.revision, 1);
    assert_eq!(put(store, "/b", "2").await.revision, 2);
    assert_eq!(put(store, "/a", "3").await.revision, 3);
    assert_eq!(delete(store, "/b").await.revision, 4);
    assert_eq!(store.revision(), 4);
    let a = store.get("/a").await.unwrap().unwrap();
    assert_eq!(shown(&a), ("/a=3".to_owned(), 1, 3));
    assert!(store.get("/b").await.unwrap().is_none());
}

pub(super) async fn preconditions_hold_or_tell_the_revision(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let refused = |actual| StoreError::Precondition { actual };
    let make = write("/a", Precondition::Absent, Some("1"));
    assert_eq!(store.commit(make.clone()).await.unwrap().revision, 1);
    assert_eq!(store.commit(make).await.err(), Some(refused(1)));
    let update = |revision| write("/a", Precondition::Revision(revision), Some("2"));
    assert_eq!(store.commit(update(7)).await.err(), Some(refused(1)));
    assert_eq!(store.commit(update(0)).await.err(), Some(refused(1)));
    assert_eq!(store.commit(update(1)).await.unwrap().revision, 2);
    assert_eq!(store.commit(update(1)).await.err(), Some(refused(2)));
    let remove = |revision| write("/a", Precondition::Revision(revision), None);
    assert_eq!(store.commit(remove(1)).await.err(), Some(refused(2)));
    assert_eq!(store.commit(remove(2)).await.unwrap().revision, 3);
    assert_eq!(store.commit(update(2)).await.err(), Some(refused(0)));
    // Revision 0 means no revision, not an absent key.
    assert_eq!(store.commit(update(0)).await.err(), Some(refused(0)));
}

pub(super) async fn a_failed_write_changes_nothing(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    put(store, "/a", "1").await;
    let (seen, _watch) = Seen::watch(store, "", 1).await.unwrap();
    let write = write("/a", Precondition::Absent, Some("2"));
    assert!(store.commit(write).await.is_err());
    assert_eq!(store.revision(), 1);
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "1");
    put(store, "/b", "3").await;
    assert_eq!(seen.revisions(1).await, [2]);
}

pub(super) async fn the_previous_value_is_given_back(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let (seen, _watch) = Seen::watch(store, "", 0).await.unwrap();
    assert!(put(store, "/a", "1").await.previous.is_none());
    let second = put(store, "/a", "2").await.previous.unwrap();
    assert_eq!(shown(&second), ("/a=1".to_owned(), 1, 1));
    let third = delete(store, "/a").await.previous.unwrap();
    assert_eq!(shown(&third), ("/a=2".to_owned(), 1, 2));
    seen.revisions(3).await;
    let events = seen.events.lock().clone();
    let before: Vec<_> = events
        .iter()
        .map(|e| e.previous.as_ref().map(text))
        .collect();
    let after: Vec<_> = events
        .iter()
        .map(|e| e.current.as_ref().map(text))
        .collect();
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(before, [None, some("1"), some("2")]);
    assert_eq!(after, [some("1"), some("2"), None]);
}

pub(super) async fn deleting_what_is_not_there_fails(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    for precondition in [
        Precondition::None,
        Precondition::Absent,
        Precondition::Revision(3),
    ] {
        let delete = write("/a", precondition, None);
        let refused = StoreError::Precondition { actual: 0 };
        assert_eq!(store.commit(delete).await.err(), Some(refused));
    }
    assert_eq!(store.revision(), 0);
}

pub(super) async fn a_key_made_anew_has_a_new_create_revision(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    put(store, "/a", "1").await;
    delete(store, "/a").await;
    put(store, "/a", "2").await;
    put(store, "/a", "3").await;
    let a = store.get("/a").await.unwrap().unwrap();
    assert_eq!(shown(&a), ("/a=3".to_owned(), 3, 4));
}

pub(super) async fn ranges_are_in_order_and_paged(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let mut keys: Vec<String> = (0..50).map(|n| format!("/p/{:02}", n * 37 % 50)).collect();
    for key in &keys {
        put(store, key, "x").await;
    }
    keys.sort();
    for limit in [0, 1, 7, 25, 50, 51] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().cloned();
            let page = store.range("/p/", after.as_deref(), limit).await.unwrap();
            assert_eq!(page.revision, 50);
            assert!(limit == 0 || page.items.len() <= limit);
            found.extend(page.items.iter().map(|kv| kv.key.to_string()));
            if !page.more {
                break;
            }
            assert_eq!(page.items.len(), limit);
        }
        assert_eq!(found, keys, "limit {limit}");
    }
}

pub(super) async fn a_range_stays_within_its_prefix(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    for key in ["/a", "/a/", "/a/1", "/a/é", "/a0", "/b/1", "/"] {
        put(store, key, "x").await;
    }
    let keys = async |prefix: &str, after: Option<&str>| {
        let range = store.range(prefix, after, 0).await.unwrap();
        let keys = range.items.iter().map(|kv| kv.key.to_string());
        keys.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("/a/", None).await, "/a/ /a/1 /a/é");
    assert_eq!(keys("/a", None).await, "/a /a/ /a/1 /a/é /a0");
    assert_eq!(keys("/a/", Some("/a/1")).await, "/a/é");
    // A place before the prefix, one that does not exist, and one after it.
    assert_eq!(keys("/a/", Some("/")).await, "/a/ /a/1 /a/é");
    assert_eq!(keys("/a/", Some("/a/0")).await, "/a/1 /a/é");
    assert_eq!(keys("/a/", Some("/b")).await, "");
    assert_eq!(keys("/c", None).await, "");
    assert_eq!(keys("", None).await.split(' ').count(), 7);
}

pub(super) async fn a_watch_sees_each_change_once_in_order(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let (seen, _watch) = Seen::watch(store, "/", 0).await.unwrap();
    for n in 0..20 {
        put(store, &format!("/{}", n % 3), "x").await;
    }
    assert_eq!(seen.revisions(20).await, (1..=20).collect::<Vec<_>>());
}

pub(super) async fn a_watch_begins_after_its_revision(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    for n in 0..1_500 {
        let mut put = write(&format!("/{n}"), Precondition::None, Some("x"));
        put.durability = Durability::Relaxed;
        store.commit(put).await.unwrap();
    }
    for after in [0, 1, 700, 1_499, 1_500] {
        let (seen, _watch) = Seen::watch(store, "/", after).await.unwrap();
        // The past is there when the watch is.
        let past: Vec<Revision> = seen.events.lock().iter().map(|e| e.revision).collect();
        assert_eq!(past, (after + 1..=1_500).collect::<Vec<_>>());
    }
    let (seen, _watch) = Seen::watch(store, "/", 1_499).await.unwrap();
    put(store, "/z", "x").await;
    assert_eq!(seen.revisions(2).await, [1_500, 1_501]);
}

pub(super) async fn a_watch_sees_only_its_prefix(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let prefixes = ["", "/a", "/a/", "/a/x", "/b/", "/c"];
    let mut watches = Vec::new();
    for prefix in prefixes {
        // One that gets the past, and one that was there.
        watches.push((prefix, Seen::watch(store, prefix, 0).await.unwrap()));
    }
    for key in ["/a", "/a/x", "/a/y", "/ab", "/b/", "/b/é", "/d"] {
        put(store, key, "x").await;
    }
    for prefix in prefixes {
        watches.push((prefix, Seen::watch(store, prefix, 0).await.unwrap()));
    }
    let wanted: [&[Revision]; 6] = [
        &[1, 2, 3, 4, 5, 6, 7],
        &[1, 2, 3, 4],
        &[2, 3],
        &[2],
        &[5, 6],
        &[],
    ];
    for ((prefix, (seen, _)), wanted) in watches.iter().zip(wanted.iter().cycle()) {
        assert_eq!(
            seen.revisions(wanted.len()).await,
            *wanted,
            "prefix {prefix:?}"
        );
    }
}

pub(super) async fn a_watch_has_no_gap_and_no_duplicate_under_load(open: Open<'_>) {
    const WRITERS: u64 = 4;
    const WRITES: u64 = 250;
    let fixture = fresh(open);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            for n in 0..WRITES {
                let key = format!("/{}/{writer}", ["even", "odd"][(n % 2) as usize]);
                let mut put = write(&key, Precondition::None, Some("x"));
                if n % 16 != 0 {
                    put.durability = Durability::Relaxed;
                }
                store.commit(put).await.unwrap();
            }
        });
    }
    let mut watches = Vec::new();
    while watches.len() < 40 && !tasks.is_empty() {
        let after = fixture.store.revision() / 2;
        watches.push((
            after,
            Seen::watch(&*fixture.store, "/", after).await.unwrap(),
        ));
        tokio::task::yield_now().await;
    }
    let last = WRITERS * WRITES;
    let (odd, _watch) = Seen::watch(&*fixture.store, "/odd/", 0).await.unwrap();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for (after, (seen, _)) in &watches {
        let wanted: Vec<Revision> = (after + 1..=last).collect();
        assert_eq!(seen.revisions(wanted.len()).await, wanted);
    }
    let odd = odd.revisions((last / 2) as usize).await;
    assert_eq!(odd.len() as u64, last / 2);
    assert!(odd.is_sorted());
}

pub(super) async fn a_dropped_watch_hears_nothing(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let (seen, watch) = Seen::watch(store, "/", 0).await.unwrap();
    put(store, "/a", "1").await;
    seen.revisions(1).await;
    drop(watch);
    let (other, _watch) = Seen::watch(store, "/", 1).await.unwrap();
    put(store, "/a", "2").await;
    assert_eq!(other.revisions(1).await, [2]);
    assert_eq!(seen.revisions(1).await, [1]);
}

/// Holds its own watch and lets go of it at the first event.
#[derive(Default)]
struct Shy {
    watch: Mutex<Option<Watch>>,
    heard: Mutex<usize>,
}

impl Sink for Shy {
    fn deliver(&self, _: &[Event]) {
        *self.heard.lock() += 1;
        self.watch.lock().take();
    }
    fn closed(&self, _: StoreError) {}
}

pub(super) async fn a_sink_may_drop_its_watch(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let shy = Arc::new(Shy::default());
    let watch = store.watch("/", 0, shy.clone()).await.unwrap();
    *shy.watch.lock() = Some(watch);
    let (seen, _watch) = Seen::watch(store, "/", 0).await.unwrap();
    for _ in 0..3 {
        put(store, "/a", "1").await;
    }
    seen.revisions(3).await;
    assert_eq!(*shy.heard.lock(), 1);
}

struct Broken;
impl Sink for Broken {
    fn deliver(&self, _: &[Event]) {
        panic!("a sink that panics, on purpose");
    }
    fn closed(&self, _: StoreError) {
        panic!("a sink that panics, on purpose");
    }
}

pub(super) async fn a_sink_that_panics_harms_nobody(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let _broken = store.watch("/", 0, Arc::new(Broken)).await.unwrap();
    let (seen, _watch) = Seen::watch(store, "/", 0).await.unwrap();
    put(store, "/a", "1").await;
    put(store, "/a", "2").await;
    assert_eq!(seen.revisions(2).await, [1, 2]);
    let _broken = store.watch("/b", 2, Arc::new(Broken)).await.unwrap();
    store.close().await;
    seen.until(|seen| seen.end.lock().is_some()).await;
}

pub(super) async fn history_is_bounded_by_count(open: Open<'_>) {
    let fixture = open(StoreOptions {
        history_events_max: 10,
        ..StoreOptions::default()
    });
    let store = &*fixture.store;
    for _ in 0..25 {
        put(store, "/a", "x").await;
    }
    let refused = StoreError::Compacted {
        asked: 14,
        oldest: 15,
    };
    assert_eq!(Seen::watch(store, "", 14).await.err(), Some(refused));
    let (seen, _watch) = Seen::watch(store, "", 15).await.unwrap();
    assert_eq!(seen.revisions(10).await, (16..=25).collect::<Vec<_>>());
}

pub(super) async fn history_is_bounded_by_bytes(open: Open<'_>) {
    let fixture = open(StoreOptions {
        history_bytes_max: 1 << 20,
        ..StoreOptions::default()
    });
    let store = &*fixture.store;
    let large = "x".repeat(100_000);
    for n in 0..30 {
        put(store, &format!("/{n}"), &large).await;
    }
    let refused = Seen::watch(store, "", 0).await.err().unwrap();
    assert!(matches!(
        refused,
        StoreError::Compacted {
            asked: 0,
            oldest: 15..
        }
    ));
    // A single change beyond the bound does no harm; its watcher has it already.
    let (seen, _watch) = Seen::watch(store, "", 30).await.unwrap();
    put(store, "/huge", &"x".repeat(2 << 20)).await;
    assert_eq!(seen.revisions(1).await, [31]);
    assert!(Seen::watch(store, "", 30).await.is_err());
    assert!(Seen::watch(store, "", 31).await.is_ok());
}

pub(super) async fn compaction_forgets_the_past(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    for _ in 0..10 {
        put(store, "/a", "x").await;
    }
    let (old, _watch) = Seen::watch(store, "", 2).await.unwrap();
    store.compact(6).await.unwrap();
    store.compact(3).await.unwrap();
    let refused = StoreError::Compacted {
        asked: 5,
        oldest: 6,
    };
    assert_eq!(Seen::watch(store, "", 5).await.err(), Some(refused));
    let (seen, _watch) = Seen::watch(store, "", 6).await.unwrap();
    assert_eq!(seen.revisions(4).await, [7, 8, 9, 10]);
    // Present values and running watches are left alone.
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "x");
    put(store, "/a", "y").await;
    assert_eq!(old.revisions(9).await, (3..=11).collect::<Vec<_>>());
}

pub(super) async fn revisions_ahead_are_refused(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    put(store, "/a", "x").await;
    let refused = StoreError::Future {
        asked: 2,
        current: 1,
    };
    assert_eq!(Seen::watch(store, "", 2).await.err(), Some(refused.clone()));
    assert_eq!(store.compact(2).await.err(), Some(refused));
}

pub(super) async fn attachments_reach_watchers_and_readers(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let (seen, _watch) = Seen::watch(store, "", 0).await.unwrap();
    let number = |attachment: &Option<wkube::store::Attachment>| {
        attachment
            .as_ref()
            .map(|a| *a.downcast_ref::<i32>().unwrap())
    };
    let mut put = write("/a", Precondition::None, Some("x"));
    put.attachment = Some(Arc::new(7));
    store.commit(put).await.unwrap();
    let a = store.get("/a").await.unwrap().unwrap();
    assert_eq!(number(&a.attachment), Some(7));
    let mut remove = write("/a", Precondition::None, None);
    remove.attachment = Some(Arc::new(8));
    let removed = store.commit(remove).await.unwrap().previous.unwrap();
    assert_eq!(number(&removed.attachment), Some(7));
    seen.revisions(2).await;
    let events = seen.events.lock().clone();
    let given: Vec<_> = events.iter().map(|e| number(&e.attachment)).collect();
    assert_eq!(given, [Some(7), Some(8)]);
}

pub(super) async fn relaxed_writes_are_seen_at_once(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    let (seen, _watch) = Seen::watch(store, "", 0).await.unwrap();
    for n in 1..=100 {
        let mut put = write("/lease", Precondition::Revision(n - 1), Some("x"));
        if n == 1 {
            put.precondition = Precondition::Absent;
        }
        put.durability = Durability::Relaxed;
        assert_eq!(store.commit(put).await.unwrap().revision, n);
        let lease = store.get("/lease").await.unwrap().unwrap();
        assert_eq!(lease.mod_revision, n);
    }
    put(store, "/a", "x").await;
    assert_eq!(seen.revisions(101).await, (1..=101).collect::<Vec<_>>());
}

pub(super) async fn one_of_many_writers_wins(open: Open<'_>) {
    let fixture = fresh(open);
    put(&*fixture.store, "/a", "0").await;
    let mut wins = 0;
    for round in 1..=20 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let store = fixture.store.clone();
            tasks.spawn(async move {
                let value = format!("{round}-{n}");
                let put = write("/a", Precondition::Revision(round), Some(&value));
                store.commit(put).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            match done.unwrap() {
                Ok(committed) => {
                    assert_eq!(committed.revision, round + 1);
                    wins += 1;
                }
                Err(error) => {
                    let actual = round + 1;
                    assert_eq!(error, StoreError::Precondition { actual });
                }
            }
        }
    }
    assert_eq!(wins, 20);
}

pub(super) async fn a_write_is_visible_when_it_is_answered(open: Open<'_>) {
    let fixture = fresh(open);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            let key = format!("/{n}");
            for _ in 0..20 {
                let revision = put(&*store, &key, "x").await.revision;
                assert!(store.revision() >= revision);
                let kv = store.get(&key).await.unwrap().unwrap();
                assert_eq!(kv.mod_revision, revision);
                let range = store.range(&key, None, 1).await.unwrap();
                assert!(range.revision >= revision);
                assert_eq!(range.items[0].mod_revision, revision);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

pub(super) async fn a_closed_store_says_so(open: Open<'_>) {
    let fixture = fresh(open);
    let store = &*fixture.store;
    put(store, "/a", "x").await;
    let (seen, _watch) = Seen::watch(store, "", 1).await.unwrap();
    store.close().await;
    store.close().await;
    let closed = Some(StoreError::Closed);
    let put = write("/a", Precondition::None, Some("y"));
    assert_eq!(store.commit(put).await.err(), closed);
    assert_eq!(store.get("/a").await.err(), closed);
    assert_eq!(store.range("", None, 0).await.err(), closed);
    assert_eq!(Seen::watch(store, "", 1).await.err(), closed);
    assert_eq!(store.compact(1).await.err(), closed);
    assert_eq!(*seen.end.lock(), closed);
    assert!(seen.events.lock().is_empty());
}
