//! The edge: TLS, HTTP/1.1 and HTTP/2, connections counted, slow clients cut off, a graceful end.
//! The only place that makes requests out of bytes, so the only one that says what a client's
//! certificate proved. Must not know what is served.

use crate::api::audit::Peer;
use crate::api::authentication::{AnyCertificate, TlsIdentity};
use crate::api::guard::Guard;
use crate::api::{ApiServer, Body, respond};
use crate::stdx::Shutdown;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// A client that has not finished its handshake by then is cut off.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// A client that has not sent its headers by then is cut off.
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Requests on one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 1_000;
/// HTTP/2 windows: what a client may have under way before it is read.
const WINDOW_BYTES: u32 = 1 << 20;
/// What an idle HTTP/2 connection is asked for life signs.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A connection that is silent so long is probed, again and again after as long.
const PROBE_AFTER: Duration = Duration::from_secs(15);
/// Probes without an answer after which a connection is given up. Go: the same.
const PROBES_MAX: u32 = 9;
/// How long requests may take to end when the server stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// The wait after an accept failed for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the server shows to its clients, as PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// The certificate and what leads to its authority.
    pub certificate_chain: Vec<u8>,
    /// The private key.
    pub private_key: Vec<u8>,
}

/// Why the edge cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate or its key is unusable.
    #[error("the server's certificate cannot be used: {0}")]
    Certificate(String),
}

/// Serves `server` on `listener` until `shutdown`; then ends connections as their requests end.
pub async fn serve(
    server: Arc<ApiServer>,
    listener: TcpListener,
    tls: &TlsFiles,
    guard: Guard,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    let guard = Arc::new(guard);
    let acceptor = TlsAcceptor::from(Arc::new(tls_config(&server, tls)?));
    let connections = Arc::new(Semaphore::new(server.limits.connections_max));
    let graceful = GracefulShutdown::new();
    let tasks = tokio_util::task::TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = shutdown.stopped() => break,
            place = connections.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = shutdown.stopped() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                server.clock.sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let edge = (server.clone(), guard.clone());
        let connection = connection(edge, acceptor.clone(), stream, watcher);
        tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    tasks.close();
    tokio::select! {
        () = async { graceful.shutdown().await; tasks.wait().await } => {}
        () = server.clock.sleep(DRAIN_TIME_MAX) => {
            tracing::warn!("requests were still under way when the server stopped");
        }
    }
    Ok(())
}

fn tls_config(server: &ApiServer, tls: &TlsFiles) -> Result<ServerConfig, ServeError> {
    let unusable = |error: &dyn std::fmt::Display| ServeError::Certificate(error.to_string());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&tls.certificate_chain)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.private_key).map_err(|error| unusable(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(AnyCertificate::new(server.client_ca.as_ref()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Small frames of watches must not wait for each other; a client that has vanished without a word is
/// noticed by its silence.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepcnt(stream, PROBES_MAX)?;
    Ok(())
}

async fn connection(
    (server, guard): (Arc<ApiServer>, Arc<Guard>),
    acceptor: TlsAcceptor,
    stream: TcpStream,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let Ok(peer) = stream.peer_addr().map(Peer) else {
        return;
    };
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "a connection has not the options that it is to have");
    }
    let shaken = tokio::select! {
        shaken = acceptor.accept(stream) => shaken,
        () = server.clock.sleep(HANDSHAKE_TIME_MAX) => return,
    };
    let stream = match shaken {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let identity =
        certificates
            .filter(|chain| !chain.is_empty())
            .map(|chain| match &server.client_ca {
                Some(authority) => TlsIdentity(authority.user(chain, &server.clock)),
                None => TlsIdentity(Err("client certificates are not accepted".to_owned())),
            });
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        let (identity, guard) = (identity.clone(), guard.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            if let Err(error) = guard.check(parts.uri.authority(), &parts.headers) {
                return Ok::<_, Infallible>(respond::refusal(&error));
            }
            if server.is_refusing() {
                return Ok(respond::ending());
            }
            // Nothing but hyper's own upgrade may come with a request from outside.
            parts.extensions.insert(peer);
            if let Some(identity) = identity {
                parts.extensions.insert(identity);
            }
            let request = Request::from_parts(parts, Body::new(body));
            Ok(server.handle(request).await)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 4)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended badly");
    }
}
