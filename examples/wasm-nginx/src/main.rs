//! A small reverse proxy and static file server, as the nginx of the Kubernetes introduction is
//! used: with `BACKEND_HOST` (host:port) every request goes there, without it files of
//! /usr/share/nginx/html are served. One thread, std sockets and `poll`: the same source runs as
//! an ordinary program and as a WASI 0.2 component.

mod access_log;
mod files;
mod http;
mod net;
mod session;

use session::Session;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The port when neither `--port` nor `PORT` says otherwise.
const PORT_DEFAULT: u16 = 80;
/// Where the files are, as in nginx's own image.
const ROOT: &str = "/usr/share/nginx/html";
/// Clients at once; more wait in the listener's backlog. Each may need a socket to the backend.
///
/// The C library of a component that Rust 1.85 builds has room for 128 descriptors; a connection
/// that it accepts beyond is lost in it: never served, never closed.
const SESSIONS_MAX: usize = 60;
/// How long accepting rests when the system refuses (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the addresses of the backend's name are used before it is looked up again.
const NAME_MAX_AGE: Duration = Duration::from_secs(10);

/// What is served.
pub struct Site {
    backend: Option<Backend>,
    root: PathBuf,
}

/// The server behind the proxy.
pub struct Backend {
    /// host:port, as it is configured.
    name: String,
    addresses: Vec<SocketAddr>,
    looked_up: Option<Instant>,
}

impl Backend {
    /// Reads `host`, `host:port`, `[v6]:port`, each with or without `http://`.
    fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let port = match name.rsplit_once(':') {
            Some((_, after)) if !after.ends_with(']') => after,
            _ => "80",
        };
        let host = name.strip_suffix(&format!(":{port}")).unwrap_or(name);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() || port.parse::<u16>().is_err() || (bare == host && host.contains(':')) {
            return Err(format!("BACKEND_HOST {text:?} is not host:port"));
        }
        Ok(Self { name: format!("{host}:{port}"), addresses: Vec::new(), looked_up: None })
    }

    /// The addresses of the name, looked up when they are old.
    fn addresses(&mut self) -> io::Result<Vec<SocketAddr>> {
        let now = Instant::now();
        if self.looked_up.is_none_or(|at| now - at > NAME_MAX_AGE) {
            self.addresses = self.name.to_socket_addrs()?.collect();
            self.looked_up = Some(now);
        }
        Ok(self.addresses.clone())
    }

    fn forget(&mut self) {
        self.looked_up = None;
    }
}

fn main() {
    let env = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let port = match port(std::env::args().skip(1), env("PORT")) {
        Ok(port) => port,
        Err(message) => fail(2, &message),
    };
    let backend = match env("BACKEND_HOST").map(|text| Backend::parse(&text)).transpose() {
        Ok(backend) => backend,
        Err(message) => fail(1, &message),
    };
    let mut site = Site { backend, root: PathBuf::from(ROOT) };
    let mut listeners = match net::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))) {
        Ok(listener) => vec![listener],
        Err(error) => fail(1, &format!("bind() to 0.0.0.0:{port} failed ({error})")),
    };
    // IPv6 where there is any; a system whose IPv6 sockets take IPv4 as well refuses the second.
    listeners.extend(net::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
    if let Err(error) = serve(&listeners, &mut site) {
        fail(1, &format!("poll() failed ({error})"));
    }
}

fn fail(code: i32, message: &str) -> ! {
    let _ = writeln!(io::stderr(), "[emerg] {message}");
    std::process::exit(code)
}

/// The port from the command line, else from the environment, else the default.
fn port(args: impl Iterator<Item = String>, env: Option<String>) -> Result<u16, String> {
    let mut args = args;
    let mut chosen = env;
    while let Some(arg) = args.next() {
        if arg == "--port" {
            chosen = Some(args.next().ok_or("--port needs a number")?);
        } else if let Some(port) = arg.strip_prefix("--port=") {
            chosen = Some(port.to_owned());
        } else {
            return Err(format!("unknown argument {arg:?}; usage: wasm-nginx [--port PORT]"));
        }
    }
    match chosen {
        None => Ok(PORT_DEFAULT),
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port")),
    }
}

/// Serves until polling itself fails.
fn serve(listeners: &[TcpListener], site: &mut Site) -> io::Result<()> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut entries: Vec<libc::pollfd> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    let mut accept_again: Option<Instant> = None;
    loop {
        let now = Instant::now();
        sessions.retain_mut(|session| session.deadline() > now || session.expire());
        accept_again = accept_again.filter(|at| *at > now);
        let accepting = accept_again.is_none() && sessions.len() < SESSIONS_MAX;
        let deadlines = sessions.iter().map(Session::deadline).chain(accept_again);
        let timeout_ms = match deadlines.min() {
            // One millisecond more, so that the deadline has passed when poll returns.
            Some(at) => (at - now).as_millis() as libc::c_int + 1,
            None => -1,
        };
        entries.clear();
        ends.clear();
        for session in &sessions {
            session.interests(&mut entries);
            ends.push(entries.len());
        }
        let first_listener = entries.len();
        if accepting {
            entries.extend(listeners.iter().map(|l| net::entry(l, libc::POLLIN)));
        }
        net::poll(&mut entries, timeout_ms)?;
        let ready = |entries: &[libc::pollfd]| entries.iter().any(|entry| entry.revents != 0);
        let (mut start, mut number) = (0, 0);
        sessions.retain_mut(|session| {
            let end = ends[number];
            let is_ready = ready(&entries[start..end]);
            (start, number) = (end, number + 1);
            !is_ready || session.advance(site)
        });
        for (listener, entry) in listeners.iter().zip(&entries[first_listener..]) {
            if entry.revents != 0 {
                accept_again = accept_all(listener, &mut sessions, site).or(accept_again);
            }
        }
    }
}

/// Accepts what waits, as far as there is room. Answers when to try again if the system refused.
fn accept_all(
    listener: &TcpListener,
    sessions: &mut Vec<Session>,
    site: &mut Site,
) -> Option<Instant> {
    while sessions.len() < SESSIONS_MAX {
        match net::accept(listener) {
            Ok(stream) => {
                let mut session = Session::new(stream);
                if session.advance(site) {
                    sessions.push(session);
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

#[cfg(test)]
mod tests;
