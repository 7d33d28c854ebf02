//! Probes of running pods, answered by servers in the pods' own networks: what is asked, what is
//! said of the answers, and what follows.

use super::cluster::{Cluster, condition, is_ready};
use super::status;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use wkube::net::Listener;
use wkube::stdx::BoxStream;

type Body = BoxBody<Bytes, Infallible>;

/// What a server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

/// A server in a pod's network, as if a guest of the pod were one.
pub(super) struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    listener: Arc<Listener>,
}

pub(super) fn ok() -> Response<Body> {
    answer(200, "fine")
}

fn answer(status: u16, body: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).boxed();
    Response::builder().status(status).body(body).unwrap()
}

impl Server {
    /// Listens at `port` of `pod`, once that has a network. Speaks HTTP/1.1 and HTTP/2.
    pub(super) async fn start(
        cluster: &Cluster,
        pod: &Value,
        port: u16,
        answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        Self::with(cluster, pod, port, None, answer).await
    }

    /// The same with TLS, if `tls` says how.
    async fn with(
        cluster: &Cluster,
        pod: &Value,
        port: u16,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let net = loop {
            if let Some(net) = cluster.fabric.pod(uid) {
                break net;
            }
            cluster.clock.sleep(Duration::from_millis(1)).await;
        };
        let address = SocketAddr::new(net.addresses()[0], port);
        let listener = net.listen(address, 16).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (own, heard) = (listener.clone(), asked.clone());
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok(conn) = own.accept().await {
                let (heard, answer) = (heard.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (heard, answer) = (heard.clone(), answer.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let asked = Asked {
                            path: head.uri.path_and_query().unwrap().to_string(),
                            headers: head.headers,
                            body: body.collect().await.unwrap().to_bytes(),
                        };
                        heard.lock().push(asked.clone());
                        Ok::<_, Infallible>(answer(&asked))
                    }
                });
                let executor = TokioExecutor::new();
                let builder = hyper_util::server::conn::auto::Builder::new(executor);
                let tls = tls.clone();
                tokio::spawn(async move {
                    let io: BoxStream = match tls {
                        None => Box::new(conn),
                        Some(tls) => match tls.accept(conn).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    let _ = builder.serve_connection(TokioIo::new(io), service).await;
                });
            }
        });
        Self { asked, listener }
    }

    pub(super) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    pub(super) fn close(&self) {
        self.listener.close();
    }
}

fn spec(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("c");
    container["image"] = json!("app:1");
    json!({"containers": [container]})
}

/// The message of the pod's condition of that type.
fn message(pod: &Value, kind: &str) -> String {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|c| c["type"] == kind).unwrap();
    format!(
        "{}: {}",
        found["reason"].as_str().unwrap(),
        found["message"].as_str().unwrap()
    )
}

#[tokio::test(start_paused = true)]
async fn a_readiness_probe_by_http_decides_who_is_ready() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let made = cluster
        .pod("p", &[], spec(json!({"ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": {"periodSeconds": 2, "failureThreshold": 2, "httpGet": {
                "path": "/healthz?full=1", "port": "web",
                "httpHeaders": [{"name": "X-Key", "value": "v"}, {"name": "Host", "value": "me"}]}}})))
        .await;
    let code = Arc::new(AtomicU16::new(503));
    let told = code.clone();
    let server = Server::start(&cluster, &made, 8080, move |_| {
        answer(told.load(Relaxed), "")
    })
    .await;
    let runs = |pod: &Value| status(pod)["state"]["running"].is_object();
    let pod = cluster.until("p", runs).await;
    assert_eq!(
        (&status(&pod)["ready"], &status(&pod)["started"]),
        (&json!(false), &json!(true))
    );
    let words = "ContainersNotReady: containers with unready status: [c]";
    assert_eq!(message(&pod, "Ready"), words);
    assert_eq!(message(&pod, "ContainersReady"), words);
    assert_eq!(condition(&pod, "Initialized"), "True");
    cluster.clock.sleep(Duration::from_secs(3)).await;
    assert!(!is_ready(&cluster.get("p").await.unwrap()));
    code.store(204, Relaxed);
    cluster.until("p", is_ready).await;
    let asked = &server.requests()[0];
    assert_eq!(asked.path, "/healthz?full=1");
    let header = |name: &str| asked.headers[name].to_str().unwrap();
    assert_eq!(header("user-agent"), "kube-probe/1.36");
    assert_eq!(
        (
            header("x-key"),
            header("host"),
            header("accept"),
            header("connection")
        ),
        ("v", "me", "*/*", "close")
    );
    // Two failures in a row and not one.
    code.store(500, Relaxed);
    let begun = cluster.clock.now();
    let pod = cluster.until("p", |pod| !is_ready(pod)).await;
    let took = cluster.clock.now().duration_since(begun).as_secs();
    assert!((2..=4).contains(&took), "{took}");
    assert_eq!(status(&pod)["restartCount"], 0);
    let events = cluster.events("p").await;
    for code in [503, 500] {
        let wanted = format!(
            "Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: {code}"
        );
        assert!(events.contains(&wanted), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_live_is_restarted() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let probe =
        json!({"periodSeconds": 1, "failureThreshold": 2, "httpGet": {"port": 8080, "path": "/"}});
    cluster
        .pod("p", &[], spec(json!({"livenessProbe": probe})))
        .await;
    let pod = cluster
        .until("p", |pod| status(pod)["restartCount"] == 1)
        .await;
    let last = &status(&pod)["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 143);
    let ip = pod["status"]["podIP"].as_str().unwrap();
    let events = cluster.events("p").await;
    for wanted in [
        format!(
            "Warning Unhealthy: Liveness probe failed: Get \"http://{ip}:8080/\": dial tcp {ip}:8080: connect: connection refused"
        ),
        "Normal Killing: Container c failed liveness probe, will be restarted".to_owned(),
    ] {
        assert!(events.contains(&wanted), "{events:#?}");
    }
    // It goes on, slower and slower.
    let waits = |pod: &Value| status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    cluster.until("p", waits).await;
    // One that answers stays, and one that answers too late does not.
    for (name, delay, lives) in [("quick", 0, true), ("slow", 3, false)] {
        let probe = json!({"periodSeconds": 4, "timeoutSeconds": 2, "failureThreshold": 1,
            "initialDelaySeconds": 1, "httpGet": {"port": 80}});
        let made = cluster
            .pod(name, &[], spec(json!({"livenessProbe": probe})))
            .await;
        let uid = made["metadata"]["uid"].as_str().unwrap();
        cluster.until(name, is_ready).await;
        let net = cluster.fabric.pod(uid).unwrap();
        let listener = net
            .listen(SocketAddr::new(net.addresses()[0], 80), 4)
            .unwrap();
        let clock = cluster.clock.clone();
        tokio::spawn(async move {
            while let Ok(mut conn) = listener.accept().await {
                clock.sleep(Duration::from_secs(delay)).await;
                let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let _ = tokio::io::AsyncWriteExt::write_all(&mut conn, ok).await;
                clock.sleep(Duration::from_millis(10)).await;
            }
        });
        cluster.clock.sleep(Duration::from_secs(20)).await;
        let pod = cluster.get(name).await.unwrap();
        assert_eq!(status(&pod)["restartCount"] == 0, lives, "{name}");
        let ip = pod["status"]["podIP"].as_str().unwrap();
        let wanted = format!(
            "Warning Unhealthy: Liveness probe failed: Get \"http://{ip}:80/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        );
        let events = cluster.events(name).await;
        assert_eq!(events.contains(&wanted), !lives, "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_asked_before_a_container_has_started() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let made = cluster
        .pod(
            "p",
            &[],
            spec(json!({
            "startupProbe": {"periodSeconds": 1, "failureThreshold": 30, "tcpSocket": {"port": 90}},
            "livenessProbe": {"periodSeconds": 1, "failureThreshold": 1, "httpGet": {"port": 80}},
            "readinessProbe": {"periodSeconds": 1, "httpGet": {"port": 80}}})),
        )
        .await;
    let server = Server::start(&cluster, &made, 80, |_| ok()).await;
    cluster.clock.sleep(Duration::from_secs(10)).await;
    let pod = cluster.get("p").await.unwrap();
    assert_eq!(
        (&status(&pod)["ready"], &status(&pod)["started"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(server.requests().len(), 0);
    let ip = pod["status"]["podIP"].as_str().unwrap();
    let events = cluster.events("p").await;
    let wanted = format!(
        "Warning Unhealthy: Startup probe failed: dial tcp {ip}:90: connect: connection refused"
    );
    assert!(events.contains(&wanted), "{events:#?}");
    let _start = Server::start(&cluster, &made, 90, |_| ok()).await;
    let pod = cluster.until("p", is_ready).await;
    assert_eq!(
        (&status(&pod)["started"], &status(&pod)["restartCount"]),
        (&json!(true), &json!(0))
    );
    // One that never starts is ended.
    let never = json!({"startupProbe": {"periodSeconds": 1, "tcpSocket": {"port": 90}}});
    cluster.pod("never", &[], spec(never)).await;
    cluster
        .until("never", |pod| status(pod)["restartCount"] == 1)
        .await;
    let events = cluster.events("never").await;
    let wanted = "Normal Killing: Container c failed startup probe, will be restarted";
    assert!(events.contains(&wanted.to_owned()), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_on_the_same_host_only() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    for (name, to, words) in [
        ("same", "/end", None),
        (
            "other",
            "http://other.example/",
            Some(
                "ProbeWarning: Readiness probe warning: Probe terminated redirects, Response body: moved",
            ),
        ),
        ("circle", "/again", Some("stopped after 10 redirects")),
    ] {
        let probe = json!({"readinessProbe": {"periodSeconds": 1, "httpGet": {"port": 80}}});
        let made = cluster.pod(name, &[], spec(probe)).await;
        let server = Server::start(&cluster, &made, 80, move |asked| {
            if asked.path == "/end" {
                return ok();
            }
            let mut answer = answer(302, "moved");
            answer.headers_mut().insert("location", to.parse().unwrap());
            answer
        })
        .await;
        if name == "circle" {
            cluster.clock.sleep(Duration::from_secs(3)).await;
            assert!(!is_ready(&cluster.get(name).await.unwrap()));
        } else {
            cluster.until(name, is_ready).await;
        }
        if name == "same" {
            let paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
            assert_eq!(paths[..2], ["/", "/end"]);
        }
        let events = cluster.events(name).await;
        let told = events
            .iter()
            .any(|event| words.is_some_and(|words| event.contains(words)));
        assert_eq!(told, words.is_some(), "{events:#?}");
    }
}

/// `HealthCheckResponse` with that status, as gRPC frames it.
fn health(status: u8) -> Response<Body> {
    let message = Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]));
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let frames = [Ok(message), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures::stream::iter(frames)).boxed();
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_probe_by_grpc_asks_for_the_health_of_a_service() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let probe =
        json!({"readinessProbe": {"periodSeconds": 1, "grpc": {"port": 50051, "service": "cart"}}});
    let made = cluster.pod("p", &[], spec(probe)).await;
    let state = Arc::new(AtomicU16::new(2));
    let told = state.clone();
    let server = Server::start(&cluster, &made, 50051, move |_| {
        health(told.load(Relaxed) as u8)
    })
    .await;
    cluster.clock.sleep(Duration::from_secs(3)).await;
    let pod = cluster.get("p").await.unwrap();
    assert!(!is_ready(&pod));
    let events = cluster.events("p").await;
    let wanted = "Warning Unhealthy: Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")";
    assert!(events.contains(&wanted.to_owned()), "{events:#?}");
    state.store(1, Relaxed);
    cluster.until("p", is_ready).await;
    let asked = &server.requests()[0];
    assert_eq!(asked.path, "/grpc.health.v1.Health/Check");
    assert_eq!(&asked.body[..], b"\0\0\0\0\x06\x0a\x04cart");
    server.close();
    let pod = cluster.until("p", |pod| !is_ready(pod)).await;
    let ip = pod["status"]["podIP"].as_str().unwrap();
    let events = cluster.events("p").await;
    let wanted = format!(
        "Warning Unhealthy: Readiness probe failed: timeout: failed to connect service \"{ip}:50051\" within 1s: context deadline exceeded"
    );
    assert!(events.contains(&wanted), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_speaks_no_grpc_is_told_as_kubernetes_tells_it() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let probe = json!({"readinessProbe": {"periodSeconds": 1, "grpc": {"port": 80}}});
    for name in ["plain", "other"] {
        let made = cluster.pod(name, &[], spec(probe.clone())).await;
        let uid = made["metadata"]["uid"].as_str().unwrap();
        let _server = if name == "other" {
            // HTTP/2, and no such service.
            let server = Server::start(&cluster, &made, 80, |_| {
                let mut answer = answer(200, "");
                let headers = answer.headers_mut();
                headers.insert("grpc-status", "12".parse().unwrap());
                headers.insert("grpc-message", "unknown%20service".parse().unwrap());
                answer
            });
            Some(server.await)
        } else {
            cluster
                .until(name, |pod| status(pod)["started"] == true)
                .await;
            let net = cluster.fabric.pod(uid).unwrap();
            let listener = net.listen(SocketAddr::new(net.addresses()[0], 80), 4);
            let listener = listener.unwrap();
            tokio::spawn(async move {
                while let Ok(mut conn) = listener.accept().await {
                    let text = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut conn, text).await;
                }
            });
            None
        };
        cluster.clock.sleep(Duration::from_secs(5)).await;
        let pod = cluster.get(name).await.unwrap();
        assert!(!is_ready(&pod));
        let ip = pod["status"]["podIP"].as_str().unwrap();
        let wanted = if name == "other" {
            "error: this server does not implement the grpc health protocol \
             (grpc.health.v1.Health): unknown service"
                .to_owned()
        } else {
            format!(
                "timeout: failed to connect service \"{ip}:80\" within 1s: context deadline exceeded"
            )
        };
        let wanted = format!("Warning Unhealthy: Readiness probe failed: {wanted}");
        let events = cluster.events(name).await;
        assert!(events.contains(&wanted), "{events:#?}");
        let other = events.iter().any(|event| event.contains("rpc error"));
        assert!(!other, "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_by_command_is_its_exit_code() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let probe = |words: &[&str]| json!({"periodSeconds": 1, "exec": {"command": words}});
    let good = json!({"env": [{"name": "CODE", "value": "0"}], "readinessProbe": probe(&["exit", "$(CODE)"])});
    cluster.pod("good", &[], spec(good)).await;
    cluster.until("good", is_ready).await;
    let bad = json!({"livenessProbe": probe(&["exit", "3"])});
    cluster.pod("bad", &[], spec(bad)).await;
    cluster
        .until("bad", |pod| status(pod)["restartCount"] == 1)
        .await;
    let late = json!({"readinessProbe": probe(&["sleep", "9"])});
    cluster.pod("late", &[], spec(late)).await;
    // A runtime that cannot run it says so, and that ends nothing.
    let cannot = json!({"livenessProbe": probe(&["/bin/x"]), "readinessProbe": probe(&["/bin/x"])});
    cluster.pod("cannot", &[], spec(cannot)).await;
    cluster.clock.sleep(Duration::from_secs(20)).await;
    let pod = cluster.get("cannot").await.unwrap();
    assert_eq!(
        (&status(&pod)["restartCount"], is_ready(&pod)),
        (&json!(0), false)
    );
    for (name, wanted) in [
        (
            "cannot",
            "Warning Unhealthy: Liveness probe errored and resulted in unknown state: exec: \"/bin/x\": executable file not found",
        ),
        (
            "late",
            "Warning Unhealthy: Readiness probe failed: command timed out: \"sleep 9\" timed out after 1s",
        ),
        (
            "bad",
            "Normal Killing: Container c failed liveness probe, will be restarted",
        ),
    ] {
        let events = cluster.events(name).await;
        assert!(events.contains(&wanted.to_owned()), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_is_unready_before_it_is_deaf_and_is_asked_no_more() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let probe = json!({"periodSeconds": 1, "failureThreshold": 1, "httpGet": {"port": 80}});
    let container = json!({"livenessProbe": probe, "readinessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 10}}}});
    let made = cluster.pod("p", &[], spec(container)).await;
    let server = Server::start(&cluster, &made, 80, |_| ok()).await;
    cluster.until("p", is_ready).await;
    cluster.delete("p", Value::Null).await;
    let pod = cluster.until("p", |pod| !is_ready(pod)).await;
    assert_eq!(status(&pod)["started"], true);
    let asked = server.requests().len();
    let ip: std::net::IpAddr = pod["status"]["podIP"].as_str().unwrap().parse().unwrap();
    // It still answers those who come from old endpoints.
    let dialed = cluster.fabric.dial(SocketAddr::new(ip, 80)).now_or_never();
    assert!(dialed.is_some_and(|dialed| dialed.is_ok()));
    server.close();
    cluster.until_gone("p").await;
    assert!(server.requests().len() <= asked + 1);
    let events = cluster.events("p").await;
    assert!(
        !events.iter().any(|event| event.contains("Unhealthy")),
        "{events:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn certificates_of_https_are_not_asked_for_their_authority() {
    let cluster = Cluster::start().await;
    let _node = cluster.node(None).await;
    let own = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = own.signing_key.serialize_der().try_into().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let action = json!({"scheme": "HTTPS", "port": 443});
    let probe = json!({"periodSeconds": 1, "httpGet": action});
    let secret = cluster
        .pod("secret", &[], spec(json!({"readinessProbe": probe})))
        .await;
    let _server = Server::with(&cluster, &secret, 443, Some(tls), |_| ok()).await;
    cluster.until("secret", is_ready).await;
    // One that has no TLS fails a probe, and is asked again without it by a hook.
    let plain = json!({"readinessProbe": probe, "lifecycle": {"preStop": {"httpGet": action}}});
    let plain = cluster.pod("plain", &[], spec(plain)).await;
    let server = Server::start(&cluster, &plain, 443, |_| ok()).await;
    cluster.clock.sleep(Duration::from_secs(3)).await;
    let pod = cluster.get("plain").await.unwrap();
    assert!(!is_ready(&pod));
    let ip = pod["status"]["podIP"].as_str().unwrap();
    assert_eq!(server.requests().len(), 0);
    cluster.delete("plain", Value::Null).await;
    cluster.until_gone("plain").await;
    assert_eq!(server.requests().len(), 1);
    let events = cluster.events("plain").await;
    let unhealthy = format!(
        "Warning Unhealthy: Readiness probe failed: Get \"https://{ip}:443/\": http: server gave \
         HTTP response to HTTPS client"
    );
    let fallback = format!(
        "Warning LifecycleHTTPFallback: request to HTTPS lifecycle hook {ip}:443 got HTTP response, \
         retry with HTTP succeeded"
    );
    for wanted in [unhealthy, fallback] {
        assert!(events.contains(&wanted), "{events:#?}");
    }
}
