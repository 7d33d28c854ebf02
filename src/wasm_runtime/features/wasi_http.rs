//! `wasi:http` 0.2 and 0.3, outgoing: requests leave through the pod's network and its resolver,
//! never through the host's sockets. What comes in is `http_server`'s.

use super::HostFeature;
use crate::net::{ConnectOptions, NetError};
use crate::wasm_runtime::net_use::NetUse;
use crate::wasm_runtime::state::State;
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How long to wait for a connection when the guest named no time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the first byte of an answer when the guest named no time.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of a response's header section that are read at most.
const HEADER_BYTES_MAX: usize = 64 << 10;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:http",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Io), Error>;

/// Sends a guest's requests through its pod.
pub(in crate::wasm_runtime) struct OutgoingHttp {
    net: Arc<NetUse>,
}

impl OutgoingHttp {
    pub(in crate::wasm_runtime) fn new(net: Arc<NetUse>) -> Self {
        Self { net }
    }
}

impl WasiHttpHooks for OutgoingHttp {
    fn is_supported_scheme(&mut self, scheme: &Scheme) -> bool {
        *scheme == Scheme::HTTP
    }

    /// In a cluster a bare authority means plain HTTP; the stock default is HTTPS.
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_done: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let net = self.net.clone();
        Box::new(async move { send(&net, request, options.unwrap_or_default()).await })
    }
}

async fn send(
    net: &NetUse,
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Answer {
    let authority = request
        .uri()
        .authority()
        .ok_or(Error::HttpRequestUriInvalid)?;
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().to_owned();
    let wait = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connecting = tokio::time::timeout(wait, connect(net, &host, port)).await;
    let conn = connecting.map_err(|_| Error::ConnectionTimeout)??;

    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(conn))
        .await?;
    // The connection is driven beside the guest and ends with it: the task is aborted when the
    // future that the guest's store holds is dropped.
    let driver = AbortOnDrop(tokio::spawn(driver));
    let wait = options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT);
    let response = tokio::time::timeout(wait, sender.send_request(request))
        .await
        .map_err(|_| Error::HttpResponseTimeout)??;
    let response = response.map(|body| body.map_err(Error::from).boxed_unsync());
    let io: Io = Box::new(async move {
        let mut driver = driver;
        match (&mut driver.0).await {
            Ok(done) => done.map_err(Error::from),
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

/// Tries the host's addresses in their order, as `TcpStream::connect` does.
async fn connect(net: &NetUse, host: &str, port: u16) -> Result<crate::net::Conn, Error> {
    let addresses = net.net().resolve(host).await.map_err(failed)?;
    let mut last = Error::DnsError {
        rcode: Some("NXDOMAIN".into()),
        info_code: None,
    };
    for ip in addresses {
        let to = SocketAddr::new(ip, port);
        match net.net().connect(to, ConnectOptions::default()).await {
            Ok(conn) => return Ok(conn),
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

fn failed(error: NetError) -> Error {
    match error {
        NetError::Refused(_) => Error::ConnectionRefused,
        NetError::TimedOut(_) => Error::ConnectionTimeout,
        NetError::HostUnreachable(_) | NetError::NetworkUnreachable(_) => {
            Error::DestinationIpUnroutable
        }
        NetError::Denied { .. } => Error::HttpRequestDenied,
        NetError::TooMany { .. } | NetError::PortsExhausted(_) => Error::ConnectionLimitReached,
        NetError::NameUnknown(_) => Error::DnsError {
            rcode: Some("NXDOMAIN".into()),
            info_code: None,
        },
        NetError::NameTemporary { .. } => Error::DnsError {
            rcode: Some("SERVFAIL".into()),
            info_code: None,
        },
        other => Error::Connect(other.into()),
    }
}
