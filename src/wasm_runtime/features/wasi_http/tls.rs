//! TLS of guests' requests: whom they trust, and the handshake. The host speaks TLS for them, so
//! that a guest needs neither a library nor certificates of its own. Must not know HTTP.

use super::errors::failed_tls;
use crate::net::Conn;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

/// Sessions that one container remembers, to open the next connection sooner.
const SESSIONS_MAX: usize = 32;
/// What is spoken over TLS.
const PROTOCOL: &[u8] = b"http/1.1";

/// Whose certificates guests trust when they send requests by HTTPS. Clones share what was loaded.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The authorities; `None` takes the machine's.
    authorities: Option<Vec<CertificateDer<'static>>>,
    loaded: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// The authorities that the machine trusts: the files of `SSL_CERT_FILE` and `SSL_CERT_DIR`,
    /// else the system's. Read when the first guest needs them.
    pub fn of_the_machine() -> Self {
        Self::default()
    }

    /// These authorities and no others.
    pub fn of(authorities: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(Inner {
            authorities: Some(authorities),
            loaded: OnceCell::new(),
        }))
    }

    /// A client for one container, which shares no sessions with others.
    pub(super) async fn client(&self) -> Result<TlsClient, Error> {
        let loaded = self.0.loaded.get_or_try_init(|| self.load()).await;
        let loaded = loaded.map_err(|error| Error::InternalError(Some(error.to_string())))?;
        let mut config = ClientConfig::clone(loaded);
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Ok(TlsClient(TlsConnector::from(Arc::new(config))))
    }

    async fn load(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        if let Some(authorities) = &self.0.authorities {
            roots.add_parsable_certificates(authorities.iter().cloned());
        } else {
            let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let found = found.unwrap_or_default();
            for error in &found.errors {
                tracing::warn!(%error, "certificates of the machine cannot be read");
            }
            roots.add_parsable_certificates(found.certs);
        }
        if roots.is_empty() {
            tracing::warn!(
                "no certificate authorities are known on this machine, so guests' requests by \
                 HTTPS fail; set SSL_CERT_FILE, or install the system's ca-certificates"
            );
        }
        // Named, because only a process that serves has a default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }
}

/// One container's TLS.
pub(super) struct TlsClient(TlsConnector);

impl TlsClient {
    /// Speaks TLS on `conn` with a server that proves to be `host`, as long as `place` is held.
    pub(super) async fn connect(
        &self,
        host: &str,
        conn: Conn,
        place: OwnedSemaphorePermit,
    ) -> Result<Secured, Error> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let bare = bare.strip_suffix('.').unwrap_or(bare).to_owned();
        let name = ServerName::try_from(bare).map_err(|_| Error::HttpRequestUriInvalid)?;
        let stream = self.0.connect(name, conn).await;
        Ok(Secured {
            stream: stream.map_err(|error| failed_tls(&error))?,
            _place: place,
        })
    }
}

/// A connection with TLS on it, and its place among those of its container.
pub(super) struct Secured {
    stream: TlsStream<Conn>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
