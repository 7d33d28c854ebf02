//! `/exec/<namespace>/<pod>/<container>` and `/attach/...`: a client's standard streams joined to a
//! command beside a container, or to the container itself. Here is what is asked and over what it is
//! carried; must not know what runs behind it.
//!
//! Kubernetes: kubelet `server`, cri `streaming/remotecommand`.

mod attach;
mod channels;
mod pipes;
mod spdy_streams;

use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::{CommandStreams, RunningContainer};
use crate::stdx::{Clock, websocket};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pipes::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// The versions of SPDY's streams, the newest first.
pub(super) const SPDY_PROTOCOLS: [&str; 4] = [
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
];
pub(super) const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
/// How long a client that was told the end may take to hang up.
const LINGER: Duration = Duration::from_secs(2);

/// What is left to do once the connection was upgraded.
pub(super) type Session = BoxFuture<'static, ()>;
/// Why nothing is upgraded.
pub(super) type Refusal = (StatusCode, String);

/// The streams that a client asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    /// Kubernetes: remotecommand NewOptions. A terminal has one output only.
    fn of(query: &[(String, String)]) -> Result<Self, Refusal> {
        let is = |name: &str| query.iter().any(|(own, value)| own == name && value == "1");
        let tty = is("tty");
        let wanted = Self {
            stdin: is("input"),
            stdout: is("output"),
            stderr: is("error") && !tty,
            tty,
        };
        if wanted.stdin || wanted.stdout || wanted.stderr {
            return Ok(wanted);
        }
        let words = "you must specify at least 1 of stdin, stdout, stderr";
        Err((StatusCode::BAD_REQUEST, words.to_owned()))
    }
}

/// What the streams are joined to.
enum Job {
    Exec(Arc<dyn RunningContainer>, Vec<String>),
    Attach(attach::Attachment),
}

impl Job {
    async fn run(self, streams: CommandStreams, clock: Clock) -> Outcome {
        match self {
            Self::Exec(container, command) => match container.exec(command, streams).await {
                Ok(code) => Outcome::Exited(code),
                Err(why) => Outcome::Failed(format!("error executing command in container: {why}")),
            },
            Self::Attach(attachment) => match attachment.run(streams, clock).await {
                Ok(()) => Outcome::Exited(0),
                Err(why) => Outcome::Failed(format!("error attaching to container: {why}")),
            },
        }
    }
}

/// What carries the streams.
enum Carrier {
    WebSocket(channels::Form, &'static str),
    /// The version, and its name if the client named any.
    Spdy(u8, &'static str),
}

/// Answers a request to run a command (`exec`) or to attach.
pub(super) fn answer(
    kubelet: &Arc<Kubelet>,
    what: &str,
    (namespace, name, container): (&str, &str, &str),
    request: &mut Request<Incoming>,
) -> Result<(Response<()>, Session), Refusal> {
    let pairs = pairs(request.uri().query().unwrap_or_default());
    let wanted = Wanted::of(&pairs)?;
    let job = job(kubelet, what, (namespace, name, container), &pairs, wanted)?;
    let carrier = carrier(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut *request);
    let clock = kubelet.node().clock.clone();
    let (response, session) = match carrier {
        Carrier::WebSocket(form, protocol) => {
            let response = websocket::accept(request.headers(), protocol);
            let session = async move {
                let Ok(upgraded) = upgrade.await else { return };
                let socket = websocket::socket(upgraded).await;
                let run = |streams| job.run(streams, clock.clone());
                channels::serve(socket, form, wanted, &clock, run).await;
            };
            (response, session.boxed())
        }
        Carrier::Spdy(version, protocol) => {
            let response = switching(protocol);
            let session = async move {
                let Ok(upgraded) = upgrade.await else { return };
                let run = |streams| job.run(streams, clock.clone());
                let stream = TokioIo::new(upgraded);
                let served = spdy_streams::serve(stream, version, wanted, &clock, run).await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a stream to a container ended badly");
                }
            };
            (response, session.boxed())
        }
    };
    Ok((response, session))
}

fn job(
    kubelet: &Arc<Kubelet>,
    what: &str,
    (namespace, name, container): (&str, &str, &str),
    pairs: &[(String, String)],
    wanted: Wanted,
) -> Result<Job, Refusal> {
    let Some((pod, entry)) = kubelet.find(namespace, name) else {
        return Err((StatusCode::NOT_FOUND, "pod does not exist".to_owned()));
    };
    let missing = || {
        let words = format!("container not found ({container:?})");
        (StatusCode::INTERNAL_SERVER_ERROR, words)
    };
    let spec = pod_spec::all_containers(&pod).find(|own| own.name == container);
    let spec = spec.ok_or_else(missing)?;
    let running = entry.running.lock().get(container).cloned();
    let Some(running) = running else {
        let state = entry.state.lock();
        return Err(match state.container(container).exit() {
            Some(_) => {
                let words = "container is in CONTAINER_EXITED state";
                (StatusCode::INTERNAL_SERVER_ERROR, words.to_owned())
            }
            None => missing(),
        });
    };
    if what == "exec" {
        let command = pairs.iter().filter(|(name, _)| name == "command");
        let command = command.map(|(_, word)| word.clone()).collect();
        return Ok(Job::Exec(running, command));
    }
    let restarts = entry.state.lock().container(container).restarts;
    let attachment = attach::Attachment::new(kubelet, &pod, spec, restarts, running, wanted);
    attachment
        .map(Job::Attach)
        .map_err(|why| (StatusCode::INTERNAL_SERVER_ERROR, why))
}

/// Agrees on a protocol. Who offers none over SPDY, or none over a WebSocket, is an old client that
/// speaks the first version.
fn carrier(headers: &HeaderMap) -> Result<Carrier, Refusal> {
    if websocket::is_request(headers) {
        let known: Vec<&str> = channels::PROTOCOLS.iter().map(|(name, _)| *name).collect();
        let protocol = match websocket::protocol(headers, &known) {
            Some(protocol) => protocol,
            None if !headers.contains_key(http::header::SEC_WEBSOCKET_PROTOCOL) => "",
            None => {
                let words = format!(
                    "unable to upgrade: no WebSocket protocol in common, server accepts {known:?}"
                );
                return Err((StatusCode::BAD_REQUEST, words));
            }
        };
        let found = channels::PROTOCOLS
            .iter()
            .find(|(name, _)| *name == protocol);
        let (name, form) = found.copied().unwrap_or_default();
        return Ok(Carrier::WebSocket(form, name));
    }
    let offered = offered_over_spdy(headers)?;
    if offered.is_empty() {
        return Ok(Carrier::Spdy(1, ""));
    }
    let chosen = offered.iter().find_map(|own| {
        let at = SPDY_PROTOCOLS.iter().position(|known| known == own)?;
        let version = SPDY_PROTOCOLS.len() - at;
        Some((u8::try_from(version).unwrap_or(1), *SPDY_PROTOCOLS.get(at)?))
    });
    match chosen {
        Some((version, name)) => Ok(Carrier::Spdy(version, name)),
        None => Err(nothing_in_common(&offered, &SPDY_PROTOCOLS)),
    }
}

/// What a client that wants SPDY offers to speak in it.
pub(super) fn offered_over_spdy(headers: &HeaderMap) -> Result<Vec<&str>, Refusal> {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case("SPDY/3.1")) {
        let words = "unable to upgrade: missing upgrade headers in request";
        return Err((StatusCode::BAD_REQUEST, words.to_owned()));
    }
    let offered = headers
        .get_all(PROTOCOL_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    Ok(offered.map(str::trim).collect())
}

pub(super) fn nothing_in_common(offered: &[&str], known: &[&str]) -> Refusal {
    let words = format!(
        "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts \
         [{}]",
        offered.join(" "),
        known.join(" ")
    );
    (StatusCode::FORBIDDEN, words)
}

/// The answer to who wants SPDY and is to have it.
pub(super) fn switching(protocol: &'static str) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if !protocol.is_empty() {
        answer.insert(PROTOCOL_HEADER, HeaderValue::from_static(protocol));
    }
    response
}

/// The pairs of a query, each as often as it stands there.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let decoded = |text: &str| super::decoded(&text.replace('+', " "));
    pairs
        .filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?)))
        .collect()
}
