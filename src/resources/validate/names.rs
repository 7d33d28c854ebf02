//! The forms of names: DNS labels and subdomains, label keys and values, port names.
//! Kubernetes: apimachinery `util/validation`; the messages are word for word.

/// Longest DNS-1123 label.
pub const LABEL_LENGTH_MAX: usize = 63;
/// Longest DNS-1123 subdomain.
pub const SUBDOMAIN_LENGTH_MAX: usize = 253;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with a name that must be a DNS subdomain; a `prefix` may end in `-` or `.`.
pub fn dns1123_subdomain(name: &str, prefix: bool) -> Vec<String> {
    let name = if prefix {
        name_of_prefix(name)
    } else {
        name.to_owned()
    };
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_LENGTH_MAX {
        errors.push(too_long(SUBDOMAIN_LENGTH_MAX));
    }
    if name.is_empty() || !name.split('.').all(is_label) {
        errors.push(SUBDOMAIN.to_owned());
    }
    errors
}

/// `must be no more than N characters`.
pub fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// A generateName is checked with its last dash covered, as the random part will.
fn name_of_prefix(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(head) => format!("{head}a"),
        None => prefix.to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}
