//! `wasi:sockets` 0.2 over the pod's virtual network, in place of the stock one, whose sockets are
//! the kernel's. A guest must not see a difference but one: `remote-address` of an accepted
//! connection is always answered, because wasi-libc aborts the guest when it is not.

mod lookup;
mod streams;
mod tcp;
mod udp;

use super::HostFeature;
use crate::net::NetError;
use crate::wasm_runtime::net_use::NetUse;
use crate::wasm_runtime::state::State;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};

#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated from the WIT files"
)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "src/wasm_runtime/wit/p2",
        world: "wkube:sockets/imports",
        imports: { default: trappable },
        trappable_error_type: { "wasi:sockets/network.error-code" => super::SocketError },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:sockets/network.network": super::Network,
            "wasi:sockets/tcp.tcp-socket": super::tcp::TcpSocket,
            "wasi:sockets/udp.udp-socket": super::udp::UdpHandle,
            "wasi:sockets/udp.incoming-datagram-stream": super::udp::Incoming,
            "wasi:sockets/udp.outgoing-datagram-stream": super::udp::Outgoing,
            "wasi:sockets/ip-name-lookup.resolve-address-stream": super::lookup::Lookup,
        },
    });
}

use bindings::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use bindings::wasi::sockets::{
    instance_network, ip_name_lookup, network, tcp as wit_tcp, tcp_create_socket, udp as wit_udp,
    udp_create_socket,
};

pub(super) type SocketError = wasmtime_wasi::TrappableError<ErrorCode>;
type SocketResult<T> = Result<T, SocketError>;

/// What a store holds for its guest's sockets.
pub(in crate::wasm_runtime) struct SocketsView<'a> {
    pub(in crate::wasm_runtime) net: &'a Arc<NetUse>,
    pub(in crate::wasm_runtime) table: &'a mut ResourceTable,
}

/// Ties the interfaces to [`SocketsView`].
pub(in crate::wasm_runtime) struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsView<'a>;
}

/// The network handle: there is one network, so it says nothing.
#[allow(
    unreachable_pub,
    reason = "the generated bindings re-export the resources"
)]
pub struct Network;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:sockets",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    let options = network::LinkOptions::default();
    network::add_to_linker::<State, Sockets>(l, &options, State::sockets)?;
    instance_network::add_to_linker::<State, Sockets>(l, State::sockets)?;
    wit_tcp::add_to_linker::<State, Sockets>(l, State::sockets)?;
    tcp_create_socket::add_to_linker::<State, Sockets>(l, State::sockets)?;
    wit_udp::add_to_linker::<State, Sockets>(l, State::sockets)?;
    udp_create_socket::add_to_linker::<State, Sockets>(l, State::sockets)?;
    ip_name_lookup::add_to_linker::<State, Sockets>(l, State::sockets)
}

/// The code of WASI for an error of the network.
pub(super) fn error_code(error: &NetError) -> ErrorCode {
    match error {
        NetError::Refused(_) => ErrorCode::ConnectionRefused,
        NetError::HostUnreachable(_) | NetError::NetworkUnreachable(_) => {
            ErrorCode::RemoteUnreachable
        }
        NetError::TimedOut(_) => ErrorCode::Timeout,
        NetError::Reset | NetError::BrokenPipe => ErrorCode::ConnectionReset,
        NetError::Closed => ErrorCode::ConnectionAborted,
        NetError::InUse(_) | NetError::PortsExhausted(_) => ErrorCode::AddressInUse,
        NetError::AddressNotAvailable(_) => ErrorCode::AddressNotBindable,
        NetError::Invalid(_) => ErrorCode::InvalidArgument,
        NetError::MessageTooLong(_) => ErrorCode::DatagramTooLarge,
        NetError::NotConnected => ErrorCode::InvalidState,
        NetError::TooMany { .. } => ErrorCode::NewSocketLimit,
        NetError::Denied { .. } => ErrorCode::AccessDenied,
        NetError::NameUnknown(_) => ErrorCode::NameUnresolvable,
        NetError::NameTemporary { .. } => ErrorCode::TemporaryResolverFailure,
        other => match other.kind() {
            std::io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            std::io::ErrorKind::ConnectionReset => ErrorCode::ConnectionReset,
            std::io::ErrorKind::TimedOut => ErrorCode::Timeout,
            std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                ErrorCode::RemoteUnreachable
            }
            std::io::ErrorKind::PermissionDenied => ErrorCode::AccessDenied,
            _ => ErrorCode::Unknown,
        },
    }
}

fn refused(error: NetError) -> SocketError {
    error_code(&error).into()
}

/// A wrong handle is the guest's fault and ends it; a full table is a limit and an error code.
fn table<T>(result: Result<T, ResourceTableError>) -> SocketResult<T> {
    result.map_err(|error| match error {
        ResourceTableError::Full => ErrorCode::NewSocketLimit.into(),
        error => SocketError::trap(error),
    })
}

fn from_wit(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port,
            address: (a, b, c, d),
        }) => SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port),
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            std::net::SocketAddrV6::new(ip, v6.port, v6.flow_info, v6.scope_id).into()
        }
    }
}

fn to_wit(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: (a, b, c, d),
            })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

fn ip_to_wit(ip: IpAddr) -> IpAddress {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            IpAddress::Ipv4((a, b, c, d))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            IpAddress::Ipv6((a, b, c, d, e, f, g, h))
        }
    }
}

/// Checks an address against a socket's family and the rules that bind and connect share.
fn checked(family: IpAddressFamily, address: IpSocketAddress) -> SocketResult<SocketAddr> {
    let address = from_wit(address);
    let fits = match (family, address.ip()) {
        (IpAddressFamily::Ipv4, IpAddr::V4(ip)) => !ip.is_multicast() && !ip.is_broadcast(),
        (IpAddressFamily::Ipv6, IpAddr::V6(ip)) => {
            !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
        }
        _ => false,
    };
    if fits {
        Ok(address)
    } else {
        Err(ErrorCode::InvalidArgument.into())
    }
}

/// As [`checked`], for an address to connect or send to.
fn checked_remote(family: IpAddressFamily, address: IpSocketAddress) -> SocketResult<SocketAddr> {
    let address = checked(family, address)?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(ErrorCode::InvalidArgument.into());
    }
    Ok(address)
}

impl network::Host for SocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<NetError>().map(error_code))
    }
}

impl network::HostNetwork for SocketsView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl instance_network::Host for SocketsView<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Ok(self.table.push(Network)?)
    }
}
