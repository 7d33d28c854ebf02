//! The socket calls that guests of the WasmEdge family import beside preview 1's: they open,
//! bind, connect and look up by themselves. An address is a (pointer, length) of 4 or 16 octets;
//! one of 128 bytes has its family in front.

use super::calls::{self, TRANSFER_BYTES_MAX, answer};
use super::errno::{Errno, Outcome, code};
use super::memory::{self, Guest, offset, total};
use super::sockets::{Connecting, Kind, Socket, Waiter};
use super::{MODULE, State};
use crate::net::SocketOptions;
use crate::wasm_runtime::net_use::Stream;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{Caller, Linker};

type Call<'a> = Caller<'a, State>;

/// Address families and socket types of the extension.
const INET4: u16 = 1;
const INET6: u16 = 2;
const DATAGRAM: i32 = 1;
/// The longest name that is looked up.
const NAME_BYTES_MAX: u32 = 512;
/// Addresses that one look-up answers.
const ADDRESSES_MAX: u32 = 64;

/// Adds every call of the extension but `sock_accept`.
pub(super) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "sock_open",
        |mut caller: Call<'_>, family: i32, kind: i32, out: i32| -> wasmtime::Result<i32> {
            let v6 = family == i32::from(INET6);
            let kind = match kind {
                DATAGRAM => Kind::FreshDatagram { v6 },
                _ => Kind::Fresh { v6 },
            };
            let entered = caller.data_mut().sockets.enter(Socket::new(kind));
            answer(&mut caller, entered.map(i32::cast_unsigned), out)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "sock_bind",
        |mut caller: Call<'_>, fd: i32, address: i32, port: i32| -> wasmtime::Result<i32> {
            memory::with(&mut caller, |guest, state| {
                let to = read_address(guest, address, port);
                code(to.and_then(|to| state.sockets.bind(fd, to)))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "sock_listen",
        |mut caller: Call<'_>, fd: i32, backlog: i32| -> i32 {
            code(
                caller
                    .data_mut()
                    .sockets
                    .listen(fd, backlog.cast_unsigned()),
            )
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "sock_connect",
        |mut caller: Call<'_>, (fd, address, port): (i32, i32, i32)| {
            Box::new(async move {
                let to = memory::with(&mut caller, |guest, _| read_address(guest, address, port))?;
                Ok(code(match to {
                    Ok(to) => connect(&mut caller, fd, to).await,
                    Err(errno) => Err(errno),
                }))
            })
        },
    )?;
    add_datagrams(linker)?;
    add_addresses(linker)?;
    add_options(linker)?;
    add_lookup(linker)
}

/// Adds the extension's `sock_accept`.
pub(super) fn add_accept(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "sock_accept",
        |mut caller: Call<'_>, (fd, out): (i32, i32)| {
            Box::new(async move {
                let accepted = calls::accept(&mut caller, fd, false).await;
                answer(&mut caller, accepted.map(i32::cast_unsigned), out)
            })
        },
    )?;
    Ok(())
}

async fn connect(caller: &mut Call<'_>, fd: i32, to: SocketAddr) -> Outcome {
    let Connecting::Stream(connecting) = caller.data_mut().sockets.connecting(fd, to)? else {
        return Ok(());
    };
    let conn = connecting.await?;
    let socket = caller.data_mut().sockets.get(fd)?;
    socket.kind = Kind::Stream(Arc::new(Stream::opened(conn)));
    Ok(())
}

fn add_datagrams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "sock_recv_from",
        |mut caller: Call<'_>,
         (fd, buffers, count, address, _flags, port, out, out_flags): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
        )| {
            Box::new(async move {
                let datagram = receive_from(&mut caller, fd).await;
                memory::with(&mut caller, |guest, _| {
                    code(datagram.and_then(|(bytes, from)| {
                        let (at, count) = (buffers.cast_unsigned(), count.cast_unsigned());
                        let buffers = guest.buffers(at, count)?;
                        let taken = bytes.len().min(total(&buffers));
                        guest.scatter(&buffers, &bytes)?;
                        write_address(guest, address, from.ip())?;
                        guest.put_u32(port.cast_unsigned(), from.port().into())?;
                        guest.put_u32(out_flags.cast_unsigned(), 0)?;
                        guest.put_u32(out.cast_unsigned(), taken as u32)
                    }))
                })
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "sock_send_to",
        |mut caller: Call<'_>,
         fd: i32,
         buffers: i32,
         count: i32,
         address: i32,
         port: i32,
         _flags: i32,
         out: i32|
         -> wasmtime::Result<i32> {
            memory::with(&mut caller, |guest, state| {
                let mut send = || {
                    let to = read_address(guest, address, port)?;
                    let (at, count) = (buffers.cast_unsigned(), count.cast_unsigned());
                    let buffers = guest.buffers(at, count)?;
                    let bytes = guest.gather(&buffers, TRANSFER_BYTES_MAX)?;
                    let length = bytes.len() as u32;
                    if let Kind::FreshDatagram { v6 } = state.sockets.get(fd)?.kind {
                        state.sockets.bind(fd, any(v6))?;
                    }
                    let Kind::Datagram(socket) = &state.sockets.get(fd)?.kind else {
                        return Err(Errno::NOTSOCK);
                    };
                    socket.try_send_to(bytes.into(), Some(to))?;
                    Ok(length)
                };
                let sent = send();
                code(sent.and_then(|sent| guest.put_u32(out.cast_unsigned(), sent)))
            })
        },
    )?;
    Ok(())
}

fn any(v6: bool) -> SocketAddr {
    let ip: IpAddr = if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(ip, 0)
}

async fn receive_from(caller: &mut Call<'_>, fd: i32) -> Outcome<(bytes::Bytes, SocketAddr)> {
    let socket = caller.data_mut().sockets.get(fd)?;
    let (nonblocking, timeout) = (socket.nonblocking, socket.receive_timeout);
    let Kind::Datagram(datagrams) = &socket.kind else {
        return Err(Errno::NOTSOCK);
    };
    let datagrams = datagrams.clone();
    let waiter = Waiter::DatagramReadable(datagrams.clone());
    loop {
        if let Some(datagram) = datagrams.try_recv_from()? {
            return Ok((datagram.bytes, datagram.from));
        }
        if nonblocking {
            return Err(Errno::AGAIN);
        }
        waiter.wait(timeout).await?;
    }
}

fn add_addresses(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, peer) in [("sock_getlocaladdr", false), ("sock_getpeeraddr", true)] {
        linker.func_wrap(
            MODULE,
            name,
            move |mut caller: Call<'_>,
                  fd: i32,
                  address: i32,
                  family: i32,
                  port: i32|
                  -> wasmtime::Result<i32> {
                memory::with(&mut caller, |guest, state| {
                    code(address_of(state, fd, peer).and_then(|found| {
                        write_address(guest, address, found.ip())?;
                        // Newer guests know the extension's numbers, older ones 4 and 6.
                        let number = if found.is_ipv4() { 4 } else { 6 };
                        guest.put_u32(family.cast_unsigned(), number)?;
                        guest.put_u32(port.cast_unsigned(), found.port().into())
                    }))
                })
            },
        )?;
    }
    Ok(())
}

fn address_of(state: &mut State, fd: i32, peer: bool) -> Outcome<SocketAddr> {
    match &state.sockets.get(fd)?.kind {
        Kind::Stream(stream) if peer => Ok(stream.peer()),
        Kind::Datagram(socket) if peer => socket.peer().ok_or(Errno::NOTCONN),
        _ if peer => Err(Errno::NOTCONN),
        Kind::Stream(stream) => Ok(stream.local()),
        Kind::Bound(binding) => Ok(binding.local()),
        Kind::Listener(listener) => Ok(listener.local()),
        Kind::Datagram(socket) => Ok(socket.local()),
        Kind::Fresh { v6 } | Kind::FreshDatagram { v6 } => Ok(any(*v6)),
    }
}

/// Socket options by the extension's numbers.
const SO_REUSEADDR: i32 = 0;
const SO_TYPE: i32 = 1;
const SO_ERROR: i32 = 2;
const SO_BROADCAST: i32 = 4;
const SO_SNDBUF: i32 = 5;
const SO_RCVBUF: i32 = 6;
const SO_KEEPALIVE: i32 = 7;
const SO_RCVTIMEO: i32 = 11;
const SO_SNDTIMEO: i32 = 12;
const SO_ACCEPTCONN: i32 = 13;

fn add_options(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "sock_getsockopt",
        |mut caller: Call<'_>,
         fd: i32,
         _level: i32,
         name: i32,
         value: i32,
         size: i32|
         -> wasmtime::Result<i32> {
            memory::with(&mut caller, |guest, state| {
                code(get_option(state, fd, name).and_then(|bytes| {
                    let room = guest.u32(size.cast_unsigned())? as usize;
                    let bytes = bytes.get(..room.min(bytes.len())).unwrap_or(&bytes);
                    guest.put(value.cast_unsigned(), bytes)?;
                    guest.put_u32(size.cast_unsigned(), bytes.len() as u32)
                }))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "sock_setsockopt",
        |mut caller: Call<'_>,
         fd: i32,
         _level: i32,
         name: i32,
         value: i32,
         size: i32|
         -> wasmtime::Result<i32> {
            memory::with(&mut caller, |guest, state| {
                code(set_option(
                    guest,
                    state,
                    fd,
                    name,
                    (value.cast_unsigned(), size),
                ))
            })
        },
    )?;
    Ok(())
}

fn options(socket: &Socket) -> SocketOptions {
    match &socket.kind {
        Kind::Stream(stream) => stream.options(),
        Kind::Listener(listener) => listener.options(),
        _ => socket.options,
    }
}

fn get_option(state: &mut State, fd: i32, name: i32) -> Outcome<Vec<u8>> {
    let socket = state.sockets.get(fd)?;
    let options = options(socket);
    let datagram = matches!(socket.kind, Kind::FreshDatagram { .. } | Kind::Datagram(_));
    let number = |value: usize| Ok((value as u32).to_le_bytes().to_vec());
    match name {
        SO_TYPE => number(if datagram { 1 } else { 2 }),
        // A connect is never under way here, so there is no error to fetch afterwards.
        SO_ERROR => number(0),
        SO_REUSEADDR => number(1),
        SO_BROADCAST => number(0),
        SO_SNDBUF => number(options.send_buffer),
        SO_RCVBUF => number(options.receive_buffer),
        SO_KEEPALIVE => number(options.keep_alive.into()),
        SO_ACCEPTCONN => number(matches!(socket.kind, Kind::Listener(_)).into()),
        SO_RCVTIMEO => Ok(timeval(socket.receive_timeout)),
        SO_SNDTIMEO => Ok(timeval(socket.send_timeout)),
        _ => Err(Errno::NOPROTOOPT),
    }
}

fn set_option(
    guest: &Guest<'_>,
    state: &mut State,
    fd: i32,
    name: i32,
    (at, size): (u32, i32),
) -> Outcome {
    let socket = state.sockets.get(fd)?;
    let mut changed = options(socket);
    match name {
        // Ports are free at once here, and there is no broadcast: what these ask for is so.
        SO_REUSEADDR | SO_BROADCAST => return Ok(()),
        SO_SNDBUF => changed.send_buffer = guest.u32(at)? as usize,
        SO_RCVBUF => changed.receive_buffer = guest.u32(at)? as usize,
        SO_KEEPALIVE => changed.keep_alive = guest.u32(at)? != 0,
        SO_RCVTIMEO => socket.receive_timeout = read_timeval(guest, at, size)?,
        SO_SNDTIMEO => socket.send_timeout = read_timeval(guest, at, size)?,
        _ => return Err(Errno::NOPROTOOPT),
    }
    socket.options = changed;
    match &socket.kind {
        Kind::Stream(stream) => stream.set_options(changed),
        Kind::Listener(listener) => listener.set_options(changed),
        _ => {}
    }
    Ok(())
}

/// wasi-libc's `struct timeval`: seconds and microseconds, 8 bytes each.
fn timeval(timeout: Option<Duration>) -> Vec<u8> {
    let timeout = timeout.unwrap_or_default();
    let mut bytes = timeout.as_secs().to_le_bytes().to_vec();
    bytes.extend(u64::from(timeout.subsec_micros()).to_le_bytes());
    bytes
}

fn read_timeval(guest: &Guest<'_>, at: u32, size: i32) -> Outcome<Option<Duration>> {
    if size < 16 {
        return Err(Errno::INVAL);
    }
    let (seconds, micros) = (guest.u64(at)?, guest.u64(offset(at, 8)?)?);
    let timeout = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
    // Zero is "wait for ever", as in POSIX.
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

fn add_lookup(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "sock_getaddrinfo",
        |mut caller: Call<'_>,
         (node, node_len, service, service_len, hints, res, max, out): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
        )| {
            Box::new(async move {
                let asked = memory::with(&mut caller, |guest, _| {
                    let name = text(guest, node.cast_unsigned(), node_len.cast_unsigned())?;
                    let port = text(guest, service.cast_unsigned(), service_len.cast_unsigned())?;
                    let hints = hints.cast_unsigned();
                    Ok((
                        name,
                        port,
                        guest.u8(offset(hints, 2)?)?,
                        guest.u8(offset(hints, 3)?)?,
                    ))
                })?;
                let (name, port, family, kind) = match asked {
                    Ok(asked) => asked,
                    Err(Errno(errno)) => return Ok(errno),
                };
                let net = caller.data().sockets.net().net().clone();
                let name = if name.is_empty() {
                    "0.0.0.0".into()
                } else {
                    name
                };
                let found = net.resolve(&name).await.map_err(Errno::from);
                memory::with(&mut caller, |guest, _| {
                    code(found.and_then(|found| {
                        let wanted = |ip: &IpAddr| match u16::from(family) {
                            INET4 => ip.is_ipv4(),
                            INET6 => ip.is_ipv6(),
                            _ => true,
                        };
                        let found: Vec<IpAddr> = found.into_iter().filter(wanted).collect();
                        let port = service_port(&port)?;
                        let max = max.cast_unsigned().min(ADDRESSES_MAX);
                        let list = guest.u32(res.cast_unsigned())?;
                        let count = write_list(guest, list, max, &found, (port, kind))?;
                        guest.put_u32(out.cast_unsigned(), count)
                    }))
                })
            })
        },
    )?;
    Ok(())
}

/// A port by number or by the names that guests use.
fn service_port(service: &str) -> Outcome<u16> {
    match service {
        "" => Ok(0),
        "http" => Ok(80),
        "https" => Ok(443),
        "domain" => Ok(53),
        number => number.parse().map_err(|_| Errno::NOENT),
    }
}

/// Fills the guest's chain of entries, each 28 bytes: flags (2), family, type, protocol (1 each, 3
/// of padding), the address's length, its pointer, the canonical name's pointer and length, next.
/// The address is family (1, 3 of padding), length, pointer to port (big endian) and octets.
fn write_list(
    guest: &mut Guest<'_>,
    list: u32,
    max: u32,
    found: &[IpAddr],
    (port, kind): (u16, u8),
) -> Outcome<u32> {
    let mut entry = list;
    let mut count = 0;
    for ip in found.iter().take(max as usize) {
        if entry == 0 {
            break;
        }
        let (family, octets) = match ip {
            IpAddr::V4(v4) => (INET4 as u8, v4.octets().to_vec()),
            IpAddr::V6(v6) => (INET6 as u8, v6.octets().to_vec()),
        };
        let mut data = port.to_be_bytes().to_vec();
        data.extend(octets);
        guest.put(offset(entry, 2)?, &[family, kind])?;
        guest.put_u32(offset(entry, 8)?, 16)?;
        let address = guest.u32(offset(entry, 12)?)?;
        guest.put(address, &[family])?;
        guest.put_u32(offset(address, 4)?, data.len() as u32)?;
        let target = guest.u32(offset(address, 8)?)?;
        guest.put(target, &data)?;
        guest.put_u32(offset(entry, 20)?, 0)?;
        count += 1;
        entry = guest.u32(offset(entry, 24)?)?;
    }
    Ok(count)
}

fn text(guest: &Guest<'_>, at: u32, length: u32) -> Outcome<String> {
    if length > NAME_BYTES_MAX {
        return Err(Errno::INVAL);
    }
    let bytes = guest.bytes(at, length)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::INVAL)?;
    Ok(text.trim_end_matches('\0').to_owned())
}

fn read_address(guest: &Guest<'_>, address: i32, port: i32) -> Outcome<SocketAddr> {
    let address = address.cast_unsigned();
    let (at, size) = (guest.u32(address)?, guest.u32(offset(address, 4)?)?);
    let port = u16::try_from(port).map_err(|_| Errno::INVAL)?;
    let (at, size) = match size {
        4 | 16 => (at, size),
        128 => (offset(at, 2)?, if guest.u16(at)? == INET6 { 16 } else { 4 }),
        _ => return Err(Errno::INVAL),
    };
    let octets = guest.bytes(at, size)?;
    let ip: IpAddr = if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        v4.into()
    } else if let Ok(v6) = <[u8; 16]>::try_from(octets) {
        v6.into()
    } else {
        return Err(Errno::INVAL);
    };
    Ok(SocketAddr::new(ip, port))
}

/// Writes an address into the guest's buffer for one.
fn write_address(guest: &mut Guest<'_>, address: i32, ip: IpAddr) -> Outcome {
    let address = address.cast_unsigned();
    let (at, size) = (guest.u32(address)?, guest.u32(offset(address, 4)?)?);
    let (family, octets) = match ip {
        IpAddr::V4(v4) => (INET4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (INET6, v6.octets().to_vec()),
    };
    if size >= 128 {
        guest.put(at, &family.to_le_bytes())?;
        return guest.put(offset(at, 2)?, &octets);
    }
    if (size as usize) < octets.len() {
        return Err(Errno::INVAL);
    }
    guest.put(at, &octets)
}
