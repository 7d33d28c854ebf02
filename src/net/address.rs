//! Address ranges and who has which address of a node's range. Must not know what a pod is
//! beyond an id.

use super::error::NetError;
use super::limits::MAX_POD_ADDRESSES;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, `10.244.0.0/24` or `fd00:10:244::/64`. Bits beyond the prefix are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address range such as 10.244.0.0/24 or fd00:10:244::/64")]
pub struct CidrError(pub String);

fn bits_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn address(v4: bool, number: u128) -> IpAddr {
    if v4 {
        // The callers stay within a v4 range, which fits.
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

impl Cidr {
    /// The range of `prefix` bits around `ip`; `None` if the prefix is longer than the address.
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        let free = bits_of(ip).checked_sub(prefix)?;
        let base = number(ip)
            .checked_shr(u32::from(free))
            .and_then(|n| n.checked_shl(u32::from(free)))
            .unwrap_or(0);
        Some(Self {
            base: address(ip.is_ipv4(), base),
            prefix,
        })
    }

    /// The range of one address.
    pub fn single(ip: IpAddr) -> Self {
        Self {
            base: ip,
            prefix: bits_of(ip),
        }
    }

    /// Whether `ip` is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.base.is_ipv4()
            && Self::new(ip, self.prefix).is_some_and(|range| range.base == self.base)
    }

    /// The first address.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// The number of fixed bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is one address.
    pub fn is_single(&self) -> bool {
        self.prefix == bits_of(self.base)
    }

    /// The address `offset` after the first, if it is in the range.
    pub fn nth(&self, offset: u32) -> Option<IpAddr> {
        let ip = number(self.base).checked_add(u128::from(offset))?;
        if self.base.is_ipv4() && ip > u128::from(u32::MAX) {
            return None;
        }
        let ip = address(self.base.is_ipv4(), ip);
        self.contains(ip).then_some(ip)
    }

    /// How far `ip` is from the first address, if it is in the range and near enough.
    fn offset(&self, ip: IpAddr) -> Option<u32> {
        self.contains(ip)
            .then(|| u32::try_from(number(ip) - number(self.base)).ok())?
    }

    /// The `index`-th range of `prefix` bits within this one: the pod CIDRs of nodes.
    pub fn subnet(&self, prefix: u8, index: u32) -> Option<Self> {
        let more = prefix.checked_sub(self.prefix)?;
        let free = bits_of(self.base).checked_sub(prefix)?;
        if more < 32 && index >> more != 0 {
            return None;
        }
        let offset = u128::from(index).checked_shl(u32::from(free))?;
        let base = address(self.base.is_ipv4(), number(self.base) | offset);
        Self::new(base, prefix)
    }

    /// How many addresses pods can have: all but the network's, the node's and, with IPv4, the
    /// broadcast address.
    fn pod_addresses(&self) -> u32 {
        let free = u32::from(bits_of(self.base) - self.prefix);
        let all = 1u32.checked_shl(free).unwrap_or(u32::MAX);
        let kept = if self.base.is_ipv4() { 3 } else { 2 };
        all.saturating_sub(kept).min(MAX_POD_ADDRESSES)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (ip, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let ip = ip.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().map_err(|_| wrong())?;
        Self::new(ip, prefix).ok_or_else(wrong)
    }
}

/// The addresses of one node's pods. The first address of a range is the node's own. A released
/// address is given out again only when all others have been, so that a late packet to a pod that
/// is gone does not reach another.
#[derive(Debug)]
pub struct NodeIpam {
    v4: Cidr,
    v6: Option<Cidr>,
    state: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Offsets (the same in both families) and who has them.
    by_offset: HashMap<u32, String>,
    by_id: HashMap<String, u32>,
    next: u32,
}

/// The node's address is the first; pods' follow.
const NODE_OFFSET: u32 = 1;
const FIRST_POD_OFFSET: u32 = 2;

impl NodeIpam {
    /// The pod CIDRs of a node: `v4`, and `v6` if its pods have both.
    pub fn new(v4: Cidr, v6: Option<Cidr>) -> Self {
        Self {
            v4,
            v6,
            state: Mutex::default(),
        }
    }

    /// The ranges, for the node's `podCIDRs`.
    pub fn cidrs(&self) -> Vec<Cidr> {
        std::iter::once(self.v4).chain(self.v6).collect()
    }

    /// The node's own addresses: the first of each range.
    pub fn node_addresses(&self) -> Vec<IpAddr> {
        self.addresses(NODE_OFFSET)
    }

    fn addresses(&self, offset: u32) -> Vec<IpAddr> {
        self.cidrs()
            .iter()
            .filter_map(|cidr| cidr.nth(offset))
            .collect()
    }

    fn capacity(&self) -> u32 {
        self.cidrs()
            .iter()
            .map(Cidr::pod_addresses)
            .min()
            .unwrap_or(0)
    }

    /// The addresses of pod `id`, IPv4 first: new ones, or those that it has.
    pub fn allocate(&self, id: &str) -> Result<Vec<IpAddr>, NetError> {
        let mut taken = self.state.lock();
        if let Some(offset) = taken.by_id.get(id) {
            return Ok(self.addresses(*offset));
        }
        let capacity = self.capacity();
        for _ in 0..capacity {
            let offset = FIRST_POD_OFFSET + taken.next;
            taken.next = (taken.next + 1) % capacity;
            if !taken.by_offset.contains_key(&offset) {
                taken.give(offset, id);
                return Ok(self.addresses(offset));
            }
        }
        Err(NetError::OutOfAddresses(self.v4.to_string()))
    }

    /// Gives pod `id` the address `ip` that it had before a restart of the server, and the one of
    /// the other family that belongs to it.
    pub fn reserve(&self, id: &str, ip: IpAddr) -> Result<Vec<IpAddr>, NetError> {
        let offset = self
            .cidrs()
            .iter()
            .find_map(|cidr| cidr.offset(ip))
            .filter(|offset| {
                (FIRST_POD_OFFSET..FIRST_POD_OFFSET + self.capacity()).contains(offset)
            })
            .ok_or(NetError::AddressNotAvailable((ip, 0).into()))?;
        let mut taken = self.state.lock();
        match taken.by_offset.get(&offset) {
            Some(owner) if owner == id => {}
            Some(_) => return Err(NetError::AddressTaken(ip)),
            None => {
                taken.release(id);
                taken.give(offset, id);
            }
        }
        Ok(self.addresses(offset))
    }

    /// Takes back what pod `id` has.
    pub fn release(&self, id: &str) {
        self.state.lock().release(id);
    }
}

impl Taken {
    fn give(&mut self, offset: u32, id: &str) {
        self.by_offset.insert(offset, id.to_owned());
        self.by_id.insert(id.to_owned(), offset);
    }

    fn release(&mut self, id: &str) {
        if let Some(offset) = self.by_id.remove(id) {
            self.by_offset.remove(&offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn reads_ranges_and_refuses_the_rest() {
        assert_eq!(cidr("10.244.3.7/24").to_string(), "10.244.3.0/24");
        assert_eq!(cidr("fd00::1/64").to_string(), "fd00::/64");
        assert_eq!(cidr("0.0.0.0/0").to_string(), "0.0.0.0/0");
        assert!(cidr("::/0").contains("2001:db8::1".parse().unwrap()));
        assert!(!cidr("::/0").contains("10.0.0.1".parse().unwrap()));
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn subnets_are_the_nodes_ranges() {
        let cluster = cidr("10.244.0.0/16");
        assert_eq!(cluster.subnet(24, 3), Some(cidr("10.244.3.0/24")));
        assert_eq!(cluster.subnet(24, 256), None);
        let six = cidr("fd00:10:244::/56");
        assert_eq!(six.subnet(64, 2), Some(cidr("fd00:10:244:2::/64")));
    }

    #[test]
    fn addresses_are_kept_reserved_and_reused_last() {
        let ipam = NodeIpam::new(cidr("10.0.0.0/29"), Some(cidr("fd00::/64")));
        assert_eq!(ipam.node_addresses()[0].to_string(), "10.0.0.1");
        let first = ipam.allocate("a").unwrap();
        assert_eq!(first[0].to_string(), "10.0.0.2");
        assert_eq!(first[1].to_string(), "fd00::2");
        assert_eq!(ipam.allocate("a").unwrap(), first);
        let held = ipam.reserve("b", "10.0.0.3".parse().unwrap()).unwrap();
        assert_eq!(held[1].to_string(), "fd00::3");
        assert_eq!(
            ipam.reserve("c", "10.0.0.3".parse().unwrap()),
            Err(NetError::AddressTaken("10.0.0.3".parse().unwrap()))
        );
        for outside in ["10.0.0.1", "10.0.0.7", "10.0.0.0", "10.0.1.2"] {
            assert!(ipam.reserve("c", outside.parse().unwrap()).is_err());
        }
        ipam.release("a");
        let rest: Vec<String> = ["d", "e", "f", "g"]
            .iter()
            .map(|id| {
                ipam.allocate(id)
                    .map_or("full".into(), |ips| ips[0].to_string())
            })
            .collect();
        assert_eq!(rest, ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]);
        assert!(ipam.allocate("h").is_err());
    }
}
