//! What guests ask by HTTPS: of servers on the host's loopback, whose certificates an authority of
//! the test's own has signed, or has not.

use super::handlers::{client, get};
use super::*;
use crate::authority::{Authority, authority};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wkube::net::{EgressPolicy, NodeIpam};
use wkube::wasm_runtime::Trust;

/// As what pods know the host.
const NODE: &str = "10.1.0.1";

/// A server for `ip`, that is valid until `year` and speaks `protocols`.
fn acceptor(authority: &Authority, ip: &str, year: i32, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    params.subject_alt_names = vec![SanType::IpAddress(ip.parse().unwrap())];
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// What a server does with a connection.
#[derive(Clone)]
enum Manner {
    /// Speaks TLS, hears the request, says this and waits for the client to go.
    Tls(TlsAcceptor, &'static str),
    /// Says this at once, without TLS.
    Plain(&'static str),
    /// Says nothing.
    Silent,
}

async fn serve(manner: Manner, mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    match manner {
        Manner::Tls(acceptor, answer) => {
            let mut stream = acceptor.accept(stream).await?;
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut buffer).await?;
                heard.extend_from_slice(&buffer[..length]);
            }
            let heard = String::from_utf8(heard).unwrap();
            assert!(heard.starts_with("GET /path HTTP/1.1\r\n"), "{heard}");
            assert!(heard.contains("host: 10.1.0.1:"), "{heard}");
            stream.write_all(answer.as_bytes()).await?;
            while stream.read(&mut buffer).await? > 0 {}
        }
        Manner::Plain(answer) => {
            stream.write_all(answer.as_bytes()).await?;
            while stream.read(&mut buffer).await? > 0 {}
        }
        Manner::Silent => while stream.read(&mut buffer).await? > 0 {},
    }
    Ok(())
}

async fn listen(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(manner.clone(), stream));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_asks_by_https_whom_it_may_and_can_trust() {
    const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsec";
    let (own, other) = (authority(), authority());
    let h1: &[&[u8]] = &[b"http/1.1"];
    let good = || acceptor(&own, NODE, 2500, h1);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    let tls = |acceptor| listen(Manner::Tls(acceptor, HELLO));
    let cases = [
        ("get", tls(good()).await, "secret"),
        (
            "get",
            tls(acceptor(&other, NODE, 2500, h1)).await,
            "TlsCertificateError",
        ),
        (
            "get",
            tls(acceptor(&own, "10.9.9.9", 2500, h1)).await,
            "TlsCertificateError",
        ),
        (
            "get",
            tls(acceptor(&own, NODE, 2001, h1)).await,
            "TlsCertificateError",
        ),
        (
            "get",
            tls(acceptor(&own, NODE, 2500, &[b"h2"])).await,
            "NoApplicationProtocol",
        ),
        (
            "get",
            listen(Manner::Plain("HTTP/1.1 400 Bad Request\r\n\r\n")).await,
            "TlsProtocolError",
        ),
        ("get", closed_port, "ConnectionRefused"),
        (
            "get-soon",
            listen(Manner::Silent).await,
            "ConnectionTimeout",
        ),
        (
            "get-soon",
            listen(Manner::Tls(good(), "")).await,
            "HttpResponseTimeout",
        ),
        (
            "get-soon",
            listen(Manner::Tls(good(), HALF)).await,
            "LastOperationFailed",
        ),
    ];
    let rules: Vec<String> = cases
        .iter()
        .map(|(_, port, _)| format!("localhost:{port}"))
        .collect();
    let fabric = Fabric::new(FabricConfig {
        egress: EgressPolicy::parse(&rules).unwrap(),
        ..FabricConfig::default()
    });
    fabric.add_node(&NodeIpam::new("10.1.0.0/24".parse().unwrap(), None));
    let lab = Lab::with(|config| {
        config.cache_dir = Some(shared_cache());
        config.http.trust = Trust::of(vec![own.der.clone()]);
    });
    let lab = Lab { fabric, ..lab };
    let pod = lab.pod(9);
    let (container, _) = lab.start(HTTP, &pod, &[]).await;
    let mut sender = client(&lab, "10.1.0.9:8080").await;
    for (how, port, expected) in cases {
        let url = format!("/{how}?https://{NODE}:{port}/path");
        let (_, text) = get(&mut sender, &url, b"").await;
        assert!(text.contains(expected), "{url}: {text}, not {expected}");
    }
    for (url, expected) in [
        ("https://10.1.0.1:1/", "DestinationIpProhibited"),
        ("https://192.0.2.1/", "DestinationIpProhibited"),
        ("https://example.com/", "HttpRequestDenied"),
    ] {
        let (_, text) = get(&mut sender, &format!("/get?{url}"), b"").await;
        assert!(text.contains(expected), "{url}: {text}, not {expected}");
    }
    container.kill();
    container.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_only_so_many_tls_connections() {
    const LIMIT: usize = 256;
    let lab = Lab::with(|config| {
        config.cache_dir = Some(shared_cache());
        config.http.instances_max = LIMIT + 1;
        config.http.trust = Trust::of(Vec::new());
    });
    let (pod, silent) = (lab.pod(9), lab.pod(8));
    let _listener = silent.listen("0.0.0.0:443".parse().unwrap(), LIMIT + 1);
    let (container, _) = lab.start(HTTP, &pod, &[]).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..=LIMIT {
        let mut sender = client(&lab, "10.1.0.9:8080").await;
        asking.spawn(async move { get(&mut sender, "/get?https://10.1.0.8/", b"").await.1 });
    }
    let first = asking.join_next().await.unwrap().unwrap();
    assert!(first.contains("ConnectionLimitReached"), "{first}");
    // All the others get through.
    while silent.open_connections() < LIMIT {
        tokio::task::yield_now().await;
    }
    assert_eq!(asking.len(), LIMIT);
    container.kill();
    container.wait().await;
}
