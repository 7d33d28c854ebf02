//! The calls of preview 1 that may meet a socket.

use super::errno::{Errno, Outcome, code};
use super::memory::{self, Guest, memory, total};
use super::sockets::{Kind, Waiter, try_read};
use super::{MODULE, State};
use crate::net::How;
use wasmtime::{AsContextMut as _, Caller, Linker};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as stock, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

/// Bytes that one call moves at most.
pub(super) const TRANSFER_BYTES_MAX: usize = 1 << 20;
/// `fdflags.nonblock`.
const NONBLOCK: i32 = 4;
/// `filetype.socket_dgram` and `filetype.socket_stream`.
const TYPE_DATAGRAM: u8 = 5;
const TYPE_STREAM: u8 = 6;
/// `riflags.recv_peek` and `riflags.recv_waitall`.
const RECEIVE_PEEK: i32 = 1;
const RECEIVE_WAITALL: i32 = 2;

/// Hands a call on to the stock implementation.
macro_rules! hand_on {
    ($caller:ident, $call:ident ( $($argument:expr),* ) $($wait:tt)*) => {{
        let fuel = $caller.as_context_mut().hostcall_fuel();
        let memory = memory(&mut $caller)?;
        let (data, state) = memory.data_and_store_mut(&mut $caller);
        state.wasi.set_hostcall_fuel(fuel);
        let mut memory = GuestMemory::Unshared(data);
        let done = stock::$call(&mut state.wasi, &mut memory, $($argument),*) $($wait)*;
        done
    }};
}

type Call<'a> = Caller<'a, State>;

/// Opens the first mounted folder once more and returns its descriptor.
pub(super) async fn open_folder(wasi: &mut WasiP1Ctx) -> wasmtime::Result<Option<i32>> {
    /// `oflags.directory`.
    const DIRECTORY: i32 = 2;
    let mut scratch = *b"\0\0\0\0.";
    let errno = stock::path_open(
        wasi,
        &mut GuestMemory::Unshared(&mut scratch),
        3,
        0,
        4,
        1,
        DIRECTORY,
        0,
        0,
        0,
        0,
    )
    .await?;
    let [a, b, c, d, _] = scratch;
    Ok((errno == 0).then_some(i32::from_le_bytes([a, b, c, d])))
}

/// Adds every shadowed call but `sock_accept` and `poll_oneoff`.
pub(super) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_read",
        |mut caller: Call<'_>, (fd, buffers, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                if !caller.data().sockets.has(fd) {
                    return hand_on!(caller, fd_read(fd, buffers, count, out).await);
                }
                let read = receive(&mut caller, fd, (buffers, count), 0).await?;
                answer(&mut caller, read, out)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Call<'_>, (fd, buffers, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                if !caller.data().sockets.has(fd) {
                    return hand_on!(caller, fd_write(fd, buffers, count, out).await);
                }
                let sent = send(&mut caller, fd, (buffers, count)).await?;
                answer(&mut caller, sent, out)
            })
        },
    )?;
    linker.func_wrap_async(MODULE, "fd_close", |mut caller: Call<'_>, (fd,): (i32,)| {
        Box::new(async move {
            let sockets = &mut caller.data_mut().sockets;
            let (closed, placeholder) = (sockets.close(fd), sockets.has_placeholder(fd));
            if closed && !placeholder {
                return Ok(0);
            }
            hand_on!(caller, fd_close(fd).await)
        })
    })?;
    linker.func_wrap_async(
        MODULE,
        "fd_fdstat_get",
        |mut caller: Call<'_>, (fd, out): (i32, i32)| {
            Box::new(async move {
                if !caller.data().sockets.has(fd) {
                    return hand_on!(caller, fd_fdstat_get(fd, out).await);
                }
                memory::with(&mut caller, |guest, state| {
                    code(stat(guest, state, fd, out))
                })
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |mut caller: Call<'_>, fd: i32, flags: i32| -> wasmtime::Result<i32> {
            if let Ok(socket) = caller.data_mut().sockets.get(fd) {
                socket.nonblocking = flags & NONBLOCK != 0;
                return Ok(0);
            }
            hand_on!(caller, fd_fdstat_set_flags(fd, flags))
        },
    )?;
    add_exit(linker)?;
    add_transfers(linker)
}

fn add_exit(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // The stock one turns a code of 126 and above into a trap.
    let exit = |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code & 0xff).into()) };
    linker.func_wrap(MODULE, "proc_exit", exit)?;
    Ok(())
}

fn add_transfers(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "sock_recv",
        |mut caller: Call<'_>,
         (fd, buffers, count, flags, out, out_flags): (i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let read = receive(&mut caller, fd, (buffers, count), flags).await?;
                let flags = memory::with(&mut caller, |guest, _| {
                    guest.put(out_flags.cast_unsigned(), &0u16.to_le_bytes())
                })?;
                answer(&mut caller, flags.and(read), out)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "sock_send",
        |mut caller: Call<'_>, (fd, buffers, count, _flags, out): (i32, i32, i32, i32, i32)| {
            Box::new(async move {
                let sent = send(&mut caller, fd, (buffers, count)).await?;
                answer(&mut caller, sent, out)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "sock_shutdown",
        |mut caller: Call<'_>, fd: i32, how: i32| -> i32 {
            let how = match how & 3 {
                1 => How::Read,
                2 => How::Write,
                3 => How::Both,
                _ => return Errno::INVAL.0,
            };
            let stream = caller.data_mut().sockets.stream(fd);
            code(stream.map(|stream| stream.shutdown(how)))
        },
    )?;
    Ok(())
}

/// Adds preview 1's `sock_accept`.
pub(super) fn add_accept(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "sock_accept",
        |mut caller: Call<'_>, (fd, flags, out): (i32, i32, i32)| {
            Box::new(async move {
                let accepted = accept(&mut caller, fd, flags & NONBLOCK != 0).await;
                answer(&mut caller, accepted.map(i32::cast_unsigned), out)
            })
        },
    )?;
    Ok(())
}

/// Waits for the next connection unless the listener does not block.
pub(super) async fn accept(caller: &mut Call<'_>, fd: i32, nonblocking: bool) -> Outcome<i32> {
    loop {
        let sockets = &mut caller.data_mut().sockets;
        match sockets.try_accept(fd, nonblocking) {
            Err(Errno::AGAIN) if !sockets.get(fd)?.nonblocking => {}
            done => return done,
        }
        let timeout = sockets.get(fd)?.receive_timeout;
        sockets.waiter(fd, false).wait(timeout).await?;
    }
}

/// Writes a number to `out`, or nothing where there is an error.
pub(super) fn answer(
    caller: &mut Call<'_>,
    outcome: Outcome<u32>,
    out: i32,
) -> wasmtime::Result<i32> {
    memory::with(caller, |guest, _| {
        code(outcome.and_then(|value| guest.put_u32(out.cast_unsigned(), value)))
    })
}

/// The length of a transfer, which has a limit far below 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Receives into the guest's buffers.
pub(super) async fn receive(
    caller: &mut Call<'_>,
    fd: i32,
    (at, count): (i32, i32),
    flags: i32,
) -> wasmtime::Result<Outcome<u32>> {
    let buffers = memory::with(caller, |guest, _| {
        guest.buffers(at.cast_unsigned(), count.cast_unsigned())
    })?;
    let buffers = match buffers {
        Ok(buffers) => buffers,
        Err(errno) => return Ok(Err(errno)),
    };
    let wanted = total(&buffers).min(TRANSFER_BYTES_MAX);
    let received = received(caller, fd, wanted, flags).await;
    memory::with(caller, |guest, _| {
        let bytes = received?;
        guest.scatter(&buffers, &bytes)?;
        Ok(length(bytes.len()))
    })
}

async fn received(
    caller: &mut Call<'_>,
    fd: i32,
    wanted: usize,
    flags: i32,
) -> Outcome<bytes::Bytes> {
    let socket = caller.data_mut().sockets.get(fd)?;
    let (nonblocking, timeout) = (socket.nonblocking, socket.receive_timeout);
    let datagrams = match &socket.kind {
        Kind::Datagram(datagrams) => Some(datagrams.clone()),
        _ => None,
    };
    if let Some(datagrams) = datagrams {
        let waiter = Waiter::DatagramReadable(datagrams.clone());
        loop {
            if let Some(datagram) = datagrams.try_recv_from()? {
                return Ok(datagram.bytes.slice(..datagram.bytes.len().min(wanted)));
            }
            if nonblocking {
                return Err(Errno::AGAIN);
            }
            waiter.wait(timeout).await?;
        }
    }
    let stream = caller.data_mut().sockets.stream(fd)?;
    if wanted == 0 {
        return Ok(bytes::Bytes::new());
    }
    let waiter = Waiter::Readable(stream.clone());
    let peek = flags & RECEIVE_PEEK != 0;
    let all = flags & RECEIVE_WAITALL != 0 && !peek;
    let mut gathered = bytes::BytesMut::new();
    loop {
        match try_read(&stream, wanted - gathered.len(), peek) {
            Ok(Some(bytes)) if !all => return Ok(bytes),
            Ok(Some(bytes)) => {
                gathered.extend_from_slice(&bytes);
                if bytes.is_empty() || gathered.len() >= wanted {
                    return Ok(gathered.freeze());
                }
                continue;
            }
            // What came before an error is handed over first.
            Err(_) if !gathered.is_empty() => return Ok(gathered.freeze()),
            Err(errno) => return Err(errno),
            Ok(None) => {}
        }
        if nonblocking {
            return if gathered.is_empty() {
                Err(Errno::AGAIN)
            } else {
                Ok(gathered.freeze())
            };
        }
        waiter.wait(timeout).await?;
    }
}

/// Sends the guest's buffers.
pub(super) async fn send(
    caller: &mut Call<'_>,
    fd: i32,
    (at, count): (i32, i32),
) -> wasmtime::Result<Outcome<u32>> {
    let bytes = memory::with(caller, |guest, _| {
        let buffers = guest.buffers(at.cast_unsigned(), count.cast_unsigned())?;
        guest.gather(&buffers, TRANSFER_BYTES_MAX)
    })?;
    Ok(match bytes {
        Ok(bytes) => sent(caller, fd, bytes).await.map(length),
        Err(errno) => Err(errno),
    })
}

async fn sent(caller: &mut Call<'_>, fd: i32, bytes: Vec<u8>) -> Outcome<usize> {
    let socket = caller.data_mut().sockets.get(fd)?;
    let (nonblocking, timeout) = (socket.nonblocking, socket.send_timeout);
    if let Kind::Datagram(datagrams) = &socket.kind {
        let length = bytes.len();
        datagrams.try_send_to(bytes.into(), None)?;
        return Ok(length);
    }
    let stream = caller.data_mut().sockets.stream(fd)?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let waiter = Waiter::Writable(stream.clone());
    let mut rest = bytes::Bytes::from(bytes);
    loop {
        let taken = stream.try_write_bytes(&mut rest)?;
        if taken > 0 {
            return Ok(taken);
        }
        if nonblocking {
            return Err(Errno::AGAIN);
        }
        waiter.wait(timeout).await?;
    }
}

/// `fdstat`: a type, flags, and every right.
fn stat(guest: &mut Guest<'_>, state: &mut State, fd: i32, out: i32) -> Outcome {
    let socket = state.sockets.get(fd)?;
    let kind = match socket.kind {
        Kind::FreshDatagram { .. } | Kind::Datagram(_) => TYPE_DATAGRAM,
        _ => TYPE_STREAM,
    };
    let mut stat = [0xff; 24];
    if let Some((head, _rights)) = stat.split_first_chunk_mut::<8>() {
        *head = [kind, 0, 0, 0, 0, 0, 0, 0];
        if socket.nonblocking {
            *head = [kind, 0, NONBLOCK as u8, 0, 0, 0, 0, 0];
        }
    }
    guest.put(out.cast_unsigned(), &stat)
}
