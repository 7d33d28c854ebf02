//! Datagrams between pods.

use super::*;
use std::time::Duration;
use tokio::time::Instant;

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn datagrams_go_between_pods_and_over_loopback() {
    for family in FAMILIES {
        let net = net();
        let (a, b) = (net.pod("a"), net.pod("b"));
        let server = b.udp_bind(family.any(53)).unwrap();
        let client = a.udp_bind(family.any(0)).unwrap();
        let to = family.of(&b, 53);
        client.try_send_to(text("one"), Some(to)).unwrap();
        let asked = server.recv_from().await.unwrap();
        assert_eq!(asked.from, family.of(&a, client.local().port()));
        server.try_send_to(text("two"), Some(asked.from)).unwrap();
        let answer = client.recv_from().await.unwrap();
        assert_eq!((answer.bytes, answer.from), (text("two"), to));
        // An empty datagram is one.
        client.try_send_to(Bytes::new(), Some(to)).unwrap();
        assert_eq!(server.recv_from().await.unwrap().bytes.len(), 0);
        // Loopback stays in the pod.
        let inner = b.udp_bind(family.loopback(0)).unwrap();
        inner
            .try_send_to(text("in"), Some(family.loopback(53)))
            .unwrap();
        assert_eq!(server.recv_from().await.unwrap().from, inner.local());
        client
            .try_send_to(text("no"), Some(family.loopback(53)))
            .unwrap();
        assert_eq!(server.try_recv_from(), Ok(None));
        let outward = inner.try_send_to(text("no"), Some(family.of(&a, 1)));
        assert!(matches!(outward, Err(NetError::Invalid(_))));
    }
}

#[tokio::test]
async fn a_connected_socket_hears_its_peer_only_and_learns_that_nobody_is_there() {
    for family in FAMILIES {
        let net = net();
        let (a, b, c) = (net.pod("a"), net.pod("b"), net.pod("c"));
        let server = b.udp_bind(family.any(53)).unwrap();
        let client = a.udp_bind(family.any(4000)).unwrap();
        let stranger = c.udp_bind(family.any(53)).unwrap();
        assert_eq!(
            client.try_send_to(text("x"), None),
            Err(NetError::NotConnected)
        );
        let me = family.of(&a, 4000);
        stranger.try_send_to(text("early"), Some(me)).unwrap();
        client.connect(Some(family.of(&b, 53))).unwrap();
        assert_eq!(client.local(), me);
        stranger.try_send_to(text("late"), Some(me)).unwrap();
        client.try_send_to(text("hello"), None).unwrap();
        assert_eq!(server.recv_from().await.unwrap().from, me);
        server.try_send_to(text("right"), Some(me)).unwrap();
        assert_eq!(client.recv_from().await.unwrap().bytes, text("right"));
        assert_eq!(client.try_recv_from(), Ok(None));
        drop(server);
        client.try_send_to(text("anyone?"), None).unwrap();
        let nobody = NetError::Refused(family.of(&b, 53));
        assert_eq!(client.recv_from().await.err(), Some(nobody));
        assert_eq!(client.try_recv_from(), Ok(None));
        client.connect(None).unwrap();
        stranger.try_send_to(text("now"), Some(me)).unwrap();
        assert_eq!(client.recv_from().await.unwrap().bytes, text("now"));
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let server = b.udp_bind(Family::V4.any(53)).unwrap();
    let client = a.udp_bind(Family::V4.any(0)).unwrap();
    let to = Some(Family::V4.of(&b, 53));
    for _ in 0..MAX_QUEUED_DATAGRAMS + 10 {
        client.try_send_to(text("x"), to).unwrap();
    }
    assert_eq!(b.stats().dropped_datagrams, 10);
    while server.try_recv_from().unwrap().is_some() {}
    assert_eq!(b.buffers().used(), 0);
    // By bytes as well.
    for _ in 0..10 {
        let large = Bytes::from(vec![0; MAX_DATAGRAM]);
        client.try_send_to(large, to).unwrap();
    }
    assert!(b.buffers().used() <= MAX_QUEUED_DATAGRAM_BYTES + 10 * CHUNK_OVERHEAD);
    let huge = Bytes::from(vec![0; MAX_DATAGRAM + 1]);
    assert_eq!(
        client.try_send_to(huge, to),
        Err(NetError::MessageTooLong(MAX_DATAGRAM + 1))
    );
    server.close();
    assert_eq!(b.buffers().used(), 0);
    assert_eq!(server.try_recv_from(), Err(NetError::Closed));
    assert!(b.udp_bind(Family::V4.any(53)).is_ok());
}

#[tokio::test]
async fn ports_of_datagrams_are_not_those_of_streams() {
    let net = net();
    let a = net.pod("a");
    let _tcp = a.listen(Family::V4.any(53), 1).unwrap();
    let _udp = a.udp_bind(Family::V4.any(53)).unwrap();
    let taken = Family::V4.loopback(53);
    assert_eq!(a.udp_bind(taken).err(), Some(NetError::InUse(taken)));
    let held: Vec<_> = (1..MAX_UDP_SOCKETS)
        .map(|_| a.udp_bind(Family::V4.any(0)).unwrap())
        .collect();
    let one_more = a.udp_bind(Family::V4.any(0));
    assert!(matches!(
        one_more,
        Err(NetError::TooMany {
            what: "sockets",
            ..
        })
    ));
    drop(held);
}

#[tokio::test]
async fn a_partition_loses_datagrams() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let server = b.udp_bind(Family::V4.any(53)).unwrap();
    let client = a.udp_bind(Family::V4.any(0)).unwrap();
    let to = Family::V4.of(&b, 53);
    let partition = Fault {
        partition: true,
        ..Fault::default()
    };
    let faults = net.fabric.faults();
    faults.set(Family::V4.of(&a, 0).ip(), to.ip(), partition);
    client.try_send_to(text("lost"), Some(to)).unwrap();
    faults.set(Family::V4.of(&a, 0).ip(), to.ip(), Fault::default());
    client.try_send_to(text("found"), Some(to)).unwrap();
    assert_eq!(server.recv_from().await.unwrap().bytes, text("found"));
}

#[tokio::test(start_paused = true)]
async fn a_fault_delays_datagrams_and_the_word_that_nobody_was_there() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let server = b.udp_bind(Family::V4.any(53)).unwrap();
    let client = a.udp_bind(Family::V4.any(0)).unwrap();
    let (to, nobody) = (Family::V4.of(&b, 53), Family::V4.of(&b, 54));
    let slow = Fault {
        datagram_delay: Duration::from_millis(150),
        ..Fault::default()
    };
    let faults = net.fabric.faults();
    faults.set(Family::V4.of(&a, 0).ip(), to.ip(), slow);
    let started = Instant::now();
    client.try_send_to(text("there"), Some(to)).unwrap();
    assert_eq!(server.try_recv_from(), Ok(None), "it is under way");
    let got = server.recv_from().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(150));
    server
        .try_send_to(text("and back"), Some(got.from))
        .unwrap();
    client.recv_from().await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    client.connect(Some(nobody)).unwrap();
    client.try_send_to(text("hello?"), None).unwrap();
    assert_eq!(client.try_recv_from(), Ok(None), "nobody can know yet");
    let refused = client.recv_from().await;
    assert_eq!(refused, Err(NetError::Refused(nobody)));
    assert_eq!(started.elapsed(), Duration::from_millis(450));

    // Only so many are held up; the rest is lost, and counted.
    for _ in 0..=MAX_DELAYED_DATAGRAMS {
        client.try_send_to(text("x"), Some(to)).unwrap();
    }
    assert_eq!(a.stats().dropped_datagrams, 1);
    // What is under way arrives although the fault is over, later than what is sent now.
    faults.set(Family::V4.of(&a, 0).ip(), to.ip(), Fault::default());
    client.try_send_to(text("now"), Some(to)).unwrap();
    assert_eq!(server.recv_from().await.unwrap().bytes, text("now"));
    assert_eq!(server.recv_from().await.unwrap().bytes, text("x"));
    assert_eq!(started.elapsed(), Duration::from_millis(600));
}
