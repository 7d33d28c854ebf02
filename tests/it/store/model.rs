//! Any sequence of operations gives what a plain map and a list of changes would give.

use super::support::{Open, Seen, shown};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use wkube::store::{Durability, Precondition, Revision, Store, StoreError, StoreOptions, Write};

const KEYS: [&str; 5] = ["/a/1", "/a/2", "/a/10", "/b/1", "/"];
const HISTORY_EVENTS: usize = 12;

#[derive(Clone, Debug)]
enum Op {
    Write {
        key: usize,
        /// Whether, and with which error, to guess the key's revision.
        guess: Guess,
        value: Option<u8>,
        relaxed: bool,
    },
    Range {
        prefix: &'static str,
        after: Option<usize>,
        limit: usize,
    },
    /// A watch that starts so many revisions back.
    Watch {
        prefix: &'static str,
        back: u64,
    },
    Compact {
        back: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Nothing,
    Absent,
    Right,
    Wrong,
}

fn op() -> impl Strategy<Value = Op> {
    let guess = prop_oneof![
        3 => Just(Guess::Nothing),
        2 => Just(Guess::Absent),
        3 => Just(Guess::Right),
        1 => Just(Guess::Wrong),
    ];
    let prefix = || prop::sample::select(vec!["", "/", "/a/", "/a/1", "/b/", "/c"]);
    prop_oneof![
        10 => (0..KEYS.len(), guess, prop::option::weighted(0.7, any::<u8>()), any::<bool>())
            .prop_map(|(key, guess, value, relaxed)| Op::Write { key, guess, value, relaxed }),
        3 => (prefix(), prop::option::of(0..KEYS.len()), 0..4_usize)
            .prop_map(|(prefix, after, limit)| Op::Range { prefix, after, limit }),
        3 => (prefix(), 0..20_u64).prop_map(|(prefix, back)| Op::Watch { prefix, back }),
        1 => (0..20_u64).prop_map(|back| Op::Compact { back }),
    ]
}

/// A change as the model remembers it: revision, key, value.
type Change = (Revision, &'static str, Option<String>);

#[derive(Default)]
struct Model {
    keys: BTreeMap<&'static str, (String, Revision, Revision)>,
    changes: Vec<Change>,
    floor: Revision,
}

impl Model {
    fn revision(&self) -> Revision {
        self.changes.len() as Revision
    }

    fn write(&mut self, write: &Write, key: &'static str) -> Result<Revision, StoreError> {
        let actual = self.keys.get(key).map_or(0, |(_, _, revision)| *revision);
        let holds = match write.precondition {
            Precondition::Absent => actual == 0,
            Precondition::Revision(wanted) => actual != 0 && wanted == actual,
            Precondition::None => true,
        };
        if !holds || (write.value.is_none() && actual == 0) {
            return Err(StoreError::Precondition { actual });
        }
        let revision = self.revision() + 1;
        let value = write
            .value
            .as_ref()
            .map(|v| String::from_utf8(v.to_vec()).unwrap());
        match &value {
            Some(value) => {
                let made = self.keys.get(key).map_or(revision, |(_, made, _)| *made);
                self.keys
                    .insert(key, (format!("{key}={value}"), made, revision));
            }
            None => {
                self.keys.remove(key);
            }
        }
        self.changes.push((revision, key, value));
        let oldest = revision.saturating_sub(HISTORY_EVENTS as Revision);
        self.floor = self.floor.max(oldest);
        Ok(revision)
    }

    fn after(&self, prefix: &str, after: Revision) -> Vec<Change> {
        let later = |change: &&Change| change.0 > after && change.1.starts_with(prefix);
        self.changes.iter().filter(later).cloned().collect()
    }
}

fn seen_changes(seen: &Seen) -> Vec<Change> {
    let events = seen.events.lock();
    let change = |event: &wkube::store::Event| {
        let key = *KEYS.iter().find(|key| **key == &*event.key).unwrap();
        let value = event.current.as_ref().map(super::support::text);
        (event.revision, key, value)
    };
    events.iter().map(change).collect()
}

async fn check_write(
    store: &dyn Store,
    model: &mut Model,
    key: &'static str,
    guess: Guess,
    value: Option<u8>,
    relaxed: bool,
) {
    let previous = model.keys.get(key).cloned();
    let actual = previous.as_ref().map_or(0, |(_, _, revision)| *revision);
    let write = Write {
        key: key.into(),
        precondition: match guess {
            Guess::Nothing => Precondition::None,
            Guess::Absent => Precondition::Absent,
            Guess::Right => Precondition::Revision(actual),
            Guess::Wrong => Precondition::Revision(actual + 1),
        },
        value: value.map(|value| value.to_string().into()),
        attachment: None,
        durability: if relaxed {
            Durability::Relaxed
        } else {
            Durability::Synced
        },
    };
    let wanted = model.write(&write, key);
    let got = store.commit(write).await;
    if let Ok(committed) = &got {
        assert_eq!(committed.previous.as_ref().map(shown), previous);
    }
    assert_eq!(got.map(|committed| committed.revision), wanted);
}

async fn run(store: &dyn Store, ops: &[Op]) {
    let mut model = Model::default();
    let mut watches = Vec::new();
    for op in ops {
        match op {
            Op::Write {
                key,
                guess,
                value,
                relaxed,
            } => check_write(store, &mut model, KEYS[*key], *guess, *value, *relaxed).await,
            Op::Range {
                prefix,
                after,
                limit,
            } => {
                let after = after.map(|key| KEYS[key]);
                let got = store.range(prefix, after, *limit).await.unwrap();
                let within = model.keys.iter().filter(|(key, _)| key.starts_with(prefix));
                let mut wanted: Vec<_> = within
                    .filter(|(key, _)| after.is_none_or(|after| **key > after))
                    .map(|(_, value)| value.clone())
                    .collect();
                let more = *limit > 0 && wanted.len() > *limit;
                wanted.truncate(if *limit == 0 { usize::MAX } else { *limit });
                let items: Vec<_> = got.items.iter().map(shown).collect();
                assert_eq!((items, got.more), (wanted, more));
                assert_eq!(got.revision, model.revision());
            }
            Op::Watch { prefix, back } => {
                let after = model.revision().saturating_sub(*back);
                match Seen::watch(store, prefix, after).await {
                    Ok((seen, watch)) => {
                        assert!(after >= model.floor);
                        watches.push((*prefix, after, seen, watch));
                    }
                    Err(error) => {
                        let oldest = model.floor;
                        let asked = after;
                        assert!(after < oldest);
                        assert_eq!(error, StoreError::Compacted { asked, oldest });
                    }
                }
            }
            Op::Compact { back } => {
                let revision = model.revision().saturating_sub(*back);
                store.compact(revision).await.unwrap();
                model.floor = model.floor.max(revision);
            }
        }
    }
    for (prefix, after, seen, _watch) in watches {
        let wanted = model.after(prefix, after);
        seen.revisions(wanted.len()).await;
        assert_eq!(seen_changes(&seen), wanted);
    }
    assert_eq!(store.revision(), model.revision());
}

pub(super) async fn behaves_as_the_model(open: Open<'_>) {
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config {
            cases: 48,
            failure_persistence: None,
            ..Config::default()
        });
        let ops = proptest::collection::vec(op(), 1..60);
        runner
            .run(&ops, |ops| {
                let fixture = open(StoreOptions {
                    history_events_max: HISTORY_EVENTS,
                    ..StoreOptions::default()
                });
                handle.block_on(async {
                    run(&*fixture.store, &ops).await;
                    fixture.store.close().await;
                });
                Ok(())
            })
            .unwrap();
    });
}
