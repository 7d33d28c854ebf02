//! `wasi:http` handlers, served on the container's port: a listener of the pod, HTTP/1.1, and
//! instances that exist only while there is something to answer. Requests wait for one of a bounded
//! number of instances; one instance answers one request at a time and is used again for the next.
//! Must not know Services or Ingresses.

use super::RuntimeError;
use super::course::Course;
use super::error::chain;
use super::exit::Exit;
use super::launch::{Launch, Seat};
use super::meter::Metered;
use super::module::Linked;
use super::net_use::Stream;
use super::runtime::HttpConfig;
use super::state::State;
use crate::net::{Listener, SocketOptions};
use futures::channel::oneshot as reply;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use wasmtime::AsContextMut as _;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::handler::{Prepared, ProxyPre};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView as _};

/// Connections that one container serves at once; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections that wait to be accepted.
const BACKLOG: usize = 1_024;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Header lines of a request.
const HEADERS_MAX: usize = 128;
/// How long a client may take for a request's head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 30;

type Answer = Result<Response<WasiBody>, wasmtime::Error>;

/// A request on its way to an instance. The permit is the instance's right to exist and goes back
/// when the guest is done.
struct Job {
    request: Request<WasiBody>,
    reply: reply::Sender<Answer>,
    permit: OwnedSemaphorePermit,
}

struct Idle {
    send: oneshot::Sender<Job>,
    abort: AbortHandle,
}

pub(super) struct Server {
    listeners: Vec<Arc<Listener>>,
    handlers: Arc<Handlers>,
    stop: CancellationToken,
}

impl Drop for Server {
    /// Ends every instance: those that wait for a request would hold the container's parts until
    /// they have waited long enough.
    fn drop(&mut self) {
        self.handlers.idle.lock().clear();
        self.handlers.workers.lock().abort_all();
    }
}

struct Handlers {
    launch: Arc<Launch>,
    config: HttpConfig,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    workers: Mutex<JoinSet<()>>,
}

/// Opens the container's port.
pub(super) fn bind(
    launch: Arc<Launch>,
    config: HttpConfig,
    stop: CancellationToken,
) -> Result<Server, RuntimeError> {
    let port = launch.config.http_port;
    let mut listeners = Vec::new();
    for ip in [
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::from(Ipv6Addr::UNSPECIFIED),
    ] {
        let net = &launch.net;
        let binding = net.net().tcp_bind(SocketAddr::new(ip, port));
        let listener = binding.and_then(|b| net.listen(b, BACKLOG, SocketOptions::default()));
        listeners.push(listener.map_err(|error| RuntimeError::Setup(error.to_string()))?);
    }
    let permits = config.instances_max.clamp(1, Semaphore::MAX_PERMITS);
    Ok(Server {
        listeners,
        stop,
        handlers: Arc::new(Handlers {
            launch,
            config,
            permits: Arc::new(Semaphore::new(permits)),
            idle: Mutex::default(),
            workers: Mutex::default(),
        }),
    })
}

impl Server {
    /// Serves until it is dropped; what it spawned goes with it.
    pub(super) async fn run(self) -> Exit {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut next = 0;
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return Exit::killed();
            };
            let stream = tokio::select! {
                stream = self.accept(&mut next) => stream,
                Some(_ended) = connections.join_next() => continue,
            };
            match stream {
                Ok(stream) => {
                    let handlers = self.handlers.clone();
                    let stop = self.stop.clone();
                    connections.spawn(async move {
                        let _place = place;
                        connection(handlers, stream, stop).await;
                    });
                }
                // The pod's network is gone: the pod is being removed.
                Err(error) => return Exit::not_started(format!("listening ended: {error}")),
            }
        }
    }

    async fn accept(&self, next: &mut usize) -> Result<Stream, crate::net::NetError> {
        let net = &self.handlers.launch.net;
        loop {
            for offset in 0..self.listeners.len() {
                let at = (*next + offset) % self.listeners.len();
                if let Some(listener) = self.listeners.get(at)
                    && let Some(stream) = net.try_accept(listener)?
                {
                    *next = at + 1;
                    return Ok(stream);
                }
            }
            std::future::poll_fn(|cx| {
                let mut all = self.listeners.iter();
                if all.any(|listener| net.poll_acceptable(listener, cx).is_ready()) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
        }
    }
}

async fn connection(handlers: Arc<Handlers>, stream: Stream, stop: CancellationToken) {
    let service = service_fn(|request| {
        let handlers = handlers.clone();
        async move { Ok::<_, Infallible>(handlers.answer(request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            // The answer under way is finished, then the connection is closed.
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a client's connection ended");
    }
}

impl Handlers {
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<WasiBody> {
        let Ok(permit) = self.permits.clone().acquire_owned().await else {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "the container is ending");
        };
        let (reply, replied) = reply::channel();
        let request = admit(request);
        let abort = self.dispatch(Job {
            request,
            reply,
            permit,
        });
        // A client that goes away before there is an answer ends the instance that works at it.
        let abort = AbortOnDrop(Some(abort));
        let answer = replied.await;
        match answer {
            Ok(Ok(response)) => {
                abort.disarm();
                response
            }
            Ok(Err(error)) => {
                abort.disarm();
                self.complain(&error, &Course::default());
                let status = if error.is::<RuntimeError>() {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                failure(status, "the handler failed; its log says why")
            }
            Err(_) => failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the handler ended without an answer; its log says why",
            ),
        }
    }

    /// Gives the job to an instance that waits for one, or to a new one.
    fn dispatch(self: &Arc<Self>, mut job: Job) -> AbortHandle {
        loop {
            let Some(idle) = self.idle.lock().pop() else {
                break;
            };
            match idle.send.send(job) {
                Ok(()) => return idle.abort,
                // It ended meanwhile.
                Err(back) => job = back,
            }
        }
        let course = Arc::new(Course::default());
        let own = course.clone();
        let meter = self.launch.meter.clone();
        let handlers = self.clone();
        let (tell, told) = oneshot::channel();
        let worker = async move {
            let Ok(me) = told.await else { return };
            handlers.work(job, me, &own).await;
        };
        let worker = Metered::new(worker, meter, course);
        let mut workers = self.workers.lock();
        // Forget those that have ended.
        while workers.try_join_next().is_some() {}
        let abort = workers.spawn(worker);
        // The worker is alive: it waits for this.
        let _ = tell.send(abort.clone());
        abort
    }

    /// One instance: answers requests until it has had its share, fails, or waits too long.
    async fn work(self: &Arc<Self>, job: Job, me: AbortHandle, course: &Arc<Course>) {
        let mut job = job;
        let seat = match self.launch.seat() {
            Ok(seat) => seat,
            Err(error) => {
                let _ = job.reply.send(Err(wasmtime::Error::new(error)));
                return;
            }
        };
        let instance = match self.instantiate(&seat, course).await {
            Ok(instance) => instance,
            Err(error) if error.is::<RuntimeError>() => {
                let _ = job.reply.send(Err(error));
                return;
            }
            Err(error) => {
                self.complain(&error, course);
                return;
            }
        };
        let (mut store, proxy) = instance;
        let mut served = 0;
        // Until the instance waits for a request or is gone: so that there are never more than
        // may be.
        let mut held = None;
        let worked = store
            .run_concurrent(async |accessor: &Accessor<State>| {
                loop {
                    let Job {
                        request,
                        reply,
                        permit,
                    } = job;
                    held = Some(permit);
                    let prepared = accessor.with(|mut store| {
                        let store = store.as_context_mut();
                        Prepared::new(store, &proxy, request, State::http, reply)
                    })?;
                    prepared.run(accessor, std::future::pending()).await?;
                    // The answer is out; its body and what the guest does after it may not be.
                    std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                    served += 1;
                    if served >= self.config.requests_per_instance {
                        return wasmtime::error::Ok(());
                    }
                    match self.next(&me, held.take()).await {
                        Some(next) => job = next,
                        None => return Ok(()),
                    }
                }
            })
            .await;
        if let Ok(Err(error)) | Err(error) = worked {
            self.complain(&error, course);
        }
        drop(store);
        drop(seat);
        drop(held);
    }

    async fn instantiate(
        &self,
        seat: &Seat,
        course: &Arc<Course>,
    ) -> wasmtime::Result<(wasmtime::Store<State>, wasmtime_wasi_http::handler::Proxy)> {
        let Linked::Component(component) = &seat.linked else {
            return Err(wasmtime::Error::msg("a core module has no handler"));
        };
        let Some(handler) = &component.handler else {
            return Err(wasmtime::Error::msg("the component has no handler"));
        };
        let engine = match &**handler {
            ProxyPre::P2(pre) => pre.engine(),
            ProxyPre::P3(pre) => pre.engine(),
        };
        let store = self.launch.component_store(engine, course);
        let mut store = store.map_err(wasmtime::Error::new)?;
        let proxy = handler.instantiate_async(&mut store).await?;
        Ok((store, proxy))
    }

    /// Waits for the next request. Whoever gets the permit finds the instance waiting.
    async fn next(&self, me: &AbortHandle, permit: Option<OwnedSemaphorePermit>) -> Option<Job> {
        let (send, mut wait) = oneshot::channel();
        self.idle.lock().push(Idle {
            send,
            abort: me.clone(),
        });
        drop(permit);
        match tokio::time::timeout(self.config.idle, &mut wait).await {
            Ok(job) => job.ok(),
            Err(_too_long) => {
                wait.close();
                // One may have come in the same moment.
                wait.try_recv().ok()
            }
        }
    }

    /// Writes why a request failed to the container's standard error.
    fn complain(&self, error: &wasmtime::Error, course: &Course) {
        let exit = Exit::of_error(error, course);
        let why = if exit.message.is_empty() {
            format!("it exited with {}", exit.code)
        } else {
            exit.message
        };
        let line = format!("wkube: a request failed: {why}\n");
        self.launch.config.stderr.write(line.as_bytes());
        tracing::debug!(container = %self.launch.config.id, error = chain(error), "request failed");
    }
}

struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(abort) = &self.0 {
            abort.abort();
        }
    }
}

/// A request as the guest gets it: bounded, and with an authority.
fn admit(request: Request<Incoming>) -> Request<WasiBody> {
    let mut request = request.map(|body| {
        Limited::new(body, BODY_BYTES_MAX)
            .map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::from(*error),
                Err(_too_large) => HttpError::HttpRequestBodySize(None),
            })
            .boxed_unsync()
    });
    if request.uri().authority().is_none() && !request.headers().contains_key(header::HOST) {
        // HTTP/1.0 may leave it out; WASI demands one.
        let host = HeaderValue::from_static("localhost");
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

fn failure(status: StatusCode, message: &str) -> Response<WasiBody> {
    let text = format!("{message}\n");
    let body = Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
