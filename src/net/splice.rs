//! Joins a connection of the virtual network to a kernel socket until both directions have ended
//! or one is cut. Half-close, reset and back-pressure pass through in both directions.

use super::error::NetError;
use super::limits::{ORPHAN_TIMEOUT, SPLICE_CHUNK};
use super::tcp::{Conn, How, Read};
use crate::stdx::Clock;
use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

/// Carries bytes both ways. Ends when both directions have ended, when either end is reset (the
/// other is reset then), or some time after the virtual end has closed without the kernel's end
/// following.
pub(super) async fn splice(conn: Conn, mut stream: TcpStream, clock: Clock) {
    // Nothing is gathered here that could be sent: small packets are the guests' choice.
    let _ = stream.set_nodelay(true);
    let carried = {
        let (read, write) = stream.split();
        tokio::select! {
            carried = async { tokio::try_join!(outward(&conn, write), inward(&conn, read.as_ref())) } => {
                carried.map(|_| ())
            }
            cut = abandoned(&conn, &clock) => Err(cut),
        }
    };
    if let Err(error) = carried {
        tracing::debug!(local = %conn.local(), peer = %conn.peer(), %error, "connection to the outside cut");
        // Dropping the socket now sends a reset instead of an end.
        let _ = stream.set_zero_linger();
        conn.abort();
    }
}

/// From the virtual end to the kernel's.
async fn outward(conn: &Conn, mut write: WriteHalf<'_>) -> io::Result<()> {
    loop {
        conn.readable().await;
        match conn.try_read_bytes(SPLICE_CHUNK)? {
            Read::Data(bytes) => write.write_all(&bytes).await?,
            Read::WouldBlock => {}
            Read::End => return write.shutdown().await,
        }
    }
}

/// From the kernel's end to the virtual one. Reads only when there is room, so that the kernel's
/// window closes when the guest lags.
async fn inward(conn: &Conn, stream: &TcpStream) -> io::Result<()> {
    loop {
        conn.writable().await;
        conn.write_room()?;
        stream.readable().await?;
        // Taken anew each time: an idle connection holds no buffer.
        let mut buffer = BytesMut::with_capacity(SPLICE_CHUNK);
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => {
                conn.shutdown(How::Write);
                return Ok(());
            }
            Ok(count) if count < SPLICE_CHUNK / 4 => {
                // A copy, so that few bytes do not keep a large buffer.
                write_all(conn, Bytes::copy_from_slice(&buffer)).await?;
            }
            Ok(_) => write_all(conn, buffer.freeze()).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write_all(conn: &Conn, mut bytes: Bytes) -> Result<(), NetError> {
    while !bytes.is_empty() {
        if conn.try_write_bytes(&mut bytes)? == 0 {
            conn.writable().await;
        }
    }
    Ok(())
}

/// Resolves when the guest has reset, or has closed and the rest did not end in time.
async fn abandoned(conn: &Conn, clock: &Clock) -> io::Error {
    std::future::poll_fn(|cx| conn.poll_peer_gone(cx)).await;
    if conn.was_reset() {
        return NetError::Reset.into();
    }
    clock.sleep(ORPHAN_TIMEOUT).await;
    io::ErrorKind::TimedOut.into()
}
