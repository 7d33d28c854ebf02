//! The byte pipe: nothing lost, order kept, one end, bounded memory.

use super::*;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_reader_that_does_not_read_bounds_what_is_held() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, server) = pair(&a, &b, Family::V4).await;
    let capacity = 2 * DEFAULT_BUFFER;
    let mut sent = 0;
    loop {
        let mut bytes = Bytes::from(vec![7; 10_000]);
        match client.try_write_bytes(&mut bytes).unwrap() {
            0 => break,
            count => sent += count,
        }
    }
    assert_eq!(sent, capacity);
    assert!(b.buffers().used() < capacity + MAX_CHUNKS * CHUNK_OVERHEAD);
    assert_eq!(a.buffers().used(), 0);
    drop((client, server));
    assert_eq!(b.buffers().used(), 0);
}

#[tokio::test]
async fn tiny_writes_are_gathered() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (client, _server) = pair(&a, &b, Family::V4).await;
    let mut sent = 0;
    while client.try_write(b"x").unwrap() == 1 {
        sent += 1;
    }
    assert_eq!(sent, 2 * DEFAULT_BUFFER);
    assert!(b.buffers().used() < 2 * sent);
}

#[tokio::test]
async fn over_its_budget_a_pod_gets_on_slowly_and_others_are_not_touched() {
    let net = net();
    let node = BufferBudget::new(1 << 20);
    let small = BufferBudget::within(64 << 10, node.clone());
    let (a, b) = (net.pod("a"), net.pod_with("b", small.clone()));
    let c = net.pod_with("c", BufferBudget::within(1 << 20, node.clone()));
    let mut held = Vec::new();
    for _ in 0..100 {
        let (client, server) = pair(&a, &b, Family::V4).await;
        while client.try_write(&[1; 4096]).unwrap() > 0 {}
        held.push((client, server));
    }
    let most = small.limit() + 100 * (GUARANTEED_BYTES + 4 * CHUNK_OVERHEAD);
    assert!(small.used() <= most, "{}", small.used());
    assert_eq!(node.used(), small.used());
    // Every connection gets on: what is read makes room for at least the guaranteed bytes.
    for (client, server) in &held {
        while let Read::Data(_) = server.try_read_bytes(1 << 20).unwrap() {}
        assert!(client.try_write(&[1; 4096]).unwrap() >= GUARANTEED_BYTES);
    }
    let (client, _server) = pair(&a, &c, Family::V4).await;
    assert_eq!(client.try_write(&[1; 4096]), Ok(4096));
    drop(held);
    assert_eq!(small.used(), 0);
}

#[tokio::test]
async fn a_writer_waits_for_the_reader_and_nothing_is_lost() {
    let net = net();
    let (a, b) = (net.pod("a"), net.pod("b"));
    let (mut client, mut server) = pair(&a, &b, Family::V6).await;
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let writer = tokio::spawn({
        let sent = sent.clone();
        async move {
            client.write_all(&sent).await.unwrap();
        }
    });
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    writer.await.unwrap();
    assert!(heard == sent);
    assert_eq!(a.stats().sent_bytes, 3_000_000);
    assert_eq!(b.stats().received_bytes, 3_000_000);
}

/// A step of either side.
#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    WriteShared(usize),
    Read(usize),
    ReadInto(usize),
    Peek(usize),
    Resize(usize),
    ShutdownWrite,
    DropWriter,
    AbortWriter,
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![1..8usize, 1..600usize, 1..9_000usize];
    prop_oneof![
        10 => size().prop_map(Step::Write),
        10 => size().prop_map(Step::WriteShared),
        10 => size().prop_map(Step::Read),
        5 => size().prop_map(Step::ReadInto),
        3 => size().prop_map(Step::Peek),
        1 => (0..20_000usize).prop_map(Step::Resize),
        1 => Just(Step::ShutdownWrite),
        1 => Just(Step::DropWriter),
        1 => Just(Step::AbortWriter),
    ]
}

/// What the pipe must be: a queue of numbered bytes, an end, perhaps a reset told once.
#[derive(Default)]
struct Model {
    written: u64,
    read: u64,
    ended: bool,
    reset: bool,
}

fn numbered(from: u64, count: usize) -> Vec<u8> {
    (from..from + count as u64)
        .map(|n| (n % 251) as u8)
        .collect()
}

impl Model {
    fn check_read(&mut self, found: Result<Read, NetError>, max: usize, takes: bool) {
        match found {
            Ok(Read::Data(bytes)) => {
                assert!(!bytes.is_empty() && bytes.len() <= max);
                assert!(self.read + bytes.len() as u64 <= self.written);
                assert!(bytes == numbered(self.read, bytes.len()));
                if takes {
                    self.read += bytes.len() as u64;
                }
            }
            Ok(Read::WouldBlock) => assert!(self.read == self.written && !self.ended),
            Ok(Read::End) => {
                assert!(self.read == self.written && self.ended && !self.reset);
            }
            Err(error) => {
                assert_eq!(error, NetError::Reset);
                assert!(self.read == self.written && self.reset);
                self.reset = false;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_pipe_is_a_bounded_queue(steps in proptest::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let net = net();
            let (a, b) = (net.pod("a"), net.pod_with("b", BufferBudget::new(60_000)));
            let (client, server) = pair(&a, &b, Family::V4).await;
            let (mut client, mut model) = (Some(client), Model::default());
            for step in steps {
                apply(step, &mut client, &server, &mut model).await;
                let held = (model.written - model.read) as usize;
                assert!(held <= b.buffers().used());
                assert!(b.buffers().used() <= 60_000 + GUARANTEED_BYTES + 2 * CHUNK_OVERHEAD);
            }
            // What is left comes, then the end, and it stays.
            drop(client.take());
            model.ended = true;
            while model.read < model.written || model.reset {
                model.check_read(server.try_read_bytes(1000), 1000, true);
            }
            assert_eq!(server.try_read_bytes(1), Ok(Read::End));
            assert_eq!(server.try_read_bytes(1), Ok(Read::End));
            assert_eq!(b.buffers().used(), 0);
        });
    }
}

async fn apply(step: Step, client: &mut Option<Conn>, server: &Conn, model: &mut Model) {
    match (step, &client) {
        (Step::Write(size), Some(conn)) => {
            let written = conn.try_write(&numbered(model.written, size));
            note_write(written, size, model);
        }
        (Step::WriteShared(size), Some(conn)) => {
            let mut bytes = Bytes::from(numbered(model.written, size));
            let written = conn.try_write_bytes(&mut bytes);
            if let Ok(count) = written {
                assert_eq!(bytes.len(), size - count);
            }
            note_write(written, size, model);
        }
        (Step::Read(max), _) => model.check_read(server.try_read_bytes(max), max, true),
        (Step::Peek(max), _) => model.check_read(server.try_peek_bytes(max), max, false),
        (Step::ReadInto(max), _) => {
            let mut buffer = vec![0; max];
            let mut from = server;
            // Only when it does not wait.
            if let Some(read) = futures::FutureExt::now_or_never(from.read(&mut buffer)) {
                let found = match read {
                    Ok(0) => Ok(Read::End),
                    Ok(count) => Ok(Read::Data(Bytes::copy_from_slice(&buffer[..count]))),
                    Err(_) => Err(NetError::Reset),
                };
                model.check_read(found, max, true);
            } else {
                model.check_read(Ok(Read::WouldBlock), max, true);
            }
        }
        (Step::Resize(size), _) => server.set_options(SocketOptions {
            receive_buffer: size,
            ..server.options()
        }),
        (Step::ShutdownWrite, Some(conn)) => {
            conn.shutdown(How::Write);
            model.ended = true;
        }
        (Step::DropWriter, Some(_)) => {
            drop(client.take());
            model.ended = true;
        }
        (Step::AbortWriter, Some(conn)) => {
            conn.abort();
            drop(client.take());
            model.ended = true;
            model.reset = true;
        }
        (_, None) => {}
    }
}

fn note_write(written: Result<usize, NetError>, size: usize, model: &mut Model) {
    match written {
        Ok(count) => {
            assert!(!model.ended && count <= size);
            // Something always fits into an empty pipe.
            assert!(count > 0 || model.read < model.written);
            model.written += count as u64;
        }
        Err(error) => {
            assert_eq!(error, NetError::BrokenPipe);
            assert!(model.ended);
        }
    }
}
