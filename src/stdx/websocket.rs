//! WebSockets at the server's side: the handshake's answer, and a WebSocket as a plain stream of
//! bytes, for the clients that put SPDY into one. Must not know what is said over it.

use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
pub(crate) use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// Bytes of one message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes between a WebSocket and its reader.
const BUFFER_BYTES: usize = 64 << 10;

/// A WebSocket to a client.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether a request asks for a WebSocket.
pub(crate) fn is_request(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13")
}

/// The first of the protocols that the client offers and `known` has.
pub(crate) fn protocol<'a>(headers: &HeaderMap, known: &[&'a str]) -> Option<&'a str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|offered| known.iter().copied().find(|own| *own == offered.trim()))
}

/// The answer to the handshake; without a protocol if the client offered none.
pub(crate) fn accept(headers: &HeaderMap, protocol: &str) -> Response<()> {
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .unwrap_or_default();
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, key);
    }
    if let Ok(protocol) = HeaderValue::from_str(protocol)
        && !protocol.is_empty()
    {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// The WebSocket over a connection that has been upgraded.
pub(crate) async fn socket(upgraded: Upgraded) -> Socket {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

/// The message that ends a WebSocket where all is well.
pub(crate) fn normal_end() -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }))
}

/// What the messages of a WebSocket say, as a stream of bytes both ways.
pub(crate) fn bytes_of(socket: Socket) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
    tokio::spawn(pump(socket, ours));
    theirs
}

async fn pump(socket: Socket, stream: DuplexStream) {
    let (mut to_client, mut from_client) = socket.split();
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let reading = async {
        while let Some(Ok(message)) = from_client.next().await {
            let Message::Binary(bytes) = message else {
                if matches!(message, Message::Close(_)) {
                    return;
                }
                continue;
            };
            if to_server.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        let mut piece = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            let bytes = piece.get(..length).unwrap_or_default().to_vec();
            if to_client.send(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
