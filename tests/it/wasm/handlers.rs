//! `wasi:http`: handlers served, and what they ask for in their turn.

use super::*;

pub(super) type Sender = hyper::client::conn::http1::SendRequest<http_body_util::Full<Bytes>>;

pub(super) async fn client(lab: &Lab, to: &str) -> Sender {
    let io = hyper_util::rt::TokioIo::new(lab.dial(to).await);
    let (sender, driver) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(driver);
    sender
}

pub(super) async fn get(sender: &mut Sender, path: &str, body: &[u8]) -> (u16, String) {
    use http_body_util::BodyExt;
    sender.ready().await.unwrap();
    let request = http::Request::post(path)
        .header("host", "pod.test")
        .body(http_body_util::Full::from(Bytes::copy_from_slice(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_served_and_needs_no_instance_while_idle() {
    let lab = Lab::with(|config| {
        config.cache_dir = Some(shared_cache());
        config.http.instances_max = 1;
    });
    let (one, two) = (lab.pod(1), lab.pod(2));
    let (container, log) = lab.start(HTTP, &one, &[]).await;
    assert_eq!(lab.runtime.sandboxes(), 0, "no instance before a request");
    let mut sender = client(&lab, "10.1.0.1:8080").await;
    assert_eq!(get(&mut sender, "/", b"").await, (200, "hello\n".into()));
    assert_eq!(lab.runtime.sandboxes(), 1);
    assert_eq!(
        get(&mut sender, "/count", b"").await.1,
        "2",
        "the instance is used again"
    );
    assert_eq!(get(&mut sender, "/authority", b"").await.1, "pod.test");
    let large = vec![b'x'; 300_000];
    let (_, echoed) = get(&mut sender, "/echo", &large).await;
    assert_eq!(echoed.len(), large.len());
    // A trap is one request's; the container lives on with a new instance.
    let (status, _) = get(&mut sender, "/trap", b"").await;
    assert_eq!(status, 500);
    // The answer may be out before the instance has ended and said why.
    log.shows("unreachable").await;
    assert_eq!(get(&mut sender, "/count", b"").await.1, "1");
    assert_eq!(container.exit(), None);
    // From pod to pod, by the guest's own client.
    let (_other, _) = lab.start(HTTP, &two, &[]).await;
    let mut other = client(&lab, "10.1.0.2:8080").await;
    let (_, text) = get(&mut other, "/get?http://10.1.0.1:8080/", b"").await;
    assert_eq!(text, "hello\n");
    let (_, text) = get(&mut other, "/get?http://10.1.0.1:9/", b"").await;
    assert!(text.contains("ConnectionRefused"), "{text}");
    container.request_stop();
    let exit = container.wait().await;
    assert_eq!((exit.code, exit.reason), (143, ExitReason::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handlers_memory_instances_and_impatient_clients_are_bounded() {
    let lab = Lab::with(|config| {
        config.cache_dir = Some(shared_cache());
        config.http.instances_max = 2;
        config.http.requests_per_instance = 1;
    });
    let pod = lab.pod(1);
    let module = lab.module(HTTP).await;
    let (mut config, log) = lab.config(&pod, &[]);
    config.memory_bytes_limit = Some(32 << 20);
    let container = lab.runtime.start(&module, config).unwrap();
    let mut sender = client(&lab, "10.1.0.1:8080").await;
    for _ in 0..3 {
        assert_eq!(
            get(&mut sender, "/count", b"").await.1,
            "1",
            "no instance is shared"
        );
    }
    assert_eq!(get(&mut sender, "/allocate", b"").await.0, 500);
    assert!(log.text().contains("memory limit"), "{}", log.text());
    // Two clients take every instance and go away: their instances end, the others are served.
    for _ in 0..2 {
        let mut conn = lab.dial("10.1.0.1:8080").await;
        conn.write_all(b"GET /spin HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        while lab.runtime.sandboxes() == 0 {
            tokio::task::yield_now().await;
        }
        drop(conn);
    }
    assert_eq!(get(&mut sender, "/count", b"").await.1, "1");
    // A head that never ends is refused.
    let mut conn = lab.dial("10.1.0.1:8080").await;
    let header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let _ = conn.write_all(header.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = conn.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    container.kill();
    assert_eq!(container.wait().await.code, 137);
    while lab.runtime.sandboxes() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.budget.used(), 0);
}
