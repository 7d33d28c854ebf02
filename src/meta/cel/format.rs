//! The named formats of Kubernetes' CEL library and how a text is checked against each.
//! Must not know expressions.

use super::functions::bytes_of_base64;
use super::instant::Instant;
use super::url::Url;
use crate::meta::names;

/// A format.
#[derive(Debug)]
pub struct Format {
    /// Its name, by which formats are equal.
    pub name: &'static str,
    /// Its errors for a text; none if it fits.
    pub check: fn(&str) -> Vec<String>,
    /// Length of the pattern that checking is said to cost.
    pub regex_size: u64,
}

const FORMATS: &[(&str, Format)] = &[
    (
        "dns1123Label",
        format("DNS1123Label", names::dns1123_label, 30),
    ),
    (
        "dns1123Subdomain",
        format("DNS1123Subdomain", names::dns1123_subdomain, 60),
    ),
    (
        "dns1035Label",
        format("DNS1035Label", names::dns1035_label, 30),
    ),
    (
        "qualifiedName",
        format("QualifiedName", names::qualified_name, 60),
    ),
    (
        "dns1123LabelPrefix",
        format(
            "DNS1123LabelPrefix",
            |s| names::dns1123_label(&prefix(s)),
            30,
        ),
    ),
    (
        "dns1123SubdomainPrefix",
        format(
            "DNS1123SubdomainPrefix",
            |s| names::dns1123_subdomain(&prefix(s)),
            60,
        ),
    ),
    (
        "dns1035LabelPrefix",
        format(
            "DNS1035LabelPrefix",
            |s| names::dns1035_label(&prefix(s)),
            30,
        ),
    ),
    ("labelValue", format("LabelValue", names::label_value, 40)),
    (
        "uri",
        format(
            "URI",
            |s| Url::parse_request(s).err().into_iter().collect(),
            1103,
        ),
    ),
    (
        "uuid",
        format(
            "uuid",
            |s| only_if(is_uuid(s), "does not match the UUID format"),
            70,
        ),
    ),
    (
        "byte",
        format("byte", |s| only_if(is_base64(s), "invalid base64"), 84),
    ),
    (
        "date",
        format("date", |s| only_if(is_date(s), "invalid date"), 71),
    ),
    (
        "datetime",
        format(
            "datetime",
            |s| only_if(is_datetime(s), "invalid datetime"),
            71,
        ),
    ),
];

const fn format(name: &'static str, check: fn(&str) -> Vec<String>, regex_size: u64) -> Format {
    Format {
        name,
        check,
        regex_size,
    }
}

/// A format by name.
pub(super) fn named(name: &str) -> Option<&'static Format> {
    FORMATS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, format)| format)
}

fn only_if(fits: bool, error: &str) -> Vec<String> {
    if fits {
        Vec::new()
    } else {
        vec![error.to_owned()]
    }
}

/// A prefix of a name may end in a dash.
fn prefix(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => name.to_owned(),
    }
}

fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (at, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((digits, after)) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && bytes_of_base64(text).is_some()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_datetime(text: &str) -> bool {
    Instant::parse(&text.to_ascii_uppercase()).is_some()
}
