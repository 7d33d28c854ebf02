//! The proxy over real sockets of the machine that runs the tests.

use super::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

fn start(backend: Option<&str>, root: &str) -> SocketAddr {
    let listener = net::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let backend = backend.map(|text| Backend::parse(text).unwrap());
    let mut site = Site { backend, root: PathBuf::from(root) };
    thread::spawn(move || serve(&[listener], &mut site));
    address
}

/// A backend that reads one whole request per connection and gives `answer(request)`.
fn backend(answer: fn(&str) -> Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                loop {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.split("Content-Length: ").nth(1).map(|rest| {
                            rest.lines().next().unwrap().parse::<usize>().unwrap()
                        });
                        let chunked = head.contains("chunked") && !body.ends_with("0\r\n\r\n");
                        if body.len() >= length.unwrap_or(0) && !chunked {
                            stream.write_all(&answer(&text)).unwrap();
                            return;
                        }
                    }
                    let read = stream.read(&mut buffer).unwrap();
                    assert!(read > 0);
                    request.extend_from_slice(&buffer[..read]);
                }
            });
        }
    });
    address
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request).unwrap();
    // A client may be done speaking and still listen.
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Answers with the request itself as body.
fn mirror(request: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{request}", request.len()).into_bytes()
}

#[test]
fn passes_on_with_headers_of_its_own() {
    let address = start(Some(&backend(mirror)), "/nowhere");
    let answer = ask(
        address,
        b"POST /a?b HTTP/1.1\r\nHost: site\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: X-Hop\r\n\
          X-Hop: 1\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "POST /a?b HTTP/1.1",
        "Host: site",
        "X-Forwarded-For: 9.9.9.9, 127.0.0.1",
        "X-Forwarded-Host: site",
        "X-Real-IP: 127.0.0.1",
    ] {
        assert!(answer.contains(&format!("{line}\r\n")), "{line}: {answer}");
    }
    assert!(answer.ends_with("\r\n\r\nhello") && !answer.contains("X-Hop"), "{answer}");
}

#[test]
fn passes_on_bodies_of_every_form() {
    let address = start(Some(&backend(mirror)), "/nowhere");
    let mut large = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n".to_vec();
    large.extend_from_slice(&[b'x'; 300_000]);
    let answer = ask(address, &large);
    assert!(answer.len() > 300_000 && answer.ends_with("xxxx"), "{}", answer.len());
    let chunked = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert!(ask(address, chunked).ends_with("3\r\nabc\r\n0\r\n\r\n"));
    let until_close = backend(|_| b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec());
    let answer = ask(start(Some(&until_close), "/nowhere"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with("until the end"), "{answer}");
    let head = backend(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec());
    let answer = ask(start(Some(&head), "/nowhere"), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("Content-Length: 5\r\n"), "{answer}");
}

#[test]
fn says_when_the_backend_is_unwell() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let answer = ask(start(Some(&closed), "/nowhere"), get);
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    for nonsense in [
        (|_| b"".to_vec()) as fn(&str) -> Vec<u8>,
        |_| b"nonsense\r\n\r\n".to_vec(),
        |_| b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
    ] {
        let answer = ask(start(Some(&backend(nonsense)), "/nowhere"), get);
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    }
}

#[test]
fn refuses_what_is_ambiguous() {
    let address = start(Some(&backend(mirror)), "/nowhere");
    for wrong in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET example HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = ask(address, wrong);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    }
}

#[test]
fn clients_that_wait_or_leave_do_not_stop_the_others() {
    let address = start(Some(&backend(mirror)), "/nowhere");
    let waiting: Vec<_> = (0..SESSIONS_MAX - 10).map(|_| TcpStream::connect(address).unwrap()).collect();
    for number in 0..100 {
        if number % 2 == 0 {
            let mut leaver = TcpStream::connect(address).unwrap();
            leaver.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").unwrap();
        } else {
            assert!(ask(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200"));
        }
    }
    drop(waiting);
}

#[test]
fn serves_files_and_a_welcome() {
    let address = start(None, concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let answer = ask(address, b"GET /http.rs HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with(include_str!("http.rs")), "{answer}");
    assert!(ask(address, b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask(address, b"PUT /http.rs HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 405"));
    let welcome = start(None, "/nowhere");
    assert!(ask(welcome, b"GET / HTTP/1.0\r\n\r\n").contains("Welcome to wasm-nginx!"));
}

#[test]
fn backends_are_read_as_host_and_port() {
    let name = |text: &str| Backend::parse(text).map(|backend| backend.name).ok();
    assert_eq!(name("localhost:8080").as_deref(), Some("localhost:8080"));
    assert_eq!(name("http://echo/").as_deref(), Some("echo:80"));
    assert_eq!(name("[::1]:81").as_deref(), Some("[::1]:81"));
    assert_eq!(name("[::1]").as_deref(), Some("[::1]:80"));
    for wrong in ["", ":80", "a:b", "a:99999", "::1"] {
        assert_eq!(name(wrong), None, "{wrong}");
    }
}
