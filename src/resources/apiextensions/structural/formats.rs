//! The formats of strings that Kubernetes checks. Must not know schemas.
//! Kubernetes: kube-openapi `validation/strfmt`, apiextensions-apiserver `validation/formats`.

use super::Type;
use crate::meta::names;
use crate::resources::validate::ip::Cidr;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

/// Formats of strings, without dashes.
const OF_STRINGS: &[&str] = &[
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];
/// Longest host name, and longest Kubernetes name (bytes).
const HOST_MAX: usize = 255;
const LABEL_MAX: usize = 63;

/// Whether values of a type are checked against a format; others are for readers alone.
pub(in crate::resources::apiextensions) fn is_checked(kind: Type, format: &str) -> bool {
    match kind {
        Type::Any | Type::String => OF_STRINGS.contains(&plain(format).as_str()),
        Type::Integer => matches!(format, "int32" | "int64"),
        Type::Number => matches!(format, "float" | "double"),
        _ => false,
    }
}

fn plain(format: &str) -> String {
    format.replace('-', "")
}

/// Whether a text has the format.
pub(super) fn has(format: &str, text: &str) -> bool {
    match plain(format).as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => is_request_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => Cidr::parse(text).is_some(),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None, false),
        "uuid3" => is_uuid(text, Some('3'), false),
        "uuid4" => is_uuid(text, Some('4'), true),
        "uuid5" => is_uuid(text, Some('5'), true),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}", text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        }
        "rgbcolor" => is_rgb(text),
        "byte" => !text.is_empty() && STANDARD.decode(text).is_ok(),
        "date" => is_date(text),
        "duration" => is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => names::dns1123_label(text).is_empty(),
        "k8slongname" => names::dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

/// Formats of text that Kubernetes knows, without dashes.
const KNOWN: &[&str] = &[
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Whether a format means something for values of a type.
pub(in crate::resources::apiextensions) fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => KNOWN.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// The whole text against an expression of this file.
fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}

/// An absolute address or a path from the root, as in the first line of a request.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let host = rest.strip_prefix("//").map(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    named && host.is_none_or(|host| !host.contains([' ', '<', '>', '"']))
}

/// `local@domain`, also behind a name and in angle brackets.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let is_atom = |b: char| b.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(b);
    let atoms = |text: &str| {
        text.split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || atoms(local)) && (literal || atoms(domain))
}

fn is_hostname(text: &str) -> bool {
    static NAME: OnceLock<Option<Regex>> = OnceLock::new();
    let name = NAME.get_or_init(|| {
        let one = r"[a-zA-Z0-9\p{S}\p{L}]";
        let single = format!(r"{one}(?:-?{one}{{0,62}})?");
        let label = format!(r"{one}(?:[-a-zA-Z0-9\p{{S}}\p{{L}}]{{0,61}}{one})?");
        let several = format!(r"(?:{label}\.)+[a-zA-Z\p{{L}}]{{2,63}}");
        Regex::new(&format!("^(?:{single}|{several})$")).ok()
    });
    name.as_ref().is_some_and(|name| name.is_match(text))
        && text.len() <= HOST_MAX
        && text.split('.').all(|label| label.len() <= LABEL_MAX)
}

/// 6, 8 or 20 bytes, in pairs of digits by colons or dashes, or in groups of four by dots.
fn is_mac(text: &str) -> bool {
    let groups = |by: char, digits: usize| {
        let parts: Vec<&str> = text.split(by).collect();
        let whole =
            |part: &&str| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit());
        let bytes = parts.len() * digits / 2;
        parts.iter().all(whole) && matches!(bytes, 6 | 8 | 20)
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

fn is_uuid(text: &str, version: Option<char>, variant: bool) -> bool {
    let mut digits = String::with_capacity(32);
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((head, tail)) = rest.split_at_checked(length) else {
            return false;
        };
        digits.push_str(head);
        rest = tail;
    }
    let at = |index: usize| digits.chars().nth(index);
    rest.is_empty()
        && digits.chars().all(|c| c.is_ascii_hexdigit())
        && (version.is_none() || at(12) == version)
        && (!variant || at(16).is_some_and(|c| "89abAB".contains(c)))
}

/// The digits of a number that is written with spaces and dashes.
fn digits(text: &str) -> Option<Vec<u32>> {
    let plain = text.chars().filter(|c| !matches!(c, ' ' | '-'));
    plain.map(|c| c.to_digit(10)).collect()
}

fn is_isbn10(text: &str) -> bool {
    let (body, check) = match text.strip_suffix(['X', 'x']) {
        Some(body) => (body, Some(10)),
        None => (text, None),
    };
    let Some(mut all) = digits(body) else {
        return false;
    };
    all.extend(check);
    let sum: u32 = (1..).zip(&all).map(|(place, digit)| place * digit).sum();
    all.len() == 10 && sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let Some(all) = digits(text) else {
        return false;
    };
    let weighed = [1, 3].into_iter().cycle().zip(&all);
    let sum: u32 = weighed.map(|(weight, digit)| weight * digit).sum();
    all.len() == 13 && sum.is_multiple_of(10)
}

/// A number of one of the known issuers with the right check digit.
fn is_credit_card(text: &str) -> bool {
    let all: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let number: String = all.iter().map(u32::to_string).collect();
    let issued = r"4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11}";
    let doubled = |(place, digit): (usize, &u32)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    let sum: u32 = all.iter().rev().enumerate().map(doubled).sum();
    matches(issued, &number) && sum.is_multiple_of(10)
}

fn is_rgb(text: &str) -> bool {
    let inside = text
        .strip_prefix("rgb(")
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(inside) = inside else { return false };
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let share = |part: &&str| {
        let plain = *part == "0" || !part.starts_with('0');
        plain && part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u8>().is_ok()
    };
    parts.len() == 3 && parts.iter().all(share)
}

fn is_date(text: &str) -> bool {
    let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    shaped && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some((date, clock)) = lower.split_once('t') else {
        return false;
    };
    let hours = clock
        .get(..8)
        .filter(|hours| matches(r"\d\d:\d\d:\d\d", hours));
    let Some(hours) = hours else { return false };
    let parts: Vec<&str> = hours.split(':').collect();
    let in_range = parts
        .iter()
        .zip(["23", "59", "59"])
        .all(|(own, max)| **own <= *max);
    let rest = clock.get(8..).unwrap_or_default();
    is_date(date) && in_range && matches(r"(?:.\d+)?(?:z|[+-]\d\d:\d\d)", rest)
}

/// As Go writes durations, or numbers with units in words (`2 days`).
fn is_duration(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "nano", "micro", "milli", "sec", "min", "hour", "day", "week",
    ];
    const SHORT: &[&str] = &["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"];
    const GO: &str = r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)";
    if matches(GO, text) {
        return true;
    }
    let Ok(pair) = Regex::new(r"\d+\s*([A-Za-zµ]+)") else {
        return false;
    };
    pair.captures_iter(text).any(|found| {
        let unit = found.get(1).map(|unit| unit.as_str().to_lowercase());
        let unit = unit.unwrap_or_default();
        SHORT.contains(&unit.as_str()) || WORDS.iter().any(|word| unit.starts_with(word))
    })
}
