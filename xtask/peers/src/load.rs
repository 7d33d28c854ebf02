//! `load`: requests over connections that are kept, as many as are answered. It reads no more of an
//! answer than where it ends, so that the server is what is measured.

use crate::Failure;
use crate::args::Args;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long the server may take until it listens.
const LISTENS_MAX: Duration = Duration::from_secs(30);
/// Before the clock starts.
const WARM: Duration = Duration::from_secs(1);
/// The longest head of an answer.
const HEAD_MAX: usize = 16 << 10;

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let address: SocketAddr = args.get("address")?;
    let connections: usize = args.get_or("connections", 32)?;
    let measured = Duration::from_secs(args.get("seconds")?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        listens(address).await?;
        let from = Instant::now() + WARM;
        let until = from + measured;
        let clients: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(client(address, from, until)))
            .collect();
        let mut answers = 0;
        for client in clients {
            answers += client.await??;
        }
        println!("all_answers {answers}");
        println!(
            "answers_per_s {:.1}",
            answers as f64 / measured.as_secs_f64()
        );
        Ok(())
    })
}

async fn listens(address: SocketAddr) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > LISTENS_MAX => {
                return Err(format!("{address}: {error}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Asks until `until`; answers how many answers came after `from`.
async fn client(address: SocketAddr, from: Instant, until: Instant) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut buffer = Vec::with_capacity(HEAD_MAX);
    let mut answers = 0;
    loop {
        stream.write_all(request.as_bytes()).await?;
        buffer.clear();
        let end = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(end) = end(&buffer)? {
                break end;
            }
        };
        while buffer.len() < end {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200") {
            let text = String::from_utf8_lossy(&buffer);
            return Err(format!("the server answers: {text}").into());
        }
        let now = Instant::now();
        if now >= until {
            return Ok(answers);
        }
        if now >= from {
            answers += 1;
        }
    }
}

/// Where the answer ends, once its head is there.
fn end(answer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(head) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
        if answer.len() > HEAD_MAX {
            return Err("the answer's head does not end".into());
        }
        return Ok(None);
    };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or("an answer without Content-Length")?;
    Ok(Some(head + 4 + length))
}
