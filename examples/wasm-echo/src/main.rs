//! An HTTP server that answers `Hello Docker!!` to every request, as the echo server of the
//! Kubernetes introduction does. One thread, std sockets and `poll`: the same source runs as an
//! ordinary program and as a WASI 0.2 component.
//!
//! Every connection has a deadline and a bounded buffer, so that a slow or a hostile client
//! costs little and never the others' service.

mod http;

use http::Request;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::{Duration, Instant};

/// What every request gets.
const GREETING: &str = "Hello Docker!!";
/// The port when neither `--port` nor `PORT` says otherwise.
const PORT_DEFAULT: u16 = 8080;
/// Open connections at once; more wait in the listener's backlog.
///
/// The C library of a component that Rust 1.85 builds has room for 128 descriptors; a connection
/// that it accepts beyond is lost in it: never served, never closed.
const CONNECTIONS_MAX: usize = 120;
/// Bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a request's body that are read and thrown away after the answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A connection whose request or answer takes longer is closed.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// After the answer: how long the client may take to read it and close.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// How long accepting rests when the system refuses (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() {
    let port = match port(std::env::args().skip(1), std::env::var("PORT").ok()) {
        Ok(port) => port,
        Err(message) => fail(2, &message),
    };
    let mut listeners = match listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))) {
        Ok(listener) => vec![listener],
        Err(error) => fail(1, &format!("listen on port {port}: {error}")),
    };
    // IPv6 where there is any; a system whose IPv6 sockets take IPv4 as well refuses the second.
    listeners.extend(listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
    log(&format!("start server on port {port}"));
    if let Err(error) = serve(&listeners) {
        fail(1, &format!("poll: {error}"));
    }
}

fn fail(code: i32, message: &str) -> ! {
    let _ = writeln!(io::stderr(), "wasm-echo: {message}");
    std::process::exit(code)
}

/// A log that nobody reads must not stop the server.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The port from the command line, else from the environment, else the default.
fn port(args: impl Iterator<Item = String>, env: Option<String>) -> Result<u16, String> {
    let mut args = args;
    let mut chosen = env.filter(|port| !port.is_empty());
    while let Some(arg) = args.next() {
        if arg == "--port" {
            chosen = Some(args.next().ok_or("--port needs a number")?);
        } else if let Some(port) = arg.strip_prefix("--port=") {
            chosen = Some(port.to_owned());
        } else {
            return Err(format!("unknown argument {arg:?}; usage: wasm-echo [--port PORT]"));
        }
    }
    match chosen {
        None => Ok(PORT_DEFAULT),
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port")),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the next connection without asking for the peer's address: that question fails for a
/// client that has already reset the connection, and this server has no use for the answer.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
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

/// Serves until polling itself fails.
fn serve(listeners: &[TcpListener]) -> io::Result<()> {
    let mut connections: Vec<Connection> = Vec::new();
    let mut polled: Vec<libc::pollfd> = Vec::new();
    let mut accept_again: Option<Instant> = None;
    loop {
        let now = Instant::now();
        connections.retain(|connection| connection.deadline > now);
        accept_again = accept_again.filter(|at| *at > now);
        let accepting = accept_again.is_none() && connections.len() < CONNECTIONS_MAX;
        let deadlines = connections.iter().map(|c| c.deadline).chain(accept_again);
        let timeout = match deadlines.min() {
            // One millisecond more, so that the deadline has passed when poll returns.
            Some(at) => (at - now).as_millis() as libc::c_int + 1,
            None => -1,
        };
        polled.clear();
        polled.extend(connections.iter().map(|c| entry(&c.stream, c.interest())));
        if accepting {
            polled.extend(listeners.iter().map(|l| entry(l, libc::POLLIN)));
        }
        // SAFETY: the pointer and the length are those of one live vector.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, timeout) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let mut results = polled.iter().map(|entry| entry.revents != 0);
        connections.retain_mut(|c| !results.next().unwrap_or(false) || c.advance());
        if accepting {
            for (listener, _) in listeners.iter().zip(results).filter(|(_, ready)| *ready) {
                accept_again = accept_all(listener, &mut connections).or(accept_again);
            }
        }
    }
}

fn entry(socket: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 }
}

/// Accepts what waits, as far as there is room. Answers when to try again if the system refused.
fn accept_all(listener: &TcpListener, connections: &mut Vec<Connection>) -> Option<Instant> {
    while connections.len() < CONNECTIONS_MAX {
        match accept(listener) {
            Ok(stream) => {
                let mut connection = Connection::new(stream);
                if connection.advance() {
                    connections.push(connection);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return None,
                // The client left while it waited: the next one may be well.
                io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted => {}
                _ => return Some(Instant::now() + ACCEPT_PAUSE),
            },
        }
    }
    None
}

/// One client, one request, one answer.
struct Connection {
    stream: TcpStream,
    phase: Phase,
    deadline: Instant,
}

enum Phase {
    /// Reading the request's line and headers.
    Head(Vec<u8>),
    /// Writing the answer, of which the first `sent` bytes are written.
    Answer { bytes: Vec<u8>, sent: usize },
    /// The answer is written. What the client still sends is thrown away until it closes:
    /// closing with unread bytes would reset the connection and could destroy the answer.
    Linger { left: usize },
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        let deadline = Instant::now() + EXCHANGE_MAX;
        Self { stream, phase: Phase::Head(Vec::new()), deadline }
    }

    fn interest(&self) -> libc::c_short {
        match self.phase {
            Phase::Answer { .. } => libc::POLLOUT,
            Phase::Head(_) | Phase::Linger { .. } => libc::POLLIN,
        }
    }

    /// Goes on as far as the socket allows; false when the connection is over.
    fn advance(&mut self) -> bool {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// One read or write; false when the connection is over.
    fn step(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 2048];
        match &mut self.phase {
            Phase::Head(head) => {
                let read = self.stream.read(&mut buffer)?;
                if read == 0 && head.is_empty() {
                    return Ok(false);
                }
                head.extend_from_slice(&buffer[..read]);
                let answer = match http::head_length(head) {
                    Some(length) if length <= HEAD_BYTES_MAX => answer(&head[..length]),
                    None if read > 0 && head.len() <= HEAD_BYTES_MAX => return Ok(true),
                    _ => http::response("400 Bad Request", "400 Bad Request\n", true),
                };
                self.phase = Phase::Answer { bytes: answer, sent: 0 };
            }
            Phase::Answer { bytes, sent } => {
                let written = self.stream.write(&bytes[*sent..])?;
                if written == 0 {
                    return Ok(false);
                }
                *sent += written;
                if *sent == bytes.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.phase = Phase::Linger { left: BODY_BYTES_MAX };
                    self.deadline = Instant::now() + LINGER_MAX;
                }
            }
            Phase::Linger { left } => {
                let read = self.stream.read(&mut buffer)?;
                *left = left.saturating_sub(read);
                return Ok(read > 0 && *left > 0);
            }
        }
        Ok(true)
    }
}

/// The answer to a whole head.
fn answer(head: &[u8]) -> Vec<u8> {
    match Request::parse(head) {
        Ok(request) => {
            log("received request");
            http::response("200 OK", GREETING, request.method != "HEAD")
        }
        Err(status) => http::response(status, &format!("{status}\n"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn start() -> SocketAddr {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&[listener]));
        address
    }

    #[test]
    fn greets_and_refuses() {
        let address = start();
        let answer = ask(address, b"GET /any HTTP/1.1\r\nHost: echo\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Length: 14\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nHello Docker!!"), "{answer}");
        let head = ask(address, b"HEAD / HTTP/1.1\r\nHost: echo\r\n\r\n");
        assert!(head.contains("\r\nContent-Length: 14\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        for wrong in [&b"nonsense\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[b'a'; 9000]] {
            assert!(ask(address, wrong).starts_with("HTTP/1.1 400 "));
        }
    }

    #[test]
    fn a_large_body_does_not_destroy_the_answer() {
        let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n".to_vec();
        request.extend_from_slice(&[b'x'; 200_000]);
        assert!(ask(start(), &request).ends_with("Hello Docker!!"));
    }

    #[test]
    fn clients_that_wait_or_reset_do_not_stop_the_others() {
        let address = start();
        let waiting: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
        for number in 0..200 {
            if number % 2 == 0 {
                let mut leaver = TcpStream::connect(address).unwrap();
                leaver.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            } else {
                let answer = ask(address, b"GET / HTTP/1.0\r\n\r\n");
                assert!(answer.ends_with("Hello Docker!!"), "{answer}");
            }
        }
        drop(waiting);
    }

    #[test]
    fn the_port_is_chosen_in_order() {
        let args = |list: &[&str]| list.iter().map(|arg| arg.to_string()).collect::<Vec<_>>();
        let port = |list: &[&str], env: Option<&str>| {
            super::port(args(list).into_iter(), env.map(str::to_owned))
        };
        assert_eq!(port(&[], None), Ok(8080));
        assert_eq!(port(&[], Some("81")), Ok(81));
        assert_eq!(port(&["--port", "82"], Some("81")), Ok(82));
        assert_eq!(port(&["--port=83"], None), Ok(83));
        for wrong in [&["--port"][..], &["--port=x"], &["--port", "70000"], &["hello"]] {
            assert!(port(wrong, None).is_err());
        }
    }
}
