//! Logs through their public face: in files and in memory, rotated, tailed, followed.

use super::*;
use crate::kubelet::runtime::Output;
use jiff::Timestamp;

fn key() -> LogKey {
    LogKey {
        namespace: "ns".to_owned(),
        pod: "p".to_owned(),
        uid: "u".to_owned(),
        container: "c".to_owned(),
    }
}

fn store(folder: Option<&Path>, limits: LogLimits) -> LogStore {
    let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
    LogStore::open(folder, limits, clock).unwrap()
}

async fn text(log: &Arc<ContainerLog>, query: LogQuery) -> String {
    let mut stream = log.stream(query);
    let mut all = Vec::new();
    while let Some(part) = stream.recv().await {
        all.extend_from_slice(&part.unwrap());
    }
    String::from_utf8(all).unwrap()
}

fn tail(lines: u64) -> LogQuery {
    LogQuery {
        tail_lines: Some(lines),
        ..LogQuery::default()
    }
}

#[tokio::test(start_paused = true)]
async fn lines_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    for at in [Some(folder.path()), None] {
        let store = store(at, LogLimits::default());
        let log = store.begin(&key(), 0);
        log.write(false, b"one\ntw");
        log.write(true, b"err\n");
        log.write(false, b"o\nthree");
        log.close();
        let all = text(&log, LogQuery::default()).await;
        assert_eq!(all, "one\nerr\ntwo\nthree");
        assert_eq!(text(&log, tail(1)).await, "three");
        assert_eq!(text(&log, tail(2)).await, "two\nthree");
        assert_eq!(text(&log, tail(9)).await, all);
        assert_eq!(text(&log, tail(0)).await, "");
        let only = LogQuery {
            only_stderr: Some(true),
            timestamps: true,
            ..LogQuery::default()
        };
        let line = "1970-01-01T00:00:00.000000000Z err\n";
        assert_eq!(text(&log, only).await, line);
        let limited = LogQuery {
            limit_bytes: Some(5),
            ..LogQuery::default()
        };
        assert_eq!(text(&log, limited).await, "one\ne");
    }
    // A new life of the process still finds what was in files.
    let again = store(Some(folder.path()), LogLimits::default());
    let log = again.find(&key(), 0).unwrap();
    assert_eq!(text(&log, tail(1)).await, "three");
    assert!(matches!(again.find(&key(), 7), Err(LogError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn long_lines_are_whole_again_when_read() {
    let store = store(None, LogLimits::default());
    let log = store.begin(&key(), 0);
    let long = "x".repeat(50_000);
    log.write(false, format!("a\n{long}\nb\n").as_bytes());
    log.close();
    let all = text(&log, LogQuery::default()).await;
    assert_eq!(all, format!("a\n{long}\nb\n"));
    assert_eq!(text(&log, tail(2)).await, format!("{long}\nb\n"));
}

#[tokio::test(start_paused = true)]
async fn files_are_rotated_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let limits = LogLimits {
        file_bytes_max: 1_000,
        files_max: 3,
        memory_bytes_max: 2_000,
        ..LogLimits::default()
    };
    for at in [Some(folder.path()), None] {
        let store = store(at, limits);
        let log = store.begin(&key(), 0);
        for n in 0..500 {
            log.write(false, format!("line {n}\n").as_bytes());
        }
        log.close();
        let all = text(&log, LogQuery::default()).await;
        assert!(all.ends_with("line 498\nline 499\n"));
        assert!(all.len() < 3_000);
        assert_eq!(text(&log, tail(1)).await, "line 499\n");
    }
    let files = std::fs::read_dir(folder.path().join("ns_p_u/c")).unwrap();
    assert_eq!(files.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn following_ends_with_the_run_and_wakes_for_each_line() {
    let store = store(None, LogLimits::default());
    let log = store.begin(&key(), 0);
    log.write(false, b"before\n");
    let mut stream = log.stream(LogQuery {
        follow: true,
        ..LogQuery::default()
    });
    assert_eq!(stream.recv().await.unwrap().unwrap(), "before\n");
    log.write(false, b"after\n");
    assert_eq!(stream.recv().await.unwrap().unwrap(), "after\n");
    log.close();
    assert!(stream.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn old_instances_and_orphans_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(Some(folder.path()), LogLimits::default());
    for n in 0..4 {
        let log = store.begin(&key(), n);
        log.write(false, b"x\n");
        log.close();
    }
    assert!(store.find(&key(), 2).is_ok());
    assert!(store.find(&key(), 1).is_err());
    store.remove_orphans(|uid| uid == "u").unwrap();
    assert!(store.find(&key(), 3).is_ok());
    store.remove_pod("ns", "p", "u");
    assert!(store.find(&key(), 3).is_err());
}

#[tokio::test(start_paused = true)]
async fn who_prints_too_much_loses_lines_and_the_log_says_how_many() {
    let limits = LogLimits {
        burst_bytes: 1_600,
        bytes_per_second: 100,
        ..LogLimits::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let store = store(Some(folder.path()), limits);
    let log = store.begin(&key(), 0);
    let line = format!("{}\n", "x".repeat(60));
    log.write(false, line.repeat(20).as_bytes());
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    log.write(false, b"again\n");
    log.write(false, line.repeat(20).as_bytes());
    log.close();
    let all = text(&log, LogQuery::default()).await;
    let lines: Vec<&str> = all.lines().collect();
    let dropped =
        "[wkube: 4 lines (240 bytes) were dropped here: a container may log 0 KiB a second]";
    assert_eq!(lines[16], dropped, "{all}");
    assert_eq!(lines[17], "again");
    assert_eq!(lines.len(), 20, "{all}");
    assert!(lines[19].starts_with("[wkube: 19 lines "), "{all}");
}
