//! The edges: egress and host ports, with real sockets of the host's loopback.

use super::*;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Told(Mutex<Vec<(String, String)>>);

impl NetEvents for Told {
    fn egress_denied(&self, pod: &PodIdentity, destination: &str, _rule: &str) {
        self.0.lock().push((pod.id.clone(), destination.to_owned()));
    }
}

fn egress(rules: &[&str]) -> Net {
    net_with(FabricConfig {
        egress: EgressPolicy::parse(rules).unwrap(),
        ..FabricConfig::default()
    })
}

#[tokio::test(start_paused = true)]
async fn egress_is_denied_by_default_and_reported_once_a_minute() {
    let told = Arc::new(Told::default());
    let net = net_with(FabricConfig {
        events: Some(told.clone()),
        clock: wkube::stdx::Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH),
        ..FabricConfig::default()
    });
    let (a, b) = (net.pod("a"), net.pod("b"));
    let to: SocketAddr = "192.0.2.1:443".parse().unwrap();
    for _ in 0..5 {
        let denied = connect(&a, to).await.err().unwrap();
        assert_eq!(
            denied.to_string(),
            "connection to 192.0.2.1:443 denied: no egress rule grants it (wkube serve --egress \
             192.0.2.1:443 would)"
        );
    }
    let udp = a.udp_bind(Family::V4.any(0)).unwrap();
    let sent = udp.try_send_to(Bytes::from_static(b"x"), Some(to));
    assert!(matches!(sent, Err(NetError::Denied { .. })));
    let named = b.resolve("example.com").await;
    assert!(matches!(named, Err(NetError::Denied { .. })));
    let entry = |pod: &str, to: &str| (pod.to_owned(), to.to_owned());
    let first = [entry("a", "192.0.2.1:443"), entry("b", "example.com")];
    assert_eq!(*told.0.lock(), first);
    tokio::time::advance(EGRESS_REPORT_INTERVAL).await;
    assert!(connect(&a, to).await.is_err());
    assert!(connect(&a, to).await.is_err());
    assert_eq!(told.0.lock().len(), 3);
}

#[tokio::test]
async fn the_host_is_not_reached_unless_it_is_named() {
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = host.local_addr().unwrap().port();
    for rules in [&["all"][..], &["0.0.0.0/0", "::/0"], &[]] {
        let net = egress(rules);
        let a = net.pod("a");
        // A pod's 127.0.0.1 is its own; the node's address leads to nothing of the host.
        let own = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(connect(&a, own).await.err(), Some(NetError::Refused(own)));
        for to in ["10.244.0.1", "fd00:10:244::1", "169.254.169.254", "fe80::1"] {
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let denied = connect(&a, to).await;
            assert!(matches!(denied, Err(NetError::Denied { .. })), "{to}");
        }
    }
    let net = egress(&[&format!("localhost:{port}")]);
    let a = net.pod("a");
    let to = SocketAddr::from(([10, 244, 0, 1], port));
    let mut client = connect(&a, to).await.unwrap();
    let (mut server, _) = host.accept().await.unwrap();
    assert_eq!(client.peer(), to);
    assert_eq!(client.local().ip(), a.addresses()[0]);
    client.write_all(b"question").await.unwrap();
    client.shutdown(How::Write);
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "question");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    heard.clear();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "answer");
}

#[tokio::test]
async fn the_hosts_own_name_leads_to_the_host_and_not_to_the_pods_loopback() {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().unwrap();
    let found = tokio::net::lookup_host((name, 0)).await;
    let found: Vec<IpAddr> = found
        .into_iter()
        .flatten()
        .map(|found| found.ip())
        .collect();
    let Some(ip) = found.first() else {
        eprintln!("THIS MACHINE DOES NOT KNOW ITS OWN NAME: egress by name was not tested");
        return;
    };
    let host = TcpListener::bind((*ip, 0)).await.unwrap();
    let port = host.local_addr().unwrap().port();
    let other = TcpListener::bind((*ip, 0)).await.unwrap();
    let other = other.local_addr().unwrap().port();
    let net = egress(&[&format!("{}:{port}", name.to_uppercase())]);
    let a = net.pod("a");
    let known = a.resolve(&format!("{name}.")).await.unwrap();
    assert!(known.iter().all(|ip| !ip.is_loopback()), "{known:?}");
    let to = *known
        .iter()
        .find(|to| to.is_ipv4() == ip.is_ipv4())
        .unwrap();
    let mut client = connect(&a, SocketAddr::new(to, port)).await.unwrap();
    let (mut server, _) = host.accept().await.unwrap();
    server.write_all(b"hello").await.unwrap();
    drop(server);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "hello");
    let denied = connect(&a, SocketAddr::new(to, other)).await;
    assert!(matches!(denied, Err(NetError::Denied { .. })));
    for unknown in ["localhost.example", "example.com"] {
        let denied = a.resolve(unknown).await;
        assert!(matches!(denied, Err(NetError::Denied { .. })), "{unknown}");
    }
}

#[tokio::test]
async fn a_reset_passes_through_the_edge_in_both_directions() {
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = host.local_addr().unwrap().port();
    let net = egress(&[&format!("127.0.0.1:{port}")]);
    let a = net.pod("a");
    let to = SocketAddr::from(([10, 244, 0, 1], port));

    let client = connect(&a, to).await.unwrap();
    let (mut server, _) = host.accept().await.unwrap();
    client.abort();
    drop(client);
    let error = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let mut client = connect(&a, to).await.unwrap();
    let (server, _) = host.accept().await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    let error = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    // A pod that is removed leaves nothing open outside.
    let _client = connect(&a, to).await.unwrap();
    let (mut server, _) = host.accept().await.unwrap();
    net.fabric.remove_pod("a");
    assert!(server.read(&mut [0; 8]).await.is_err());

    drop(host);
    let b = net.pod("b");
    assert_eq!(connect(&b, to).await.err(), Some(NetError::Refused(to)));
}

#[tokio::test]
async fn datagrams_to_the_outside_let_in_only_answers() {
    let host = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = host.local_addr().unwrap().port();
    let net = egress(&[&format!("localhost:{port}")]);
    let a = net.pod("a");
    let socket = a.udp_bind(Family::V4.any(0)).unwrap();
    let to = SocketAddr::from(([10, 244, 0, 1], port));
    socket
        .try_send_to(Bytes::from_static(b"ask"), Some(to))
        .unwrap();
    let mut buffer = [0; 64];
    let (count, from) = host.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"ask");
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"strange", from).await.unwrap();
    host.send_to(b"tell", from).await.unwrap();
    let answer = socket.recv_from().await.unwrap();
    assert_eq!((&answer.bytes[..], answer.from), (&b"tell"[..], to));
    let other = SocketAddr::from(([10, 244, 0, 1], port ^ 1));
    let denied = socket.try_send_to(Bytes::new(), Some(other));
    assert!(matches!(denied, Err(NetError::Denied { .. })));
}

async fn door(net: &Net, protocol: Protocol, host: &str, pod: SocketAddr) -> HostPort {
    let host = host.parse().unwrap();
    HostPorts::bind(&net.fabric, host, 0, protocol, pod.ip(), pod.port())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_host_port_leads_into_the_pod_and_closes() {
    for family in FAMILIES {
        let net = net();
        let a = net.pod("a");
        let listener = a.listen(family.any(80), 8).unwrap();
        let opened = door(&net, Protocol::Tcp, "127.0.0.1", family.of(&a, 80)).await;
        let mut client = TcpStream::connect(opened.local()).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut server = listener.accept().await.unwrap();
        // A client on the host's loopback is the node to the pod.
        let node = family.pick("10.244.0.1", "fd00:10:244::1", 0).ip();
        assert_eq!(server.peer().ip(), node);
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
        // Much comes back whole, at the client's pace.
        let much = vec![5; 4 << 20];
        let writer = tokio::spawn(async move {
            server.write_all(&much).await.unwrap();
        });
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        writer.await.unwrap();
        assert_eq!(heard.len(), 4 << 20);

        // Taken is told, and who has it.
        let again = HostPorts::bind(
            &net.fabric,
            opened.local().ip(),
            opened.local().port(),
            Protocol::Tcp,
            a.addresses()[0],
            80,
        );
        let error = again.await.err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "host port {}/TCP cannot be opened: another program has it",
                opened.local()
            )
        );
        let local = opened.local();
        drop(opened);
        // The door closes when its task has been dropped.
        while TcpListener::bind(local).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_host_port_to_nobody_resets_its_client() {
    let net = net();
    let a = net.pod("a");
    let opened = door(&net, Protocol::Tcp, "127.0.0.1", Family::V4.of(&a, 80)).await;
    let mut client = TcpStream::connect(opened.local()).await.unwrap();
    let error = client.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn pods_reach_a_host_port_at_the_nodes_address() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let listener = a.listen(Family::V4.any(80), 8).unwrap();
    let opened = door(&net, Protocol::Tcp, "0.0.0.0", Family::V4.of(&a, 80)).await;
    let to = SocketAddr::from(([10, 244, 0, 1], opened.local().port()));
    let client = connect(&b, to).await.unwrap();
    let server = listener.accept().await.unwrap();
    assert_eq!(client.peer(), to);
    assert_eq!(server.peer(), client.local());
    assert_eq!(server.local(), Family::V4.of(&a, 80));
    drop(opened);
    let closed = connect(&b, to).await;
    assert!(matches!(closed, Err(NetError::Denied { .. })));
}

#[tokio::test]
async fn a_udp_host_port_carries_questions_and_answers() {
    for family in FAMILIES {
        let net = net();
        let a = net.pod("a");
        let server = a.udp_bind(family.any(53)).unwrap();
        let opened = door(&net, Protocol::Udp, "127.0.0.1", family.of(&a, 53)).await;
        let clients = [
            tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        ];
        for client in &clients {
            client.connect(opened.local()).await.unwrap();
        }
        let mut seen = Vec::new();
        for client in &clients {
            client.send(b"ask").await.unwrap();
            let asked = server.recv_from().await.unwrap();
            let node = family.pick("10.244.0.1", "fd00:10:244::1", 0).ip();
            assert_eq!(asked.from.ip(), node);
            seen.push(asked.from);
        }
        assert_ne!(seen[0], seen[1]);
        let mut buffer = [0; 64];
        for (client, to) in clients.iter().zip(&seen) {
            server
                .try_send_to(Bytes::from(to.to_string()), Some(*to))
                .unwrap();
            let count = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], to.to_string().as_bytes());
        }
    }
}

#[tokio::test]
async fn a_slow_pod_holds_its_client_back_and_memory_is_bounded() {
    let net = net();
    let a = net.pod("a");
    let listener = a.listen(Family::V4.any(80), 8).unwrap();
    let opened = door(&net, Protocol::Tcp, "127.0.0.1", Family::V4.of(&a, 80)).await;
    let client = TcpStream::connect(opened.local()).await.unwrap();
    let server = listener.accept().await.unwrap();
    let full = 2 * DEFAULT_BUFFER;
    // Writes until nothing moves: the pipe is full and so are the kernel's buffers.
    let chunk = vec![1; 1 << 20];
    let mut quiet = 0;
    while quiet < 1_000 {
        match client.try_write(&chunk) {
            Ok(_) => quiet = 0,
            Err(_) => quiet += 1,
        }
        assert!(a.buffers().used() <= full + MAX_CHUNKS * CHUNK_OVERHEAD);
        tokio::task::yield_now().await;
    }
    assert!(a.buffers().used() >= full);
    let mut server = server;
    let mut buffer = vec![0; 1 << 20];
    assert!(server.read(&mut buffer).await.unwrap() > 0);
}

#[tokio::test]
async fn a_host_port_of_either_family_finds_the_family_that_is_listened_at() {
    for host in ["127.0.0.1", "::1"] {
        for family in FAMILIES {
            let net = net();
            let a = net.pod("a");
            let listener = a.listen(family.any(80), 8).unwrap();
            let server = a.udp_bind(family.any(53)).unwrap();
            // The door knows the pod by the address of its own family.
            let own = a
                .addresses()
                .iter()
                .find(|ip| ip.is_ipv4() == (host == "127.0.0.1"));
            let own = *own.unwrap();

            let opened = door(&net, Protocol::Tcp, host, (own, 80).into()).await;
            let mut client = TcpStream::connect(opened.local()).await.unwrap();
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            let mut conn = listener.accept().await.unwrap();
            conn.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "hello");

            let opened = door(&net, Protocol::Udp, host, (own, 53).into()).await;
            let client = tokio::net::UdpSocket::bind((host, 0)).await.unwrap();
            client.connect(opened.local()).await.unwrap();
            client.send(b"ask").await.unwrap();
            let asked = server.recv_from().await.unwrap();
            let answer = Bytes::from_static(b"answer");
            server.try_send_to(answer, Some(asked.from)).unwrap();
            let mut buffer = [0; 64];
            let count = client.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], b"answer");
        }
    }
}
