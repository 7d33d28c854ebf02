//! As much of etcd's client as puts and gets a key: gRPC over one TLS connection. `certificate` makes
//! what etcd shows; the client does not look at it. (`etcd --auto-tls` takes a curve that is not known
//! here.)

use crate::Failure;
use crate::args::Args;
use crate::trust::believe;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;

/// `certificate`: writes `server.crt` and `server.key` into `--folder`.
pub(crate) fn certificate(args: &Args) -> Result<(), Failure> {
    let folder: PathBuf = args.get("folder")?;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    std::fs::write(folder.join("server.crt"), made.cert.pem())?;
    std::fs::write(folder.join("server.key"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// One connection.
pub(crate) struct Etcd {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Etcd {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut tls = believe()?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let name = ServerName::from(address.ip());
        let stream = connector.connect(name, stream).await?;
        let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self {
            sender,
            authority: address.to_string(),
        })
    }

    /// Sets a key.
    pub(crate) async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.call("Put", &[key, value]).await
    }

    /// Reads a key, linearizable as etcd does it by default.
    pub(crate) async fn range(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.call("Range", &[key]).await
    }

    /// A unary call with these as the message's first fields.
    async fn call(&mut self, method: &str, fields: &[&[u8]]) -> Result<(), Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!(
                "https://{}/etcdserverpb.KV/{method}",
                self.authority
            ))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(message(fields)))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let early = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await?;
        let late = body.trailers().and_then(|all| all.get("grpc-status"));
        match late.or(early.as_ref()) {
            Some(status) if status == "0" => Ok(()),
            status => Err(format!("etcd {method}: status {status:?}").into()),
        }
    }
}

/// The frame of one message whose fields 1, 2, … are these bytes.
fn message(fields: &[&[u8]]) -> Bytes {
    let mut message = BytesMut::new();
    for (index, bytes) in fields.iter().enumerate() {
        message.put_u8(u8::try_from(index + 1).unwrap_or(u8::MAX) << 3 | 2);
        let mut length = bytes.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or_default());
        message.put_slice(bytes);
    }
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put(message);
    frame.freeze()
}
