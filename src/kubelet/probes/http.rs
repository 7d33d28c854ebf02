//! GET requests of probes and of hooks: HTTP/1.1 over the pod network, one connection each, with
//! the redirects that Kubernetes follows and the words that Go has for what fails.
//!
//! Kubernetes: `pkg/probe/http`, Go's `net/http`.

use super::way::{Way, joined, port};
use super::{ANSWER_BYTES_MAX, Outcome, trust};
use crate::stdx::BoxStream;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use rustls_pki_types::ServerName;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Redirects that are followed. Kubernetes: RedirectChecker.
const REDIRECTS_MAX: usize = 10;
/// What Go says of an answer in plain text to a handshake.
pub(in crate::kubelet) const NOT_HTTPS: &str = "http: server gave HTTP response to HTTPS client";

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    https: bool,
    /// Without brackets.
    host: String,
    port: u16,
    /// Begins with `/`.
    path: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(
            f,
            "{scheme}://{}{}",
            joined(&self.host, self.port),
            self.path
        )
    }
}

impl Url {
    /// What `location` in an answer to this one means.
    fn redirected(&self, location: &str) -> Option<Self> {
        let location = match location.strip_prefix("//") {
            Some(rest) => format!("{}://{rest}", if self.https { "https" } else { "http" }),
            None => location.to_owned(),
        };
        if location.starts_with("http://") || location.starts_with("https://") {
            let uri: Uri = location.parse().ok()?;
            let https = uri.scheme_str() == Some("https");
            let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
            return Some(Self {
                https,
                host: host.to_owned(),
                port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
                path: target(uri.path_and_query().map_or("/", |path| path.as_str())),
            });
        }
        let path = if location.starts_with('/') {
            location
        } else {
            let base = self.path.split('?').next().unwrap_or_default();
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Some(Self {
            path: target(&path),
            ..self.clone()
        })
    }
}

/// A path as it stands in a request: what may not be there is escaped, a fragment is not sent.
fn target(path: &str) -> String {
    use std::fmt::Write as _;
    let path = path.split('#').next().unwrap_or_default();
    let mut out = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        out.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// What is asked.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Ask {
    url: Url,
    headers: HeaderMap,
}

/// Why there was no answer.
pub(in crate::kubelet) struct NoAnswer {
    /// As Go words it: `Get "http://10.1.0.2:80/": dial tcp ...`.
    pub(in crate::kubelet) words: String,
    refused: bool,
}

struct Answer {
    status: StatusCode,
    body: Incoming,
}

impl Ask {
    /// What `action` of a container says; `agent` is who asks.
    /// Kubernetes: NewRequestForHTTPGetAction.
    pub(in crate::kubelet) fn new(
        action: &HTTPGetAction,
        container: &Container,
        address: IpAddr,
        agent: &str,
    ) -> Result<Self, String> {
        let host = action.host.as_deref().filter(|host| !host.is_empty());
        let scheme = action.scheme.as_deref().unwrap_or_default();
        let url = Url {
            https: scheme.eq_ignore_ascii_case("https"),
            host: host.map_or_else(|| address.to_string(), str::to_owned),
            port: port(&action.port, container)?,
            path: target(action.path.as_deref().unwrap_or_default()),
        };
        let mut headers = HeaderMap::new();
        for header in action.http_headers.iter().flatten() {
            let name: HeaderName = header
                .name
                .parse()
                .map_err(|_| format!("net/http: invalid header field name {:?}", header.name))?;
            let value = HeaderValue::from_str(&header.value)
                .map_err(|_| format!("net/http: invalid header field value for {name:?}"))?;
            headers.append(name, value);
        }
        if !headers.contains_key(USER_AGENT)
            && let Ok(agent) = HeaderValue::from_str(agent)
        {
            headers.insert(USER_AGENT, agent);
        }
        match headers.get(ACCEPT) {
            None => drop(headers.insert(ACCEPT, HeaderValue::from_static("*/*"))),
            Some(accept) if accept.is_empty() => drop(headers.remove(ACCEPT)),
            Some(_) => {}
        }
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(Self { url, headers })
    }

    /// `host:port`, as it was asked.
    pub(in crate::kubelet) fn authority(&self) -> String {
        joined(&self.url.host, self.url.port)
    }

    /// The same without TLS.
    pub(in crate::kubelet) fn plain(mut self) -> Self {
        self.url.https = false;
        self.headers.remove(http::header::AUTHORIZATION);
        self
    }

    fn failed(&self, words: &str) -> NoAnswer {
        NoAnswer {
            words: format!("Get \"{}\": {words}", self.url),
            refused: false,
        }
    }
}

/// Asks as a probe.
pub(super) async fn probe(way: &Way, ask: Ask, timeout: Duration) -> Outcome {
    let until = way.after(timeout);
    let mut ask = ask;
    for _ in 0..=REDIRECTS_MAX {
        match once(way, &ask, until).await {
            Err(no) => {
                return Outcome::Failure {
                    words: no.words,
                    refused: no.refused,
                };
            }
            Ok(Turn::Elsewhere(next)) => {
                ask.headers.remove(HOST);
                ask.url = next;
            }
            Ok(Turn::Over(outcome)) => return outcome,
        }
    }
    let no = ask.failed("stopped after 10 redirects");
    Outcome::failure(no.words)
}

fn warning(body: String) -> Outcome {
    Outcome::Warning(format!("Probe terminated redirects, Response body: {body}"))
}

/// Asks as a hook: any answer will do.
pub(in crate::kubelet) async fn call(
    way: &Way,
    ask: &Ask,
    timeout: Duration,
) -> Result<(), NoAnswer> {
    let until = way.after(timeout);
    once(way, ask, until).await.map(drop)
}

/// What an answer comes to.
enum Turn {
    Over(Outcome),
    Elsewhere(Url),
}

async fn once(way: &Way, ask: &Ask, until: Instant) -> Result<Turn, NoAnswer> {
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let connected = way.within(until, connect(way, ask)).await;
    let stream = connected.unwrap_or_else(|| Err(ask.failed(late)))?;
    let handshake = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = handshake.map_err(|e| ask.failed(&go_words(&e)))?;
    let request = request(ask).map_err(|error| ask.failed(&error))?;
    let work = async {
        let sent = way.within(until, sender.send_request(request)).await;
        let sent = sent.ok_or_else(|| ask.failed(late))?;
        let (head, body) = sent.map_err(|e| ask.failed(&go_words(&e)))?.into_parts();
        let location = head.headers.get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let moved = matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let next = location.and_then(|location| ask.url.redirected(location));
        if let Some(next) = next.filter(|next| moved && next.host == ask.url.host) {
            return Ok(Turn::Elsewhere(next));
        }
        let answer = Answer {
            status: head.status,
            body,
        };
        Ok(Turn::Over(judged(way, answer, until).await))
    };
    let driving = async {
        // Its error is the request's as well.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        turn = work => turn,
        () = driving => Err(ask.failed("EOF")),
    }
}

async fn connect(way: &Way, ask: &Ask) -> Result<BoxStream, NoAnswer> {
    let dialed = way.dial(&ask.url.host, ask.url.port).await;
    let stream = dialed.map_err(|no| NoAnswer {
        refused: no.refused,
        ..ask.failed(&no.words)
    })?;
    if !ask.url.https {
        return Ok(stream);
    }
    let name = ServerName::try_from(ask.url.host.clone());
    let name = name.map_err(|error| ask.failed(&error.to_string()))?;
    let connector = trust::connector().map_err(|error| ask.failed(&error.to_string()))?;
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let own = error.get_ref().and_then(|e| e.downcast_ref());
            Err(match own {
                Some(rustls::Error::InvalidMessage(_)) => ask.failed(NOT_HTTPS),
                Some(error) => ask.failed(&format!("tls: {error}")),
                None => ask.failed(&error.to_string()),
            })
        }
    }
}

fn request(ask: &Ask) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::new(Empty::new());
    let path = ask.url.path.parse::<Uri>();
    *request.uri_mut() = path.map_err(|error| error.to_string())?;
    let host = HeaderValue::from_str(&ask.authority()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    for name in ask.headers.keys() {
        headers.remove(name);
        for value in ask.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    Ok(request)
}

/// Kubernetes: DoHTTPProbe.
async fn judged(way: &Way, answer: Answer, until: Instant) -> Outcome {
    let status = answer.status.as_u16();
    let Some(body) = way.within(until, read(answer.body)).await else {
        return Outcome::Error(
            "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
                .to_owned(),
        );
    };
    match (body, status) {
        (Err(error), _) => Outcome::Error(error),
        (Ok(_), 200..300) => Outcome::Success,
        (Ok(body), 300..400) => warning(String::from_utf8_lossy(&body).into_owned()),
        _ => Outcome::failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| "unexpected EOF".to_owned())?;
        if let Some(data) = frame.data_ref() {
            let room = ANSWER_BYTES_MAX - read.len();
            read.extend(data.iter().take(room));
        }
        if read.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(read)
}

/// What Go says of the same failure.
fn go_words(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response"
            .to_owned();
    }
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    match cause.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionReset) => "read: connection reset by peer".to_owned(),
        Some(std::io::ErrorKind::BrokenPipe) => "write: broken pipe".to_owned(),
        Some(_) => cause.map(ToString::to_string).unwrap_or_default(),
        None => "EOF".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url {
            https: false,
            host: "10.1.0.2".to_owned(),
            port: 8080,
            path: target(path),
        }
    }

    #[test]
    fn paths_are_sent_as_go_sends_them() {
        for (path, sent) in [
            ("", "/"),
            ("/", "/"),
            ("healthz", "/healthz"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a b", "/a%20b"),
            ("/ä#there", "/%C3%A4"),
        ] {
            assert_eq!(target(path), sent, "{path}");
        }
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        let base = url("/a/b?c=d");
        for (location, to) in [
            ("/x", "http://10.1.0.2:8080/x"),
            ("x", "http://10.1.0.2:8080/a/x"),
            ("http://10.1.0.2/x", "http://10.1.0.2:80/x"),
            ("https://other.example/", "https://other.example:443/"),
            ("//10.1.0.9:1/y?z", "http://10.1.0.9:1/y?z"),
            ("http://[fd00::2]:7/", "http://[fd00::2]:7/"),
        ] {
            let next = base.redirected(location).unwrap();
            assert_eq!(next.to_string(), to, "{location}");
        }
    }
}
