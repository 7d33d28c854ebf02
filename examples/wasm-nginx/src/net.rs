//! What std's sockets lack for a server of one thread: accepting without asking who it is,
//! connecting without waiting, and poll.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

/// A listener that never waits.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the next connection without asking for the peer's address within the same call: that
/// question fails for a client that has already reset the connection.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let none = std::ptr::null_mut();
    // SAFETY: the descriptor is open, and null asks for no address.
    let fd = unsafe { libc::accept(listener.as_raw_fd(), none, std::ptr::null_mut()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: accept has just handed over this descriptor; nothing else owns it.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Begins to connect. The stream is writable when it is connected or when that has failed;
/// `take_error` then tells which.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain numbers; the result is checked.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket has just handed over this descriptor; nothing else owns it.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    let result = match to {
        SocketAddr::V4(to) => {
            // SAFETY: all zeroes is a valid sockaddr_in.
            let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            name.sin_family = libc::AF_INET as _;
            name.sin_port = to.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            connect_to(fd, &name)
        }
        SocketAddr::V6(to) => {
            // SAFETY: all zeroes is a valid sockaddr_in6.
            let mut name: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            name.sin6_family = libc::AF_INET6 as _;
            name.sin6_port = to.port().to_be();
            name.sin6_addr.s6_addr = to.ip().octets();
            name.sin6_scope_id = to.scope_id();
            connect_to(fd, &name)
        }
    };
    match result {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(stream),
    }
}

/// `T` is the sockaddr of the socket's family.
fn connect_to<T>(fd: libc::c_int, name: &T) -> io::Result<()> {
    let length = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `name` lives through the call and `length` is its size.
    match unsafe { libc::connect(fd, std::ptr::from_ref(name).cast(), length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// One socket to be waited for.
pub fn entry(socket: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 }
}

/// Waits until a socket is ready, at most `timeout_ms` (-1: for ever).
pub fn poll(entries: &mut [libc::pollfd], timeout_ms: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live slice.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as _, timeout_ms) };
    match ready {
        0.. => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {
                entries.iter_mut().for_each(|entry| entry.revents = 0);
                Ok(())
            }
            error => Err(error),
        },
    }
}
