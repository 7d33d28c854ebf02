//! `wasi:sockets/udp` 0.2 over the pod's stack.
#![allow(
    unreachable_pub,
    reason = "the generated bindings re-export the resources"
)]

use super::bindings::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::wasi::sockets::{udp, udp_create_socket};
use super::{Network, SocketResult, SocketsView, checked, checked_remote, refused, table, to_wit};
use crate::net::{DEFAULT_BUFFER, UdpSocket};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynPollable, Pollable};

/// Datagrams that one call hands over or takes at most.
const BATCH_MAX: u64 = 16;

/// A UDP socket of a guest.
pub struct UdpHandle {
    family: IpAddressFamily,
    socket: Option<Arc<UdpSocket>>,
    bind_started: bool,
    hop_limit: u8,
    send_buffer: u64,
}

/// What comes in.
pub struct Incoming {
    socket: Arc<UdpSocket>,
}

/// What goes out.
pub struct Outgoing {
    family: IpAddressFamily,
    socket: Arc<UdpSocket>,
    peer: Option<SocketAddr>,
    permit: u64,
}

#[async_trait::async_trait]
impl Pollable for UdpHandle {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        poll_fn(|cx| self.socket.poll_readable(cx)).await;
    }
}

#[async_trait::async_trait]
impl Pollable for Outgoing {
    async fn ready(&mut self) {
        poll_fn(|cx| self.socket.poll_writable(cx)).await;
    }
}

impl SocketsView<'_> {
    fn udp(&mut self, this: &Resource<UdpHandle>) -> SocketResult<&mut UdpHandle> {
        table(self.table.get_mut(this))
    }
}

impl udp::Host for SocketsView<'_> {}

impl udp_create_socket::Host for SocketsView<'_> {
    fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpHandle>> {
        let handle = UdpHandle {
            family,
            socket: None,
            bind_started: false,
            hop_limit: 64,
            send_buffer: DEFAULT_BUFFER as u64,
        };
        table(self.table.push(handle))
    }
}

impl udp::HostUdpSocket for SocketsView<'_> {
    fn start_bind(
        &mut self,
        this: Resource<UdpHandle>,
        _network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let net = self.net.clone();
        let handle = self.udp(&this)?;
        if handle.socket.is_some() {
            return Err(ErrorCode::InvalidState.into());
        }
        let address = checked(handle.family, address)?;
        handle.socket = Some(net.net().udp_bind(address).map_err(refused)?);
        handle.bind_started = true;
        Ok(())
    }

    fn finish_bind(&mut self, this: Resource<UdpHandle>) -> SocketResult<()> {
        let handle = self.udp(&this)?;
        if std::mem::take(&mut handle.bind_started) {
            Ok(())
        } else {
            Err(ErrorCode::NotInProgress.into())
        }
    }

    fn stream(
        &mut self,
        this: Resource<UdpHandle>,
        peer: Option<IpSocketAddress>,
    ) -> SocketResult<(Resource<Incoming>, Resource<Outgoing>)> {
        let handle = self.udp(&this)?;
        let family = handle.family;
        let Some(socket) = handle.socket.clone().filter(|_| !handle.bind_started) else {
            return Err(ErrorCode::InvalidState.into());
        };
        let peer = peer.map(|peer| checked_remote(family, peer)).transpose()?;
        socket.connect(peer).map_err(refused)?;
        let incoming = Incoming {
            socket: socket.clone(),
        };
        let outgoing = Outgoing {
            family,
            socket,
            peer,
            permit: 0,
        };
        let incoming = table(self.table.push_child(incoming, &this))?;
        let outgoing = table(self.table.push_child(outgoing, &this))?;
        Ok((incoming, outgoing))
    }

    fn local_address(&mut self, this: Resource<UdpHandle>) -> SocketResult<IpSocketAddress> {
        let handle = self.udp(&this)?;
        match &handle.socket {
            Some(socket) if !handle.bind_started => Ok(to_wit(socket.local())),
            _ => Err(ErrorCode::InvalidState.into()),
        }
    }

    fn remote_address(&mut self, this: Resource<UdpHandle>) -> SocketResult<IpSocketAddress> {
        let peer = self.udp(&this)?.socket.as_ref().and_then(|s| s.peer());
        peer.map(to_wit).ok_or(ErrorCode::InvalidState.into())
    }

    fn address_family(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.table.get(&this)?.family)
    }

    fn unicast_hop_limit(&mut self, this: Resource<UdpHandle>) -> SocketResult<u8> {
        Ok(self.udp(&this)?.hop_limit)
    }

    fn set_unicast_hop_limit(&mut self, this: Resource<UdpHandle>, limit: u8) -> SocketResult<()> {
        if limit == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        self.udp(&this)?.hop_limit = limit;
        Ok(())
    }

    fn receive_buffer_size(&mut self, this: Resource<UdpHandle>) -> SocketResult<u64> {
        let handle = self.udp(&this)?;
        let size = handle
            .socket
            .as_ref()
            .map_or(DEFAULT_BUFFER, |s| s.receive_buffer());
        Ok(size as u64)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<UdpHandle>, v: u64) -> SocketResult<()> {
        if v == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        if let Some(socket) = &self.udp(&this)?.socket {
            socket.set_receive_buffer(usize::try_from(v).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn send_buffer_size(&mut self, this: Resource<UdpHandle>) -> SocketResult<u64> {
        Ok(self.udp(&this)?.send_buffer)
    }

    fn set_send_buffer_size(&mut self, this: Resource<UdpHandle>, v: u64) -> SocketResult<()> {
        if v == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        self.udp(&this)?.send_buffer = v;
        Ok(())
    }

    fn subscribe(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, this)
    }

    fn drop(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl udp::HostIncomingDatagramStream for SocketsView<'_> {
    fn receive(
        &mut self,
        this: Resource<Incoming>,
        max_results: u64,
    ) -> SocketResult<Vec<udp::IncomingDatagram>> {
        let incoming = table(self.table.get(&this))?;
        let mut received = Vec::new();
        while (received.len() as u64) < max_results.min(BATCH_MAX) {
            match incoming.socket.try_recv_from() {
                Ok(Some(datagram)) => received.push(udp::IncomingDatagram {
                    data: datagram.bytes.into(),
                    remote_address: to_wit(datagram.from),
                }),
                Ok(None) => break,
                // What came before an error is handed over first.
                Err(_) if !received.is_empty() => break,
                Err(error) => return Err(refused(error)),
            }
        }
        Ok(received)
    }

    fn subscribe(&mut self, this: Resource<Incoming>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, this)
    }

    fn drop(&mut self, this: Resource<Incoming>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl udp::HostOutgoingDatagramStream for SocketsView<'_> {
    fn check_send(&mut self, this: Resource<Outgoing>) -> SocketResult<u64> {
        let outgoing = table(self.table.get_mut(&this))?;
        outgoing.permit = BATCH_MAX;
        Ok(outgoing.permit)
    }

    fn send(
        &mut self,
        this: Resource<Outgoing>,
        datagrams: Vec<udp::OutgoingDatagram>,
    ) -> SocketResult<u64> {
        let outgoing = table(self.table.get_mut(&this))?;
        if datagrams.len() as u64 > outgoing.permit {
            let message = "more datagrams than check-send permitted";
            return Err(super::SocketError::trap(wasmtime::Error::msg(message)));
        }
        outgoing.permit -= datagrams.len() as u64;
        let mut sent = 0;
        for datagram in datagrams {
            match outgoing.send(datagram) {
                Ok(()) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn subscribe(&mut self, this: Resource<Outgoing>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, this)
    }

    fn drop(&mut self, this: Resource<Outgoing>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Outgoing {
    fn send(&self, datagram: udp::OutgoingDatagram) -> SocketResult<()> {
        let named = datagram.remote_address;
        let named = named
            .map(|to| checked_remote(self.family, to))
            .transpose()?;
        let to = match (named, self.peer) {
            (Some(to), Some(peer)) if to != peer => return Err(ErrorCode::InvalidArgument.into()),
            (None, None) => return Err(ErrorCode::InvalidArgument.into()),
            (named, _) => named,
        };
        let sent = self.socket.try_send_to(datagram.data.into(), to);
        sent.map_err(refused)
    }
}
