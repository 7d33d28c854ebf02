//! Addresses and networks. Must not know which of them are free.
//! Kubernetes: apimachinery `util/validation` ip, `pkg/apis/core/validation` ValidateEndpointIP.

use super::at::{At, Errors};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address as it was given.
    pub address: IpAddr,
    /// How many bits name the network.
    pub bits: u8,
}

impl Cidr {
    /// `10.0.0.0/8`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits: u8 = plain.then(|| bits.parse().ok())??;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    /// The first address of the network.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits));
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0)))
            }
        }
    }

    /// Whether `address` is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let other = Self { address, ..*self };
        address.is_ipv4() == self.address.is_ipv4() && other.network() == self.network()
    }
}

/// Checks an address of either family.
pub fn any(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().parse::<IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.invalid_as(at, at.str(), detail);
    }
}

/// What is wrong with an address that must stand in its shortest form.
pub fn canonical(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Err(_) => {
            vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
        }
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".to_owned()]
        }
        Ok(ip) if ip.to_string() != text => {
            vec![format!("must be in canonical form (\"{ip}\")")]
        }
        Ok(_) => Vec::new(),
    }
}

/// Checks a network; its address may be any in it.
pub fn cidr(at: &At<'_, '_>, errors: &mut Errors) -> Option<Cidr> {
    cidr_in(at, at.str(), errors)
}

/// Checks a network that is a part of what stands at `at`.
pub fn cidr_in(at: &At<'_, '_>, text: &str, errors: &mut Errors) -> Option<Cidr> {
    let found = Cidr::parse(text);
    if found.is_none() {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.invalid_as(at, text, detail);
    }
    found
}

/// Checks a network that must stand in its shortest form, with its first address.
pub fn canonical_cidr(at: &At<'_, '_>, errors: &mut Errors) -> Option<Cidr> {
    let found = cidr(at, errors)?;
    if found.network() != found.address {
        errors.invalid(at, "must not have bits set beyond the prefix length");
    } else if format!("{}/{}", found.address, found.bits) != at.str() {
        let detail = format!(
            "must be in canonical form (\"{}/{}\")",
            found.address, found.bits
        );
        errors.invalid(at, detail);
    }
    Some(found)
}

/// Checks an address that clients are to be led to: none of the host itself or of its link.
pub fn endpoint(at: &At<'_, '_>, errors: &mut Errors) {
    let Ok(ip) = at.str().parse::<IpAddr>() else {
        errors.invalid_as(at, at.str(), "must be a valid IP address");
        return;
    };
    if ip.is_unspecified() {
        errors.invalid(at, format!("may not be unspecified ({})", at.str()));
    }
    if ip.is_loopback() {
        let detail = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
        errors.invalid(at, detail);
    }
    let (link, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(ip) => {
            let first = ip.segments().first().copied().unwrap_or_default();
            (first & 0xffc0 == 0xfe80, first & 0xff0f == 0xff02)
        }
    };
    if link {
        let detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        errors.invalid(at, detail);
    }
    if multicast {
        let detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        errors.invalid(at, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_their_addresses() {
        let net = Cidr::parse("10.1.2.3/16").unwrap();
        assert_eq!(net.network().to_string(), "10.1.0.0");
        assert!(net.contains("10.1.255.1".parse().unwrap()));
        assert!(!net.contains("10.2.0.1".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        let all = Cidr::parse("::/0").unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "x/8", "::/129"] {
            assert_eq!(Cidr::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn canonical_addresses() {
        assert!(canonical("10.0.0.1").is_empty());
        assert_eq!(
            canonical("2001:DB8::1"),
            ["must be in canonical form (\"2001:db8::1\")"]
        );
        assert_eq!(canonical("::ffff:1.2.3.4").len(), 1);
    }
}
