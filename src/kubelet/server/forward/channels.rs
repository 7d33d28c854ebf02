//! Port-forward over WebSocket channels: two channels a port, data and error, told apart by the
//! first byte of a message; the ports stand in the query. One connection a port.
//! Kubernetes: kubelet `cri/streaming/portforward/websocket.go`.

use super::pod::{Pod, joined};
use crate::stdx::websocket::{Message, Socket};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Ports of one client.
pub(super) const PORTS_MAX: usize = 100;
/// Messages that wait in each direction.
const WAITING_MAX: usize = 16;

/// Serves a client until it goes.
pub(super) async fn serve(socket: Socket, pod: Pod, ports: Vec<u16>) {
    let (mut to_client, mut from_client) = socket.split();
    let (messages, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
    let mut inputs = Vec::new();
    let mut tasks = JoinSet::new();
    for (index, port) in ports.into_iter().enumerate() {
        let (sender, receiver) = mpsc::channel::<Bytes>(WAITING_MAX);
        inputs.push(Some(sender));
        let data = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        let connection = connection(pod.clone(), port, data, messages.clone(), receiver);
        tasks.spawn(connection);
    }
    drop(messages);
    let writing = async {
        while let Some(message) = waiting.recv().await {
            if to_client
                .send(Message::Binary(message.into()))
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    let reading = async {
        while let Some(Ok(message)) = from_client.next().await {
            let Message::Binary(bytes) = message else {
                if matches!(message, Message::Close(_)) {
                    return;
                }
                continue;
            };
            let Some((channel, _)) = bytes.split_first() else {
                continue;
            };
            let even = channel % 2 == 0;
            if let Some(input) = inputs.get(usize::from(channel / 2)).filter(|_| even)
                && let Some(sender) = input
            {
                // A connection that is over takes no more; that is no error.
                let _ = sender.send(bytes.slice(1..)).await;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
}

/// One port's connection: `data` is its channel, the next one is its error's.
async fn connection(
    pod: Pod,
    port: u16,
    data: u8,
    messages: mpsc::Sender<Vec<u8>>,
    from_client: mpsc::Receiver<Bytes>,
) {
    let message = |channel: u8, bytes: &[u8]| {
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(channel);
        message.extend_from_slice(bytes);
        message
    };
    // Each channel begins by telling its port.
    for channel in [data, data + 1] {
        if messages
            .send(message(channel, &port.to_le_bytes()))
            .await
            .is_err()
        {
            return;
        }
    }
    let stream = match pod.connect(port).await {
        Ok(stream) => stream,
        Err(why) => {
            let _ = messages.send(message(data + 1, why.as_bytes())).await;
            return;
        }
    };
    joined(stream, from_client, &messages, |bytes| message(data, bytes)).await;
}
