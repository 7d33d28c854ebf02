//! One container from start to exit: a future on the guests' runtime and a handle to it. Killing
//! is dropping the future. Must not know restarts.

use super::course::Course;
use super::engine::Engines;
use super::exit::Exit;
use super::features::wasi_http::OutgoingHttp;
use super::http_server;
use super::launch::{ContainerConfig, Launch, Seat};
use super::limits::{ContainerMemory, HOSTCALL_FUEL};
use super::meter::{Meter, Metered};
use super::module::{Linked, LinkedComponent, Module, Run};
use super::net_use::NetUse;
use super::runtime::HttpConfig;
use super::stdio::{Input, StdinWriter};
use super::ticker::Ticker;
use super::{RuntimeError, World};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wasmtime::PoolConcurrencyLimitError;

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of linear memories and tables.
    pub memory_bytes: u64,
    /// Nanoseconds of processor time since it started.
    pub cpu_nanos: u64,
}

/// A handle to a container that was started. Clones are handles to the same; dropping them all
/// leaves it running.
#[derive(Clone)]
pub struct Container {
    inner: Arc<Inner>,
}

struct Inner {
    kill: CancellationToken,
    stop: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    meter: Arc<Meter>,
    memory: Arc<ContainerMemory>,
    stdin: Option<StdinWriter>,
}

impl Container {
    /// Starts `module` on `guests`.
    pub(super) fn start(
        guests: &Handle,
        engines: &Arc<Engines>,
        ticker: &Arc<Ticker>,
        http: &HttpConfig,
        module: &Arc<Module>,
        config: ContainerConfig,
    ) -> Result<Self, RuntimeError> {
        let stdin = if config.stdin {
            Input::default()
        } else {
            Input::closed()
        };
        let handle = config.stdin.then(|| StdinWriter(stdin.clone()));
        let memory = ContainerMemory::new(config.memory_bytes_limit, config.budget.clone());
        let meter = Meter::new(ticker.clone(), config.cpu_millis_limit);
        let net = NetUse::new(config.net.clone());
        let launch = Arc::new(Launch {
            outgoing: OutgoingHttp::new(net.clone(), meter.clone(), http.trust.clone()),
            net,
            module: module.clone(),
            engines: engines.clone(),
            memory: memory.clone(),
            meter: meter.clone(),
            stdin,
            config,
        });
        let serves = match module.world() {
            World::Preview1Command | World::CliRun => false,
            World::HttpHandler => true,
            World::CliRunAndHttpHandler => !launch.config.command_set,
        };
        let stop = CancellationToken::new();
        let kill = CancellationToken::new();
        let (announce, exit) = watch::channel(None);
        let control = Control {
            kill: kill.clone(),
            stop: stop.clone(),
        };
        if serves {
            let server = http_server::bind(launch.clone(), http.clone(), stop.clone())?;
            let running = server.run();
            guests.spawn(control.supervise(launch, running, announce));
        } else {
            // A missing place or an unknown import is told to the caller, not by an exit.
            let seat = launch.seat()?;
            let running = command(launch.clone(), seat);
            guests.spawn(control.supervise(launch, running, announce));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                kill,
                stop,
                exit,
                meter,
                memory,
                stdin: handle,
            }),
        })
    }

    /// Waits until the container has ended and everything it held is free.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.inner.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(Exit::killed),
            // The task is gone without a word: the runtime was shut down, or failed.
            Err(_) => Exit::killed(),
        }
    }

    /// The exit, if the container has ended.
    pub fn exit(&self) -> Option<Exit> {
        self.inner.exit.borrow().clone()
    }

    /// Asks the container to end: its listeners close, its input ends, and as soon as it serves
    /// no connection it ends with 143; at once if it serves none. wasm has no signals.
    pub fn request_stop(&self) {
        self.inner.stop.cancel();
    }

    /// Ends the container now, with 137.
    pub fn kill(&self) {
        self.inner.kill.cancel();
    }

    /// Other limits hold from now on: thousandths of a core, bytes; none is no limit. A limit of memory
    /// below what is in use is refused, and nothing changes then: the error tells what is in use.
    pub fn resize(&self, cpu_millis: Option<u32>, memory_bytes: Option<u64>) -> Result<(), u64> {
        self.inner.memory.set_limit(memory_bytes)?;
        self.inner.meter.set_limit(cpu_millis);
        Ok(())
    }

    /// What it uses.
    pub fn stats(&self) -> Stats {
        Stats {
            memory_bytes: self.inner.memory.used(),
            cpu_nanos: self.inner.meter.used_nanos(),
        }
    }

    /// The writing end of its standard input, if it was started with one.
    pub fn stdin(&self) -> Option<StdinWriter> {
        self.inner.stdin.clone()
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("exit", &self.exit())
            .finish()
    }
}

struct Control {
    kill: CancellationToken,
    stop: CancellationToken,
}

impl Control {
    /// Runs the container until it ends, is stopped or is killed; then, with everything it held
    /// set free, announces how.
    async fn supervise(
        self,
        launch: Arc<Launch>,
        running: impl Future<Output = Exit> + Send,
        announce: watch::Sender<Option<Exit>>,
    ) {
        let net = launch.net.clone();
        let stdin = launch.stdin.clone();
        let stop = self.stop;
        let stopped = async {
            stop.cancelled().await;
            net.drain();
            stdin.close();
            net.unused().await;
        };
        let exit = {
            let running = running;
            tokio::select! {
                biased;
                () = self.kill.cancelled() => Exit::killed(),
                exit = running => exit,
                () = stopped => Exit::stopped(),
            }
        };
        net.drain();
        stdin.close();
        let (id, name) = (&launch.config.id, &launch.config.name);
        tracing::debug!(container = %id, %name, code = exit.code, "container ended");
        drop(launch);
        announce.send_replace(Some(exit));
    }
}

/// Runs a command, metered.
async fn command(launch: Arc<Launch>, seat: Seat) -> Exit {
    let course = Arc::new(Course::default());
    let meter = launch.meter.clone();
    let own = course.clone();
    Metered::new(
        async move { enter(&launch, seat, &own).await },
        meter,
        course,
    )
    .await
}

async fn enter(launch: &Launch, seat: Seat, course: &Arc<Course>) -> Exit {
    match attempt(launch, &seat, course).await {
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            // The pool lacks a memory, table or stack for this guest: nothing of it has run.
            drop(seat);
            match launch.seat_on_demand() {
                Ok(seat) => match attempt(launch, &seat, course).await {
                    Ok(exit) => exit,
                    Err(error) => Exit::of_error(&error, course),
                },
                Err(error) => Exit::not_started(error.to_string()),
            }
        }
        Ok(exit) => exit,
        Err(error) => Exit::of_error(&error, course),
    }
}

async fn attempt(launch: &Launch, seat: &Seat, course: &Arc<Course>) -> wasmtime::Result<Exit> {
    match &seat.linked {
        Linked::Core(pre) => {
            let engine = pre.module().engine();
            let mut store = launch
                .core_store(engine, course)
                .map_err(wasmtime::Error::new)?;
            store.data_mut().reserve_listeners(HOSTCALL_FUEL).await?;
            let instance = pre.instantiate_async(&mut store).await?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            start.call_async(&mut store, ()).await?;
            Ok(Exit::with_code(0))
        }
        Linked::Component(LinkedComponent { run: Some(run), .. }) => {
            let done = match run {
                Run::Sync(pre) => {
                    let engine = pre.engine();
                    let mut store = launch
                        .component_store(engine, course)
                        .map_err(wasmtime::Error::new)?;
                    let command = pre.instantiate_async(&mut store).await?;
                    command.wasi_cli_run().call_run(&mut store).await?
                }
                Run::Async(pre) => {
                    let engine = pre.engine();
                    let mut store = launch
                        .component_store(engine, course)
                        .map_err(wasmtime::Error::new)?;
                    let command = pre.instantiate_async(&mut store).await?;
                    let run = async |accessor: &wasmtime::component::Accessor<_>| {
                        command.wasi_cli_run().call_run(accessor).await
                    };
                    store.run_concurrent(run).await??
                }
            };
            Ok(match done {
                Ok(()) => Exit::with_code(0),
                Err(()) => Exit::of_code(1, course),
            })
        }
        Linked::Component(_) => Ok(Exit::not_started("the component has no command".into())),
    }
}
