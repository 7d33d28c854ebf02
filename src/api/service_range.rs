//! The addresses that Services get: one IPv4 network, chosen when a cluster is made. Must not know
//! which of them are in use.
//! Kubernetes: `pkg/registry/core/service/ipallocator/cidrallocator.go`,
//! `pkg/controlplane/services.go`.

use crate::api::registry::Registry;
use crate::store::StoreError;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The name of the ServiceCIDR that tells a cluster's own range.
pub(crate) const DEFAULT_CIDR: &str = "kubernetes";
/// Bits of an address that must be left, so that there are at least eight addresses.
const LEAST_HOST_BITS: u8 = 3;
/// The first addresses are a sixteenth of all, at least 16 and at most 256.
const LEFT: RangeInclusive<u32> = 16..=256;

/// A network whose addresses are given to Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    network: u32,
    prefix: u8,
}

impl Default for ServiceRange {
    fn default() -> Self {
        Self {
            network: Ipv4Addr::new(10, 96, 0, 0).to_bits(),
            prefix: 12,
        }
    }
}

impl FromStr for ServiceRange {
    type Err = String;

    /// Reads `10.0.0.0/24`; bits behind the prefix do not count, as kube-apiserver reads it.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR address: {text}");
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        if address.contains(':') {
            return Err(format!("{text}: Services have IPv4 addresses only"));
        }
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        let host_bits = 32_u8.checked_sub(prefix).ok_or_else(invalid)?;
        if host_bits < LEAST_HOST_BITS || prefix == 0 {
            return Err(format!(
                "{text}: the service cluster IP range must be at least 8 IP addresses, and not all"
            ));
        }
        let mask = u32::MAX << host_bits;
        Ok(Self {
            network: address.to_bits() & mask,
            prefix,
        })
    }
}

impl std::fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.network), self.prefix)
    }
}

impl ServiceRange {
    /// The addresses without the network's own and its broadcast address.
    pub(crate) fn addresses(&self) -> RangeInclusive<u32> {
        let last = self.network | u32::MAX.unbounded_shr(self.prefix.into());
        self.network + 1..=last - 1
    }

    /// How many of the first addresses are left to those who ask for one, while there are others;
    /// none where there are few.
    pub(crate) fn left(&self) -> u32 {
        let size = u32::MAX.unbounded_shr(self.prefix.into()).saturating_add(1);
        if size <= *LEFT.start() {
            return 0;
        }
        (size / LEFT.start()).clamp(*LEFT.start(), *LEFT.end())
    }

    /// The address of `default/kubernetes`, the API server itself.
    #[must_use]
    pub fn api_server(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + 1)
    }

    /// The range of the cluster that is kept in a store, or else the one asked for, or else Kubernetes'
    /// usual one. A cluster keeps the range that it was made with, since its Services have their
    /// addresses from there: asking for another is an error.
    pub(crate) fn of_cluster(
        registry: &Registry,
        asked: Option<&Self>,
    ) -> Result<Self, StoreError> {
        let scheme = registry.scheme();
        let def = scheme.resource("networking.k8s.io", "v1", "servicecidrs");
        let kept = match def.map(|def| registry.find(def, "", DEFAULT_CIDR)) {
            Some(Ok(found)) => found,
            Some(Err(error)) => return Err(StoreError::Data(error.message)),
            None => None,
        };
        let kept = kept.and_then(|(object, _)| {
            let cidrs = object.get(&["spec", "cidrs"])?.as_array()?;
            cidrs.first()?.as_str()?.parse::<Self>().ok()
        });
        match (kept, asked) {
            (Some(kept), Some(asked)) if kept != *asked => Err(StoreError::Data(format!(
                "the addresses of this cluster's services are {kept}: they cannot be {asked} now"
            ))),
            (Some(kept), _) => Ok(kept),
            (None, asked) => Ok(asked.cloned().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_told_and_counted() {
        for (text, told, first, last, left) in [
            (
                "10.96.0.0/12",
                "10.96.0.0/12",
                "10.96.0.1",
                "10.111.255.254",
                256,
            ),
            ("10.0.0.0/24", "10.0.0.0/24", "10.0.0.1", "10.0.0.254", 16),
            ("10.0.0.7/29", "10.0.0.0/29", "10.0.0.1", "10.0.0.6", 0),
            (
                "172.16.0.0/20",
                "172.16.0.0/20",
                "172.16.0.1",
                "172.16.15.254",
                256,
            ),
        ] {
            let range: ServiceRange = text.parse().unwrap();
            let addresses = range.addresses();
            assert_eq!(range.to_string(), told);
            assert_eq!(Ipv4Addr::from_bits(*addresses.start()).to_string(), first);
            assert_eq!(Ipv4Addr::from_bits(*addresses.end()).to_string(), last);
            assert_eq!(range.left(), left, "{text}");
        }
        assert_eq!(ServiceRange::default().to_string(), "10.96.0.0/12");
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/30",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "fd00::/108",
            "a/8",
        ] {
            let refused = wrong.parse::<ServiceRange>();
            assert!(refused.is_err(), "{wrong}: {refused:?}");
        }
    }
}
