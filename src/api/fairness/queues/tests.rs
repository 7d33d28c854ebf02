//! Simulations by a clock of their own.

use super::*;
use proptest::prelude::*;

const QUEUING: Queuing = Queuing {
    queues: 64,
    hand: 6,
    length: 50,
};

fn limited(nominal: u32, guaranteed: u32, most: u32, queuing: Option<Queuing>) -> LevelConfig {
    LevelConfig {
        nominal,
        guaranteed,
        most,
        queuing,
    }
}

fn levels(total: u32, configs: &[(&str, LevelConfig)]) -> Levels {
    let mut levels = Levels::new(total);
    let configs = configs
        .iter()
        .map(|(name, config)| (Arc::from(*name), config.clone()));
    levels.configure(configs.collect(), 0.0);
    levels
}

fn hash(user: u64) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(user)
}

/// One user floods with 50 requests at a time, the other asks one after the other; each lasts 10
/// ms. Answers how many each had served in ten seconds, and the longest wait of the second.
fn flood(queuing: Queuing) -> (u32, u32, f64) {
    let mut levels = levels(4, &[("l", limited(4, 4, 4, Some(queuing)))]);
    let name: Arc<str> = "l".into();
    let (mut now, mut ticket) = (0.0, 0u64);
    let mut users: HashMap<u64, (u64, f64)> = HashMap::new();
    let mut running: Vec<(f64, u64, Running)> = Vec::new();
    let (mut served, mut waits) = ([0u32; 2], 0.0f64);
    let mut polite_asks = true;
    let mut flooding = 0;
    while now < 10.0 {
        let mut wanted: Vec<u64> = vec![0; 50usize.saturating_sub(flooding)];
        if std::mem::take(&mut polite_asks) {
            wanted.push(1);
        }
        for user in wanted {
            ticket += 1;
            match levels.arrive(&name, (hash(user), 1, ticket), now) {
                Arrival::Run(started) => {
                    users.insert(ticket, (user, now));
                    running.push((now + 0.01, ticket, started));
                }
                Arrival::Wait { .. } => {
                    users.insert(ticket, (user, now));
                }
                Arrival::Rejected(_) => {
                    polite_asks |= user == 1;
                    continue;
                }
            }
            flooding += usize::from(user == 0);
        }
        running.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (end, done, one) = running.remove(0);
        now = end;
        let (user, asked) = users[&done];
        served[user as usize] += 1;
        if user == 1 {
            polite_asks = true;
            waits = waits.max(now - asked);
        } else {
            flooding -= 1;
        }
        for (ticket, started) in levels.finish(&one, now) {
            running.push((now + 0.01, ticket, started));
        }
    }
    (served[0], served[1], waits)
}

#[test]
fn who_floods_waits_for_himself() {
    let (flooder, polite, wait) = flood(QUEUING);
    // The one who asks one after the other is served without a wait but for the request before.
    assert!(polite > 450, "{polite} {wait}");
    assert!(wait < 0.025, "{wait}");
    assert!(flooder > 2_900, "{flooder}");
    // In one queue they would share one fate.
    let one = Queuing {
        queues: 1,
        hand: 1,
        length: 50,
    };
    let (_, polite, _) = flood(one);
    assert!(polite < 100, "{polite}");
}

#[test]
fn what_is_too_much_is_refused_in_words() {
    let mut all = levels(2, &[("l", limited(2, 2, 2, None))]);
    let name: Arc<str> = "l".into();
    assert!(matches!(all.arrive(&name, (0, 2, 1), 0.0), Arrival::Run(_)));
    assert_eq!(
        all.arrive(&name, (0, 1, 2), 0.0),
        Arrival::Rejected("concurrency-limit")
    );
    let queuing = Queuing {
        queues: 1,
        hand: 1,
        length: 1,
    };
    let mut all = levels(1, &[("l", limited(1, 1, 1, Some(queuing)))]);
    assert!(matches!(all.arrive(&name, (0, 5, 1), 0.0), Arrival::Run(_)));
    let Arrival::Wait { queue } = all.arrive(&name, (0, 1, 2), 0.0) else {
        panic!("it waits");
    };
    assert_eq!(
        all.arrive(&name, (0, 1, 3), 0.0),
        Arrival::Rejected("queue-full")
    );
    assert!(all.cancel("l", queue, 2, 0.0));
    assert!(!all.cancel("l", queue, 2, 0.0));
}

#[test]
fn what_one_does_not_need_another_has_and_gives_back() {
    let lender = limited(6, 2, 10, Some(QUEUING));
    let borrower = limited(4, 4, 10, Some(QUEUING));
    let mut all = levels(10, &[("a", lender), ("b", borrower)]);
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let mut running = Vec::new();
    for ticket in 0..12 {
        if let Arrival::Run(one) = all.arrive(&b, (ticket, 1, ticket), 0.0) {
            running.push(one);
        }
    }
    // Ten seats, of which two are kept for the lender.
    assert_eq!(running.len(), 8);
    for ticket in 20..22 {
        let arrival = all.arrive(&a, (ticket, 1, ticket), 0.0);
        assert!(matches!(arrival, Arrival::Run(_)), "{arrival:?}");
    }
    assert!(matches!(
        all.arrive(&a, (9, 1, 30), 0.0),
        Arrival::Wait { .. }
    ));
    let next = all.finish(&running[0], 0.1);
    assert_eq!(next.len(), 1);
}

#[test]
fn a_hand_has_no_card_twice() {
    for seed in 0..1_000u64 {
        let mut hand = Vec::new();
        let small = Queuing {
            queues: 7,
            hand: 6,
            length: 1,
        };
        deal(hash(seed), small, |card| hand.push(card));
        hand.sort_unstable();
        hand.dedup();
        assert_eq!(hand.len(), 6);
        assert!(hand.iter().all(|card| *card < 7));
    }
}

proptest! {
    /// Whatever comes and goes, seats add up, nobody has more than there are, and all end.
    #[test]
    fn seats_add_up(steps in proptest::collection::vec((0u8..4, 0u64..6, 1u32..4), 1..300)) {
        let queuing = Queuing { queues: 8, hand: 2, length: 4 };
        let configs = [
            ("a", limited(3, 1, 8, Some(queuing))),
            ("b", limited(5, 5, 6, None)),
        ];
        let mut all = levels(8, &configs);
        let names: [Arc<str>; 2] = ["a".into(), "b".into()];
        let mut running: Vec<Running> = Vec::new();
        let mut waiting: Vec<(u64, u32)> = Vec::new();
        let mut now = 0.0;
        for (ticket, (what, flow, seats)) in (0u64..).zip(steps) {
            now += 0.001;
            let mut dispatched = Vec::new();
            match what {
                0 | 1 => {
                    let name = &names[usize::from(what)];
                    match all.arrive(name, (hash(flow), seats, ticket), now) {
                        Arrival::Run(one) => running.push(one),
                        Arrival::Wait { queue } => waiting.push((ticket, queue)),
                        Arrival::Rejected(_) => {}
                    }
                }
                2 if !running.is_empty() => {
                    let one = running.remove(flow as usize % running.len());
                    dispatched = all.finish(&one, now);
                }
                3 if !waiting.is_empty() => {
                    let (ticket, queue) = waiting.remove(flow as usize % waiting.len());
                    prop_assert!(all.cancel("a", queue, ticket, now));
                    dispatched = all.dispatch(now);
                }
                _ => {}
            }
            for (ticket, one) in dispatched {
                waiting.retain(|(own, _)| *own != ticket);
                running.push(one);
            }
            let used: u32 = running.iter().map(|one| one.seats).sum();
            let told: u32 = all.states().iter().map(|(_, state)| state.seats_in_use).sum();
            prop_assert_eq!(used, told);
            // A request that is wider than what is left for its level is served alone: of three seats
            // where one at least is free.
            prop_assert!(used <= 8 + 2);
        }
        while let Some(one) = running.pop() {
            running.extend(all.finish(&one, now).into_iter().map(|(_, one)| one));
        }
        let left: usize = all.states().iter().map(|(_, state)| state.waiting).sum();
        prop_assert_eq!(left, 0);
    }
}
