//! Between a client's streams and what they are joined to: bounded queues, the terminal's size, and
//! how it ended, in the words of each version. Must not know how frames look.

use super::Wanted;
use crate::kubelet::runtime::{CommandStreams, OutputPiece, TerminalSize};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Pieces of input or of output that wait; beyond them the sender waits.
const WAITING_MAX: usize = 16;
/// Bytes of a terminal's size that has not come whole.
const SIZE_BYTES_MAX: usize = 1 << 10;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an exit code.
    Exited(i32),
    /// It could not be done.
    Failed(String),
}

impl Outcome {
    /// What the error stream says: a Status since version 4, before that words, and nothing where
    /// all is well.
    pub(super) fn told(&self, as_status: bool) -> String {
        if as_status {
            return self.status().to_string();
        }
        let status = self.status();
        status
            .get("message")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .unwrap_or_default()
    }

    fn status(&self) -> Value {
        match self {
            Self::Exited(0) => json!({ "metadata": {}, "status": "Success" }),
            Self::Exited(code) => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!(
                    "command terminated with non-zero exit code: exit status {code}"
                ),
                "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            }),
            Self::Failed(why) => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!("Internal error occurred: {why}"),
                "reason": "InternalError",
                "details": { "causes": [{ "message": why }] },
                "code": 500,
            }),
        }
    }
}

/// Where what comes from the client goes.
pub(super) struct Inlets {
    stdin: Option<mpsc::Sender<Bytes>>,
    size: watch::Sender<Option<TerminalSize>>,
    partial: Vec<u8>,
}

impl Inlets {
    /// Takes input; waits while nobody reads it. What has ended takes no more, which is no error.
    pub(super) async fn input(&mut self, bytes: Bytes) {
        if let Some(stdin) = &self.stdin
            && !bytes.is_empty()
            && stdin.send(bytes).await.is_err()
        {
            self.stdin = None;
        }
    }

    /// The client has ended its input.
    pub(super) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Takes a part of the stream of the terminal's sizes. What is no size is left out.
    pub(super) fn resize(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut values = serde_json::Deserializer::from_slice(&self.partial).into_iter::<Value>();
        let mut read = 0;
        while let Some(Ok(value)) = values.next() {
            read = values.byte_offset();
            let side = |name: &str| {
                let number = value.get(name).and_then(Value::as_u64);
                number.and_then(|number| u16::try_from(number).ok())
            };
            if let (Some(width), Some(height)) = (side("Width"), side("Height")) {
                self.size.send_replace(Some(TerminalSize { width, height }));
            }
        }
        self.partial.drain(..read);
        if self.partial.len() > SIZE_BYTES_MAX {
            self.partial.clear();
        }
    }
}

/// The two sides, and where output comes out.
pub(super) fn pipes(wanted: Wanted) -> (Inlets, CommandStreams, mpsc::Receiver<OutputPiece>) {
    let (to_stdin, stdin) = mpsc::channel(WAITING_MAX);
    let (output, from_output) = mpsc::channel(WAITING_MAX);
    let (size, sizes) = watch::channel(None);
    let inlets = Inlets {
        stdin: wanted.stdin.then_some(to_stdin),
        size,
        partial: Vec::new(),
    };
    let streams = CommandStreams {
        stdin: wanted.stdin.then_some(stdin),
        output,
        sizes,
        tty: wanted.tty,
    };
    (inlets, streams, from_output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_words_in_each_version() {
        assert_eq!(Outcome::Exited(0).told(false), "");
        assert_eq!(
            Outcome::Exited(0).told(true),
            r#"{"metadata":{},"status":"Success"}"#
        );
        assert_eq!(
            Outcome::Exited(3).told(false),
            "command terminated with non-zero exit code: exit status 3"
        );
        let status: Value = serde_json::from_str(&Outcome::Exited(3).told(true)).unwrap();
        assert_eq!(status["details"]["causes"][0]["message"], "3");
        assert_eq!(status["reason"], "NonZeroExitCode");
        let failed = Outcome::Failed("x".to_owned());
        assert_eq!(failed.told(false), "Internal error occurred: x");
    }

    #[test]
    fn sizes_come_in_parts() {
        let (mut inlets, streams, _) = pipes(Wanted::default());
        inlets.resize(br#"{"Width":80,"Hei"#);
        assert_eq!(*streams.sizes.borrow(), None);
        inlets.resize(b"ght\":24}\n{\"Width\":1,\"Height\":2}");
        let size = TerminalSize {
            width: 1,
            height: 2,
        };
        assert_eq!(*streams.sizes.borrow(), Some(size));
        inlets.resize(&[b'['; 4 << 10]);
        assert!(inlets.partial.is_empty());
    }
}
