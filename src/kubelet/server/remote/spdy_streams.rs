//! Standard streams over SPDY: the client opens one for each and names it in its headers. Must not
//! know what is at the other end.
//! Kubernetes: cri `streaming/remotecommand/httpstream.go`.

use super::pipes::{Inlets, Outcome, pipes};
use super::{LINGER, Wanted};
use crate::kubelet::runtime::CommandStreams;
use crate::stdx::Clock;
use crate::stdx::spdy::{self, Frame, Packer, Reader};
use bytes::Bytes;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Frames that wait to be sent to the client.
const FRAMES_MAX: usize = 32;
/// How long a client may take to open its streams. Kubernetes: DefaultStreamCreationTimeout.
const STREAMS_TIME_MAX: Duration = Duration::from_secs(30);
/// RST_STREAM: the stream is refused.
const REFUSED: u32 = 3;
/// The version since which the terminal's size has a stream.
const SINCE_RESIZE: u8 = 3;
/// The version since which the error stream carries a Status.
const SINCE_STATUS: u8 = 4;

/// The streams by what they are for; `None` until the client opens it.
#[derive(Clone, Copy, Default)]
struct Ids {
    error: Option<u32>,
    stdin: Option<u32>,
    stdout: Option<u32>,
    stderr: Option<u32>,
    resize: Option<u32>,
}

/// Serves a client until what it is joined to has ended, or it goes.
pub(super) async fn serve<S, F>(
    stream: S,
    version: u8,
    wanted: Wanted,
    clock: &Clock,
    run: impl FnOnce(CommandStreams) -> F,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
    F: Future<Output = Outcome>,
{
    let (from, mut to) = tokio::io::split(stream);
    let (frames, mut waiting) = mpsc::channel::<Bytes>(FRAMES_MAX);
    let writing = async {
        while let Some(frame) = waiting.recv().await {
            to.write_all(&frame).await?;
            if waiting.is_empty() {
                to.flush().await?;
            }
        }
        to.shutdown().await
    };
    let (inlets, streams, output) = pipes(wanted);
    let client = Client {
        reader: Reader::new(from),
        packer: Packer::new()?,
        frames,
        ids: Ids::default(),
        inlets,
        version,
        wanted,
    };
    let session = client.session(clock, output, run(streams));
    tokio::pin!(writing);
    let mut reader = tokio::select! {
        written = &mut writing => return written,
        ended = session => match ended? {
            Some(reader) => reader,
            None => return Ok(()),
        },
    };
    // What was told is sent; then the client hangs up.
    let hung_up = async {
        writing.await?;
        while reader.next().await?.is_some() {}
        Ok(())
    };
    tokio::select! {
        hung_up = hung_up => hung_up,
        () = clock.sleep(LINGER) => Ok(()),
    }
}

struct Client<R> {
    reader: Reader<R>,
    packer: Packer,
    frames: mpsc::Sender<Bytes>,
    ids: Ids,
    inlets: Inlets,
    version: u8,
    wanted: Wanted,
}

impl<R: AsyncRead + Unpin> Client<R> {
    /// From the client's first stream to the last word; `None` if the client has gone.
    async fn session(
        mut self,
        clock: &Clock,
        mut output: mpsc::Receiver<(bool, Bytes)>,
        running: impl Future<Output = Outcome>,
    ) -> io::Result<Option<Reader<R>>> {
        let gathered = tokio::select! {
            gathered = self.gather() => gathered?,
            () = clock.sleep(STREAMS_TIME_MAX) => false,
        };
        if !gathered {
            return Ok(None);
        }
        let (frames, ids) = (self.frames.clone(), self.ids);
        let passing = async {
            while let Some((stderr, bytes)) = output.recv().await {
                let id = if stderr { ids.stderr } else { ids.stdout };
                if let Some(id) = id {
                    send(&frames, spdy::data(id, false, &bytes)).await?;
                }
            }
            Ok::<_, io::Error>(())
        };
        let reading = async {
            while let Some(frame) = self.reader.next().await? {
                self.take(frame).await?;
            }
            Ok::<_, io::Error>(())
        };
        let outcome = tokio::select! {
            gone = reading => return gone.map(|()| None),
            (outcome, passed) = async { tokio::join!(running, passing) } => {
                passed?;
                outcome
            }
        };
        let told = outcome.told(self.version >= SINCE_STATUS);
        if let Some(id) = ids.error {
            send(&frames, spdy::data(id, true, told.as_bytes())).await?;
        }
        let others = [ids.stdout, ids.stderr, ids.stdin, ids.resize];
        for id in others.into_iter().flatten() {
            send(&frames, spdy::data(id, true, &[])).await?;
        }
        Ok(Some(self.reader))
    }

    /// Waits for the streams that the client has announced; `false` if it has gone.
    async fn gather(&mut self) -> io::Result<bool> {
        loop {
            let Ids {
                error,
                stdin,
                stdout,
                stderr,
                resize,
            } = self.ids;
            let sized = self.wanted.tty && self.version >= SINCE_RESIZE;
            let complete = error.is_some()
                && stdin.is_some() == self.wanted.stdin
                && stdout.is_some() == self.wanted.stdout
                && stderr.is_some() == self.wanted.stderr
                && resize.is_some() == sized;
            if complete {
                return Ok(true);
            }
            let Some(frame) = self.reader.next().await? else {
                return Ok(false);
            };
            self.take(frame).await?;
        }
    }

    async fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Open { id, fin, headers } => {
                let kind = headers.iter().find(|(name, _)| name == "streamtype");
                let kind = kind.map_or("", |(_, kind)| kind.as_str());
                if !self.open(id, kind) {
                    return send(&self.frames, spdy::reset(id, REFUSED)).await;
                }
                let reply = self.packer.reply(id, &[])?;
                send(&self.frames, reply).await?;
                if fin && self.ids.stdin == Some(id) {
                    self.inlets.end_input();
                }
            }
            Frame::Data { id, fin, bytes } => {
                if self.ids.stdin == Some(id) {
                    self.inlets.input(bytes).await;
                    if fin {
                        self.inlets.end_input();
                    }
                } else if self.ids.resize == Some(id) {
                    self.inlets.resize(&bytes);
                }
            }
            Frame::Reset { id } => {
                if self.ids.stdin == Some(id) {
                    self.inlets.end_input();
                }
            }
            Frame::Ping { id } => send(&self.frames, spdy::ping(id)).await?,
            Frame::Reply { .. } | Frame::GoAway | Frame::Other => {}
        }
        Ok(())
    }

    /// Whether the stream is one that was announced and is not there yet.
    fn open(&mut self, id: u32, kind: &str) -> bool {
        let (place, wished) = match kind {
            "error" => (&mut self.ids.error, true),
            "stdin" => (&mut self.ids.stdin, self.wanted.stdin),
            "stdout" => (&mut self.ids.stdout, self.wanted.stdout),
            "stderr" => (&mut self.ids.stderr, self.wanted.stderr),
            "resize" => {
                let sized = self.wanted.tty && self.version >= SINCE_RESIZE;
                (&mut self.ids.resize, sized)
            }
            _ => return false,
        };
        let free = wished && place.is_none();
        if free {
            *place = Some(id);
        }
        free
    }
}

async fn send(frames: &mpsc::Sender<Bytes>, frame: Bytes) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    frames.send(frame).await.map_err(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client of a version hears on each stream when it opens `kinds` and says "hi", from a
    /// job that prints what it reads and fails.
    async fn conversation(version: u8, tty: bool, kinds: &[&str]) -> Vec<(u32, bool, Bytes)> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let wanted = Wanted {
            stdin: true,
            stdout: true,
            stderr: !tty,
            tty,
        };
        let clock = Clock::real();
        let serving = serve(far, version, wanted, &clock, |streams| async move {
            let mut stdin = streams.stdin.unwrap();
            while let Some(bytes) = stdin.recv().await {
                streams.output.send((false, bytes)).await.unwrap();
            }
            Outcome::Failed("no shell".to_owned())
        });
        let playing = async {
            let (from, mut to) = tokio::io::split(near);
            let mut packer = Packer::new().unwrap();
            let mut stdin = 0;
            for (at, kind) in (0u32..).zip(kinds) {
                let id = at * 2 + 1;
                if *kind == "stdin" {
                    stdin = id;
                }
                let frame = packer.open(id, false, &[("streamType", kind)]).unwrap();
                to.write_all(&frame).await.unwrap();
            }
            to.write_all(&spdy::data(stdin, false, b"hi"))
                .await
                .unwrap();
            to.write_all(&spdy::data(stdin, true, b"")).await.unwrap();
            let mut reader = Reader::new(from);
            let mut heard = Vec::new();
            while let Ok(Some(frame)) = reader.next().await {
                match frame {
                    Frame::Data { id, fin, bytes } => heard.push((id, fin, bytes)),
                    Frame::Reset { id } => heard.push((id, true, Bytes::from("reset"))),
                    _ => {}
                }
            }
            heard
        };
        let (served, heard) = tokio::join!(serving, playing);
        served.unwrap();
        heard
    }

    #[tokio::test]
    async fn a_whole_conversation_in_each_version() {
        for version in 1..=4 {
            let kinds = ["error", "stdin", "stdout", "stderr"];
            let heard = conversation(version, false, &kinds).await;
            let told = Outcome::Failed("no shell".to_owned()).told(version == 4);
            assert_eq!(heard[0], (5, false, Bytes::from("hi")), "{version}");
            assert_eq!(heard[1], (1, true, Bytes::from(told)), "{version}");
            let mut ended: Vec<u32> = heard.iter().filter(|own| own.1).map(|own| own.0).collect();
            ended.sort_unstable();
            assert_eq!(ended, [1, 3, 5, 7], "{version}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_was_not_announced_is_refused() {
        let kinds = ["error", "nonsense", "stdin", "stderr", "stdout", "resize"];
        let heard = conversation(4, true, &kinds).await;
        let reset: Vec<u32> = heard
            .iter()
            .filter(|own| own.2 == "reset")
            .map(|own| own.0)
            .collect();
        assert_eq!(reset, [3, 7]);
    }
}
