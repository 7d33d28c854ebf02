//! `start`: runs a server and asks it again and again until it says that it is ready. The clock runs
//! from before the exec to the answer, so what is measured is what somebody who waits sees.

use crate::Failure;
use crate::args::Args;
use crate::trust::believe;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server may take.
const READY_MAX: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_micros(200);

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let url: String = args.get("url")?;
    let (scheme, rest) = url.split_once("://").ok_or("--url: no scheme")?;
    let (address, path) = rest.split_once('/').ok_or("--url: no path")?;
    let address: SocketAddr = address.parse()?;
    let (program, words) = args.rest.split_first().ok_or("no command")?;
    let tls = (scheme == "https")
        .then(|| believe().map(Arc::new))
        .transpose()?;
    let began = Instant::now();
    let child = std::process::Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut child = Ended(child);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    while !ready(address, &request, tls.as_ref()) {
        if let Some(status) = child.0.try_wait()? {
            return Err(format!("{program} ended: {status}").into());
        }
        if began.elapsed() > READY_MAX {
            return Err(format!("{program} was not ready in {READY_MAX:?}").into());
        }
        std::thread::sleep(PAUSE);
    }
    println!("ready_ms {:.3}", began.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// A child that is ended with its guard.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the server answers with 200, and does not say that it is unwell.
fn ready(address: SocketAddr, request: &str, tls: Option<&Arc<ClientConfig>>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut answer = Vec::new();
    let asked = match tls {
        None => stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut answer)),
        Some(config) => {
            let name = ServerName::from(address.ip());
            let Ok(mut session) = ClientConnection::new(config.clone(), name) else {
                return false;
            };
            let mut stream = Stream::new(&mut session, &mut stream);
            stream
                .write_all(request.as_bytes())
                .and_then(|()| stream.read_to_end(&mut answer))
        }
    };
    // A server may close without TLS' farewell; the answer counts.
    let _ = asked;
    let text = String::from_utf8_lossy(&answer);
    text.starts_with("HTTP/1.1 200") && !text.contains(r#""health":"false""#)
}
