//! The edge, over real TLS: certificates of the cluster's authority, of another one, and none.

use super::harness::{Answer, TestNet};
use crate::authority::{Authority, authority};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wkube::api::{
    AccountTokens, ApiConfig, ApiServer, Body, CertificateAuthority, Guard, Limits, TlsFiles,
    TokenTable, serve,
};
use wkube::resources::Scheme;
use wkube::stdx::{Clock, Shutdown};
use wkube::store::{MemoryStore, StoreOptions};

/// A certificate and its key.
fn issue(authority: &Authority, name: &str, group: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    (certificate, key)
}

struct Edge {
    server: Arc<ApiServer>,
    address: SocketAddr,
    authority: Authority,
    shutdown: Shutdown,
}

async fn edge() -> Edge {
    let authority = authority();
    let net = Arc::new(TestNet::default());
    let shutdown = Shutdown::new();
    let server = ApiServer::start(ApiConfig {
        service_range: None,
        metrics: Default::default(),
        audit: None,
        store: Arc::new(MemoryStore::new(StoreOptions::default())),
        scheme: Arc::new(Scheme::builtin()),
        dialer: net.clone(),
        nodes: net,
        clock: Clock::real(),
        tokens: TokenTable::new(),
        accounts: Arc::new(AccountTokens::ephemeral("https://test").unwrap()),
        admission: wkube::api::Admission::default(),
        authorization: wkube::api::STANDARD_MODES.to_vec(),
        client_ca: Some(CertificateAuthority::new(std::slice::from_ref(&authority.der)).unwrap()),

        advertised: None,
        shutdown: shutdown.clone(),
        limits: Limits::default(),
    })
    .await
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (certificate, key) = issue(&authority, "server", "wkube");
    let tls = TlsFiles {
        certificate_chain: certificate.pem().into_bytes(),
        private_key: key.serialize_pem().into_bytes(),
    };
    let (stop, guard) = (shutdown.clone(), Guard::new(address, &[]));
    let served = server.clone();
    tokio::spawn(async move { serve(served, listener, &tls, guard, stop).await.unwrap() });
    Edge {
        server,
        address,
        authority,
        shutdown,
    }
}

impl Edge {
    /// A connection of a client, with its certificate if it has one.
    async fn connect(&self, client: Option<(rcgen::Certificate, KeyPair)>) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
                let chain = vec![certificate.der().clone()];
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = Ipv4Addr::LOCALHOST.into();
        TlsConnector::from(Arc::new(config))
            .connect(rustls::pki_types::ServerName::IpAddress(name), stream)
            .await
            .unwrap()
    }

    async fn get(&self, client: Option<(rcgen::Certificate, KeyPair)>, path: &str) -> Answer {
        let stream = self.connect(client).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes: body.collect().await.unwrap().to_bytes(),
        }
    }
}

#[tokio::test]
async fn a_certificate_of_the_cluster_says_who_asks() {
    let edge = edge().await;
    let admin = issue(&edge.authority, "admin", "system:masters");
    let list = edge
        .get(Some(admin), "/api/v1/namespaces")
        .await
        .expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let user = issue(&edge.authority, "jane", "people");
    let message = edge.get(Some(user), "/api/v1/pods").await.message(403);
    assert_eq!(
        message,
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" at the \
         cluster scope"
    );
}

#[tokio::test]
async fn another_authority_is_401_and_no_certificate_is_nobody() {
    let edge = edge().await;
    let stranger = issue(&authority(), "admin", "system:masters");
    let status = edge.get(Some(stranger), "/api/v1/pods").await.expect(401);
    assert_eq!(status["message"], json!("Unauthorized"));
    let message = edge.get(None, "/api/v1/pods").await.message(403);
    assert!(
        message.contains("User \"system:anonymous\" cannot list"),
        "{message}"
    );
    assert_eq!(edge.get(None, "/readyz").await.status, 200);
}

#[tokio::test]
async fn the_edge_ends_when_it_is_told_to() {
    let edge = edge().await;
    assert_eq!(edge.get(None, "/livez").await.status, 200);
    edge.shutdown.stop();
    // Once the listener is gone, nobody gets in.
    while TcpStream::connect(edge.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Opens a connection as the admin.
async fn connected(edge: &Edge) -> hyper::client::conn::http1::SendRequest<Body> {
    let admin = issue(&edge.authority, "admin", "system:masters");
    let stream = edge.connect(Some(admin)).await;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.header("host", "localhost").body(body).unwrap()
}

#[tokio::test]
async fn the_end_is_told_and_what_is_under_way_ends_well() {
    let edge = edge().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let mut watching = connected(&edge).await;
    let watch = request("GET", &format!("{maps}?watch=1"), Body::empty());
    let watch = watching.send_request(watch).await.unwrap();
    assert_eq!(watch.status(), 200);
    let (mut writer, reader) = tokio::io::duplex(64);
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(reader));
    let mut posting = connected(&edge).await;
    let posted = tokio::spawn(posting.send_request(request("POST", maps, body)));
    writer.write_all(b"{\"metadata\":").await.unwrap();
    let mut asking = connected(&edge).await;
    let mut ask = async |path: &str| {
        let answer = asking
            .send_request(request("GET", path, Body::empty()))
            .await;
        let (parts, body) = answer.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts, String::from_utf8_lossy(&bytes).into_owned())
    };
    // The one who writes is being served.
    let served = "apiserver_current_inflight_requests{request_kind=\"mutating\"} 1.0";
    while !ask("/metrics").await.1.contains(served) {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask("/readyz").await.0.status, 200);
    edge.server.announce_end();
    let (parts, told) = ask("/readyz").await;
    assert_eq!(parts.status, 500);
    assert!(
        told.contains("[-]shutdown failed: reason withheld"),
        "{told}"
    );
    assert_eq!(ask("/livez").await.0.status, 200);
    assert_eq!(ask(maps).await.0.status, 200);
    edge.server.refuse_new();
    let (parts, told) = ask(maps).await;
    assert_eq!(parts.status, 429);
    assert_eq!(parts.headers["retry-after"], "5");
    assert_eq!(parts.headers["connection"], "close");
    assert_eq!(
        told,
        "The apiserver is shutting down, please try again later.\n"
    );
    edge.shutdown.stop();
    // A watch ends as any answer does, with its last chunk.
    watch.into_body().collect().await.unwrap();
    writer.write_all(b"{\"name\":\"last\"}}").await.unwrap();
    drop(writer);
    let posted = posted.await.unwrap().unwrap();
    assert_eq!(posted.status(), 201);
    while TcpStream::connect(edge.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn other_names_and_pages_of_other_sites_are_refused() {
    let edge = edge().await;
    let mut sender = connected(&edge).await;
    for (host, origin, upgrade, words) in [
        ("localhost", "", false, ""),
        ("127.0.0.1:6443", "http://localhost:8001", false, ""),
        (
            "evil.example",
            "",
            false,
            "the request came by the name \"evil.example\"",
        ),
        (
            "localhost",
            "https://evil.example",
            false,
            "pages of \"https://evil.example\"",
        ),
        ("localhost", "null", false, "pages of \"null\""),
        // A WebSocket is not kept by a browser from any site.
        (
            "localhost",
            "https://evil.example",
            true,
            "pages of \"https://evil.example\"",
        ),
    ] {
        let path = "/api/v1/namespaces/default/pods/p/exec?command=a&stdout=1";
        let mut asked = Request::get(if upgrade { path } else { "/api/v1/nodes" });
        asked = asked.header("host", host);
        if !origin.is_empty() {
            asked = asked.header("origin", origin);
        }
        if upgrade {
            asked = asked
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
        }
        let answer = sender
            .send_request(asked.body(Body::empty()).unwrap())
            .await;
        let (parts, body) = answer.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        if words.is_empty() {
            assert_eq!(parts.status, 200, "{host} {origin}");
            continue;
        }
        assert_eq!(
            (parts.status.as_u16(), &status["reason"]),
            (403, &json!("Forbidden"))
        );
        let message = status["message"].as_str().unwrap();
        assert!(message.starts_with(words), "{message}");
    }
}

#[tokio::test]
async fn heads_that_are_too_long_are_cut_off() {
    let edge = edge().await;
    for (path, header) in [
        (format!("/{}", "a".repeat(80 << 10)), String::new()),
        ("/livez".to_owned(), "b".repeat(80 << 10)),
    ] {
        let mut stream = edge.connect(None).await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-long: {header}\r\n\r\n");
        // The server may hang up while it is still being told.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let refused = ["HTTP/1.1 414", "HTTP/1.1 431", "HTTP/1.1 400"];
        assert!(
            answer.is_empty() || refused.iter().any(|words| answer.starts_with(words)),
            "{answer}"
        );
    }
    assert_eq!(edge.get(None, "/livez").await.status, 200);
}
