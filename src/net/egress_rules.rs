//! What `--egress` says: its rules, how they are written, and what each grants. Pure.

use super::address::Cidr;
use std::net::{IpAddr, SocketAddr};

/// What pods may reach outside the cluster: nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    rules: Vec<Rule>,
}

/// Why a text is no egress rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "egress rule {0:?} is none of: all; an address or a range, with or without a port (10.0.0.0/8, \
     1.2.3.4:443, [2001:db8::]/32, [2001:db8::1]:443); a name with a port (example.com:443); \
     localhost:PORT"
)]
pub struct EgressRuleError(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Everything but the host itself.
    All,
    Range(Cidr, Option<u16>),
    /// A name, in lower case, and its port.
    Name(String, u16),
    /// A port of the host's loopback, which pods reach at the node's address.
    Host(u16),
}

impl EgressPolicy {
    /// Reads the values of `--egress`; each may hold several rules with commas between.
    pub fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self, EgressRuleError> {
        let rules = values
            .iter()
            .flat_map(|value| value.as_ref().split(','))
            .map(|text| parse_rule(text.trim()).ok_or_else(|| EgressRuleError(text.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether a rule grants `to`, which is not of the host itself.
    pub(super) fn grants(&self, to: SocketAddr, has_name: impl Fn(&str) -> bool) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Range(range, port) => {
                range.contains(to.ip()) && port.is_none_or(|port| port == to.port())
            }
            Rule::Name(name, port) => *port == to.port() && has_name(name),
            Rule::Host(_) => false,
        })
    }

    /// Whether a rule names just `to`, address and port, so that it may be the host itself.
    pub(super) fn names(&self, to: SocketAddr) -> bool {
        self.rules.iter().any(|rule| {
            matches!(rule, Rule::Range(range, Some(port))
                if range.is_single() && range.contains(to.ip()) && *port == to.port())
        })
    }

    /// Whether `port` of the host's loopback is granted.
    pub(super) fn grants_host_port(&self, port: u16) -> bool {
        self.rules.contains(&Rule::Host(port))
    }

    /// Whether `port` of what `name` stands for is granted by that name.
    pub(super) fn grants_port_of(&self, name: &str, port: u16) -> bool {
        let is_it = |rule: &Rule| matches!(rule, Rule::Name(n, p) if n == name && *p == port);
        self.rules.iter().any(is_it)
    }

    /// Whether `name` may be looked up: if all is granted, or the name is.
    pub(super) fn grants_name(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Name(known, _) => known == name,
            Rule::Range(..) | Rule::Host(_) => false,
        })
    }
}

fn parse_rule(text: &str) -> Option<Rule> {
    if text == "all" {
        return Some(Rule::All);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let ip = IpAddr::V6(ip.parse().ok()?);
        let (prefix, port) = match rest.split_once(':') {
            Some((prefix, port)) => (prefix, Some(parse_port(port)?)),
            None => (rest, None),
        };
        let range = match prefix.strip_prefix('/') {
            Some(prefix) => Cidr::new(ip, prefix.parse().ok()?)?,
            None if prefix.is_empty() => Cidr::single(ip),
            None => return None,
        };
        return Some(range_rule(range, port));
    }
    if let Some(range) = parse_range(text) {
        return Some(range_rule(range, None));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = parse_port(port)?;
    if let Some(range) = parse_range(host) {
        // IPv6 with a port needs brackets: 2001:db8::1:443 could be either.
        return range
            .base()
            .is_ipv4()
            .then(|| range_rule(range, Some(port)));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if name == "localhost" {
        return Some(Rule::Host(port));
    }
    is_host_name(&name).then_some(Rule::Name(name, port))
}

/// A loopback address with a port is the host's, as `localhost` is: a pod's own needs no rule.
fn range_rule(range: Cidr, port: Option<u16>) -> Rule {
    match port {
        Some(port) if range.is_single() && range.base().is_loopback() => Rule::Host(port),
        _ => Rule::Range(range, port),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn parse_range(text: &str) -> Option<Cidr> {
    match text.parse() {
        Ok(ip) => Some(Cidr::single(ip)),
        Err(_) => text.parse().ok(),
    }
}

/// A DNS name that is no botched address: its last label is not a number.
pub(super) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_rule() {
        let range = |text: &str, port| Rule::Range(text.parse().unwrap(), port);
        for (text, rule) in [
            ("all", Rule::All),
            ("10.0.0.0/8", range("10.0.0.0/8", None)),
            ("10.0.0.0/8:53", range("10.0.0.0/8", Some(53))),
            ("1.2.3.4", range("1.2.3.4/32", None)),
            ("1.2.3.4:443", range("1.2.3.4/32", Some(443))),
            ("2001:db8::/32", range("2001:db8::/32", None)),
            ("[2001:db8::]/32", range("2001:db8::/32", None)),
            ("[2001:db8::]/32:53", range("2001:db8::/32", Some(53))),
            ("[2001:db8::1]:443", range("2001:db8::1/128", Some(443))),
            ("Example.COM:443", Rule::Name("example.com".into(), 443)),
            ("localhost:5432", Rule::Host(5432)),
            ("127.0.0.1:5432", Rule::Host(5432)),
            ("[::1]:5432", Rule::Host(5432)),
        ] {
            assert_eq!(
                EgressPolicy::parse(&[text]).unwrap().rules,
                [rule],
                "{text}"
            );
        }
        assert_eq!(
            EgressPolicy::parse(&["1.2.3.4, 5.6.7.8"])
                .unwrap()
                .rules
                .len(),
            2
        );
        for wrong in [
            "",
            "ALL ",
            "none",
            "example.com",
            "example.com:0",
            "example.com:70000",
            "1.2.3:80",
            "1.2.3.4/33",
            "[::1",
            "[1.2.3.4]:1",
            "[::]x",
            "a b:1",
            "-a:1",
            "*:80",
            "localhost",
        ] {
            assert!(EgressPolicy::parse(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
