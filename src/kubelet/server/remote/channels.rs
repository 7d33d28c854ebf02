//! Standard streams over the channels of a WebSocket: the first byte of a message tells which. Must
//! not know what is at the other end.
//! Kubernetes: streaming `httpstream/wsstream`, cri `streaming/remotecommand/websocket.go`.

use super::pipes::{Inlets, Outcome, pipes};
use super::{LINGER, Wanted};
use crate::kubelet::runtime::CommandStreams;
use crate::stdx::Clock;
use crate::stdx::websocket::{Message, normal_end};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Not a stream: its message names one that the client ends. Since version 5.
const CLOSE: u8 = 255;

/// How a version puts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Messages are text: a digit, and the rest in base64.
    base64: bool,
    /// The error channel carries a Status.
    status: bool,
    /// The client can end its input.
    closes: bool,
}

const fn form(base64: bool, status: bool, closes: bool) -> Form {
    Form {
        base64,
        status,
        closes,
    }
}

/// The versions by name; a client that offers none speaks the first one in bytes.
pub(super) const PROTOCOLS: &[(&str, Form)] = &[
    ("v5.channel.k8s.io", form(false, true, true)),
    ("v4.channel.k8s.io", form(false, true, false)),
    ("v4.base64.channel.k8s.io", form(true, true, false)),
    ("channel.k8s.io", form(false, false, false)),
    ("base64.channel.k8s.io", form(true, false, false)),
];

impl Form {
    fn message(self, channel: u8, bytes: &[u8]) -> Message {
        if self.base64 {
            let mut text = String::from(char::from(b'0' + channel));
            BASE64.encode_string(bytes, &mut text);
            return Message::Text(text.into());
        }
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(channel);
        message.extend_from_slice(bytes);
        Message::Binary(message.into())
    }

    /// The channel and what is said on it; none for what is no message of this form.
    fn read(self, message: &Message) -> Option<(u8, Bytes)> {
        let bytes = match message {
            Message::Binary(bytes) => bytes.clone(),
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            _ => return None,
        };
        let (first, _) = bytes.split_first()?;
        if !self.base64 {
            return Some((*first, bytes.slice(1..)));
        }
        let decoded = BASE64.decode(bytes.slice(1..)).ok()?;
        Some((first.checked_sub(b'0')?, decoded.into()))
    }
}

/// Serves a client until what it is joined to has ended, or it goes.
pub(super) async fn serve<S, F>(
    socket: WebSocketStream<S>,
    form: Form,
    wanted: Wanted,
    clock: &Clock,
    run: impl FnOnce(CommandStreams) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Outcome>,
{
    let (mut to_client, mut from_client) = socket.split();
    let (mut inlets, streams, mut output) = pipes(wanted);
    let running = async {
        // So that the client knows that it is connected.
        let first = match wanted {
            Wanted { stdout: true, .. } => STDOUT,
            Wanted { stderr: true, .. } => STDERR,
            _ => ERROR,
        };
        to_client.send(form.message(first, &[])).await?;
        let passing = async {
            while let Some((stderr, bytes)) = output.recv().await {
                let (channel, wished) = match stderr {
                    true => (STDERR, wanted.stderr),
                    false => (STDOUT, wanted.stdout),
                };
                if wished {
                    to_client.send(form.message(channel, &bytes)).await?;
                }
            }
            Ok::<_, Error>(())
        };
        let (outcome, passed) = tokio::join!(run(streams), passing);
        passed?;
        let told = outcome.told(form.status);
        if !told.is_empty() {
            to_client.send(form.message(ERROR, told.as_bytes())).await?;
        }
        to_client.send(normal_end()).await
    };
    let reading = async {
        while let Some(Ok(message)) = from_client.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            if let Some((channel, bytes)) = form.read(&message) {
                take(&mut inlets, form, channel, bytes).await;
            }
        }
    };
    tokio::select! {
        () = reading => return,
        ended = running => if let Err(error) = ended {
            tracing::debug!(%error, "a client did not take its container's output");
            return;
        },
    }
    let hung_up = async { while let Some(Ok(_)) = from_client.next().await {} };
    tokio::select! {
        () = hung_up => {}
        () = clock.sleep(LINGER) => {}
    }
}

async fn take(inlets: &mut Inlets, form: Form, channel: u8, bytes: Bytes) {
    match channel {
        STDIN => inlets.input(bytes).await,
        RESIZE => inlets.resize(&bytes),
        CLOSE if form.closes && bytes.first() == Some(&STDIN) => inlets.end_input(),
        // What the client has no business to say is not heard.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// Plays a client against a job that prints what it reads and exits with 3.
    async fn conversation(form: Form, said: &[Message]) -> Vec<Message> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let wanted = Wanted {
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false,
        };
        let clock = Clock::real();
        let serving = serve(server, form, wanted, &clock, |streams| async move {
            let mut stdin = streams.stdin.unwrap();
            while let Some(bytes) = stdin.recv().await {
                let end = bytes == "end";
                streams.output.send((end, bytes)).await.unwrap();
                if end {
                    break;
                }
            }
            Outcome::Exited(3)
        });
        let playing = async {
            for message in said {
                client.send(message.clone()).await.unwrap();
            }
            let mut heard = Vec::new();
            while let Some(Ok(message)) = client.next().await {
                heard.push(message);
            }
            heard
        };
        tokio::join!(serving, playing).1
    }

    #[tokio::test]
    async fn a_whole_conversation_in_each_form() {
        for (name, form) in PROTOCOLS {
            let said = match form.closes {
                true => vec![form.message(0, b"hi"), Message::Binary(vec![255, 0].into())],
                false => vec![form.message(0, b"hi"), form.message(0, b"end")],
            };
            let heard = conversation(*form, &said).await;
            let mut wanted = vec![form.message(1, b""), form.message(1, b"hi")];
            if !form.closes {
                wanted.push(form.message(2, b"end"));
            }
            let told = Outcome::Exited(3).told(form.status);
            wanted.extend([form.message(3, told.as_bytes()), normal_end()]);
            assert_eq!(heard, wanted, "{name}");
        }
    }

    #[tokio::test]
    async fn what_a_client_must_not_say_is_not_heard() {
        let form = PROTOCOLS[0].1;
        let said = [
            form.message(1, b"not mine"),
            form.message(77, b"?"),
            Message::Binary(vec![].into()),
            Message::Ping(vec![1].into()),
            Message::Binary(vec![255, 1].into()),
            Message::Binary(vec![255, 0].into()),
        ];
        let heard = conversation(form, &said).await;
        assert!(heard.contains(&Message::Pong(vec![1].into())), "{heard:?}");
        assert!(!heard.contains(&form.message(1, b"not mine")));
    }

    #[test]
    fn messages_of_each_form_read_back() {
        for (_, form) in PROTOCOLS {
            let message = form.message(STDERR, b"hello");
            let read = form.read(&message).unwrap();
            assert_eq!(read, (STDERR, Bytes::from_static(b"hello")));
        }
        let text = form(true, false, false).message(STDOUT, b"hi");
        assert_eq!(text, Message::Text("1aGk=".into()));
        let rubbish = Message::Text("1%%%".into());
        assert_eq!(form(true, false, false).read(&rubbish), None);
    }
}
