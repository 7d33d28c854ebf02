//! Kubernetes' libraries of IP addresses and networks.

use std::net::IpAddr;

use super::{Function, Machine, unfit};
use crate::meta::cel::value::{Failure, Outcome, Value};
use crate::meta::go_json::quoted;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "ip" => ip,
        "isIP" => |_, args| text(args, |s| Ok(Value::Bool(parse_ip(s).is_ok()))),
        "ip.isCanonical" => {
            |_, args| text(args, |s| Ok(Value::Bool(parse_ip(s)?.to_string() == *s)))
        }
        "family" => |_, args| about(args, |ip| Value::Int(if ip.is_ipv4() { 4 } else { 6 })),
        "isUnspecified" => |_, args| about(args, |ip| Value::Bool(ip.is_unspecified())),
        "isLoopback" => |_, args| about(args, |ip| Value::Bool(ip.is_loopback())),
        "isLinkLocalMulticast" => |_, args| about(args, |ip| Value::Bool(local_multicast(ip))),
        "isLinkLocalUnicast" => |_, args| about(args, |ip| Value::Bool(local_unicast(ip))),
        "isGlobalUnicast" => |_, args| about(args, |ip| Value::Bool(global_unicast(ip))),
        "cidr" => |_, args| text(args, cidr),
        "isCIDR" => |_, args| text(args, |s| Ok(Value::Bool(parse_cidr(s).is_ok()))),
        "containsIP" => contains_ip,
        "containsCIDR" => contains_cidr,
        "prefixLength" => |_, args| match args {
            [Value::Cidr(_, bits)] => Ok(Value::Int(i64::from(*bits))),
            _ => unfit(),
        },
        "masked" => |_, args| match args {
            [Value::Cidr(ip, bits)] => Ok(Value::Cidr(masked(*ip, *bits), *bits)),
            _ => unfit(),
        },
        _ => return None,
    })
}

fn text(args: &[Value], run: impl Fn(&str) -> Outcome) -> Outcome {
    match args {
        [Value::String(s)] => run(s),
        _ => unfit(),
    }
}

fn about(args: &[Value], run: impl Fn(IpAddr) -> Value) -> Outcome {
    match args {
        [Value::Ip(ip)] => Ok(run(*ip)),
        _ => unfit(),
    }
}

pub(super) fn ip(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::String(s)] => parse_ip(s).map(Value::Ip),
        [Value::Cidr(ip, _)] => Ok(Value::Ip(*ip)),
        _ => unfit(),
    }
}

/// An address without zone, not one of version 4 dressed as version 6.
fn parse_ip(text: &str) -> Result<IpAddr, Failure> {
    if has_zone(text) {
        return Err(Failure::new(format!(
            "IP address {} with zone value is not allowed",
            quoted(text)
        )));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        Failure::new(format!(
            "IP Address {} parse error during conversion from string: {}",
            quoted(text),
            why_no_ip(text)
        ))
    })?;
    not_mapped(address, text)
}

/// Whether a text is an address of version 6 with a zone.
fn has_zone(text: &str) -> bool {
    text.split_once('%').is_some_and(|(address, zone)| {
        !zone.is_empty() && matches!(address.parse(), Ok(IpAddr::V6(_)))
    })
}

fn not_mapped(address: IpAddr, text: &str) -> Result<IpAddr, Failure> {
    match address {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => Err(Failure::new(format!(
            "IPv4-mapped IPv6 address {} is not allowed",
            quoted(text)
        ))),
        other => Ok(other),
    }
}

/// What Go says of a text that is no address.
fn why_no_ip(text: &str) -> String {
    let separator = text.find(['.', ':', '%']).and_then(|at| text.get(at..));
    match separator.and_then(|s| s.chars().next()) {
        Some('.') => {
            let parts: Vec<&str> = text.split('.').collect();
            let why = if text.chars().any(|c| !c.is_ascii_digit() && c != '.') {
                "unexpected character".to_owned()
            } else if parts
                .iter()
                .any(|p| p.parse::<u32>().is_ok_and(|n| n > 255))
            {
                "IPv4 field has value >255".to_owned()
            } else if parts.iter().any(|p| p.len() > 1 && p.starts_with('0')) {
                "IPv4 field has octet with leading zero".to_owned()
            } else if parts.len() > 4 {
                "IPv4 address too long".to_owned()
            } else if parts.iter().any(|p| p.is_empty()) {
                "IPv4 field must have at least one digit".to_owned()
            } else {
                "IPv4 address too short".to_owned()
            };
            if why == "unexpected character" {
                let at = text
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .unwrap_or(0);
                let rest = text.get(at..).unwrap_or_default();
                return format!(
                    "ParseAddr({}): unexpected character (at {})",
                    quoted(text),
                    quoted(rest)
                );
            }
            format!("ParseAddr({}): {why}", quoted(text))
        }
        Some(':') => {
            let (why, rest) = why_no_six(text);
            if rest.is_empty() {
                return format!("ParseAddr({}): {why}", quoted(text));
            }
            format!("ParseAddr({}): {why} (at {})", quoted(text), quoted(rest))
        }
        Some(_) => format!("ParseAddr({}): missing IPv6 address", quoted(text)),
        None => format!("ParseAddr({}): unable to parse IP", quoted(text)),
    }
}

/// What Go says of a text that is no address of version 6, and from where on it is not.
fn why_no_six(text: &str) -> (&'static str, &str) {
    let mut rest = text;
    let mut gap = false;
    if let Some(after) = rest.strip_prefix("::") {
        gap = true;
        rest = after;
    }
    for field in 0..8 {
        let end = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if digits.len() > 4 {
            return ("each group must have 4 or less digits", rest);
        }
        if digits.is_empty() {
            return (
                "each colon-separated field must have at least one digit",
                rest,
            );
        }
        if after.starts_with('.') {
            return (
                "embedded IPv4 address must replace the final 2 fields of the address",
                rest,
            );
        }
        if after.is_empty() {
            let short = field < 7 && !gap;
            return (
                if short {
                    "address string too short"
                } else {
                    "unexpected character"
                },
                "",
            );
        }
        let Some(next) = after.strip_prefix(':') else {
            return ("unexpected character, want colon", after);
        };
        if next.is_empty() {
            return ("colon must be followed by more characters", after);
        }
        rest = match next.strip_prefix(':') {
            Some(_) if gap => return ("multiple :: in address", next),
            Some(after_gap) => {
                gap = true;
                after_gap
            }
            None => next,
        };
    }
    ("trailing garbage after address", rest)
}

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), Failure> {
    let bad = |why: &str| {
        Failure::new(format!(
            "network address parse error during conversion from string: \
             netip.ParsePrefix({}): {why}",
            quoted(text)
        ))
    };
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| bad("no '/'"))?;
    if has_zone(address) {
        return Err(bad("IPv6 zones cannot be present in a prefix"));
    }
    let address: IpAddr = address.parse().map_err(|_| bad(&why_no_ip(address)))?;
    let digits =
        bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u8 = match bits.parse() {
        Ok(bits) if digits => bits,
        _ => return Err(bad(&format!("bad bits after slash: {}", quoted(bits)))),
    };
    if bits > if address.is_ipv4() { 32 } else { 128 } {
        return Err(bad("prefix length out of range"));
    }
    Ok((not_mapped(address, text)?, bits))
}

fn cidr(text: &str) -> Outcome {
    match parse_cidr(text) {
        Ok((ip, bits)) => Ok(Value::Cidr(ip, bits)),
        Err(why) => Err(said_twice(why)),
    }
}

/// Kubernetes says it twice.
fn said_twice(why: Failure) -> Failure {
    Failure::new(format!(
        "network address parse error during conversion from string: {why}"
    ))
}

/// The first address of a network.
fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32_u32.saturating_sub(bits))
                .unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128_u32.saturating_sub(bits))
                .unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn within(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    network.is_ipv4() == ip.is_ipv4() && masked(network, bits) == masked(ip, bits)
}

fn contains_ip(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (network, bits, ip) = match args {
        [Value::Cidr(network, bits), Value::Ip(ip)] => (network, bits, *ip),
        // Kubernetes does not say why.
        [Value::Cidr(network, bits), Value::String(s)] => {
            let ip = parse_ip(s).map_err(|_| Failure::no_overload())?;
            (network, bits, ip)
        }
        _ => return unfit(),
    };
    Ok(Value::Bool(within(*network, *bits, ip)))
}

fn contains_cidr(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (network, bits, (ip, inner)) = match args {
        [Value::Cidr(network, bits), Value::Cidr(ip, inner)] => (network, bits, (*ip, *inner)),
        [Value::Cidr(network, bits), Value::String(s)] => {
            (network, bits, parse_cidr(s).map_err(said_twice)?)
        }
        _ => return unfit(),
    };
    Ok(Value::Bool(*bits <= inner && within(*network, *bits, ip)))
}

fn local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => matches!(v4.octets(), [224, 0, 0, _]),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02),
    }
}

fn local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn global_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(broadcast
        || ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || local_unicast(ip))
}
