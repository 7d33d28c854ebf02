//! A lean client of an API server: one TLS connection, HTTP/1.1, JSON lines of a watch. Lean, so that
//! what is measured is the server.

use crate::Failure;
use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_yaml::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Where an API server is and who asks.
#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Api {
    /// As the kubeconfig of wkube says.
    pub(crate) fn of_kubeconfig(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let config: Value = serde_yaml::from_str(&text)?;
        let field = |list: &str, entry: &str, name: &str| {
            let found = config
                .get(list)
                .and_then(|list| list.get(0))
                .and_then(|first| first.get(entry)?.get(name)?.as_str());
            found.ok_or(format!("{}: no {entry}.{name}", path.display()))
        };
        let decoded = |entry: &str, list: &str, name: &str| -> Result<Vec<u8>, Failure> {
            let text = field(list, entry, name)?;
            Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
        };
        let mut roots = RootCertStore::empty();
        let authority = decoded("cluster", "clusters", "certificate-authority-data")?;
        roots.add(CertificateDer::from_pem_slice(&authority)?)?;
        let certificate = decoded("user", "users", "client-certificate-data")?;
        let certificate = CertificateDer::from_pem_slice(&certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&decoded("user", "users", "client-key-data")?)?;
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        let server = field("clusters", "cluster", "server")?;
        let address = server.trim_start_matches("https://").parse()?;
        Ok(Self {
            address,
            tls: Arc::new(tls),
        })
    }

    /// A connection, ready for requests one after the other.
    pub(crate) async fn connect(&self) -> Result<Conn, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
        let stream = connector.connect(name, stream).await?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Conn { sender })
    }

    /// The changes at `path`, from now on.
    pub(crate) async fn watch(&self, path: &str) -> Result<Watch, Failure> {
        let mut conn = self.connect().await?;
        let list: List = conn.get(&format!("{path}?limit=1")).await?;
        let at = list.metadata.resource_version;
        let path = format!("{path}?watch=true&allowWatchBookmarks=false&resourceVersion={at}");
        let response = conn.send(Method::GET, &path, None).await?;
        if !response.status().is_success() {
            return Err(format!("watch {path}: {}", response.status()).into());
        }
        Ok(Watch {
            _conn: conn,
            body: response.into_body(),
            buffer: Vec::new(),
            read: 0,
        })
    }
}

/// One provider of cryptography, named, so that none is looked for.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

/// One connection.
pub(crate) struct Conn {
    sender: SendRequest<Full<Bytes>>,
}

/// A body and its media type.
pub(crate) type Body = (&'static str, Bytes);

impl Conn {
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "kubernetes")
            .header(header::ACCEPT, "application/json");
        let body = body.map(|(media_type, bytes)| {
            let headers = request.headers_mut();
            if let Some(headers) = headers {
                let value = http::HeaderValue::from_static(media_type);
                headers.insert(header::CONTENT_TYPE, value);
            }
            bytes
        });
        let request = request.body(Full::new(body.unwrap_or_default()))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// One request that must succeed; its answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<Bytes, Failure> {
        let response = self.send(method.clone(), path, body).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        Err(format!("{method} {path}: {status}: {text}").into())
    }

    /// One request whose answer is given to `read` as it comes.
    pub(crate) async fn stream(
        &mut self,
        path: &str,
        mut read: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let response = self.send(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Err(format!("GET {path}: {}", response.status()).into());
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                read(data);
            }
        }
        Ok(())
    }

    /// The object at `path`.
    pub(crate) async fn get<T: for<'a> Deserialize<'a>>(
        &mut self,
        path: &str,
    ) -> Result<T, Failure> {
        let bytes = self.ask(Method::GET, path, None).await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// A watch under way.
pub(crate) struct Watch {
    _conn: Conn,
    body: Incoming,
    buffer: Vec<u8>,
    read: usize,
}

impl Watch {
    /// The next event, given to `read` as the line that it came as.
    pub(crate) async fn next<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            let rest = self.buffer.get(self.read..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.get(..end).unwrap_or_default();
                let found = read(line);
                self.read += end + 1;
                return found;
            }
            self.buffer.drain(..self.read);
            self.read = 0;
            let frame = self.body.frame().await;
            let frame = frame.ok_or("the watch ended")??;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }
}
