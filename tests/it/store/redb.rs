//! What the backend on disk does beyond the contract: what it keeps, and what it refuses to open.

use super::support::{Seen, delete, put, shown, text, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wkube::store::{
    Durability, Precondition, RedbStore, Store, StoreError, StoreOptions, StoreUrl,
};

fn open(folder: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(folder, &StoreOptions::default())
}

fn refusal(folder: &Path) -> String {
    match open(folder) {
        Err(StoreError::Data(message)) => message,
        Err(error) => panic!("not a matter of data: {error:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// A folder with a store in it that was closed in order.
async fn closed_store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..500 {
        let mut put = write(&format!("/{n}"), Precondition::None, Some(&"x".repeat(300)));
        put.durability = Durability::Relaxed;
        store.commit(put).await.unwrap();
    }
    store.close().await;
    folder
}

#[tokio::test]
async fn a_closed_store_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    put(&store, "/a", "1").await;
    put(&store, "/b", "2").await;
    put(&store, "/a", "3").await;
    delete(&store, "/b").await;
    let mut lease = write("/lease", Precondition::Absent, Some("4"));
    lease.durability = Durability::Relaxed;
    store.commit(lease).await.unwrap();
    store.close().await;

    let url = StoreUrl::Redb(folder.path().to_owned());
    let store = wkube::store::open(&url, &StoreOptions::default()).unwrap();
    assert_eq!(store.revision(), 5);
    let all = store.range("", None, 0).await.unwrap();
    let all: Vec<_> = all.items.iter().map(shown).collect();
    let wanted = [("/a=3".to_owned(), 1, 3), ("/lease=4".to_owned(), 5, 5)];
    assert_eq!(all, wanted);
    // The past is not kept, the present is a place to start from.
    let refused = Seen::watch(&*store, "", 4).await.err();
    let wanted = StoreError::Compacted {
        asked: 4,
        oldest: 5,
    };
    assert_eq!(refused, Some(wanted));
    let (seen, _watch) = Seen::watch(&*store, "", 5).await.unwrap();
    put(&*store, "/c", "6").await;
    assert_eq!(seen.revisions(1).await, [6]);
    store.close().await;
}

#[tokio::test]
async fn files_are_closed_to_others() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("data");
    let store = open(&folder).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("store.redb")), 0o600);
    store.close().await;
}

#[tokio::test]
async fn a_second_store_on_the_directory_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let message = refusal(folder.path());
    assert!(message.contains("in use by another"), "{message}");
    let name = folder.path().display().to_string();
    assert!(message.contains(&name), "{message}");
    put(&store, "/a", "1").await;
    store.close().await;
    open(folder.path()).unwrap().close().await;
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let folder = closed_store().await;
    let path = folder.path().join("store.redb");
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    for at in (8_192..flipped.len()).step_by(1_000) {
        flipped[at] ^= 0x55;
    }
    let mut no_magic = whole.clone();
    no_magic[..8].fill(0);
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty", Vec::new()),
        ("short", b"hello".to_vec()),
        ("text", b"kind: Pod\n".repeat(10_000)),
        ("zeros", vec![0; 1 << 20]),
        ("cut in its header", whole[..1_000].to_vec()),
        ("cut in half", whole[..whole.len() / 2].to_vec()),
        ("with flipped bits", flipped),
        ("without its first bytes", no_magic),
    ];
    for (what, bytes) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let message = refusal(folder.path());
        assert!(message.contains("store.redb"), "{what}: {message}");
        assert!(message.contains("damaged"), "{what}: {message}");
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{what}: it was changed"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(store.range("", None, 0).await.unwrap().items.len(), 500);
    store.close().await;
}

#[tokio::test]
async fn another_database_and_a_newer_format_are_refused() {
    use redb::{Database, TableDefinition};
    const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
    const OTHER: TableDefinition<u64, u64> = TableDefinition::new("other");
    let folder = closed_store().await;
    let path = folder.path().join("store.redb");
    {
        let db = Database::open(&path).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(META).unwrap().insert("format", 99).unwrap();
        txn.commit().unwrap();
    }
    let message = refusal(folder.path());
    assert!(message.contains("newer wkube"), "{message}");
    assert!(message.contains("format 99"), "{message}");

    std::fs::remove_file(&path).unwrap();
    {
        let db = Database::create(&path).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(OTHER).unwrap().insert(1, 1).unwrap();
        txn.commit().unwrap();
    }
    let message = refusal(folder.path());
    assert!(message.contains("not a store of wkube"), "{message}");
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.redb.new"), b"half of it").unwrap();
    let store = open(folder.path()).unwrap();
    put(&store, "/a", "1").await;
    assert_eq!(text(&store.get("/a").await.unwrap().unwrap()), "1");
    store.close().await;
}

#[tokio::test]
async fn the_file_stays_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..20_000 {
        let mut put = write("/a", Precondition::None, Some(&"x".repeat(1_000)));
        if n % 100 != 0 {
            put.durability = Durability::Relaxed;
        }
        store.commit(put).await.unwrap();
    }
    store.close().await;
    let length = folder.path().join("store.redb").metadata().unwrap().len();
    assert!(length < 4 << 20, "{length} bytes");
}

#[tokio::test]
async fn a_full_queue_says_busy() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        queue_writes_max: 2,
        ..StoreOptions::default()
    };
    let store = RedbStore::open(folder.path(), &options).unwrap();
    // Polled once each without the thread being waited for: more than fit, so some are refused.
    let writes = (0..500).map(|n| {
        let key = format!("/{n}");
        let put = write(&key, Precondition::None, Some("x"));
        store.commit(put)
    });
    let answers = futures::future::join_all(writes).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let busy = StoreError::Busy { limit: 2 };
    let refused = answers
        .iter()
        .filter(|answer| answer.as_ref().err() == Some(&busy))
        .count();
    assert_eq!(done + refused, 500);
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
    assert_eq!(store.revision() as usize, done);
    store.close().await;
}
