//! The port table of a stack: which address and port is whose, by a kernel's rules of binding.
//! Two bindings of one port clash when their addresses are of one family and equal, or one of
//! them is the wildcard. The IPv6 wildcard is IPv6 only, as wasi:sockets has it.

use super::error::NetError;
use super::limits::EPHEMERAL_PORTS;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

/// `T` is what a port leads to: a listener or a datagram socket.
pub(super) struct PortTable<T> {
    state: Mutex<State<T>>,
    /// Ports that may be held, and how many of them may lead somewhere.
    max_ports: usize,
    max_users: usize,
    /// What the users are called in an error.
    users: &'static str,
}

struct State<T> {
    ports: HashMap<u16, Vec<Entry<T>>>,
    held: usize,
    used: usize,
    next: u16,
    /// Nothing more may be held.
    closed: bool,
    /// Nothing more may lead anywhere.
    drained: bool,
}

struct Entry<T> {
    ip: IpAddr,
    user: Option<Weak<T>>,
}

/// A held port; dropping it frees the port.
pub(super) struct PortLease<T> {
    table: Arc<PortTable<T>>,
    address: SocketAddr,
}

fn clash(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
}

impl<T> PortTable<T> {
    pub(super) fn new(max_ports: usize, max_users: usize, users: &'static str) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                ports: HashMap::new(),
                held: 0,
                used: 0,
                next: *EPHEMERAL_PORTS.start(),
                closed: false,
                drained: false,
            }),
            max_ports,
            max_users,
            users,
        })
    }

    /// Holds `address`; port 0 takes a free one of the ephemeral range. The caller has checked
    /// that the address is one of the stack.
    pub(super) fn hold(self: &Arc<Self>, address: SocketAddr) -> Result<PortLease<T>, NetError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(NetError::Closed);
        }
        if state.held >= self.max_ports {
            return Err(NetError::TooMany {
                what: "sockets",
                limit: self.max_ports,
            });
        }
        let ip = address.ip();
        let port = match address.port() {
            0 => state.ephemeral(ip).ok_or(NetError::PortsExhausted(ip))?,
            port if state.is_free(ip, port) => port,
            _ => return Err(NetError::InUse(address)),
        };
        state.held += 1;
        let entry = Entry { ip, user: None };
        state.ports.entry(port).or_default().push(entry);
        Ok(PortLease {
            table: self.clone(),
            address: SocketAddr::new(ip, port),
        })
    }

    /// Whom a packet to `to` reaches: who bound that very address, else who bound the wildcard.
    pub(super) fn find(&self, to: SocketAddr) -> Option<Arc<T>> {
        let state = self.state.lock();
        let entries = state.ports.get(&to.port())?;
        let exact = entries.iter().find(|entry| entry.ip == to.ip());
        let wild = || {
            entries
                .iter()
                .find(|entry| entry.ip.is_unspecified() && entry.ip.is_ipv4() == to.is_ipv4())
        };
        exact.or_else(wild)?.user.as_ref()?.upgrade()
    }

    /// Lets nothing be held any more and returns what there was, to be closed.
    pub(super) fn close(&self) -> Vec<Arc<T>> {
        self.state.lock().closed = true;
        self.drain()
    }

    /// Lets no port lead anywhere any more and returns what did, to be closed. Ports can still be
    /// held, as sources.
    pub(super) fn drain(&self) -> Vec<Arc<T>> {
        let mut state = self.state.lock();
        state.drained = true;
        state
            .ports
            .values()
            .flatten()
            .filter_map(|entry| entry.user.as_ref()?.upgrade())
            .collect()
    }

    /// How many ports lead somewhere.
    pub(super) fn users(&self) -> usize {
        self.state.lock().used
    }
}

impl<T> State<T> {
    fn is_free(&self, ip: IpAddr, port: u16) -> bool {
        !self
            .ports
            .get(&port)
            .is_some_and(|entries| entries.iter().any(|entry| clash(entry.ip, ip)))
    }

    fn ephemeral(&mut self, ip: IpAddr) -> Option<u16> {
        for _ in EPHEMERAL_PORTS {
            let port = self.next;
            self.next = if port >= *EPHEMERAL_PORTS.end() {
                *EPHEMERAL_PORTS.start()
            } else {
                port + 1
            };
            if self.is_free(ip, port) {
                return Some(port);
            }
        }
        None
    }
}

impl<T> PortLease<T> {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the port lead to `user`.
    pub(super) fn lead_to(&self, user: &Weak<T>) -> Result<(), NetError> {
        let mut state = self.table.state.lock();
        if state.drained {
            return Err(NetError::Closed);
        }
        if state.used >= self.table.max_users {
            return Err(NetError::TooMany {
                what: self.table.users,
                limit: self.table.max_users,
            });
        }
        let entries = state.ports.get_mut(&self.address.port());
        let entry = entries.and_then(|entries| {
            entries
                .iter_mut()
                .find(|entry| entry.ip == self.address.ip())
        });
        if let Some(entry) = entry
            && entry.user.replace(user.clone()).is_none()
        {
            state.used += 1;
        }
        Ok(())
    }
}

impl<T> Drop for PortLease<T> {
    fn drop(&mut self) {
        let mut guard = self.table.state.lock();
        let state = &mut *guard;
        let port = self.address.port();
        let Some(entries) = state.ports.get_mut(&port) else {
            return;
        };
        if let Some(at) = entries.iter().position(|e| e.ip == self.address.ip()) {
            let entry = entries.swap_remove(at);
            state.held -= 1;
            if entry.user.is_some() {
                state.used -= 1;
            }
        }
        if entries.is_empty() {
            state.ports.remove(&port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Arc<PortTable<()>> {
        PortTable::new(100, 2, "listeners")
    }

    #[test]
    fn wildcard_and_specific_clash_only_within_a_family() {
        let table = table();
        let _wild = table.hold("0.0.0.0:80".parse().unwrap()).unwrap();
        for taken in ["0.0.0.0:80", "127.0.0.1:80", "10.0.0.1:80"] {
            let taken = taken.parse().unwrap();
            assert_eq!(table.hold(taken).err(), Some(NetError::InUse(taken)));
        }
        let _six = table.hold("[::]:80".parse().unwrap()).unwrap();
        assert!(table.hold("[::1]:80".parse().unwrap()).is_err());
    }

    #[test]
    fn a_dropped_lease_frees_the_port_and_ephemerals_differ() {
        let table = table();
        let any = "10.0.0.1:0".parse().unwrap();
        let one = table.hold(any).unwrap();
        let two = table.hold(any).unwrap();
        assert_ne!(one.address(), two.address());
        let address = one.address();
        drop(one);
        assert_eq!(table.hold(address).unwrap().address(), address);
    }

    #[test]
    fn the_range_of_ephemeral_ports_ends() {
        let table = PortTable::<()>::new(100_000, 1, "listeners");
        let any: SocketAddr = "10.0.0.1:0".parse().unwrap();
        let leases: Vec<_> = EPHEMERAL_PORTS.map(|_| table.hold(any).unwrap()).collect();
        assert_eq!(leases.len(), 28_232);
        assert_eq!(
            table.hold(any).err(),
            Some(NetError::PortsExhausted(any.ip()))
        );
        // Another address has a range of its own.
        assert!(table.hold("10.0.0.2:0".parse().unwrap()).is_ok());
    }
}
