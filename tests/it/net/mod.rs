//! The virtual network through its public face.

mod doors;
mod pipe;
mod tcp;
mod udp;

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use wkube::net::*;

/// A node with its ranges on a fabric of its own.
struct Net {
    fabric: Arc<Fabric>,
    ipam: NodeIpam,
}

fn net() -> Net {
    net_with(FabricConfig::default())
}

fn net_with(config: FabricConfig) -> Net {
    let ipam = NodeIpam::new(
        "10.244.0.0/24".parse().unwrap(),
        Some("fd00:10:244::/64".parse().unwrap()),
    );
    let fabric = Fabric::new(config);
    fabric.add_node(&ipam);
    Net { fabric, ipam }
}

impl Net {
    fn pod(&self, id: &str) -> Arc<PodNet> {
        self.pod_with(id, BufferBudget::new(16 << 20))
    }

    fn pod_with(&self, id: &str, buffers: Arc<BufferBudget>) -> Arc<PodNet> {
        self.fabric
            .add_pod(PodNetConfig {
                id: id.into(),
                name: format!("default/{id}"),
                addresses: self.ipam.allocate(id).unwrap(),
                buffers,
            })
            .unwrap()
    }
}

/// The two families, so that every test of semantics runs for both.
#[derive(Clone, Copy, Debug)]
enum Family {
    V4,
    V6,
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn any(self, port: u16) -> SocketAddr {
        self.pick("0.0.0.0", "::", port)
    }

    fn loopback(self, port: u16) -> SocketAddr {
        self.pick("127.0.0.1", "::1", port)
    }

    fn of(self, pod: &PodNet, port: u16) -> SocketAddr {
        let mut ips = pod.addresses().iter();
        let v4 = matches!(self, Self::V4);
        SocketAddr::new(*ips.find(|ip| ip.is_ipv4() == v4).unwrap(), port)
    }

    fn pick(self, v4: &str, v6: &str, port: u16) -> SocketAddr {
        let ip: IpAddr = match self {
            Self::V4 => v4.parse().unwrap(),
            Self::V6 => v6.parse().unwrap(),
        };
        SocketAddr::new(ip, port)
    }
}

async fn connect(from: &Arc<PodNet>, to: SocketAddr) -> Result<Conn, NetError> {
    from.connect(to, ConnectOptions::default()).await
}

/// A listening pod and a connection to it: (client, server).
async fn pair(from: &Arc<PodNet>, to: &Arc<PodNet>, family: Family) -> (Conn, Conn) {
    let listener = to.listen(family.any(0), 1).unwrap();
    let client = connect(from, family.of(to, listener.local().port()))
        .await
        .unwrap();
    let server = listener.accept().await.unwrap();
    (client, server)
}

fn data(bytes: &'static [u8]) -> Result<Read, NetError> {
    Ok(Read::Data(Bytes::from_static(bytes)))
}
