//! Who pays and who is counted: the pod (or the node itself) at one end of a connection. Holds
//! the register of open connections, so that closing a pod resets them all.

use super::budget::{BufferBudget, Counters};
use super::error::NetError;
use super::tcp::{Link, Side};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

pub(super) struct Account {
    pub(super) budget: Arc<BufferBudget>,
    pub(super) counters: Counters,
    open: Mutex<Register>,
    max_connections: usize,
}

#[derive(Default)]
struct Register {
    next: u64,
    links: HashMap<u64, (Weak<Link>, Side)>,
    closed: bool,
}

impl Account {
    pub(super) fn new(budget: Arc<BufferBudget>, max_connections: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            counters: Counters::default(),
            open: Mutex::default(),
            max_connections,
        })
    }

    /// Enters one end of a connection; the number is for [`Account::leave`].
    pub(super) fn enter(&self, link: &Arc<Link>, side: Side) -> Result<u64, NetError> {
        let mut open = self.open.lock();
        if open.closed {
            return Err(NetError::Closed);
        }
        if open.links.len() >= self.max_connections {
            return Err(NetError::TooMany {
                what: "connections",
                limit: self.max_connections,
            });
        }
        open.next += 1;
        let number = open.next;
        open.links.insert(number, (Arc::downgrade(link), side));
        Ok(number)
    }

    pub(super) fn leave(&self, number: u64) {
        self.open.lock().links.remove(&number);
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.lock().links.len()
    }

    /// Resets every connection and lets no more be entered.
    pub(super) fn close(&self) {
        let links: Vec<_> = {
            let mut open = self.open.lock();
            open.closed = true;
            open.links.values().cloned().collect()
        };
        for (link, _) in links {
            if let Some(link) = link.upgrade() {
                link.destroy();
            }
        }
    }
}
