//! Streams: what a guest of std::net expects of a kernel.

use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

#[tokio::test]
async fn pods_reach_each_other_and_themselves_and_see_the_right_addresses() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let listener = b.listen(family.any(80), 8).unwrap();
        for (from, to, source) in [
            (&a, family.of(&b, 80), family.of(&a, 0)),
            (&b, family.of(&b, 80), family.of(&b, 0)),
            (&b, family.loopback(80), family.loopback(0)),
            (&b, family.any(80), family.loopback(0)),
        ] {
            let mut client = connect(from, to).await.unwrap();
            let mut server = listener.accept().await.unwrap();
            assert_eq!(client.local().ip(), source.ip());
            assert_eq!(client.local(), server.peer());
            assert_eq!(client.peer(), server.local());
            client.write_all(b"ping").await.unwrap();
            client.shutdown(How::Write);
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"ping");
            server.write_all(b"pong").await.unwrap();
            drop(server);
            heard.clear();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"pong");
        }
    }
}

#[tokio::test]
async fn loopback_is_shared_in_the_pod_and_isolated_from_others() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        // Two containers are two users of one PodNet.
        let listener = a.listen(family.loopback(8080), 8).unwrap();
        assert!(connect(&a, family.loopback(8080)).await.is_ok());
        let refused = |to| NetError::Refused(to);
        let (to, own) = (family.loopback(8080), family.of(&a, 8080));
        assert_eq!(connect(&b, to).await.err(), Some(refused(to)));
        assert_eq!(connect(&b, own).await.err(), Some(refused(own)));
        assert_eq!(connect(&a, own).await.err(), Some(refused(own)));
        // The other pod may have the same port.
        let other = b.listen(family.loopback(8080), 8).unwrap();
        assert_eq!(other.local(), listener.local());
        // What listens on the pod's address is not on its loopback.
        let _own = b.listen(family.of(&b, 9090), 8).unwrap();
        assert!(connect(&b, family.loopback(9090)).await.is_err());
        assert!(connect(&a, family.of(&b, 9090)).await.is_ok());
    }
}

#[tokio::test]
async fn binding_follows_a_kernels_rules() {
    let net = net();
    let a = net.pod("a");
    for family in FAMILIES {
        let wild = a.listen(family.any(80), 1).unwrap();
        for taken in [family.any(80), family.loopback(80), family.of(&a, 80)] {
            assert_eq!(a.listen(taken, 1).err(), Some(NetError::InUse(taken)));
        }
        let foreign = family.pick("10.9.9.9", "fd99::9", 80);
        assert_eq!(
            a.listen(foreign, 1).err(),
            Some(NetError::AddressNotAvailable(foreign))
        );
        drop(wild);
        let (own, inner) = (
            a.listen(family.of(&a, 80), 1).unwrap(),
            a.listen(family.loopback(80), 1).unwrap(),
        );
        assert!(a.listen(family.any(80), 1).is_err());
        drop((own, inner));
        let free = a.listen(family.any(0), 1).unwrap();
        assert!(EPHEMERAL_PORTS.contains(&free.local().port()));
        // Bound but not listening: the port is taken, and nobody answers.
        let bound = a.tcp_bind(family.any(81)).unwrap();
        assert!(a.tcp_bind(family.any(81)).is_err());
        let to = family.loopback(81);
        assert_eq!(connect(&a, to).await.err(), Some(NetError::Refused(to)));
        drop(bound);
    }
    // The families do not share ports, and the IPv6 wildcard hears no IPv4.
    let _six = a.listen(Family::V6.any(82), 1).unwrap();
    let four = Family::V4.loopback(82);
    assert_eq!(connect(&a, four).await.err(), Some(NetError::Refused(four)));
    assert!(a.listen(Family::V4.any(82), 1).is_ok());
}

#[tokio::test]
async fn a_connection_survives_its_listener_whose_port_is_free_again() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, server) = pair(&a, &b, Family::V4).await;
    let again = b.listen(server.local(), 1).unwrap();
    assert_eq!(client.try_write(b"still").unwrap(), 5);
    assert_eq!(server.try_read_bytes(64), data(b"still"));
    // What waits to be accepted is reset when the listener goes.
    let waiting = connect(&a, server.local()).await.unwrap();
    again.close();
    assert_eq!(waiting.try_read_bytes(1), Err(NetError::Reset));
    assert_eq!(again.try_accept().err(), Some(NetError::Closed));
}

#[tokio::test]
async fn half_close_works_in_both_directions() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let (client, server) = pair(&a, &b, family).await;
        client.try_write(b"question").unwrap();
        client.shutdown(How::Write);
        assert_eq!(client.try_write(b"more"), Err(NetError::BrokenPipe));
        assert_eq!(server.try_read_bytes(64), data(b"question"));
        assert_eq!(server.try_read_bytes(64), Ok(Read::End));
        assert_eq!(server.try_write(b"answer"), Ok(6));
        assert_eq!(client.try_read_bytes(64), data(b"answer"));
        assert_eq!(client.try_read_bytes(64), Ok(Read::WouldBlock));
        drop(server);
        assert_eq!(client.try_read_bytes(64), Ok(Read::End));
        assert_eq!(client.try_read_bytes(64), Ok(Read::End));
    }
}

#[tokio::test]
async fn who_shuts_down_reading_hears_nothing_and_the_peer_is_not_told() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, server) = pair(&a, &b, Family::V4).await;
    client.try_write(b"early").unwrap();
    server.shutdown(How::Read);
    assert_eq!(server.try_read_bytes(64), Ok(Read::End));
    let much = vec![0; MAX_BUFFER];
    for _ in 0..8 {
        assert!(client.try_write(&much).unwrap() > 0);
    }
    assert_eq!(b.buffers().used(), 0);
    assert_eq!(server.try_write(b"heard"), Ok(5));
    assert_eq!(client.try_read_bytes(64), data(b"heard"));
}

#[tokio::test]
async fn data_under_way_is_delivered_before_the_end_and_before_a_reset() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let (client, server) = pair(&a, &b, family).await;
        client.try_write(b"last words").unwrap();
        drop(client);
        assert_eq!(server.try_read_bytes(4), data(b"last"));
        assert_eq!(server.try_peek_bytes(3), data(b" wo"));
        assert_eq!(server.try_read_bytes(64), data(b" words"));
        assert_eq!(server.try_read_bytes(64), Ok(Read::End));
        assert_eq!(server.try_write(b"too late"), Err(NetError::BrokenPipe));

        let (client, server) = pair(&a, &b, family).await;
        client.try_write(b"last words").unwrap();
        client.abort();
        assert_eq!(server.try_read_bytes(64), data(b"last words"));
        // Told once, then the connection is at its end, as a kernel has it.
        assert_eq!(server.try_read_bytes(64), Err(NetError::Reset));
        assert_eq!(server.try_read_bytes(64), Ok(Read::End));
        assert_eq!(server.try_write(b"x"), Err(NetError::BrokenPipe));
    }
}

#[tokio::test]
async fn closing_with_unread_data_resets_the_peer() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (mut client, server) = pair(&a, &b, Family::V4).await;
    client.try_write(b"never read").unwrap();
    drop(server);
    let error = client.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_peer_address_is_known_although_the_peer_has_reset() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let listener = b.listen(family.any(80), 8).unwrap();
        let client = connect(&a, family.of(&b, 80)).await.unwrap();
        let address = client.local();
        client.abort();
        drop(client);
        let server = listener.accept().await.unwrap();
        assert_eq!(server.peer(), address);
        assert_eq!(server.try_read_bytes(1), Err(NetError::Reset));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_lets_wait_and_then_time_out() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let listener = b.listen(Family::V4.any(80), 2).unwrap();
    let to = Family::V4.of(&b, 80);
    let _queued = [
        connect(&a, to).await.unwrap(),
        connect(&a, to).await.unwrap(),
    ];
    let started = Instant::now();
    assert_eq!(connect(&a, to).await.err(), Some(NetError::TimedOut(to)));
    assert_eq!(started.elapsed(), CONNECT_TIMEOUT);
    let short = ConnectOptions {
        timeout: Some(Duration::from_secs(1)),
        ..ConnectOptions::default()
    };
    assert!(a.connect(to, short).await.is_err());
    assert_eq!(started.elapsed(), CONNECT_TIMEOUT + Duration::from_secs(1));
    // Who waits gets in as soon as one is accepted, and is refused when the listener goes.
    let waiting = tokio::spawn(a.connect(to, ConnectOptions::default()));
    tokio::task::yield_now().await;
    let _first = listener.accept().await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
    let waiting = tokio::spawn(a.connect(to, ConnectOptions::default()));
    tokio::task::yield_now().await;
    listener.close();
    assert_eq!(waiting.await.unwrap().err(), Some(NetError::Refused(to)));
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let net = net();
    let a = net.pod("a");
    let bare = net
        .fabric
        .add_pod(PodNetConfig {
            id: "bare".into(),
            name: "default/bare".into(),
            addresses: vec!["10.244.7.7".parse().unwrap()],
            buffers: BufferBudget::new(1 << 20),
        })
        .unwrap();
    type Case<'a> = (&'a Arc<PodNet>, &'static str, fn(SocketAddr) -> NetError);
    let cases: [Case<'_>; 7] = [
        (&a, "10.244.0.99:80", NetError::HostUnreachable),
        (&a, "[fd00:10:244::99]:80", NetError::HostUnreachable),
        (&a, "127.0.0.9:80", NetError::Refused),
        (&a, "10.244.7.7:80", NetError::Refused),
        (&bare, "[fd00:10:244::2]:80", NetError::NetworkUnreachable),
        (&a, "224.0.0.1:80", NetError::NetworkUnreachable),
        (&a, "255.255.255.255:80", NetError::NetworkUnreachable),
    ];
    for (from, to, error) in cases {
        let to = to.parse().unwrap();
        assert_eq!(connect(from, to).await.err(), Some(error(to)));
    }
    for invalid in ["10.244.0.2:0", "[::ffff:10.244.0.2]:80"] {
        let refused = connect(&a, invalid.parse().unwrap()).await;
        assert!(matches!(refused, Err(NetError::Invalid(_))), "{invalid}");
    }
    assert_eq!(a.stats().refused, 8);
    assert_eq!(a.open_connections(), 0);
}

#[tokio::test]
async fn a_bound_port_is_the_source_and_source_ports_never_collide() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let listener = b.listen(family.any(80), 600).unwrap();
        let to = family.of(&b, 80);
        let from = |address| ConnectOptions {
            binding: Some(a.tcp_bind(address).unwrap()),
            ..ConnectOptions::default()
        };
        let client = a.connect(to, from(family.any(5555))).await.unwrap();
        assert_eq!(client.local(), family.of(&a, 5555));
        // The port is held as long as the connection is.
        assert!(a.tcp_bind(family.any(5555)).is_err());
        drop(client);
        assert!(a.tcp_bind(family.any(5555)).is_ok());
        let looped = a.connect(to, from(family.loopback(0))).await;
        assert!(matches!(looped, Err(NetError::Invalid(_))));

        let mut seen = std::collections::HashSet::new();
        let mut open = Vec::new();
        for _ in 0..500 {
            let client = connect(&a, to).await.unwrap();
            assert!(seen.insert(client.local()));
            open.push(client);
        }
        assert_eq!(a.open_connections(), 500);
        drop(open);
        assert_eq!(a.open_connections(), 0);
        drop(listener);
        assert_eq!(b.open_connections(), 0);
    }
}

#[tokio::test]
async fn limits_are_those_of_the_pod_and_have_a_name() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let listener = b.listen(Family::V4.any(80), MAX_BACKLOG).unwrap();
    let to = Family::V4.of(&b, 80);
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(connect(&a, to).await.unwrap());
        open.push(listener.try_accept().unwrap().unwrap());
    }
    let too_many = NetError::TooMany {
        what: "connections",
        limit: MAX_CONNECTIONS,
    };
    assert_eq!(connect(&a, to).await.err(), Some(too_many));
    // Another pod is not held up by the first, but the target is full.
    let c = net.pod("c");
    assert_eq!(connect(&c, to).await.err(), Some(NetError::Refused(to)));
    drop(open);
    assert!(connect(&c, to).await.is_ok());

    let listeners: Vec<_> = (0..MAX_LISTENERS)
        .map(|_| c.listen(Family::V4.any(0), 1).unwrap())
        .collect();
    let one_more = c.listen(Family::V4.any(0), 1);
    assert!(matches!(
        one_more,
        Err(NetError::TooMany {
            what: "listeners",
            ..
        })
    ));
    drop(listeners);
    assert!(c.listen(Family::V4.any(0), 1).is_ok());
}

#[tokio::test]
async fn removing_a_pod_resets_what_it_had() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, server) = pair(&a, &b, Family::V4).await;
    let listener = b.listen(Family::V4.any(80), 8).unwrap();
    let udp = b.udp_bind(Family::V4.any(80)).unwrap();
    let waiting = tokio::spawn({
        let listener = listener.clone();
        async move { listener.accept().await }
    });
    tokio::task::yield_now().await;
    net.fabric.remove_pod("b");
    assert_eq!(waiting.await.unwrap().err(), Some(NetError::Closed));
    assert_eq!(client.try_read_bytes(1), Err(NetError::Reset));
    assert_eq!(server.try_read_bytes(1), Err(NetError::Reset));
    assert_eq!(udp.try_recv_from().err(), Some(NetError::Closed));
    assert_eq!(b.listen(Family::V4.any(0), 1).err(), Some(NetError::Closed));
    let to = Family::V4.of(&b, 80);
    assert_eq!(
        connect(&a, to).await.err(),
        Some(NetError::HostUnreachable(to))
    );
    // The id and the addresses can be used again.
    let again = net.pod("b");
    assert_eq!(again.addresses(), b.addresses());
}

#[tokio::test]
async fn a_draining_pod_takes_nothing_new_and_finishes_what_it_has() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let listener = b.listen(Family::V4.any(80), 8).unwrap();
    let to = Family::V4.of(&b, 80);
    let client = connect(&a, to).await.unwrap();
    let server = listener.accept().await.unwrap();
    b.drain();
    assert_eq!(connect(&a, to).await.err(), Some(NetError::Refused(to)));
    assert_eq!(b.listen(to, 1).err(), Some(NetError::Closed));
    assert_eq!(b.open_connections(), 1);
    // An answer may need others: a pod that drains still connects to them.
    let other = a.listen(Family::V4.any(80), 1).unwrap();
    drop(connect(&b, Family::V4.of(&a, 80)).await.unwrap());
    drop(other);
    assert_eq!(client.try_write(b"rest"), Ok(4));
    assert_eq!(server.try_read_bytes(64), data(b"rest"));
    drop(server);
    assert_eq!(b.open_connections(), 0);
}

#[tokio::test]
async fn several_pollers_wait_on_one_end() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, server) = pair(&a, &b, Family::V4).await;
    let server = Arc::new(server);
    // More than are remembered: none may be forgotten for good.
    let pollers: Vec<_> = (0..MAX_POLLERS + 4)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.readable().await })
        })
        .collect();
    tokio::task::yield_now().await;
    client.try_write(b"x").unwrap();
    for poller in pollers {
        poller.await.unwrap();
    }
}

#[tokio::test]
async fn options_are_kept_inherited_and_bounded() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let wished = SocketOptions {
        send_buffer: 1,
        receive_buffer: usize::MAX,
        keep_alive: true,
        keep_alive_idle: Duration::from_secs(7),
        hop_limit: 3,
        ..SocketOptions::default()
    };
    let binding = b.tcp_bind(Family::V4.any(80)).unwrap();
    let listener = b.listen_on(binding, 8, wished).unwrap();
    let client = connect(&a, Family::V4.of(&b, 80)).await.unwrap();
    let server = listener.accept().await.unwrap();
    let kept = server.options();
    assert_eq!(
        (kept.send_buffer, kept.receive_buffer),
        (MIN_BUFFER, MAX_BUFFER)
    );
    assert_eq!((kept.hop_limit, kept.keep_alive), (3, true));
    assert_eq!(client.options(), SocketOptions::default());
    // The server's send buffer and the client's receive buffer bound what is under way.
    assert_eq!(server.write_room(), Ok(MIN_BUFFER + DEFAULT_BUFFER));
    client.set_options(SocketOptions {
        receive_buffer: 0,
        ..client.options()
    });
    assert_eq!(server.write_room(), Ok(2 * MIN_BUFFER));
}

#[tokio::test]
async fn the_node_dials_pods_and_only_pods() {
    for family in FAMILIES {
        let net = net();
        let a = net.pod("a");
        let listener = a.listen(family.any(80), 8).unwrap();
        let mut client = net.fabric.dial(family.of(&a, 80)).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert_eq!(
            server.peer().ip(),
            family.pick("10.244.0.1", "fd00:10:244::1", 0).ip()
        );
        client.write_all(b"probe").await.unwrap();
        assert_eq!(server.try_read_bytes(64), data(b"probe"));
        for to in [
            family.loopback(80),
            family.pick("192.0.2.1", "2001:db8::1", 80),
        ] {
            assert_eq!(
                net.fabric.dial(to).await.err(),
                Some(NetError::HostUnreachable(to))
            );
        }
        // Through the seam of stdx, with a kernel's error kinds.
        let dialer: Arc<dyn wkube::stdx::Dialer> = net.fabric.clone();
        assert!(dialer.dial(family.of(&a, 80)).await.is_ok());
        let refused = dialer.dial(family.of(&a, 81)).await.err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test(start_paused = true)]
async fn faults_part_and_delay() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let _listener = b.listen(Family::V4.any(80), 8).unwrap();
    let to = Family::V4.of(&b, 80);
    let (x, y) = (Family::V4.of(&a, 0).ip(), to.ip());
    let partition = Fault {
        partition: true,
        ..Fault::default()
    };
    net.fabric.faults().set(y, x, partition);
    let started = Instant::now();
    assert_eq!(connect(&a, to).await.err(), Some(NetError::TimedOut(to)));
    assert_eq!(started.elapsed(), CONNECT_TIMEOUT);
    // Others are not touched.
    assert!(net.fabric.dial(to).await.is_ok());
    let slow = Fault {
        connect_delay: Duration::from_secs(2),
        ..Fault::default()
    };
    net.fabric.faults().set(x, y, slow);
    let started = Instant::now();
    assert!(connect(&a, to).await.is_ok());
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    net.fabric.faults().set(x, y, Fault::default());
    assert!(connect(&a, to).await.is_ok());
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

struct OnlyFrom(String);

impl Policy for OnlyFrom {
    fn decide(&self, flow: &Flow<'_>) -> Verdict {
        match flow.from {
            Some(pod) if pod.id != self.0 => Verdict::Deny("NetworkPolicy default/only".into()),
            _ => Verdict::Allow,
        }
    }
}

#[tokio::test]
async fn a_policy_refuses_and_says_which_rule() {
    let net = net();
    let (a, b, c) = (net.pod("a"), net.pod("b"), net.pod("c"));
    let _listener = c.listen(Family::V4.any(80), 8).unwrap();
    net.fabric
        .set_policy(Some(Arc::new(OnlyFrom("a".to_owned()))));
    let to = Family::V4.of(&c, 80);
    assert!(connect(&a, to).await.is_ok());
    let denied = connect(&b, to).await.err().unwrap();
    assert_eq!(
        denied.to_string(),
        "connection to 10.244.0.4:80 denied: NetworkPolicy default/only"
    );
    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
    // A pod's own traffic is its own business.
    assert!(connect(&c, Family::V4.loopback(80)).await.is_ok());
}

#[tokio::test]
async fn names_that_every_pod_knows() {
    let net = net();
    let a = net.pod("a");
    let texts = async |name: &str| {
        let found = a.resolve(name).await?;
        Ok::<_, NetError>(found.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for name in ["localhost", "LocalHost.", "x.localhost"] {
        assert_eq!(texts(name).await.unwrap(), ["127.0.0.1", "::1"], "{name}");
    }
    assert_eq!(texts("a").await.unwrap(), ["10.244.0.2", "fd00:10:244::2"]);
    assert_eq!(texts("192.0.2.7").await.unwrap(), ["192.0.2.7"]);
    assert_eq!(texts("[2001:db8::1]").await.unwrap(), ["2001:db8::1"]);
    for wrong in ["", "a b", "-", "1.2.3.4.5"] {
        let error = texts(wrong).await.unwrap_err();
        assert!(matches!(error, NetError::NameUnknown(_)), "{wrong:?}");
    }
}
