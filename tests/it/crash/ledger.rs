//! What a store has promised to its clients, kept outside it, and held against what it says after
//! a crash.

use std::collections::{BTreeMap, HashMap};
use wkube::store::{Revision, Store};

/// A value, or nothing for a key that is not there. Values are never used twice.
type State = Option<String>;

/// What became of a write, as the client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Acknowledged or seen, as this revision; synced if it must survive.
    Done { revision: Revision, synced: bool },
    /// Sent and never answered.
    Unknown,
}

/// See the file's header.
#[derive(Default)]
pub(super) struct Ledger {
    /// Per key: what it held after the last crash, which is settled.
    settled: BTreeMap<String, State>,
    /// Writes of this life, per key.
    writes: BTreeMap<String, Vec<(State, Outcome)>>,
    /// The highest revision that anyone has been told.
    pub(super) told: Revision,
}

impl Ledger {
    pub(super) fn told(&mut self, revision: Revision) {
        self.told = self.told.max(revision);
    }

    /// A write was sent.
    pub(super) fn sent(&mut self, key: &str, state: &State) {
        let writes = self.writes.entry(key.to_owned()).or_default();
        writes.push((state.clone(), Outcome::Unknown));
    }

    /// A write was refused by its precondition: it has not happened.
    pub(super) fn refused(&mut self, key: &str, state: &State) {
        if let Some(writes) = self.writes.get_mut(key) {
            let at = writes.iter().rposition(|(other, _)| other == state);
            writes.remove(at.expect("it was sent"));
        }
    }

    /// A write was acknowledged, or seen by a watcher.
    pub(super) fn done(&mut self, key: &str, state: &State, revision: Revision, synced: bool) {
        self.told(revision);
        let writes = self.writes.get_mut(key).expect("it was sent");
        let done = Outcome::Done { revision, synced };
        if writes.iter().any(|(_, outcome)| *outcome == done) {
            return;
        }
        // Deletions look alike; any that is open will do.
        let open = |entry: &&mut (State, Outcome)| entry.0 == *state && entry.1 == Outcome::Unknown;
        let entry = writes.iter_mut().find(open).expect("it was sent");
        entry.1 = done;
    }

    /// Holds `store`, opened after a crash, against what was promised; then takes what it says
    /// for settled. `context` is printed with a failure.
    pub(super) async fn check(&mut self, store: &dyn Store, context: &str) {
        assert!(
            store.revision() >= self.told,
            "{context}: at revision {}, but {} was told",
            store.revision(),
            self.told
        );
        let all = store.range("", None, 0).await.unwrap();
        let found: HashMap<String, _> = all
            .items
            .iter()
            .map(|kv| (kv.key.to_string(), kv))
            .collect();
        for key in found.keys() {
            let known = self.settled.contains_key(key) || self.writes.contains_key(key);
            assert!(known, "{context}: {key} was never written");
        }
        let durable = self.durable();
        let keys: Vec<String> = self
            .settled
            .keys()
            .chain(self.writes.keys())
            .cloned()
            .collect();
        for key in keys {
            let kv = found.get(&key);
            let state = kv.map(|kv| String::from_utf8(kv.value.to_vec()).unwrap());
            let possible = self.possible(&key, durable);
            assert!(
                possible.contains(&state),
                "{context}: {key} holds {state:?}, and could hold only {possible:?} after \
                 {:?}; all up to revision {durable} was durable",
                self.writes.get(&key)
            );
            if let Some(kv) = kv {
                assert!(kv.create_revision <= kv.mod_revision, "{context}: {key}");
                assert!(kv.mod_revision <= store.revision(), "{context}: {key}");
            }
            self.settled.insert(key, state);
        }
        self.writes.clear();
        self.told(store.revision());
    }

    /// All changes up to here must have survived: relaxed ones too, if a synced one came after.
    fn durable(&self) -> Revision {
        let synced = |(_, outcome): &(State, Outcome)| match outcome {
            Outcome::Done {
                revision,
                synced: true,
            } => Some(*revision),
            _ => None,
        };
        self.writes
            .values()
            .flatten()
            .filter_map(synced)
            .max()
            .unwrap_or(0)
    }

    /// What a key may hold: the last that was durable, and all that came or may have come later.
    fn possible(&self, key: &str, durable: Revision) -> Vec<State> {
        let none = Vec::new();
        let writes = self.writes.get(key).unwrap_or(&none);
        let mut last = (0, self.settled.get(key).cloned().flatten());
        let mut later = Vec::new();
        for (state, outcome) in writes {
            match outcome {
                Outcome::Done { revision, .. } if *revision <= durable => {
                    if *revision > last.0 {
                        last = (*revision, state.clone());
                    }
                }
                _ => later.push(state.clone()),
            }
        }
        later.push(last.1);
        later
    }
}
