//! The bundled guests as the pods of a user run them: nginx in front of echo over the loopback
//! that they share, clients that reset, and the wasi:http handler.

use super::{name, open};
use crate::wasm::Log;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wkube::net::{BufferBudget, Conn, Fabric, FabricConfig, PodNet, PodNetConfig};
use wkube::oci::ImageWasm;
use wkube::wasm_runtime::{
    Container, ContainerConfig, MemoryBudget, RuntimeConfig, WasmRuntime, WasmSource,
};

struct Pod {
    runtime: Arc<WasmRuntime>,
    fabric: Arc<Fabric>,
    net: Arc<PodNet>,
    budget: Arc<MemoryBudget>,
}

impl Pod {
    fn new() -> Self {
        // One folder for all tests of a build, so that guests are compiled once.
        let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-cache");
        let config = RuntimeConfig {
            cache_dir: Some(cache),
            guest_threads: 2,
            ..RuntimeConfig::default()
        };
        let fabric = Fabric::new(FabricConfig::default());
        let net = PodNetConfig {
            id: "pod".to_owned(),
            name: "default/pod".to_owned(),
            addresses: vec![[10, 1, 0, 1].into()],
            buffers: BufferBudget::new(64 << 20),
        };
        Self {
            runtime: WasmRuntime::new(config).unwrap(),
            net: fabric.add_pod(net).unwrap(),
            fabric,
            budget: MemoryBudget::new(1 << 30),
        }
    }

    /// Starts a bundled image as the kubelet does.
    async fn start(&self, image: &str, env: &[(&str, &str)]) -> (Container, Arc<Log>) {
        let dir = tempfile::tempdir().unwrap();
        let image = open(dir.path()).get(&name(image)).unwrap().unwrap();
        let ImageWasm::Static(bytes) = image.wasm else {
            panic!("not bundled")
        };
        let source = WasmSource::Bytes(Bytes::from_static(bytes));
        let module = self
            .runtime
            .compile(image.wasm_digest, source)
            .await
            .unwrap();
        let log = Arc::new(Log::default());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let config = ContainerConfig {
            id: "id".to_owned(),
            name: "guest".to_owned(),
            args: image.entrypoint,
            env: env.iter().map(owned).collect(),
            working_dir: None,
            mounts: Vec::new(),
            stdin: false,
            stdout: log.clone(),
            stderr: log.clone(),
            memory_bytes_limit: None,
            cpu_millis_limit: None,
            net: self.net.clone(),
            http_port: 8080,
            tcp_ports: Vec::new(),
            command_set: false,
            budget: self.budget.clone(),
        };
        (self.runtime.start(&module, config).unwrap(), log)
    }

    async fn dial(&self, port: u16) -> Conn {
        let address = SocketAddr::from(([10, 1, 0, 1], port));
        loop {
            // Nobody says when a guest has begun to listen: it is asked until it answers.
            match self.fabric.dial(address).await {
                Ok(conn) => return conn,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn ask(&self, port: u16, request: &[u8]) -> String {
        let mut conn = self.dial(port).await;
        conn.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        conn.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\nUser-Agent: test\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn nginx_answers_with_what_echo_says() {
    let pod = Pod::new();
    let (_nginx, access) = pod
        .start(
            "gihyodocker/nginx:latest",
            &[("BACKEND_HOST", "localhost:8080")],
        )
        .await;
    // The backend is not there yet: an answer, not a hang.
    let answer = pod.ask(80, GET).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{answer}"
    );
    let (echo, log) = pod.start("gihyodocker/echo:latest", &[]).await;
    log.shows("start server").await;
    let answer = pod.ask(80, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello Docker!!"), "{answer}");
    log.shows("received request").await;
    access
        .shows("\"GET / HTTP/1.1\" 200 14 \"-\" \"test\"\n")
        .await;
    let mut post = b"POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 300000\r\n\r\n".to_vec();
    post.extend_from_slice(&[b'x'; 300_000]);
    assert!(pod.ask(80, &post).await.ends_with("Hello Docker!!"));
    // Many at once, half of which reset.
    let clients = (0..100).map(|number| {
        let pod = &pod;
        async move {
            if number % 2 == 0 {
                let mut conn = pod.dial(80).await;
                conn.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
                conn.abort();
            } else {
                assert!(pod.ask(80, GET).await.ends_with("Hello Docker!!"));
            }
        }
    });
    futures::future::join_all(clients).await;
    assert!(pod.ask(8080, GET).await.ends_with("Hello Docker!!"));
    // The backend goes: it is told again, and the proxy lives.
    echo.kill();
    echo.wait().await;
    assert!(
        pod.ask(80, GET)
            .await
            .starts_with("HTTP/1.1 502 Bad Gateway\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handler_greets() {
    let pod = Pod::new();
    let (_http, _log) = pod.start("wkube/wasm-http", &[]).await;
    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = pod.ask(8080, get).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("Hello Docker!!"), "{answer}");
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = pod.ask(8080, head).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}
