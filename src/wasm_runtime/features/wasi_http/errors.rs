//! What went wrong with a guest's request, in the codes of `wasi:http`. Pure.

use crate::net::NetError;
use std::error::Error as _;
use std::io;
use wasmtime_wasi_http::Error;

/// What the pod's network says.
pub(super) fn failed(error: NetError) -> Error {
    let dns = |code: &str| Error::DnsError {
        rcode: Some(code.to_owned()),
        info_code: None,
    };
    match error {
        NetError::Refused(_) => Error::ConnectionRefused,
        NetError::TimedOut(_) => Error::ConnectionTimeout,
        NetError::HostUnreachable(_) | NetError::NetworkUnreachable(_) => {
            Error::DestinationIpUnroutable
        }
        // A name that may not be looked up has no address that could be prohibited.
        NetError::Denied { to, .. } if to.parse::<std::net::SocketAddr>().is_err() => {
            Error::HttpRequestDenied
        }
        NetError::Denied { .. } => Error::DestinationIpProhibited,
        NetError::TooMany { .. } | NetError::PortsExhausted(_) => Error::ConnectionLimitReached,
        NetError::NameUnknown(_) => dns("NXDOMAIN"),
        NetError::NameTemporary { .. } => dns("SERVFAIL"),
        NetError::Reset | NetError::BrokenPipe | NetError::Closed => Error::ConnectionTerminated,
        other => Error::InternalError(Some(other.to_string())),
    }
}

/// What HTTP says. Guests cause these by whom they ask, so none is worth a line in the server's log.
pub(super) fn failed_exchange(error: hyper::Error) -> Error {
    if let Some(own) = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Error>())
    {
        // The body that the guest sends failed: it knows.
        return Error::InternalError(Some(own.to_string()));
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(None);
    }
    if error.is_incomplete_message() {
        return Error::HttpResponseIncomplete;
    }
    if error.is_parse() {
        return Error::HttpProtocolError;
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    match cause.map(failed_tls) {
        Some(error) => error,
        None if error.is_canceled() || error.is_closed() => Error::ConnectionTerminated,
        None => Error::Hyper(error),
    }
}

/// What the bytes of a connection say: TLS, or the connection below it.
pub(super) fn failed_tls(error: &io::Error) -> Error {
    let cause = error.get_ref();
    let tls = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}
