//! Guests: worlds, exit codes, sockets, limits, hostile modules. Trivial guests are written here as
//! text; the others are built from `tests/guests/` and lie there as `prebuilt/`.

mod handlers;
mod https;
mod memory;

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wkube::net::{BufferBudget, Conn, Fabric, FabricConfig, PodNet, PodNetConfig};
use wkube::stdx::Digest;
use wkube::wasm_runtime::{
    Container, ContainerConfig, Exit, ExitReason, MemoryBudget, Module, Mount, NullSink,
    OutputSink, RuntimeConfig, RuntimeError, WasmRuntime, WasmSource, World,
};

const TOOL2: &[u8] = include_bytes!("../../guests/prebuilt/tool-p2.wasm");
const TOOL1: &[u8] = include_bytes!("../../guests/prebuilt/tool-p1.wasm");
const HTTP: &[u8] = include_bytes!("../../guests/prebuilt/http.wasm");

/// What a guest printed, and somebody who waits for it.
#[derive(Default)]
pub(crate) struct Log {
    bytes: parking_lot::Mutex<Vec<u8>>,
    more: tokio::sync::Notify,
}

impl OutputSink for Log {
    fn write(&self, bytes: &[u8]) {
        self.bytes.lock().extend_from_slice(bytes);
        self.more.notify_waiters();
    }
}

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    pub(crate) async fn shows(&self, what: &str) {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.text().contains(what) {
                return;
            }
            more.await;
        }
    }
}

/// A runtime, a network and pods on it.
struct Lab {
    runtime: Arc<WasmRuntime>,
    fabric: Arc<Fabric>,
    budget: Arc<MemoryBudget>,
    cache: tempfile::TempDir,
}

/// One folder for all tests of a build, so that guests are compiled once. The cache checks itself.
fn shared_cache() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-cache")
}

impl Lab {
    fn new() -> Self {
        Self::with(|config| config.cache_dir = Some(shared_cache()))
    }

    fn with(change: impl FnOnce(&mut RuntimeConfig)) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let mut config = RuntimeConfig {
            cache_dir: Some(cache.path().join("code")),
            guest_threads: 2,
            compile_jobs: 2,
            ..RuntimeConfig::default()
        };
        change(&mut config);
        Self {
            runtime: WasmRuntime::new(config).unwrap(),
            fabric: Fabric::new(FabricConfig::default()),
            budget: MemoryBudget::new(16 << 30),
            cache,
        }
    }

    fn pod(&self, last: u8) -> Arc<PodNet> {
        let addresses: Vec<IpAddr> = vec![
            [10, 1, 0, last].into(),
            format!("fd00::{last}").parse().unwrap(),
        ];
        self.fabric
            .add_pod(PodNetConfig {
                id: format!("pod-{last}"),
                name: format!("default/pod-{last}"),
                addresses,
                buffers: BufferBudget::new(64 << 20),
            })
            .unwrap()
    }

    async fn module(&self, wasm: &[u8]) -> Arc<Module> {
        let source = WasmSource::Bytes(Bytes::copy_from_slice(wasm));
        self.runtime
            .compile(Digest::of(wasm), source)
            .await
            .unwrap()
    }

    fn config(&self, net: &Arc<PodNet>, args: &[&str]) -> (ContainerConfig, Arc<Log>) {
        let log = Arc::new(Log::default());
        let mut all = vec!["guest".to_owned()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let config = ContainerConfig {
            id: "id".into(),
            name: "guest".into(),
            args: all,
            env: Vec::new(),
            working_dir: None,
            mounts: Vec::new(),
            stdin: false,
            stdout: log.clone(),
            stderr: log.clone(),
            memory_bytes_limit: None,
            cpu_millis_limit: None,
            net: net.clone(),
            http_port: 8080,
            tcp_ports: Vec::new(),
            command_set: false,
            budget: self.budget.clone(),
        };
        (config, log)
    }

    async fn start(&self, wasm: &[u8], net: &Arc<PodNet>, args: &[&str]) -> (Container, Arc<Log>) {
        let module = self.module(wasm).await;
        let (config, log) = self.config(net, args);
        (self.runtime.start(&module, config).unwrap(), log)
    }

    async fn run(&self, wasm: &[u8], args: &[&str]) -> (Exit, String) {
        let pod = self.pod(99);
        let (container, log) = self.start(wasm, &pod, args).await;
        let exit = container.wait().await;
        self.fabric.remove_pod("pod-99");
        (exit, log.text())
    }

    async fn dial(&self, to: &str) -> Conn {
        self.fabric
            .dial(to.parse::<SocketAddr>().unwrap())
            .await
            .unwrap()
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A preview-1 module with this body of `_start`.
fn core(imports: &str, body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module {imports} (memory (export "memory") 1) (func (export "_start") {body}))"#
    ))
}

async fn ask(conn: &mut Conn, what: &[u8]) -> Vec<u8> {
    conn.write_all(what).await.unwrap();
    let mut answer = vec![0; what.len()];
    conn.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_std_sockets_serves_on_its_pods_network() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let (container, log) = lab.start(TOOL2, &pod, &["echo", "0.0.0.0:8080"]).await;
    log.shows("listening").await;
    let mut conn = lab.dial("10.1.0.1:8080").await;
    assert_eq!(ask(&mut conn, b"hello").await, b"hello");
    container.kill();
    let exit = container.wait().await;
    assert_eq!((exit.code, exit.reason), (137, ExitReason::Killed));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_reasons() {
    let lab = Lab::new();
    let exit_with = |code: i32| {
        core(
            r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#,
            &format!("(call $exit (i32.const {code}))"),
        )
    };
    for code in [0, 1, 3, 125, 126, 137, 255] {
        let (exit, _) = lab.run(&exit_with(code), &[]).await;
        assert_eq!(exit.code, code);
        assert_eq!(exit.reason == ExitReason::Completed, code == 0);
    }
    let (exit, _) = lab.run(&core("", ""), &[]).await;
    assert_eq!(exit.reason, ExitReason::Completed);
    for (body, says) in [
        ("unreachable", "unreachable"),
        (
            "(drop (i32.load (i32.const 0x7fffffff)))",
            "out of bounds memory",
        ),
        (
            "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
            "divide by zero",
        ),
    ] {
        let (exit, _) = lab.run(&core("", body), &[]).await;
        assert_eq!(
            (exit.code, exit.reason),
            (134, ExitReason::Trapped),
            "{body}"
        );
        assert!(exit.message.contains(says), "{}", exit.message);
    }
    let (exit, _) = lab.run(TOOL2, &["exit", "7"]).await;
    assert_eq!((exit.code, exit.reason), (1, ExitReason::Error));
    let (exit, _) = lab.run(TOOL1, &["exit", "7"]).await;
    assert_eq!((exit.code, exit.reason), (7, ExitReason::Error));
    let (exit, text) = lab.run(TOOL2, &["panic"]).await;
    assert_eq!(exit.reason, ExitReason::Trapped);
    assert!(text.contains("as asked"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_environment_and_output_reach_both_worlds() {
    let lab = Lab::new();
    for tool in [TOOL1, TOOL2] {
        let pod = lab.pod(1);
        let module = lab.module(tool).await;
        let (mut config, log) = lab.config(&pod, &["print", "one", "two words"]);
        config.env = vec![("A".into(), "1".into()), ("B".into(), "ü".into())];
        config.working_dir = Some("/srv".into());
        let exit = lab.runtime.start(&module, config).unwrap().wait().await;
        let text = log.text();
        assert_eq!(exit.code, 0, "{text}");
        assert!(text.contains(r#"args ["one", "two words"]"#), "{text}");
        assert!(
            text.contains(r#"("A", "1"), ("B", "ü"), ("PWD", "/srv")"#),
            "{text}"
        );
        assert!(text.contains("to stderr"), "{text}");
        lab.fabric.remove_pod("pod-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_see_their_mounts_and_nothing_else() {
    let lab = Lab::new();
    for (tool, read_only) in [(TOOL1, false), (TOOL2, false), (TOOL1, true), (TOOL2, true)] {
        let pod = lab.pod(1);
        let module = lab.module(tool).await;
        let folder = tempfile::tempdir().unwrap();
        let (mut config, log) = lab.config(&pod, &["files", "/data"]);
        config.mounts = vec![Mount {
            host: folder.path().into(),
            guest: "/data".into(),
            read_only,
        }];
        lab.runtime.start(&module, config).unwrap().wait().await;
        let text = log.text();
        assert_eq!(text.contains("wrote written"), !read_only, "{text}");
        assert_eq!(folder.path().join("file").exists(), !read_only);
        assert!(text.contains("root Err"), "{text}");
        lab.fabric.remove_pod("pod-1");
    }
    let pod = lab.pod(2);
    let module = lab.module(TOOL2).await;
    let (mut config, _) = lab.config(&pod, &["files", "/data"]);
    config.mounts = vec![Mount {
        host: "/nowhere/at/all".into(),
        guest: "/data".into(),
        read_only: true,
    }];
    let exit = lab.runtime.start(&module, config).unwrap().wait().await;
    assert_eq!(exit.code, 128);
    assert!(exit.message.contains("volume /data"), "{}", exit.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_a_pipe_that_ends() {
    let lab = Lab::new();
    for tool in [TOOL1, TOOL2] {
        let pod = lab.pod(1);
        let module = lab.module(tool).await;
        let (mut config, log) = lab.config(&pod, &["stdin"]);
        config.stdin = true;
        let container = lab.runtime.start(&module, config).unwrap();
        let stdin = container.stdin().unwrap();
        stdin
            .write_all(Bytes::from_static(b"some text"))
            .await
            .unwrap();
        stdin.close();
        assert_eq!(container.wait().await.code, 0);
        assert!(log.text().contains(r#"read "some text""#), "{}", log.text());
        lab.fabric.remove_pod("pod-1");
    }
    let (exit, text) = lab.run(TOOL2, &["stdin"]).await;
    assert_eq!(exit.code, 0);
    assert!(text.contains(r#"read """#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_told_before_it_starts() {
    let lab = Lab::new();
    let compile = async |wasm: &[u8]| {
        let source = WasmSource::Bytes(Bytes::copy_from_slice(wasm));
        lab.runtime.compile(Digest::of(wasm), source).await
    };
    let unknown = core(r#"(import "env" "frobnicate" (func))"#, "");
    let error = compile(&unknown).await.unwrap_err();
    assert!(matches!(error, RuntimeError::UnknownImports(_)), "{error}");
    assert!(error.to_string().contains("frobnicate"), "{error}");
    let error = compile(b"\x7fELF and so on").await.unwrap_err();
    assert!(error.to_string().contains("Linux executable"), "{error}");
    let error = compile(&wat("(module)")).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NoEntry(_)), "{error}");
    let mut broken = TOOL1.to_vec();
    broken.truncate(5000);
    let error = compile(&broken).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Compile(_)), "{error}");
    let other = WasmSource::Bytes(Bytes::from_static(TOOL1));
    let error = lab
        .runtime
        .compile(Digest::of(b"other"), other)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::Digest(_)), "{error}");
    assert_eq!(lab.module(TOOL1).await.world(), World::Preview1Command);
    assert_eq!(lab.module(TOOL2).await.world(), World::CliRun);
    assert_eq!(lab.module(HTTP).await.world(), World::HttpHandler);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_compile_per_digest_and_damaged_code_is_built_anew() {
    let lab = Lab::with(|_| {});
    let code = lab.cache.path().join("code");
    let wasm = core("", "nop");
    let many = (0..8).map(|_| lab.module(&wasm));
    futures::future::join_all(many).await;
    assert_eq!(lab.runtime.modules_compiled(), 1);
    let again = |code: std::path::PathBuf| {
        let wasm = wasm.clone();
        async move {
            let lab = Lab::with(|config| config.cache_dir = Some(code));
            let (exit, _) = lab.run(&wasm, &[]).await;
            assert_eq!(exit.code, 0);
            lab.runtime.modules_compiled()
        }
    };
    assert_eq!(again(code.clone()).await, 0, "found on disk");
    use std::os::unix::fs::PermissionsExt;
    for file in std::fs::read_dir(&code).unwrap() {
        let path = file.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 0x55;
        for damage in [bad, good[..good.len() / 2].to_vec(), Vec::new()] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(again(code.clone()).await, 1, "rebuilt");
            assert_eq!(again(code.clone()).await, 0, "kept again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pods_talk_and_the_addresses_are_theirs() {
    let lab = Lab::new();
    let (one, two) = (lab.pod(1), lab.pod(2));
    let (server, log) = lab.start(TOOL2, &one, &["echo", "0.0.0.0:7"]).await;
    log.shows("listening").await;
    let (client, said) = lab.start(TOOL2, &two, &["ask", "10.1.0.1:7", "hi"]).await;
    assert_eq!(client.wait().await.code, 0, "{}", said.text());
    let text = said.text();
    assert!(text.contains("from 10.1.0.2:"), "{text}");
    assert!(text.contains("to 10.1.0.1:7"), "{text}");
    assert!(text.contains("answer hi"), "{text}");
    // Loopback is the pod's own; a name of the loopback finds it; others are refused.
    let (client, said) = lab.start(TOOL2, &one, &["ask", "localhost:7", "me"]).await;
    assert_eq!(client.wait().await.code, 0, "{}", said.text());
    assert!(said.text().contains("answer me"), "{}", said.text());
    for (to, what) in [
        ("127.0.0.1:7", "ConnectionRefused"),
        ("10.1.0.1:8", "ConnectionRefused"),
        // Not the cluster's, and nothing outside is granted.
        ("192.0.2.1:8", "PermissionDenied"),
    ] {
        let (client, said) = lab.start(TOOL2, &two, &["try", to]).await;
        client.wait().await;
        assert!(said.text().contains(what), "{to}: {}", said.text());
    }
    server.kill();
    server.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_udp_and_names() {
    let lab = Lab::new();
    let (one, two) = (lab.pod(1), lab.pod(2));
    let (tcp, log) = lab.start(TOOL2, &one, &["echo", "[::]:7"]).await;
    log.shows("listening").await;
    let (client, said) = lab.start(TOOL2, &two, &["ask", "[fd00::1]:7", "six"]).await;
    assert_eq!(client.wait().await.code, 0, "{}", said.text());
    assert!(said.text().contains("answer six"), "{}", said.text());
    let (udp, log) = lab.start(TOOL2, &one, &["udp-echo", "0.0.0.0:9"]).await;
    log.shows("ready").await;
    let (client, said) = lab
        .start(TOOL2, &two, &["udp-ask", "10.1.0.1:9", "dgram"])
        .await;
    assert_eq!(client.wait().await.code, 0, "{}", said.text());
    assert!(said.text().contains("answer dgram"), "{}", said.text());
    let (exit, text) = lab.run(TOOL2, &["resolve", "localhost:5"]).await;
    assert_eq!(exit.code, 0);
    assert!(text.contains("127.0.0.1:5"), "{text}");
    let (_, text) = lab.run(TOOL2, &["resolve", "no.such.name:5"]).await;
    assert!(text.contains("unknown"), "{text}");
    tcp.kill();
    udp.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_reset_do_not_end_the_guest() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let (container, log) = lab.start(TOOL2, &pod, &["echo", "0.0.0.0:8080"]).await;
    log.shows("listening").await;
    let mut kept = Vec::new();
    for n in 0..200 {
        let mut conn = lab.dial("10.1.0.1:8080").await;
        match n % 4 {
            0 => conn.abort(),
            1 => {
                conn.write_all(b"data").await.unwrap();
                conn.abort();
            }
            _ => kept.push(conn),
        }
    }
    assert_eq!(kept.len(), 100);
    for conn in &mut kept {
        assert_eq!(ask(conn, b"here").await, b"here");
    }
    assert_eq!(container.exit(), None);
    container.kill();
    container.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_served_connections_and_only_for_them() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let (container, log) = lab.start(TOOL2, &pod, &["echo", "0.0.0.0:8080"]).await;
    log.shows("listening").await;
    let mut conn = lab.dial("10.1.0.1:8080").await;
    assert_eq!(ask(&mut conn, b"one").await, b"one");
    container.request_stop();
    while pod.open_listeners() > 0 {
        tokio::task::yield_now().await;
    }
    let to = "10.1.0.1:8080".parse::<SocketAddr>().unwrap();
    assert!(lab.fabric.dial(to).await.is_err());
    assert_eq!(ask(&mut conn, b"two").await, b"two");
    assert_eq!(container.exit(), None);
    drop(conn);
    let exit = container.wait().await;
    assert_eq!((exit.code, exit.reason), (143, ExitReason::Stopped));
    assert_eq!(pod.open_connections(), 0);
    // A guest that serves nobody ends at once.
    let (container, log) = lab.start(TOOL2, &pod, &["spin"]).await;
    log.shows("spinning").await;
    container.request_stop();
    assert_eq!(container.wait().await.code, 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_served_while_guests_spin_and_spam() {
    let lab = Lab::new();
    let (one, two) = (lab.pod(1), lab.pod(2));
    let (echo, log) = lab.start(TOOL2, &one, &["echo", "0.0.0.0:7"]).await;
    log.shows("listening").await;
    let mut bad = Vec::new();
    for tool in [TOOL1, TOOL2] {
        for _ in 0..2 {
            let (spinner, log) = lab.start(tool, &two, &["spin"]).await;
            log.shows("spinning").await;
            bad.push(spinner);
        }
        let module = lab.module(tool).await;
        let (mut config, _) = lab.config(&two, &["spam"]);
        config.stdout = Arc::new(NullSink);
        bad.push(lab.runtime.start(&module, config).unwrap());
    }
    for _ in 0..20 {
        let mut conn = lab.dial("10.1.0.1:7").await;
        assert_eq!(ask(&mut conn, b"hello").await, b"hello");
    }
    for container in &bad {
        container.kill();
    }
    for container in &bad {
        assert_eq!(container.wait().await.code, 137);
    }
    assert_eq!(echo.exit(), None);
    echo.kill();
    echo.wait().await;
    assert_eq!(lab.runtime.sandboxes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion_and_sockets_without_end_hurt_the_guest_alone() {
    let lab = Lab::new();
    for tool in [TOOL1, TOOL2] {
        let (exit, _) = lab.run(tool, &["recurse"]).await;
        assert_eq!(exit.reason, ExitReason::Trapped, "{}", exit.message);
    }
    let pod = lab.pod(1);
    let (container, log) = lab.start(TOOL2, &pod, &["sockets"]).await;
    let exit = container.wait().await;
    assert!(
        log.text().contains("listeners, then"),
        "{exit:?} {}",
        log.text()
    );
    assert_eq!(pod.open_listeners(), 0);
    let (server, log) = lab.start(TOOL2, &pod, &["echo", "0.0.0.0:7"]).await;
    log.shows("listening").await;
    let other = lab.pod(2);
    let (client, log) = lab.start(TOOL2, &other, &["connects", "10.1.0.1:7"]).await;
    let exit = client.wait().await;
    assert!(
        log.text().contains("connections, then"),
        "{exit:?} {}",
        log.text()
    );
    server.kill();
    server.wait().await;
    assert_eq!((pod.open_connections(), other.open_connections()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpu_limit_slows_a_guest_down() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let module = lab.module(TOOL2).await;
    let (mut config, _) = lab.config(&pod, &["spin"]);
    config.cpu_millis_limit = Some(50);
    let limited = lab.runtime.start(&module, config).unwrap();
    let (free, log) = lab.start(TOOL2, &pod, &["spin"]).await;
    log.shows("spinning").await;
    // Both have a processor to themselves; when one has used 300 ms, the other may have had a
    // twentieth and what its first turns overran.
    while free.stats().cpu_nanos < 300_000_000 {
        tokio::task::yield_now().await;
    }
    let used = limited.stats().cpu_nanos;
    assert!(used < 150_000_000, "{used}");
    assert!(free.stats().memory_bytes > 0);
    free.kill();
    limited.kill();
    free.wait().await;
    assert_eq!(limited.wait().await.code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_module_serves_on_the_listener_that_it_is_handed() {
    let lab = Lab::new();
    let module = lab.module(TOOL1).await;
    let folder = tempfile::tempdir().unwrap();
    for (n, mounts) in [(1, 0), (2, 1), (3, 2)] {
        let pod = lab.pod(n);
        let fd = (3 + mounts).to_string();
        let (mut config, log) = lab.config(&pod, &["echo-fd", &fd]);
        config.tcp_ports = vec![8080];
        config.mounts = (0..mounts)
            .map(|n| Mount {
                host: folder.path().into(),
                guest: format!("/data{n}"),
                read_only: true,
            })
            .collect();
        let container = lab.runtime.start(&module, config).unwrap();
        log.shows("listening").await;
        let mut kept = Vec::new();
        for n in 0..40 {
            let mut conn = lab.dial(&format!("{}:8080", pod.addresses()[0])).await;
            if n % 2 == 0 {
                conn.abort();
            } else {
                assert_eq!(ask(&mut conn, b"hello").await, b"hello");
                kept.push(conn);
            }
        }
        for conn in &mut kept {
            assert_eq!(ask(conn, &[7; 30_000]).await, [7; 30_000]);
        }
        container.request_stop();
        drop(kept);
        assert_eq!(container.wait().await.code, 143, "{}", log.text());
    }
    let pod = lab.pod(9);
    let (mut config, log) = lab.config(&pod, &["print"]);
    config.tcp_ports = vec![80, 81];
    lab.runtime.start(&module, config).unwrap().wait().await;
    let text = log.text();
    assert!(text.contains(r#"("LISTEN_FDS", "2")"#), "{text}");
    assert!(text.contains(r#"("LISTEN_FDS_FIRST", "3")"#), "{text}");
    assert!(text.contains(r#"("LISTEN_FDNAMES", "80:81")"#), "{text}");
}

/// Opens, binds, listens, accepts, echoes one message and ends, by WasmEdge's calls; then asks
/// itself whether the peer's port was told.
const WASMEDGE_ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "sock_open" (func $open (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_bind" (func $bind (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_listen" (func $listen (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send"
    (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_getpeeraddr"
    (func $peer (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; 0: descriptor; 8: address {pointer 16, length 4}; 16: 0.0.0.0; 32: iovec {64, 1000}; 40: length
  (data (i32.const 8) "\10\00\00\00\04\00\00\00")
  (data (i32.const 32) "\40\00\00\00\e8\03\00\00")
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start")
    (call $must (call $open (i32.const 1) (i32.const 2) (i32.const 0)))
    (call $must (call $bind (i32.load (i32.const 0)) (i32.const 8) (i32.const 7)))
    (call $must (call $listen (i32.load (i32.const 0)) (i32.const 8)))
    (call $must (call $accept (i32.load (i32.const 0)) (i32.const 4)))
    (call $must (call $recv (i32.load (i32.const 4)) (i32.const 32) (i32.const 1) (i32.const 0)
      (i32.const 40) (i32.const 44)))
    (i32.store (i32.const 36) (i32.load (i32.const 40)))
    (call $must (call $send (i32.load (i32.const 4)) (i32.const 32) (i32.const 1) (i32.const 0)
      (i32.const 40)))
    (call $must (call $peer (i32.load (i32.const 4)) (i32.const 8) (i32.const 48) (i32.const 52)))
    (if (i32.ne (i32.load (i32.const 48)) (i32.const 4)) (then (call $exit (i32.const 99))))
    (if (i32.eqz (i32.load (i32.const 52))) (then (call $exit (i32.const 98))))))"#;

#[tokio::test(flavor = "multi_thread")]
async fn wasmedges_socket_calls_are_served_and_wrong_pointers_are_errors() {
    let lab = Lab::new();
    let pod = lab.pod(1);
    let (container, _) = lab.start(&wat(WASMEDGE_ECHO), &pod, &[]).await;
    while pod.open_listeners() == 0 {
        tokio::task::yield_now().await;
    }
    let mut conn = lab.dial("10.1.0.1:7").await;
    assert_eq!(ask(&mut conn, b"edge").await, b"edge");
    assert_eq!(container.wait().await.code, 0);
    // EFAULT (21), and EBADF's kin for what is no socket (57).
    for (call, code) in [
        (
            "(call $bind (i32.const 5) (i32.const -4) (i32.const 80))",
            21,
        ),
        (
            "(call $open (i32.const 1) (i32.const 2) (i32.const -1))",
            21,
        ),
        ("(call $listen (i32.const 5) (i32.const 8))", 57),
    ] {
        let imports = r#"
          (import "wasi_snapshot_preview1" "sock_open" (func $open (param i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "sock_bind" (func $bind (param i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "sock_listen" (func $listen (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
        let (exit, _) = lab
            .run(&core(imports, &format!("(call $exit {call})")), &[])
            .await;
        assert_eq!(exit.code, code, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_pool_runs_all_the_same() {
    let lab = Lab::new();
    let run = async |name: &str, text: &str| {
        let (exit, _) = lab.run(&wat(text), &[]).await;
        assert_eq!(exit.code, 0, "{name}: {}", exit.message);
    };
    let start = r#"(memory (export "memory") 1) (func (export "_start") nop)"#;
    run(
        "a large table",
        &format!("(module (table 50000 funcref) {start})"),
    )
    .await;
    run(
        "two memories",
        &format!("(module (memory 1) (memory 1) {start})"),
    )
    .await;
    run(
        "a collected heap",
        r#"(module (type $pair (struct (field i32) (field i32))) (memory (export "memory") 1)
           (func (export "_start") (drop (struct.new $pair (i32.const 1) (i32.const 2)))))"#,
    )
    .await;
    // More than the first pools hold.
    let pod = lab.pod(1);
    let module = lab.module(TOOL1).await;
    let mut sleeping = Vec::new();
    for _ in 0..700 {
        let (config, log) = lab.config(&pod, &["sleep"]);
        sleeping.push((lab.runtime.start(&module, config).unwrap(), log));
    }
    for (container, log) in &sleeping {
        log.shows("sleeping").await;
        container.kill();
    }
    for (container, _) in &sleeping {
        assert_eq!(container.wait().await.code, 137);
    }
    assert_eq!(lab.runtime.sandboxes(), 0);
    assert_eq!(lab.budget.used(), 0);
}
