//! The sockets of a core module: a table of descriptors over the pod's network. Must not know the
//! guest's memory.

use super::errno::{Errno, Outcome};
use crate::net::{ConnectOptions, Listener, NetError, Read, SocketOptions, TcpBinding, UdpSocket};
use crate::wasm_runtime::net_use::{NetUse, Stream};
use crate::wasm_runtime::stdio::Input;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Sockets that one module may have open.
const SOCKETS_MAX: usize = 16_384;
/// Where the numbers of sockets begin that the guest opens: above what the stock table gives out.
const FIRST_OPENED: i32 = 1 << 20;
/// The first descriptor after the standard streams.
const FIRST_FREE: i32 = 3;
/// Connections that wait at a listener that a guest is handed.
const BACKLOG: usize = 1_024;

/// A module's sockets.
pub(in crate::wasm_runtime) struct Sockets {
    net: Arc<NetUse>,
    stdin: Input,
    open: BTreeMap<i32, Socket>,
    next: i32,
    preopened: Vec<(i32, u16)>,
    files: bool,
}

/// One descriptor.
pub(super) struct Socket {
    pub(super) kind: Kind,
    pub(super) nonblocking: bool,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    pub(super) options: SocketOptions,
}

/// What a descriptor is.
pub(super) enum Kind {
    /// A stream socket without an address.
    Fresh {
        v6: bool,
    },
    Bound(TcpBinding),
    Listener(Arc<Listener>),
    Stream(Arc<Stream>),
    FreshDatagram {
        v6: bool,
    },
    Datagram(Arc<UdpSocket>),
}

impl Socket {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            nonblocking: false,
            receive_timeout: None,
            send_timeout: None,
            options: SocketOptions::default(),
        }
    }
}

/// What one may wait for, apart from the table, so that the store is free meanwhile.
#[derive(Clone)]
pub(super) enum Waiter {
    Acceptable(Arc<NetUse>, Arc<Listener>),
    Readable(Arc<Stream>),
    Writable(Arc<Stream>),
    DatagramReadable(Arc<UdpSocket>),
    Stdin(Input),
    Now,
}

impl Waiter {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Acceptable(net, listener) => net.poll_acceptable(listener, cx),
            Self::Readable(stream) => stream.poll_readable(cx),
            Self::Writable(stream) => stream.poll_writable(cx),
            Self::DatagramReadable(socket) => socket.poll_readable(cx),
            Self::Stdin(input) => input.poll_readable(cx),
            Self::Now => Poll::Ready(()),
        }
    }

    /// Waits, `timeout` at the longest.
    pub(super) async fn wait(&self, timeout: Option<Duration>) -> Outcome {
        let ready = std::future::poll_fn(|cx| self.poll(cx));
        match timeout {
            None => ready.await,
            Some(timeout) => tokio::time::timeout(timeout, ready)
                .await
                .map_err(|_| Errno::AGAIN)?,
        }
        Ok(())
    }
}

impl Sockets {
    /// A table that begins with a listener for each of `ports`, after the `folders` that the stock
    /// table begins with.
    pub(in crate::wasm_runtime) fn new(
        net: &Arc<NetUse>,
        stdin: Input,
        ports: &[u16],
        folders: usize,
    ) -> Result<Self, NetError> {
        let mut sockets = Self {
            net: net.clone(),
            stdin,
            open: BTreeMap::new(),
            next: FIRST_OPENED,
            preopened: Vec::new(),
            files: folders > 0,
        };
        let first = FIRST_FREE + i32::try_from(folders).unwrap_or(i32::MAX / 2);
        for (fd, port) in (first..).zip(ports) {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port);
            let binding = net.net().tcp_bind(address)?;
            let listener = net.listen(binding, BACKLOG, SocketOptions::default())?;
            let socket = Socket::new(Kind::Listener(listener));
            sockets.open.insert(fd, socket);
            sockets.preopened.push((fd, *port));
        }
        Ok(sockets)
    }

    /// How the guest finds its listeners: their number, as for a service of systemd, and the first
    /// descriptor, which there is always 3 and here comes after the folders.
    pub(in crate::wasm_runtime) fn env(&self) -> Vec<(String, String)> {
        let Some((first, _)) = self.preopened.first() else {
            return Vec::new();
        };
        let names: Vec<String> = self
            .preopened
            .iter()
            .map(|(_, port)| port.to_string())
            .collect();
        vec![
            ("LISTEN_FDS".into(), self.preopened.len().to_string()),
            ("LISTEN_FDS_FIRST".into(), first.to_string()),
            ("LISTEN_FDNAMES".into(), names.join(":")),
        ]
    }

    pub(super) fn preopened(&self) -> Vec<i32> {
        self.preopened.iter().map(|(fd, _)| *fd).collect()
    }

    pub(super) fn files_exist(&self) -> bool {
        self.files
    }

    pub(super) fn net(&self) -> &Arc<NetUse> {
        &self.net
    }

    pub(super) fn has(&self, fd: i32) -> bool {
        self.open.contains_key(&fd)
    }

    pub(super) fn get(&mut self, fd: i32) -> Outcome<&mut Socket> {
        self.open.get_mut(&fd).ok_or(Errno::NOTSOCK)
    }

    /// Enters a socket under a new descriptor.
    pub(super) fn enter(&mut self, socket: Socket) -> Outcome<i32> {
        if self.open.len() >= SOCKETS_MAX {
            return Err(Errno::MFILE);
        }
        let fd = self.next;
        self.next = fd.checked_add(1).ok_or(Errno::MFILE)?;
        self.open.insert(fd, socket);
        Ok(fd)
    }

    /// Closes a socket; false if there is none.
    pub(super) fn close(&mut self, fd: i32) -> bool {
        self.open.remove(&fd).is_some()
    }

    /// Whether the stock table has a placeholder of the same number, to be closed as well.
    pub(super) fn has_placeholder(&self, fd: i32) -> bool {
        self.files && self.preopened.iter().any(|(known, _)| *known == fd)
    }

    pub(super) fn stream(&mut self, fd: i32) -> Outcome<Arc<Stream>> {
        match &self.get(fd)?.kind {
            Kind::Stream(stream) => Ok(stream.clone()),
            _ => Err(Errno::NOTCONN),
        }
    }

    /// What makes `fd` readable or writable.
    pub(super) fn waiter(&self, fd: i32, write: bool) -> Waiter {
        match self.open.get(&fd).map(|socket| &socket.kind) {
            Some(Kind::Stream(stream)) if write => Waiter::Writable(stream.clone()),
            Some(Kind::Stream(stream)) => Waiter::Readable(stream.clone()),
            Some(Kind::Listener(listener)) if !write => {
                Waiter::Acceptable(self.net.clone(), listener.clone())
            }
            Some(Kind::Datagram(socket)) if !write => Waiter::DatagramReadable(socket.clone()),
            None if fd == 0 && !write => Waiter::Stdin(self.stdin.clone()),
            _ => Waiter::Now,
        }
    }

    /// Takes the next connection, if one waits.
    pub(super) fn try_accept(&mut self, fd: i32, nonblocking: bool) -> Outcome<i32> {
        let net = self.net.clone();
        let socket = self.get(fd)?;
        let Kind::Listener(listener) = &socket.kind else {
            return Err(Errno::INVAL);
        };
        let stream = net.try_accept(listener)?.ok_or(Errno::AGAIN)?;
        let mut accepted = Socket::new(Kind::Stream(Arc::new(stream)));
        accepted.nonblocking = nonblocking;
        self.enter(accepted)
    }

    pub(super) fn bind(&mut self, fd: i32, to: SocketAddr) -> Outcome {
        let net = self.net.net().clone();
        let socket = self.get(fd)?;
        socket.kind = match &socket.kind {
            Kind::Fresh { v6 } if *v6 == to.is_ipv6() => Kind::Bound(net.tcp_bind(to)?),
            Kind::FreshDatagram { v6 } if *v6 == to.is_ipv6() => Kind::Datagram(net.udp_bind(to)?),
            Kind::Fresh { .. } | Kind::FreshDatagram { .. } => return Err(Errno::AFNOSUPPORT),
            _ => return Err(Errno::INVAL),
        };
        Ok(())
    }

    pub(super) fn listen(&mut self, fd: i32, backlog: u32) -> Outcome {
        let net = self.net.clone();
        let socket = self.get(fd)?;
        let options = socket.options;
        let kind = std::mem::replace(&mut socket.kind, Kind::Fresh { v6: false });
        let Kind::Bound(binding) = kind else {
            socket.kind = kind;
            return Err(Errno::INVAL);
        };
        let listener = net.listen(binding, backlog as usize, options)?;
        socket.kind = Kind::Listener(listener);
        Ok(())
    }

    /// How to connect `fd`: what it was bound to goes into the attempt.
    pub(super) fn connecting(&mut self, fd: i32, to: SocketAddr) -> Outcome<Connecting> {
        let net = self.net.net().clone();
        let socket = self.get(fd)?;
        let timeout = socket.send_timeout;
        let options = socket.options;
        match &socket.kind {
            Kind::Fresh { .. } | Kind::Bound(_) => {}
            Kind::FreshDatagram { v6 } => {
                let any: IpAddr = if *v6 {
                    std::net::Ipv6Addr::UNSPECIFIED.into()
                } else {
                    Ipv4Addr::UNSPECIFIED.into()
                };
                let bound = net.udp_bind(SocketAddr::new(any, 0))?;
                bound.connect(Some(to))?;
                socket.kind = Kind::Datagram(bound);
                return Ok(Connecting::Done);
            }
            Kind::Datagram(bound) => {
                bound.connect(Some(to))?;
                return Ok(Connecting::Done);
            }
            Kind::Stream(_) => return Err(Errno::ISCONN),
            Kind::Listener(_) => return Err(Errno::INVAL),
        }
        let kind = std::mem::replace(&mut socket.kind, Kind::Fresh { v6: to.is_ipv6() });
        let binding = match kind {
            Kind::Bound(binding) => Some(binding),
            _ => None,
        };
        let options = ConnectOptions {
            binding,
            timeout,
            socket: options,
        };
        Ok(Connecting::Stream(Box::pin(net.connect(to, options))))
    }
}

/// A connect under way.
pub(super) enum Connecting {
    Done,
    Stream(futures::future::BoxFuture<'static, Result<crate::net::Conn, NetError>>),
}

/// Reads what is there: `None` is "wait", empty is the end.
pub(super) fn try_read(stream: &Stream, max: usize, peek: bool) -> Outcome<Option<Bytes>> {
    let read = if peek {
        stream.try_peek_bytes(max)
    } else {
        stream.try_read_bytes(max)
    };
    match read? {
        Read::Data(bytes) => Ok(Some(bytes)),
        Read::WouldBlock => Ok(None),
        Read::End => Ok(Some(Bytes::new())),
    }
}
