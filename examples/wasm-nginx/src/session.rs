//! One client: one request, passed on to the backend or answered from files, one answer, one
//! line in the log. Each step does what the sockets allow and never waits; what is held for a
//! session is bounded by the constants here.

use crate::access_log::{self, Access};
use crate::files::{self, Found};
use crate::http::{self, Body, Head};
use crate::{net, Site};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of a request's or an answer's line and headers.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes on their way in one direction; the sender waits when so many are held.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long a request's head may take.
const HEAD_MAX: Duration = Duration::from_secs(60);
/// How long nothing may move, as nginx's `proxy_read_timeout`.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// After the answer: how long the client may take to close, and how much it may still send.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A connection of a client.
pub struct Session {
    client: TcpStream,
    remote: String,
    phase: Phase,
    deadline: Instant,
    request: Option<Request>,
    status: u16,
    body_bytes: u64,
}

/// What the log says of the request, and what the answer's framing depends on.
struct Request {
    line: String,
    is_head: bool,
    referer: Option<String>,
    user_agent: Option<String>,
}

enum Phase {
    Head(Vec<u8>),
    Connect { upstream: TcpStream, rest: Vec<SocketAddr>, up: Vec<u8>, body: Body },
    Relay(Box<Relay>),
    /// An answer of our own: `head` of its bytes are not body.
    Answer { bytes: Vec<u8>, sent: usize, head: usize, file: Option<(File, u64)> },
    Linger(usize),
}

/// Both directions between client and backend.
struct Relay {
    upstream: TcpStream,
    /// To the backend; `None` once the backend has stopped listening.
    up: Option<Vec<u8>>,
    request_body: Body,
    /// The answer's head while it is still read.
    head: Option<Vec<u8>>,
    /// The answer's body; `None` when it ends with the connection.
    answer_body: Option<Body>,
    answer_over: bool,
    /// To the client; the first `down_head` bytes are not body.
    down: Vec<u8>,
    down_head: usize,
}

/// What a step came to.
enum Step {
    /// Something moved: try again.
    Moved,
    /// The sockets have to become ready first.
    Waits,
    /// The session is over.
    Over,
}

impl Session {
    pub fn new(client: TcpStream) -> Self {
        let remote = client.peer_addr().map(|peer| peer.ip().to_canonical().to_string());
        Self {
            client,
            remote: remote.unwrap_or_else(|_| "-".to_owned()),
            phase: Phase::Head(Vec::new()),
            deadline: Instant::now() + HEAD_MAX,
            request: None,
            status: 499,
            body_bytes: 0,
        }
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to wait for, as entries for poll.
    pub fn interests(&self, entries: &mut Vec<libc::pollfd>) {
        match &self.phase {
            Phase::Head(_) | Phase::Linger(_) => entries.push(net::entry(&self.client, libc::POLLIN)),
            Phase::Answer { .. } => entries.push(net::entry(&self.client, libc::POLLOUT)),
            Phase::Connect { upstream, .. } => entries.push(net::entry(upstream, libc::POLLOUT)),
            Phase::Relay(relay) => {
                let when = |wanted: bool, event| if wanted { event } else { 0 };
                let client = when(relay.wants_client(), libc::POLLIN)
                    | when(!relay.down.is_empty(), libc::POLLOUT);
                let sends = relay.up.as_ref().is_some_and(|up| !up.is_empty());
                let upstream =
                    when(relay.wants_upstream(), libc::POLLIN) | when(sends, libc::POLLOUT);
                // An entry that waits for nothing would be an error on some hosts.
                entries.extend((client != 0).then(|| net::entry(&self.client, client)));
                entries.extend((upstream != 0).then(|| net::entry(&relay.upstream, upstream)));
            }
        }
    }

    /// Goes on as far as the sockets allow; false when the session is over.
    pub fn advance(&mut self, site: &mut Site) -> bool {
        loop {
            let step = match self.step(site) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Waits,
                Err(_) => Step::Over,
                Ok(step) => step,
            };
            match step {
                Step::Moved => {}
                Step::Waits => return true,
                Step::Over => {
                    self.log();
                    return false;
                }
            }
        }
    }

    /// The deadline has passed; false when the session is over.
    pub fn expire(&mut self) -> bool {
        let waits_for_backend = match &self.phase {
            Phase::Connect { .. } => true,
            Phase::Relay(relay) => relay.head.is_some(),
            _ => false,
        };
        if waits_for_backend {
            self.fail(504, "upstream timed out");
        } else {
            self.log();
        }
        waits_for_backend
    }

    fn step(&mut self, site: &mut Site) -> io::Result<Step> {
        let mut buffer = [0; 4096];
        match &mut self.phase {
            Phase::Head(head) => {
                let read = self.client.read(&mut buffer)?;
                head.extend_from_slice(&buffer[..read]);
                match http::head_length(head) {
                    Some(length) if length <= HEAD_BYTES_MAX => {
                        let rest = head.split_off(length);
                        let head = std::mem::take(head);
                        self.begin(site, &head, rest);
                    }
                    None if read == 0 => return Ok(Step::Over),
                    None if head.len() <= HEAD_BYTES_MAX => {}
                    _ => self.answer(400, "", None),
                }
            }
            Phase::Connect { .. } => self.connected(site)?,
            Phase::Relay(_) => return self.relay(),
            Phase::Answer { bytes, sent, head, file } => {
                if *sent == bytes.len() {
                    let read = match file {
                        Some((file, left)) => {
                            let want = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                            let read = file.read(&mut buffer[..want])?;
                            *left -= read as u64;
                            read
                        }
                        None => 0,
                    };
                    if read == 0 {
                        self.linger()?;
                        return Ok(Step::Moved);
                    }
                    (*bytes, *sent, *head) = (buffer[..read].to_vec(), 0, 0);
                }
                let written = self.client.write(&bytes[*sent..])?;
                *sent += written;
                self.body_bytes += (*sent).saturating_sub(*head).min(written) as u64;
                self.deadline = Instant::now() + IDLE_MAX;
            }
            Phase::Linger(left) => {
                let read = self.client.read(&mut buffer)?;
                *left = left.saturating_sub(read);
                if read == 0 || *left == 0 {
                    return Ok(Step::Over);
                }
            }
        }
        Ok(Step::Moved)
    }

    /// The request's head is whole: decide what becomes of it.
    fn begin(&mut self, site: &mut Site, bytes: &[u8], rest: Vec<u8>) {
        self.deadline = Instant::now() + IDLE_MAX;
        let Some(mut head) = Head::parse(bytes) else { return self.answer(400, "", None) };
        let line = head.line.clone();
        let owned = |value: Option<&str>| value.map(str::to_owned);
        self.request = Some(Request {
            is_head: line.starts_with("HEAD "),
            line: line.clone(),
            referer: owned(head.get("referer")),
            user_agent: owned(head.get("user-agent")),
        });
        let Some((method, target, version)) = http::request_line(&line) else {
            return self.answer(400, "", None);
        };
        let hosts = head.all("host").count();
        let (Some(mut body), true) =
            (head.body(), hosts == 1 || (hosts == 0 && version == "HTTP/1.0"))
        else {
            return self.answer(400, "", None);
        };
        if !target.starts_with('/') && (target, method) != ("*", "OPTIONS") {
            return self.answer(400, "", None);
        }
        let Some(backend) = &mut site.backend else {
            return self.answer_from_files(site, method, target);
        };
        let addresses = match backend.addresses() {
            Ok(addresses) => addresses,
            Err(error) => return self.fail(502, &format!("{} {error}", backend.name)),
        };
        if head.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            // Into an empty socket buffer; a client that does not get it sends its body anyway.
            let _ = self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        head.remove_hop_by_hop();
        let host = owned(head.get("host")).unwrap_or_else(|| backend.name.clone());
        let before = owned(head.get("x-forwarded-for")).filter(|list| !list.is_empty());
        let forwarded = before.map_or(self.remote.clone(), |list| format!("{list}, {}", self.remote));
        for (name, value) in [
            ("Host", host.as_str()),
            ("X-Forwarded-For", forwarded.as_str()),
            ("X-Forwarded-Host", host.as_str()),
            ("X-Forwarded-Proto", "http"),
            ("X-Real-IP", self.remote.as_str()),
            ("Connection", "close"),
        ] {
            head.remove(name);
            head.headers.push((name.to_owned(), value.to_owned()));
        }
        let mut up = head.write();
        // What follows the body would be a next request; this connection serves one.
        let Some(taken) = body.take(&rest) else { return self.answer(400, "", None) };
        up.extend_from_slice(&rest[..taken]);
        self.connect(site, addresses, up, body);
    }

    /// Begins to connect to the first address that can be tried.
    fn connect(&mut self, site: &mut Site, mut rest: Vec<SocketAddr>, up: Vec<u8>, body: Body) {
        let mut reason = "no address".to_owned();
        while !rest.is_empty() {
            match net::connect(rest.remove(0)) {
                Ok(upstream) => {
                    self.phase = Phase::Connect { upstream, rest, up, body };
                    return;
                }
                Err(error) => reason = error.to_string(),
            }
        }
        self.refused(site, &reason);
    }

    /// The connection to the backend is there, or failed.
    fn connected(&mut self, site: &mut Site) -> io::Result<()> {
        let linger = Phase::Linger(0);
        let Phase::Connect { upstream, rest, up, body } = std::mem::replace(&mut self.phase, linger)
        else {
            return Ok(());
        };
        // This step also runs right after connecting began; a stream that is neither connected
        // nor failed has no peer yet.
        let failed = upstream.take_error().unwrap_or_else(Some);
        if failed.is_none() && upstream.peer_addr().is_err() {
            self.phase = Phase::Connect { upstream, rest, up, body };
            return Err(ErrorKind::WouldBlock.into());
        }
        match failed {
            None => {
                self.phase = Phase::Relay(Box::new(Relay {
                    upstream,
                    up: Some(up),
                    request_body: body,
                    head: Some(Vec::new()),
                    answer_body: None,
                    answer_over: false,
                    down: Vec::new(),
                    down_head: 0,
                }));
            }
            Some(error) if rest.is_empty() => self.refused(site, &error.to_string()),
            Some(_) => self.connect(site, rest, up, body),
        }
        Ok(())
    }

    fn refused(&mut self, site: &mut Site, reason: &str) {
        let mut name = String::new();
        if let Some(backend) = &mut site.backend {
            // It may have moved: look its name up again next time.
            backend.forget();
            name.clone_from(&backend.name);
        }
        self.fail(502, &format!("connect() failed ({reason}) while connecting to upstream, upstream: {name}"));
    }

    fn relay(&mut self) -> io::Result<Step> {
        let Phase::Relay(relay) = &mut self.phase else { return Ok(Step::Moved) };
        let mut moved = relay.client_to_upstream(&mut self.client)?;
        let is_head = self.request.as_ref().is_some_and(|request| request.is_head);
        match relay.from_upstream(is_head) {
            Ok(Some(status)) => {
                self.status = status;
                moved = true;
            }
            Ok(None) => moved = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if relay.head.is_some() => {
                self.fail(502, &format!("{error} while reading response header from upstream"));
                return Ok(Step::Moved);
            }
            Err(_) => return Ok(Step::Over),
        }
        if !relay.down.is_empty() {
            match self.client.write(&relay.down) {
                Ok(written) => {
                    relay.down.drain(..written);
                    let of_head = relay.down_head.min(written);
                    relay.down_head -= of_head;
                    self.body_bytes += (written - of_head) as u64;
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if relay.answer_over && relay.down.is_empty() {
            self.linger()?;
            return Ok(Step::Moved);
        }
        if moved {
            self.deadline = Instant::now() + IDLE_MAX;
        }
        Ok(if moved { Step::Moved } else { Step::Waits })
    }

    fn answer_from_files(&mut self, site: &Site, method: &str, target: &str) {
        if method != "GET" && method != "HEAD" {
            return self.answer(405, "", None);
        }
        if !site.root.is_dir() {
            let known = target == "/" || target == "/index.html";
            return if known { self.welcome() } else { self.answer(404, "", None) };
        }
        match files::find(&site.root, target) {
            Found::Nothing(status) => self.answer(status, "", None),
            Found::Redirect(to) => self.answer(301, &format!("Location: {to}\r\n"), None),
            Found::File { file, bytes, media_type } => {
                let head = answer_head(200, media_type, bytes, "");
                self.own(200, head, String::new(), Some((file, bytes)));
            }
        }
    }

    fn welcome(&mut self) {
        let page = "<html>\r\n<head><title>Welcome to wasm-nginx!</title></head>\r\n<body>\r\n\
                    <h1>Welcome to wasm-nginx!</h1>\r\n<p>Set BACKEND_HOST to host:port, or mount \
                    files at /usr/share/nginx/html.</p>\r\n</body>\r\n</html>\r\n";
        let head = answer_head(200, "text/html", page.len() as u64, "");
        self.own(200, head, page.to_owned(), None);
    }

    /// The backend failed: say so to the client and on standard error.
    fn fail(&mut self, status: u16, message: &str) {
        let request = self.request.as_ref().map_or("", |request| request.line.as_str());
        let _ = writeln!(
            io::stderr(),
            "[error] {message}, client: {}, request: {request:?}",
            self.remote
        );
        self.answer(status, "", None);
    }

    /// A page that says the status.
    fn answer(&mut self, status: u16, more_headers: &str, file: Option<(File, u64)>) {
        let title = format!("{status} {}", reason(status));
        let page = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>\
             </center>\r\n<hr><center>wasm-nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        let head = answer_head(status, "text/html", page.len() as u64, more_headers);
        self.own(status, head, page, file);
    }

    fn own(&mut self, status: u16, head: String, page: String, file: Option<(File, u64)>) {
        let is_head = self.request.as_ref().is_some_and(|request| request.is_head);
        let (page, file) = if is_head { (String::new(), None) } else { (page, file) };
        self.status = status;
        self.deadline = Instant::now() + IDLE_MAX;
        let length = head.len();
        let bytes = (head + &page).into_bytes();
        self.phase = Phase::Answer { bytes, sent: 0, head: length, file };
    }

    /// The answer is written. Closing at once would reset a client that still sends.
    fn linger(&mut self) -> io::Result<()> {
        self.log();
        self.phase = Phase::Linger(LINGER_BYTES_MAX);
        self.deadline = Instant::now() + LINGER_MAX;
        self.client.shutdown(Shutdown::Write)
    }

    /// The request's line in the log, once; a client that asked nothing has none.
    fn log(&mut self) {
        let asked = matches!(&self.phase, Phase::Answer { .. } if self.status == 400);
        let Some(request) = self.request.take().or_else(|| asked.then(Request::unreadable)) else {
            return;
        };
        access_log::write(&Access {
            remote: &self.remote,
            request: &request.line,
            status: self.status,
            body_bytes: self.body_bytes,
            referer: request.referer.as_deref(),
            user_agent: request.user_agent.as_deref(),
        });
    }
}

impl Request {
    /// What nginx writes of a request that it could not read.
    fn unreadable() -> Self {
        Self { line: String::new(), is_head: false, referer: None, user_agent: None }
    }
}

impl Relay {
    fn wants_client(&self) -> bool {
        let room = self.up.as_ref().is_some_and(|up| up.len() < BUFFER_BYTES);
        room && !self.request_body.is_over()
    }

    fn wants_upstream(&self) -> bool {
        !self.answer_over && self.down.len() < BUFFER_BYTES
    }

    /// The request's body, as far as it comes and the backend takes it. Says whether any moved.
    fn client_to_upstream(&mut self, client: &mut TcpStream) -> io::Result<bool> {
        let mut moved = false;
        let mut buffer = [0; 4096];
        if self.wants_client() {
            match client.read(&mut buffer) {
                // The client gave up in the middle of its request.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    let taken = self.request_body.take(&buffer[..read]);
                    let taken = taken.ok_or(ErrorKind::InvalidData)?;
                    self.up.get_or_insert_default().extend_from_slice(&buffer[..taken]);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(up) = self.up.as_mut().filter(|up| !up.is_empty()) {
            match self.upstream.write(up) {
                Ok(written) => {
                    up.drain(..written);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The backend may have answered before it read everything.
                Err(_) => self.up = None,
            }
        }
        Ok(moved)
    }

    /// The answer, as far as it comes and fits. Answers its status when its head is whole;
    /// `WouldBlock` when nothing moved.
    fn from_upstream(&mut self, is_head: bool) -> io::Result<Option<u16>> {
        if !self.wants_upstream() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut buffer = [0; 4096];
        let read = self.upstream.read(&mut buffer)?;
        let bytes = &buffer[..read];
        let Some(head) = &mut self.head else {
            self.body_bytes(bytes)?;
            return Ok(None);
        };
        head.extend_from_slice(bytes);
        while let Some(length) = http::head_length(head) {
            let rest = head.split_off(length);
            let parsed = Head::parse(head).ok_or(ErrorKind::InvalidData)?;
            let status = http::status(&parsed.line).ok_or(ErrorKind::InvalidData)?;
            if status < 200 {
                // An interim answer was not asked for: the client's Expect was not passed on.
                *head = rest;
                continue;
            }
            return self.answer_begins(parsed, status, is_head, &rest).map(Some);
        }
        match head.len() {
            _ if read == 0 => Err(ErrorKind::UnexpectedEof.into()),
            ..=HEAD_BYTES_MAX => Ok(None),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn answer_begins(&mut self, mut head: Head, status: u16, is_head: bool, rest: &[u8]) -> io::Result<u16> {
        let unframed = head.get("content-length").is_none() && head.get("transfer-encoding").is_none();
        self.answer_body = match status {
            _ if is_head => Some(Body::Length(0)),
            204 | 304 => Some(Body::Length(0)),
            _ if unframed => None,
            _ => Some(head.body().ok_or(ErrorKind::InvalidData)?),
        };
        head.remove_hop_by_hop();
        head.headers.push(("Connection".to_owned(), "close".to_owned()));
        self.down = head.write();
        self.down_head = self.down.len();
        self.head = None;
        self.answer_over = self.answer_body.as_ref().is_some_and(Body::is_over);
        if !rest.is_empty() {
            self.body_bytes(rest)?;
        }
        Ok(status)
    }

    /// Bytes of the answer's body; none mean that the backend has closed.
    fn body_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = match &mut self.answer_body {
            Some(body) => {
                if bytes.is_empty() && !body.is_over() {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                let taken = body.take(bytes).ok_or(ErrorKind::InvalidData)?;
                self.answer_over = body.is_over();
                taken
            }
            None => {
                self.answer_over = bytes.is_empty();
                bytes.len()
            }
        };
        self.down.extend_from_slice(&bytes[..taken]);
        Ok(())
    }
}

fn answer_head(status: u16, media_type: &str, bytes: u64, more: &str) -> String {
    format!(
        "HTTP/1.1 {status} {}\r\nServer: wasm-nginx\r\nContent-Type: {media_type}\r\n\
         Content-Length: {bytes}\r\n{more}Connection: close\r\n\r\n",
        reason(status)
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        502 => "Bad Gateway",
        504 => "Gateway Time-out",
        _ => "Error",
    }
}
