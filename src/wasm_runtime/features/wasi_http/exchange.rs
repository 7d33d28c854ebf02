//! One request and its answer: a connection of the pod's, TLS on it for `https`, HTTP/1.1. Every
//! step has a time: the guest's, else the one here.

use super::errors::{failed, failed_exchange};
use super::{Answer, Io, Outgoing};
use crate::net::{Conn, ConnectOptions};
use crate::stdx::Clock;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::uri::Scheme;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// How long to wait for a connection, TLS included, when the guest named no time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the first byte of an answer when the guest named no time.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long to wait for the next piece of an answer's body when the guest named no time.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of a response's header section that are read at most.
const HEADER_BYTES_MAX: usize = 64 << 10;

pub(super) async fn send(
    outgoing: &Outgoing,
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Answer {
    let uri = request.uri();
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let default_port = if secure { 443 } else { 80 };
    let port = authority.port_u16().unwrap_or(default_port);
    let host = authority.host().to_owned();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = path;

    let wait = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    if !secure {
        let connecting = timeout(wait, connect(outgoing, &host, port)).await;
        let conn = connecting.map_err(|_| Error::ConnectionTimeout)??;
        return exchange(outgoing, conn, request, options).await;
    }
    let place = outgoing.tls_places.clone().try_acquire_owned();
    let place = place.map_err(|_| Error::ConnectionLimitReached)?;
    let connecting = async {
        let conn = connect(outgoing, &host, port).await?;
        let tls = outgoing.tls().await?;
        outgoing.metered(tls.connect(&host, conn, place)).await
    };
    let conn = timeout(wait, connecting).await;
    let conn = conn.map_err(|_| Error::ConnectionTimeout)??;
    exchange(outgoing, conn, request, options).await
}

/// Tries the host's addresses in their order, as `TcpStream::connect` does.
async fn connect(outgoing: &Outgoing, host: &str, port: u16) -> Result<Conn, Error> {
    let net = outgoing.net.net();
    let addresses = net.resolve(host).await.map_err(failed)?;
    let mut last = Error::DnsError {
        rcode: Some("NXDOMAIN".into()),
        info_code: None,
    };
    for ip in addresses {
        let to = SocketAddr::new(ip, port);
        match net.connect(to, ConnectOptions::default()).await {
            Ok(conn) => return Ok(conn),
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

async fn exchange(
    outgoing: &Outgoing,
    conn: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Answer {
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(conn))
        .await?;
    // The connection is driven beside the guest and ends with it: the task is aborted when the
    // future that the guest's store holds is dropped.
    let driver = AbortOnDrop(tokio::spawn(outgoing.metered(driver)));
    let wait = options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT);
    let response = timeout(wait, sender.send_request(request))
        .await
        .map_err(|_| Error::HttpResponseTimeout)?
        .map_err(failed_exchange)?;
    let wait = options.between_bytes_timeout;
    let response = response.map(|body| {
        let body = body.map_err(failed_exchange);
        Timed::new(body, wait.unwrap_or(BETWEEN_BYTES_TIMEOUT)).boxed_unsync()
    });
    let io: Io = Box::new(async move {
        let mut driver = driver;
        match (&mut driver.0).await {
            Ok(done) => done.map_err(failed_exchange),
            Err(_) => Ok(()),
        }
    });
    Ok((response, io))
}

struct AbortOnDrop(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body whose pieces must not be longer apart than `wait`, counted from when one is waited for.
struct Timed<B> {
    body: B,
    wait: Duration,
    waiting: Option<BoxFuture<'static, ()>>,
}

impl<B> Timed<B> {
    fn new(body: B, wait: Duration) -> Self {
        Self {
            body,
            wait,
            waiting: None,
        }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Timed<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame);
        }
        let wait = this.wait;
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(async move { Clock::real().sleep(wait).await }));
        waiting
            .poll_unpin(cx)
            .map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
