//! One guest that does many things, well and badly: the first argument says which. Built for
//! wasm32-wasip2 (sockets by std) and wasm32-wasip1 (a listener on a file descriptor).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let arg = |n: usize| args.get(n).map(String::as_str).unwrap_or("");
    match arg(1) {
        "print" => print(&args),
        "exit" => std::process::exit(arg(2).parse().unwrap()),
        "panic" => panic!("as asked"),
        "recurse" => println!("{}", recurse(arg(2).len() as u64)),
        "spin" => {
            println!("spinning");
            let mut n = 0u64;
            loop {
                n = std::hint::black_box(n.wrapping_add(1));
            }
        }
        "allocate" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(vec![1; 1 << 20]);
            }
        }
        "sockets" => open_sockets(),
        "connects" => open_connections(arg(2)),
        "spam" => loop {
            println!("{}", "spam ".repeat(200));
        },
        "stdin" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            println!("read {:?}", text);
        }
        "files" => files(arg(2)),
        "sleep" => {
            println!("sleeping");
            std::thread::sleep(std::time::Duration::from_secs(86_400));
        }
        "echo" => echo(bound(arg(2))),
        #[cfg(target_env = "p1")]
        "echo-fd" => {
            use std::os::fd::FromRawFd;
            echo(unsafe { TcpListener::from_raw_fd(arg(2).parse().unwrap()) })
        }
        "ask" => {
            let mut stream = TcpStream::connect(arg(2)).unwrap();
            println!("from {} to {}", stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            stream.write_all(arg(3).as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            println!("answer {}", answer);
        }
        "try" => match TcpStream::connect(arg(2)) {
            Ok(_) => println!("connected"),
            Err(error) => println!("{:?}", error.kind()),
        },
        "udp-echo" => {
            let socket = UdpSocket::bind(arg(2)).unwrap();
            println!("ready");
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                socket.send_to(&buffer[..length], from).unwrap();
            }
        }
        "udp-ask" => {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(arg(2)).unwrap();
            socket.send(arg(3).as_bytes()).unwrap();
            let mut buffer = [0; 2048];
            let length = socket.recv(&mut buffer).unwrap();
            println!("answer {}", String::from_utf8_lossy(&buffer[..length]));
        }
        "pong" => pong(arg(2)),
        "ping" => ping(arg(2), arg(3).parse().unwrap(), arg(4).parse().unwrap()),
        "sink" => sink(arg(2)),
        "pour" => pour(arg(2), arg(3).parse().unwrap(), arg(4).parse().unwrap()),
        "resolve" => {
            use std::net::ToSocketAddrs;
            match arg(2).to_socket_addrs() {
                Ok(found) => println!("{:?}", found.collect::<Vec<_>>()),
                Err(_) => println!("unknown"),
            }
        }
        other => panic!("no such thing: {other}"),
    }
}

fn print(args: &[String]) {
    println!("args {:?}", &args[2..]);
    let mut env: Vec<_> = std::env::vars().collect();
    env.sort();
    println!("env {:?}", env);
    eprintln!("to stderr");
}

#[allow(unconditional_recursion)]
fn recurse(n: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(n + 1))) + 1
}

fn files(folder: &str) {
    let path = format!("{folder}/file");
    match std::fs::write(&path, "written") {
        Ok(()) => println!("wrote {}", std::fs::read_to_string(&path).unwrap()),
        Err(error) => println!("{:?}", error.kind()),
    }
    println!("root {:?}", std::fs::read_dir("/etc").map(|_| ()).map_err(|e| e.kind()));
}

fn bound(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

/// One client whose bytes come back; for measurements.
fn pong(address: &str) {
    let listener = bound(address);
    println!("listening");
    let (mut client, _) = listener.accept().unwrap();
    let mut buffer = [0; 65_536];
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => return,
            length => client.write_all(&buffer[..length]).unwrap(),
        }
    }
}

/// Round trips of so many bytes; prints the seconds that they took.
fn ping(address: &str, bytes: usize, rounds: usize) {
    let mut stream = connected(address);
    let (out, mut back) = (vec![7; bytes], vec![0; bytes]);
    let began = std::time::Instant::now();
    for _ in 0..rounds {
        stream.write_all(&out).unwrap();
        stream.read_exact(&mut back).unwrap();
    }
    println!("seconds {:.6}", began.elapsed().as_secs_f64());
}

/// One client whose bytes are counted; it is told how many when it has no more.
fn sink(address: &str) {
    let listener = bound(address);
    println!("listening");
    let (mut client, _) = listener.accept().unwrap();
    let mut buffer = vec![0; 65_536];
    let mut total = 0u64;
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => break,
            length => total += length as u64,
        }
    }
    client.write_all(&total.to_le_bytes()).unwrap();
}

/// Sends so many pieces of so many bytes; prints the seconds until the other side has them all.
fn pour(address: &str, bytes: usize, pieces: usize) {
    let mut stream = connected(address);
    let piece = vec![7; bytes];
    let began = std::time::Instant::now();
    for _ in 0..pieces {
        stream.write_all(&piece).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut total = [0; 8];
    stream.read_exact(&mut total).unwrap();
    assert_eq!(u64::from_le_bytes(total), (bytes * pieces) as u64);
    println!("seconds {:.6}", began.elapsed().as_secs_f64());
}

/// A connection to somebody who may not listen yet.
fn connected(address: &str) -> TcpStream {
    for _ in 0..1_000 {
        if let Ok(stream) = TcpStream::connect(address) {
            return stream;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("nobody listens at {address}");
}

fn open_sockets() {
    let mut kept = Vec::new();
    loop {
        match TcpListener::bind("127.0.0.1:0") {
            Ok(listener) => kept.push(listener),
            Err(error) => {
                println!("{} listeners, then {:?}", kept.len(), error.kind());
                return;
            }
        }
    }
}

fn open_connections(to: &str) {
    let mut kept = Vec::new();
    loop {
        match TcpStream::connect(to) {
            Ok(stream) => kept.push(stream),
            Err(error) => {
                println!("{} connections, then {:?}", kept.len(), error.kind());
                return;
            }
        }
    }
}

/// Clients at once; more wait in the listener's backlog. The C library of a component that Rust
/// 1.85 builds has room for 128 descriptors, and a connection that it accepts beyond is lost in it:
/// never served, never closed.
const CLIENTS_MAX: usize = 120;

/// Serves many clients at once by poll(2); a client that resets is only forgotten.
fn echo(listener: TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let mut clients: Vec<TcpStream> = Vec::new();
    println!("listening");
    loop {
        let mut wanted: Vec<_> = clients.iter().map(|client| poll_for(client.as_raw_fd())).collect();
        if clients.len() < CLIENTS_MAX {
            wanted.push(poll_for(listener.as_raw_fd()));
        }
        if unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as _, -1) } < 0 {
            panic!("poll: {}", std::io::Error::last_os_error());
        }
        let mut results = wanted.iter().map(|polled| polled.revents != 0);
        clients.retain_mut(|client| !results.next().unwrap() || serve(client));
        if results.next() == Some(true) {
            while clients.len() < CLIENTS_MAX {
                match listener.accept() {
                    Ok((client, _)) => {
                        client.set_nonblocking(true).unwrap();
                        clients.push(client);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        eprintln!("accept: {error}");
                        break;
                    }
                }
            }
        }
    }
}

fn poll_for(fd: i32) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// False when the client has gone.
fn serve(client: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    match client.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            // Small answers fit the socket's buffer; wait for room otherwise.
            client.set_nonblocking(false).is_ok()
                && client.write_all(&buffer[..length]).is_ok()
                && client.set_nonblocking(true).is_ok()
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
