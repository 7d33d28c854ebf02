//! Port-forward as kubectl speaks it: for each connection a pair of streams, one for data and one
//! for the error, opened by the client with the port in their headers. Must not know what carries
//! the frames (an upgraded connection, or a WebSocket around it).
//! Kubernetes: kubelet `cri/streaming/portforward`, client-go `tools/portforward`.

use super::pod::{Pod, joined};
use crate::stdx::spdy::{self, Frame, Headers, Packer, Reader};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Streams of one client at the same time.
const STREAMS_MAX: usize = 1_024;
/// Frames that wait to be sent to the client.
const FRAMES_MAX: usize = 32;
/// Frames of the client that wait for a pod; beyond them the client waits.
const WAITING_MAX: usize = 16;
/// RST_STREAM: the stream is refused.
const REFUSED: u32 = 3;

/// Serves a client until it goes.
pub(super) async fn serve<S>(stream: S, pod: Pod) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (from, mut to) = tokio::io::split(stream);
    let (frames, mut waiting) = mpsc::channel::<Bytes>(FRAMES_MAX);
    let mut session = Session {
        pod,
        frames,
        packer: Packer::new()?,
        streams: HashMap::new(),
        pairs: HashMap::new(),
        tasks: JoinSet::new(),
    };
    let writing = async {
        while let Some(frame) = waiting.recv().await {
            to.write_all(&frame).await?;
            if waiting.is_empty() {
                to.flush().await?;
            }
        }
        Ok::<_, io::Error>(())
    };
    let reading = async {
        let mut reader = Reader::new(from);
        while let Some(frame) = reader.next().await? {
            session.take(frame).await?;
        }
        Ok(())
    };
    // Either end ends both, and with them all connections to the pod.
    tokio::select! {
        ended = writing => ended,
        ended = reading => ended,
    }
}

struct Session {
    pod: Pod,
    frames: mpsc::Sender<Bytes>,
    packer: Packer,
    /// Where the data of a stream goes; absent once the client has ended it.
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    /// Halves of pairs that wait for their other half, by request.
    pairs: HashMap<String, Pair>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Pair {
    error: Option<u32>,
    data: Option<(u32, mpsc::Receiver<Bytes>)>,
}

impl Session {
    async fn take(&mut self, frame: Frame) -> io::Result<()> {
        while self.tasks.try_join_next().is_some() {}
        match frame {
            Frame::Open { id, fin, headers } => self.open(id, fin, &headers).await?,
            Frame::Data { id, fin, bytes } => {
                if let Some(stream) = self.streams.get(&id)
                    && !bytes.is_empty()
                    && stream.send(bytes).await.is_err()
                {
                    self.streams.remove(&id);
                }
                if fin {
                    self.streams.remove(&id);
                }
            }
            Frame::Reset { id } => {
                self.streams.remove(&id);
            }
            Frame::Ping { id } => self.send(spdy::ping(id)).await?,
            Frame::Reply { .. } | Frame::GoAway | Frame::Other => {}
        }
        Ok(())
    }

    async fn send(&self, frame: Bytes) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.frames.send(frame).await.map_err(gone)
    }

    async fn open(&mut self, id: u32, fin: bool, headers: &Headers) -> io::Result<()> {
        let header = |name: &str| {
            let found = headers.iter().find(|(own, _)| own == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let port = header("port").parse::<u16>().ok().filter(|port| *port > 0);
        let kind = header("streamtype");
        let open = self.tasks.len() * 2 + self.pairs.len();
        let Some(port) = port.filter(|_| open < STREAMS_MAX && matches!(kind, "error" | "data"))
        else {
            return self.send(spdy::reset(id, REFUSED)).await;
        };
        // Old clients name no request: their error stream comes just before the data stream.
        let request = match (header("requestid"), kind) {
            ("", "data") => id.saturating_sub(2).to_string(),
            ("", _) => id.to_string(),
            (named, _) => named.to_owned(),
        };
        let reply = self.packer.reply(id, &[])?;
        self.send(reply).await?;
        let pair = self.pairs.entry(request.clone()).or_default();
        if kind == "error" {
            pair.error = Some(id);
        } else {
            let (sender, receiver) = mpsc::channel(WAITING_MAX);
            if !fin {
                self.streams.insert(id, sender);
            }
            pair.data = Some((id, receiver));
        }
        if let Pair {
            error: Some(error),
            data: Some(_),
        } = pair
            && let error = *error
            && let Some(Pair {
                data: Some((data, receiver)),
                ..
            }) = self.pairs.remove(&request)
        {
            let connection = Connection {
                pod: self.pod.clone(),
                port,
                data,
                error,
                frames: self.frames.clone(),
            };
            self.tasks.spawn(connection.run(receiver));
        }
        Ok(())
    }
}

/// One connection to the pod.
struct Connection {
    pod: Pod,
    port: u16,
    data: u32,
    error: u32,
    frames: mpsc::Sender<Bytes>,
}

impl Connection {
    async fn run(self, from_client: mpsc::Receiver<Bytes>) {
        let told = match self.pod.connect(self.port).await {
            Ok(stream) => {
                let frame = |bytes: &[u8]| spdy::data(self.data, false, bytes);
                joined(stream, from_client, &self.frames, frame).await;
                String::new()
            }
            Err(why) => why,
        };
        // Both ends are closed whatever happened; the client waits for the error stream's end.
        let _ = self.frames.send(spdy::data(self.data, true, &[])).await;
        let _ = self
            .frames
            .send(spdy::data(self.error, true, told.as_bytes()))
            .await;
    }
}
