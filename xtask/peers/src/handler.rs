//! `http`: a `wasi:http` component under bare wasmtime and hyper on a kernel socket, with the engine
//! settings and the reuse of instances of wkube's (`src/wasm_runtime/runtime.rs`, `HttpConfig`).

use crate::args::Args;
use crate::embed::State;
use crate::{Failure, embed};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::{Error, WasiHttpView as _};

/// Instances at once.
const INSTANCES_MAX: usize = 64;
/// Requests that an instance answers before it is replaced.
const REQUESTS_PER_INSTANCE: usize = 10_000;
/// How long an instance without a request is kept.
const IDLE: Duration = Duration::from_secs(10);
/// Slots of the engine's pool.
const SLOTS: u32 = 64;

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let code = Path::new(args.plain(0, "CODE")?);
    let port: u16 = args.get("port")?;
    let engine = embed::engine(Some(SLOTS))?;
    let component = embed::component(&engine, code)?;
    let mut linker = embed::linker(&engine)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let pre = ProxyPre::new(linker.instantiate_pre(&component)?)?;
    let handler = ProxyHandler::new(Handler { engine, pre });
    let permits = Arc::new(Semaphore::new(INSTANCES_MAX));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (handler, permits) = (handler.clone(), permits.clone());
            tokio::spawn(async move {
                let service = service_fn(|request: http::Request<Incoming>| {
                    let (handler, permits) = (handler.clone(), permits.clone());
                    async move {
                        let _permit = permits.acquire_owned().await;
                        let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
                        let answer = handler.handle((), request).await;
                        answer.map_err(|error| std::io::Error::other(format!("{error:#}")))
                    }
                });
                // A client that goes away is no failure.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(60))
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

struct Handler {
    engine: Engine,
    pre: ProxyPre<State>,
}

impl HandlerState for Handler {
    type StoreData = State;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Idle, Reuse>> {
        let mut store = embed::store(&self.engine, &[]);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P2(proxy),
            view: State::http,
            expiration: Idle(Box::pin(tokio::time::sleep(IDLE))),
            state: Reuse,
        })
    }
}

/// Ends a worker that has been without a request for long.
struct Idle(Pin<Box<Sleep>>);

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if !matches!(status, WorkerStatus::Idle) {
            return Poll::Pending;
        }
        // Moved only when it fires, not at every request.
        loop {
            ready!(self.0.as_mut().poll(cx));
            let end = tokio::time::Instant::from_std(start + IDLE);
            if end <= tokio::time::Instant::now() {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(end);
        }
    }
}

/// One request at a time, one after the other.
struct Reuse;

impl WorkerState for Reuse {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= REQUESTS_PER_INSTANCE {
            ShouldAccept::Never
        } else if concurrent > 0 {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<State>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            eprintln!("{error:#}");
        }
    }
}
