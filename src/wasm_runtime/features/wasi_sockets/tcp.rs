//! `wasi:sockets/tcp` 0.2: the state machine of a TCP socket over the pod's stack.
#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export the resources"
)]

use super::bindings::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::wasi::sockets::{tcp, tcp_create_socket};
use super::{
    Network, SocketResult, SocketsView, checked, checked_remote, refused, streams, table, to_wit,
};
use crate::net::{
    Conn, ConnectOptions, Listener, MAX_BACKLOG, NetError, SocketOptions, TcpBinding,
};
use crate::wasm_runtime::net_use::{NetUse, Stream};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, Pollable};

/// The backlog of a guest that asked for none, as a kernel's usual one.
const DEFAULT_BACKLOG: usize = 128;

/// A TCP socket of a guest.
pub struct TcpSocket {
    family: IpAddressFamily,
    state: State,
    backlog: usize,
    options: SocketOptions,
    net: Arc<NetUse>,
}

enum State {
    Unbound,
    BindStarted(TcpBinding),
    Bound(TcpBinding),
    Connecting(BoxFuture<'static, Result<Conn, NetError>>),
    ConnectDone(Result<Conn, NetError>),
    Connected(Arc<Stream>),
    ListenStarted(Arc<Listener>),
    Listening(Arc<Listener>),
    Closed,
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl TcpSocket {
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    fn options(&self) -> SocketOptions {
        match &self.state {
            State::Connected(stream) => stream.options(),
            State::Listening(listener) => listener.options(),
            _ => self.options,
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut SocketOptions)) {
        let mut options = self.options();
        change(&mut options);
        self.options = options;
        match &self.state {
            State::Connected(stream) => stream.set_options(options),
            State::Listening(listener) => listener.set_options(options),
            _ => {}
        }
    }

    fn try_connect(&mut self) {
        if let State::Connecting(future) = &mut self.state
            && let Some(done) = future.now_or_never()
        {
            self.state = State::ConnectDone(done);
        }
    }
}

#[async_trait::async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        match &mut self.state {
            State::Connecting(future) => {
                let done = future.await;
                self.state = State::ConnectDone(done);
            }
            State::Listening(listener) => {
                poll_fn(|cx| self.net.poll_acceptable(listener, cx)).await;
            }
            _ => {}
        }
    }
}

impl SocketsView<'_> {
    fn streams(
        &mut self,
        socket: &Resource<TcpSocket>,
        stream: &Arc<Stream>,
    ) -> SocketResult<Streams> {
        let input: DynInputStream = Box::new(streams::Input(stream.clone()));
        let output: DynOutputStream = Box::new(streams::Output::new(stream.clone()));
        let input = table(self.table.push_child(input, socket))?;
        match self.table.push_child(output, socket) {
            Ok(output) => Ok((input, output)),
            Err(error) => {
                table(self.table.delete(input))?;
                table(Err(error))
            }
        }
    }

    fn tcp(&mut self, this: &Resource<TcpSocket>) -> SocketResult<&mut TcpSocket> {
        table(self.table.get_mut(this))
    }
}

impl tcp_create_socket::Host for SocketsView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = TcpSocket {
            family,
            state: State::Unbound,
            backlog: DEFAULT_BACKLOG,
            options: SocketOptions::default(),
            net: self.net.clone(),
        };
        table(self.table.push(socket))
    }
}

impl tcp::Host for SocketsView<'_> {}

impl tcp::HostTcpSocket for SocketsView<'_> {
    fn start_bind(
        &mut self,
        this: Resource<TcpSocket>,
        _network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let socket = self.tcp(&this)?;
        if !matches!(socket.state, State::Unbound) {
            return Err(ErrorCode::InvalidState.into());
        }
        let address = checked(socket.family, address)?;
        let binding = socket.net.net().tcp_bind(address).map_err(refused)?;
        socket.state = State::BindStarted(binding);
        Ok(())
    }

    fn finish_bind(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        let socket = self.tcp(&this)?;
        match socket.take() {
            State::BindStarted(binding) => {
                socket.state = State::Bound(binding);
                Ok(())
            }
            other => {
                socket.state = other;
                Err(ErrorCode::NotInProgress.into())
            }
        }
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        _network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let socket = self.tcp(&this)?;
        let bindable = matches!(socket.state, State::Unbound | State::Bound(_));
        if !bindable {
            return Err(match socket.state {
                State::BindStarted(_) | State::Connecting(_) | State::ListenStarted(_) => {
                    ErrorCode::ConcurrencyConflict.into()
                }
                _ => ErrorCode::InvalidState.into(),
            });
        }
        let address = checked_remote(socket.family, address)?;
        let binding = match socket.take() {
            State::Bound(binding) => Some(binding),
            _ => None,
        };
        let options = ConnectOptions {
            binding,
            timeout: None,
            socket: socket.options,
        };
        let connecting = socket.net.net().connect(address, options).boxed();
        socket.state = State::Connecting(connecting);
        // In the process a connection is made at the first poll: make it now.
        socket.try_connect();
        Ok(())
    }

    fn finish_connect(&mut self, this: Resource<TcpSocket>) -> SocketResult<Streams> {
        let socket = self.tcp(&this)?;
        socket.try_connect();
        match socket.take() {
            State::ConnectDone(Ok(conn)) => {
                let stream = Arc::new(Stream::opened(conn));
                socket.state = State::Connected(stream.clone());
                self.streams(&this, &stream)
            }
            State::ConnectDone(Err(error)) => Err(refused(error)),
            other => {
                let code = match &other {
                    State::Connecting(_) => ErrorCode::WouldBlock,
                    _ => ErrorCode::NotInProgress,
                };
                socket.state = other;
                Err(code.into())
            }
        }
    }

    fn start_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        let socket = self.tcp(&this)?;
        match socket.take() {
            State::Bound(binding) => {
                let listener = socket
                    .net
                    .listen(binding, socket.backlog, socket.options)
                    .map_err(refused)?;
                socket.state = State::ListenStarted(listener);
                Ok(())
            }
            other => {
                let code = match &other {
                    State::BindStarted(_) | State::Connecting(_) | State::ListenStarted(_) => {
                        ErrorCode::ConcurrencyConflict
                    }
                    _ => ErrorCode::InvalidState,
                };
                socket.state = other;
                Err(code.into())
            }
        }
    }

    fn finish_listen(&mut self, this: Resource<TcpSocket>) -> SocketResult<()> {
        let socket = self.tcp(&this)?;
        match socket.take() {
            State::ListenStarted(listener) => {
                socket.state = State::Listening(listener);
                Ok(())
            }
            other => {
                socket.state = other;
                Err(ErrorCode::NotInProgress.into())
            }
        }
    }

    fn accept(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        let socket = self.tcp(&this)?;
        let State::Listening(listener) = &socket.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        let Some(stream) = socket.net.try_accept(listener).map_err(refused)? else {
            return Err(ErrorCode::WouldBlock.into());
        };
        let stream = Arc::new(stream);
        let accepted = TcpSocket {
            family: socket.family,
            options: stream.options(),
            state: State::Connected(stream.clone()),
            backlog: DEFAULT_BACKLOG,
            net: socket.net.clone(),
        };
        let accepted = table(self.table.push(accepted))?;
        match self.streams(&accepted, &stream) {
            Ok((input, output)) => Ok((accepted, input, output)),
            Err(error) => {
                table(self.table.delete(accepted))?;
                Err(error)
            }
        }
    }

    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        let address: SocketAddr = match &self.tcp(&this)?.state {
            State::Bound(binding) => binding.local(),
            State::Connected(stream) => stream.local(),
            State::ListenStarted(listener) | State::Listening(listener) => listener.local(),
            State::ConnectDone(Ok(conn)) => conn.local(),
            _ => return Err(ErrorCode::InvalidState.into()),
        };
        Ok(to_wit(address))
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        match &self.tcp(&this)?.state {
            State::Connected(stream) => Ok(to_wit(stream.peer())),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn is_listening(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(matches!(self.table.get(&this)?.state, State::Listening(_)))
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&this)?.family)
    }

    fn set_listen_backlog_size(
        &mut self,
        this: Resource<TcpSocket>,
        size: u64,
    ) -> SocketResult<()> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let socket = self.tcp(&this)?;
        match socket.state {
            State::Unbound | State::BindStarted(_) | State::Bound(_) => {
                socket.backlog = usize::try_from(size)
                    .unwrap_or(MAX_BACKLOG)
                    .min(MAX_BACKLOG);
                Ok(())
            }
            // A queue that exists keeps its length.
            State::Listening(_) | State::ListenStarted(_) => Err(ErrorCode::NotSupported.into()),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(self.tcp(&this)?.options().keep_alive)
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpSocket>, on: bool) -> SocketResult<()> {
        self.tcp(&this)?.set(|options| options.keep_alive = on);
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(nanos(self.tcp(&this)?.options().keep_alive_idle))
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpSocket>, v: u64) -> SocketResult<()> {
        let time = Duration::from_nanos(positive(v)?);
        self.tcp(&this)?
            .set(|options| options.keep_alive_idle = time);
        Ok(())
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(nanos(self.tcp(&this)?.options().keep_alive_interval))
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpSocket>, v: u64) -> SocketResult<()> {
        let time = Duration::from_nanos(positive(v)?);
        self.tcp(&this)?
            .set(|options| options.keep_alive_interval = time);
        Ok(())
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(self.tcp(&this)?.options().keep_alive_count)
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, count: u32) -> SocketResult<()> {
        positive(count.into())?;
        self.tcp(&this)?
            .set(|options| options.keep_alive_count = count);
        Ok(())
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        Ok(self.tcp(&this)?.options().hop_limit)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, limit: u8) -> SocketResult<()> {
        positive(limit.into())?;
        self.tcp(&this)?.set(|options| options.hop_limit = limit);
        Ok(())
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.tcp(&this)?.options().receive_buffer as u64)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpSocket>, v: u64) -> SocketResult<()> {
        let size = usize::try_from(positive(v)?).unwrap_or(usize::MAX);
        self.tcp(&this)?
            .set(|options| options.receive_buffer = size);
        Ok(())
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.tcp(&this)?.options().send_buffer as u64)
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, v: u64) -> SocketResult<()> {
        let size = usize::try_from(positive(v)?).unwrap_or(usize::MAX);
        self.tcp(&this)?.set(|options| options.send_buffer = size);
        Ok(())
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, this)
    }

    fn shutdown(
        &mut self,
        this: Resource<TcpSocket>,
        which: tcp::ShutdownType,
    ) -> SocketResult<()> {
        let State::Connected(stream) = &self.tcp(&this)?.state else {
            return Err(ErrorCode::InvalidState.into());
        };
        let receive = !matches!(which, tcp::ShutdownType::Send);
        let send = !matches!(which, tcp::ShutdownType::Receive);
        stream.shutdown(streams::how(receive, send));
        Ok(())
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn positive(value: u64) -> SocketResult<u64> {
    if value == 0 {
        return Err(ErrorCode::InvalidArgument.into());
    }
    Ok(value)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
