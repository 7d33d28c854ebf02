//! Memory: bounds, and which ends are told as `OOMKilled`.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_by_the_container_and_by_the_node() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    for tool in [TOOL1, TOOL2] {
        let module = lab.module(tool).await;
        let (mut config, _) = lab.config(&pod, &["allocate"]);
        config.memory_bytes_limit = Some(64 << 20);
        let exit = lab.runtime.start(&module, config).unwrap().wait().await;
        assert_eq!((exit.code, exit.reason), (137, ExitReason::OomKilled));
        assert!(exit.message.contains("67108864"), "{}", exit.message);
        // The node's own limit holds as well.
        let (mut config, _) = lab.config(&pod, &["allocate"]);
        config.budget = MemoryBudget::new(32 << 20);
        let budget = config.budget.clone();
        let exit = lab.runtime.start(&module, config).unwrap().wait().await;
        assert_eq!(exit.reason, ExitReason::OomKilled);
        assert!(exit.message.contains("node"), "{}", exit.message);
        assert_eq!(budget.used(), 0);
        // What does not even fit at the start.
        let (mut config, _) = lab.config(&pod, &["print"]);
        config.memory_bytes_limit = Some(1000);
        let exit = lab.runtime.start(&module, config).unwrap().wait().await;
        assert_eq!(exit.reason, ExitReason::OomKilled, "{}", exit.message);
    }
    assert_eq!(lab.budget.used(), 0);
}

/// A module that is refused 100 pages and then does this.
fn refused_then(body: &str) -> Vec<u8> {
    core(
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
           (import "wasi_snapshot_preview1" "poll_oneoff"
             (func $poll (param i32 i32 i32 i32) (result i32)))"#,
        &format!(
            "(if (i32.ne (memory.grow (i32.const 100)) (i32.const -1)) (then (call $exit (i32.const 99))))
             {body}"
        ),
    )
}

/// Waits for 10 ms of the monotonic clock; exits with 98 if that fails.
const WAIT: &str = "(i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 10000000))
    (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))
      (then (call $exit (i32.const 98))))";
/// Gets one page, or exits with 97.
const GROW: &str = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))
    (then (call $exit (i32.const 97))))";

#[tokio::test(flavor = "multi_thread")]
async fn oom_killed_is_who_died_of_a_refusal_and_not_who_survived_one() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let killed = (137, ExitReason::OomKilled);
    for (name, body, end) in [
        ("an abort", "unreachable".to_owned(), killed),
        ("an exit code", "(call $exit (i32.const 2))".into(), killed),
        (
            "a null pointer",
            "(drop (i32.load (i32.const -1)))".into(),
            killed,
        ),
        (
            "an abort with a little more memory",
            format!("{GROW} unreachable"),
            killed,
        ),
        (
            "an exit code of who went on with less",
            format!("{GROW} (call $exit (i32.const 3))"),
            (3, ExitReason::Error),
        ),
        (
            "a wrong pointer of who went on with less",
            format!("{GROW} (drop (i32.load (i32.const -1)))"),
            (134, ExitReason::Trapped),
        ),
        (
            "an exit code after a wait",
            format!("{WAIT} (call $exit (i32.const 3))"),
            (3, ExitReason::Error),
        ),
        (
            "an abort after a wait",
            format!("{WAIT} unreachable"),
            (134, ExitReason::Trapped),
        ),
        (
            "an abort after a wait and a second refusal",
            format!("{WAIT} (drop (memory.grow (i32.const 90))) unreachable"),
            killed,
        ),
        (
            "success",
            "(call $exit (i32.const 0))".into(),
            (0, ExitReason::Completed),
        ),
    ] {
        let module = lab.module(&refused_then(&body)).await;
        let (mut config, _) = lab.config(&pod, &[]);
        config.memory_bytes_limit = Some(40 * 65_536);
        let exit = lab.runtime.start(&module, config).unwrap().wait().await;
        assert_eq!((exit.code, exit.reason), end, "{name}: {}", exit.message);
        let told = exit.message.contains("2621440 bytes reached");
        assert_eq!(told, end == killed, "{name}: {}", exit.message);
    }
}
