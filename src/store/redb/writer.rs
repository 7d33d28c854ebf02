//! The one thread that decides, commits and publishes. Each round it takes what is queued,
//! decides each write against the index and what this round has decided before, writes all of it
//! in one synced transaction, then shows it to readers and watchers, then answers.
//!
//! A round of relaxed writes alone is shown and answered without a commit. Their keys stay
//! `dirty` until the next synced commit, whoever causes it, so nothing durable ever rests on a
//! relaxed write that is not. If none comes before the deadline, they go to the log, and if that
//! is full, to a commit of their own. Must not know redb.

use super::disk::{Dirty, Disk, Record};
use super::queue::{Next, Queue, Request};
use super::relaxed_log::RelaxedLog;
use crate::store::index::Index;
use crate::store::plan::plan;
use crate::store::view::View;
use crate::store::{Committed, Durability, Event, KeyValue, Revision, StoreError, StoreOptions};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// What the thread shares with the store's handles.
pub(super) struct Shared {
    pub(super) view: Arc<View>,
    pub(super) queue: Queue,
    /// Why nothing is written any more.
    pub(super) read_only: RwLock<Option<String>>,
    /// Becomes true when the thread has ended and the file is let go.
    pub(super) ended: watch::Sender<bool>,
    pub(super) counts: Counts,
}

/// What the thread has done.
#[derive(Default)]
pub(super) struct Counts {
    /// Writes that were shown to readers.
    pub(super) writes: AtomicU64,
    /// Transactions of the database, and entries of the log.
    pub(super) commits: AtomicU64,
}

impl Shared {
    /// The thread has ended, in order or by a panic: nothing is left to wait for.
    pub(super) fn end(&self, in_order: bool) {
        if !in_order {
            let why = "the thread that writes has failed".to_owned();
            self.read_only.write().get_or_insert(why);
        }
        self.queue.close();
        while let Next::Batch(left) = self.queue.take(None) {
            // Dropping a request answers it with `Closed`.
            drop(left);
        }
        self.view.close(&mut self.view.lock());
        self.ended.send_replace(true);
    }
}

/// See the file's header.
pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Disk,
    log: RelaxedLog,
    /// Keys that were written after the last commit of the database.
    dirty: Dirty,
    /// Those of them that are not in the log either.
    unlogged: Dirty,
    /// When these must be on disk.
    deadline: Option<Instant>,
    relaxed_delay: Duration,
    revision_step: u64,
}

type Answer = oneshot::Sender<Result<Committed, StoreError>>;
type Answers = Vec<(Answer, Result<Committed, StoreError>)>;

/// What a round has decided and not yet shown.
#[derive(Default)]
struct Round {
    events: Vec<Event>,
    /// What the keys of `events` hold after them.
    overlay: HashMap<Arc<str>, Option<KeyValue>>,
    answers: Answers,
    synced: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Disk,
        log: RelaxedLog,
        options: &StoreOptions,
    ) -> Self {
        Self {
            shared,
            disk,
            log,
            dirty: Dirty::new(),
            unlogged: Dirty::new(),
            deadline: None,
            relaxed_delay: options.relaxed_delay_max,
            revision_step: options.revision_step.max(1),
        }
    }

    /// Runs until the queue is closed and empty, then leaves the file in order and lets it go.
    pub(super) fn run(mut self) {
        loop {
            match self.shared.queue.take(self.deadline) {
                Next::Batch(batch) => self.round(batch),
                Next::Deadline => self.flush_relaxed(),
                Next::Closed => break,
            }
        }
        let revision = self.shared.view.read(Index::revision);
        if !self.dirty.is_empty() || self.disk.mark() != revision {
            // A store that was closed in order goes on where it stopped. A failure has been
            // logged, and is what `read_only` says from now on.
            let _ = self.commit(&HashMap::new(), Some(revision));
        }
    }

    fn round(&mut self, batch: Vec<Request>) {
        if let Some(why) = self.shared.read_only.read().clone() {
            for request in batch {
                let _ = request.answer.send(Err(StoreError::ReadOnly(why.clone())));
            }
            return;
        }
        let round = self.decide(batch);
        if round.events.is_empty() {
            return answer(round.answers);
        }
        let last = round.events.last().map_or(0, |event| event.revision);
        for event in &round.events {
            self.dirty.insert(event.key.clone());
            self.unlogged.insert(event.key.clone());
        }
        if round.synced || last > self.disk.mark() {
            // The mark is moved along well before relaxed writes would need it.
            let near = last + self.revision_step / 2 >= self.disk.mark();
            let mark = near.then_some(last + self.revision_step);
            if let Err(why) = self.commit(&round.overlay, mark) {
                let answers = round.answers.into_iter();
                return answer(
                    answers
                        .map(|(to, _)| (to, Err(StoreError::ReadOnly(why.clone()))))
                        .collect(),
                );
            }
        } else {
            let deadline = || Instant::now() + self.relaxed_delay;
            self.deadline = Some(self.deadline.unwrap_or_else(deadline));
        }
        let writes = round.events.len() as u64;
        self.shared.counts.writes.fetch_add(writes, Relaxed);
        let view = &self.shared.view;
        view.publish(&mut view.lock(), round.events);
        answer(round.answers);
    }

    /// Decides each write in order. All answers wait for the commit, the refusals too: a refusal
    /// may rest on a write of the same round.
    fn decide(&self, batch: Vec<Request>) -> Round {
        let mut round = Round::default();
        self.shared.view.read(|index| {
            let mut revision = index.revision();
            for Request { write, answer } in batch {
                let present = match round.overlay.get(&write.key) {
                    Some(present) => present.as_ref(),
                    None => index.get(&write.key),
                };
                let outcome = plan(&write, present, revision + 1).map(|event| {
                    revision = event.revision;
                    let committed = Committed {
                        revision,
                        previous: event.previous.clone(),
                    };
                    let current = event.current.clone();
                    round.overlay.insert(event.key.clone(), current);
                    round.synced |= write.durability == Durability::Synced;
                    round.events.push(event);
                    committed
                });
                round.answers.push((answer, outcome));
            }
        });
        round
    }

    /// Writes all dirty keys as they are after `overlay`.
    fn commit(
        &mut self,
        overlay: &HashMap<Arc<str>, Option<KeyValue>>,
        mark: Option<Revision>,
    ) -> Result<(), String> {
        if let Some(why) = self.shared.read_only.read().clone() {
            return Err(why);
        }
        let index = self.shared.view.snapshot();
        let changes = self.dirty.iter().map(|key| {
            let present = match overlay.get(key) {
                Some(present) => present.as_ref(),
                None => index.get(key),
            };
            (&**key, present)
        });
        let logged = self.log.last();
        let record = Record {
            mark,
            relaxed_until: (logged > 0).then_some(logged),
        };
        self.disk
            .commit(changes, record)
            .map_err(|why| self.fail(why))?;
        self.shared.counts.commits.fetch_add(1, Relaxed);
        self.log.reset();
        self.dirty.clear();
        self.unlogged.clear();
        self.deadline = None;
        Ok(())
    }

    /// Brings to disk what relaxed writes have left.
    fn flush_relaxed(&mut self) {
        self.deadline = None;
        if self.shared.read_only.read().is_some() {
            return;
        }
        let index = self.shared.view.snapshot();
        let changes = self.unlogged.iter().map(|key| (&**key, index.get(key)));
        match self.log.append(changes, index.revision()) {
            Ok(true) => {
                self.shared.counts.commits.fetch_add(1, Relaxed);
                self.unlogged.clear();
            }
            Ok(false) => {
                // See `run`: a failure is not lost.
                let _ = self.commit(&HashMap::new(), None);
            }
            Err(error) => {
                self.fail(error.to_string());
            }
        }
    }

    /// After a failure nothing is ever written again: what the files hold is not known before
    /// they are read anew.
    fn fail(&self, why: String) -> String {
        tracing::error!(error = %why, "a write to disk failed; the store is read-only");
        *self.shared.read_only.write() = Some(why.clone());
        why
    }
}

fn answer(answers: Answers) {
    for (to, outcome) in answers {
        // Whoever asked may have gone.
        let _ = to.send(outcome);
    }
}
