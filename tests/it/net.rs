//! The virtual network through its public face.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wkube::net::*;

fn pod(fabric: &Fabric, id: &str, ip: &str) -> Arc<PodNet> {
    fabric
        .add_pod(PodNetConfig {
            id: id.into(),
            name: format!("default/{id}"),
            addresses: vec![ip.parse().unwrap()],
            buffers: BufferBudget::new(1 << 20),
        })
        .unwrap()
}

#[tokio::test]
async fn a_pod_talks_to_another_and_to_itself() {
    let fabric = Fabric::new(FabricConfig::default());
    let a = pod(&fabric, "a", "10.244.0.2");
    let b = pod(&fabric, "b", "10.244.0.3");
    let listener = b.listen("0.0.0.0:80".parse().unwrap(), 8).unwrap();
    for (from, to, seen) in [
        (&a, "10.244.0.3:80", "10.244.0.2"),
        (&b, "127.0.0.1:80", "127.0.0.1"),
        (&b, "10.244.0.3:80", "10.244.0.3"),
    ] {
        let to = to.parse().unwrap();
        let mut client = from.connect(to, ConnectOptions::default()).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        assert_eq!(client.peer(), to);
        assert_eq!(server.peer(), client.local());
        assert_eq!(server.peer().ip().to_string(), seen);
        client.write_all(b"hello").await.unwrap();
        client.shutdown(How::Write);
        let mut read = String::new();
        server.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "hello");
    }
}
