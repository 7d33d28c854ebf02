//! A probe by gRPC: `grpc.health.v1.Health/Check` over HTTP/2 without TLS. Its two messages are so
//! small that they are written and read here.
//!
//! Kubernetes: `pkg/probe/grpc`; gRPC over HTTP/2; `grpc.health.v1`.

use super::way::{Way, joined};
use super::{AGENT, ANSWER_BYTES_MAX, Outcome};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;

/// The status codes by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
const DEADLINE_EXCEEDED: usize = 4;
const UNIMPLEMENTED: usize = 12;
const UNAVAILABLE: usize = 14;
/// `HealthCheckResponse.ServingStatus` by its numbers.
const SERVING_STATUS: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// Bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What the server says: a status of the call that is not OK, or the health.
type Checked = Result<u64, (usize, String)>;

/// Asks for the health of `service` at `port`.
pub(super) async fn ask(way: &Way, port: u16, service: &str, timeout: Duration) -> Outcome {
    let until = way.after(timeout);
    let host = way.address.to_string();
    let address = joined(&host, port);
    let seconds = timeout.as_secs();
    let dialed = way.within(until, way.dial(&host, port));
    let no_connection = |refused| Outcome::Failure {
        words: format!(
            "timeout: failed to connect service {address:?} within {seconds}s: context deadline \
             exceeded"
        ),
        refused,
    };
    let stream = match dialed.await {
        Some(Ok(stream)) => stream,
        Some(Err(no)) => return no_connection(no.refused),
        None => return no_connection(false),
    };
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let handshake = builder.handshake::<_, Full<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = match way.within(until, handshake).await {
        Some(Ok(connected)) => connected,
        Some(Err(_)) | None => return no_connection(false),
    };
    let work = async {
        let Ok(request) = request(&address, service) else {
            return Err((2, "the address is no authority".to_owned()));
        };
        match sender.send_request(request).await {
            Ok(answer) => checked(answer).await,
            Err(error) => Err((UNAVAILABLE, words_of(&error))),
        }
    };
    let driving = async {
        // Its error is the request's as well.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let late = Err((DEADLINE_EXCEEDED, "context deadline exceeded".to_owned()));
    let checked = tokio::select! {
        biased;
        checked = way.within(until, work) => checked.unwrap_or(late),
        () = driving => late,
    };
    match &checked {
        // Who speaks no HTTP/2 was never connected to, as gRPC has it.
        Err((UNAVAILABLE, words)) if words.starts_with("connection error") => no_connection(false),
        _ => judged(checked, seconds),
    }
}

/// What the protocol says of a failure; the client above it only says that there was one.
fn words_of(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

fn judged(checked: Checked, seconds: u64) -> Outcome {
    let status = match checked {
        Ok(status) => usize::try_from(status).ok(),
        Err((UNIMPLEMENTED, message)) => {
            return Outcome::failure(format!(
                "error: this server does not implement the grpc health protocol \
                 (grpc.health.v1.Health): {message}"
            ));
        }
        Err((DEADLINE_EXCEEDED, _)) => {
            let words = format!("timeout: health rpc did not complete within {seconds}s");
            return Outcome::failure(words);
        }
        Err((code, message)) => {
            let code = CODES.get(code).copied().unwrap_or("Unknown");
            return Outcome::failure(format!(
                "error: health rpc probe failed: rpc error: code = {code} desc = {message}"
            ));
        }
    };
    let status = status.and_then(|status| SERVING_STATUS.get(status));
    match status.copied().unwrap_or("UNKNOWN") {
        "SERVING" => Outcome::Success,
        status => Outcome::failure(format!("service unhealthy (responded with {status:?})")),
    }
}

fn request(authority: &str, service: &str) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, a string.
        message.push(0x0a);
        varint(&mut message, service.len());
        message.extend(service.as_bytes());
    }
    let mut body = vec![0];
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    body.extend(length.to_be_bytes());
    body.extend(message);
    Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", AGENT)
        .body(Full::new(body.into()))
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

async fn checked(answer: Response<Incoming>) -> Checked {
    let (head, mut body) = answer.into_parts();
    if let Some(status) = status_of(&head.headers) {
        status?;
    }
    if !head.status.is_success() {
        let message = format!(
            "unexpected HTTP status code received from server: {}",
            head.status
        );
        return Err((UNAVAILABLE, message));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (UNAVAILABLE, words_of(&error)))?;
        if let Some(trailers) = frame.trailers_ref()
            && let Some(status) = status_of(trailers)
        {
            status?;
        }
        if let Some(data) = frame.data_ref() {
            let room = ANSWER_BYTES_MAX.saturating_sub(bytes.len());
            bytes.extend(data.iter().take(room));
        }
    }
    let message = bytes.get(PREFIX_BYTES..).unwrap_or_default();
    Ok(serving_status(message))
}

/// The status of the call, if it is told here.
fn status_of(headers: &HeaderMap) -> Option<Result<(), (usize, String)>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let code: usize = text("grpc-status")?.parse().unwrap_or(2);
    if code == 0 {
        return Some(Ok(()));
    }
    Some(Err((
        code,
        unescaped(text("grpc-message").unwrap_or_default()),
    )))
}

/// `grpc-message` is percent-encoded.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Field 1 of the message, a number; 0 if it is not there.
fn serving_status(message: &[u8]) -> u64 {
    let Some((0x08, rest)) = message.split_first().map(|(tag, rest)| (*tag, rest)) else {
        return 0;
    };
    let mut value = 0u64;
    for (index, byte) in rest.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_told_in_kubernetes_words() {
        let words = |checked| match judged(checked, 1) {
            Outcome::Success => "ok".to_owned(),
            Outcome::Failure { words, .. } => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(words(Ok(serving_status(&[0x08, 1]))), "ok");
        let unhealthy = "service unhealthy (responded with \"NOT_SERVING\")";
        assert_eq!(words(Ok(serving_status(&[0x08, 2]))), unhealthy);
        let unknown = "service unhealthy (responded with \"UNKNOWN\")";
        assert_eq!(words(Ok(serving_status(&[]))), unknown);
        let missing = "error: this server does not implement the grpc health protocol \
                       (grpc.health.v1.Health): unknown service";
        let told = unescaped("unknown%20service");
        assert_eq!(words(Err((UNIMPLEMENTED, told))), missing);
        let no = "error: health rpc probe failed: rpc error: code = NotFound desc = x";
        assert_eq!(words(Err((5, "x".to_owned()))), no);
    }
}
