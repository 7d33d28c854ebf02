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
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use wkube::api::{
    AccountTokens, ApiConfig, ApiServer, CertificateAuthority, Limits, TlsFiles, TokenTable, serve,
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
    address: SocketAddr,
    authority: Authority,
    shutdown: Shutdown,
}

async fn edge() -> Edge {
    let authority = authority();
    let net = Arc::new(TestNet::default());
    let shutdown = Shutdown::new();
    let server = ApiServer::start(ApiConfig {
        metrics: Default::default(),
        audit: None,
        store: Arc::new(MemoryStore::new(StoreOptions::default())),
        scheme: Arc::new(Scheme::builtin()),
        dialer: net.clone(),
        nodes: net,
        clock: Clock::real(),
        tokens: TokenTable::new(),
        accounts: Arc::new(AccountTokens::ephemeral("https://test").unwrap()),
        client_ca: Some(CertificateAuthority::new(std::slice::from_ref(&authority.der)).unwrap()),
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
    let stop = shutdown.clone();
    tokio::spawn(async move { serve(server, listener, &tls, stop).await.unwrap() });
    Edge {
        address,
        authority,
        shutdown,
    }
}

impl Edge {
    async fn get(&self, client: Option<(rcgen::Certificate, KeyPair)>, path: &str) -> Answer {
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
        let stream = TlsConnector::from(Arc::new(config))
            .connect(rustls::pki_types::ServerName::IpAddress(name), stream)
            .await
            .unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "x")
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
