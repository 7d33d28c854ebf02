//! Rules for names: DNS labels and subdomains, qualified names, label values, ports, generated
//! names. Every check answers with Kubernetes' sentences, none meaning "valid". Must not know
//! which field a name stands in: callers add the path.
//! Kubernetes: apimachinery `util/validation`, `api/validation/path`, apiserver `storage/names`.

/// Longest DNS-1123 label, label value, and name part of a qualified name (bytes).
pub const LABEL_MAX_BYTES: usize = 63;
/// Longest DNS-1123 subdomain (bytes).
pub const SUBDOMAIN_MAX_BYTES: usize = 253;
/// Longest `generateName` prefix that is kept (bytes): a DNS label less the random suffix.
pub const GENERATE_NAME_MAX_BYTES: usize = LABEL_MAX_BYTES - SUFFIX_CHARS;
/// Characters that are appended to a `generateName` prefix.
pub const SUFFIX_CHARS: usize = 5;

const PORT_NAME_MAX_BYTES: usize = 15;
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

const LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FMT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SEARCH_FMT: &str = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const DNS1035_FMT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE_FMT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
     characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
     alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const SEARCH_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '_', '-' or '.', and must start and end with an alphanumeric character";
const DNS1035_WORDS: &str = "a DNS-1035 label must consist of lower case alphanumeric characters \
     or '-', start with an alphabetic character, and end with an alphanumeric character";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must \
     start and end with an alphanumeric character";
const LABEL_VALUE_WORDS: &str = "a valid label must be an empty string or consist of alphanumeric \
     characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const WILDCARD_WORDS: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a \
     valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and \
     end with an alphanumeric character";
const HTTP_PATH_FMT: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
const CONFIG_KEY_WORDS: &str =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";

/// `must be no more than N bytes`: so it is said of the keys and values of labels.
fn max_bytes_error(bytes: usize) -> String {
    format!("must be no more than {bytes} bytes")
}

/// `must be no more than N characters`: so it is said of names, although bytes are counted.
fn max_len_error(bytes: usize) -> String {
    format!("must be no more than {bytes} characters")
}

/// `words (e.g. 'a',  or 'b', regex used for validation is 'fmt')`, double space and all.
fn regex_error(words: &str, fmt: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{fmt}')");
    }
    let list: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    let examples = list.join(" or ");
    format!("{words} (e.g. {examples}regex used for validation is '{fmt}')")
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn all_and_ends(text: &str, inner: fn(u8) -> bool, ends: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(a), Some(z)) if ends(*a) && ends(*z))
        && bytes.iter().all(|b| inner(*b))
}

fn is_label_shape(text: &str) -> bool {
    all_and_ends(text, |b| lower_alnum(b) || b == b'-', lower_alnum)
}

/// A label of a search path: underscores too, also as the first.
fn is_search_label(text: &str) -> bool {
    let rest = text.strip_prefix('_').unwrap_or(text);
    all_and_ends(
        rest,
        |b| lower_alnum(b) || matches!(b, b'-' | b'_'),
        lower_alnum,
    )
}

fn is_subdomain_shape(text: &str) -> bool {
    text.split('.').all(is_label_shape)
}

fn is_qualified_shape(text: &str) -> bool {
    all_and_ends(
        text,
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
        |b| b.is_ascii_alphanumeric(),
    )
}

/// What is wrong with `value` as a DNS-1123 label (names of namespaces, containers, ...).
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_BYTES {
        errors.push(max_len_error(LABEL_MAX_BYTES));
    }
    if !is_label_shape(value) {
        errors.push(if is_subdomain_shape(value) {
            "must not contain dots".to_owned()
        } else {
            regex_error(LABEL_WORDS, LABEL_FMT, &["my-name", "123-abc"])
        });
    }
    errors
}

/// What is wrong with `value` as a DNS-1123 subdomain (names of most objects).
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_len_error(SUBDOMAIN_MAX_BYTES));
    }
    if !is_subdomain_shape(value) {
        errors.push(regex_error(
            SUBDOMAIN_WORDS,
            SUBDOMAIN_FMT,
            &["example.com"],
        ));
    }
    errors
}

/// What is wrong with `value` as a subdomain whose first label is `*`.
pub fn wildcard_subdomain(value: &str) -> Vec<String> {
    if value.strip_prefix("*.").is_some_and(is_subdomain_shape) {
        return Vec::new();
    }
    let fmt = format!(r"\*\.{SUBDOMAIN_FMT}");
    vec![regex_error(WILDCARD_WORDS, &fmt, &["*.example.com"])]
}

/// What is wrong with `value` as what follows the domain in `example.com/some/path`.
pub fn domain_path(value: &str) -> Vec<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !value.is_empty() && value.bytes().all(fits) {
        return Vec::new();
    }
    vec![regex_error("Invalid path", HTTP_PATH_FMT, &[])]
}

/// What is wrong with `value` as a search path of DNS: a subdomain that may have underscores.
pub fn dns1123_subdomain_with_underscores(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_len_error(SUBDOMAIN_MAX_BYTES));
    }
    if !value.split('.').all(is_search_label) {
        errors.push(regex_error(SEARCH_WORDS, SEARCH_FMT, &["example.com"]));
    }
    errors
}

/// What is wrong with `value` as a DNS-1035 label (names of Services).
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_BYTES {
        errors.push(max_len_error(LABEL_MAX_BYTES));
    }
    let starts = value.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !starts || !is_label_shape(value) {
        errors.push(regex_error(
            DNS1035_WORDS,
            DNS1035_FMT,
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// What is wrong with `value` as a qualified name (label and annotation keys, resource names).
pub fn qualified_name(value: &str) -> Vec<String> {
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, rest)) if rest.contains('/') => {
            let words = regex_error(QUALIFIED_WORDS, QUALIFIED_FMT, &EXAMPLES);
            errors.push(format!(
                "a valid label key {words} with an optional DNS subdomain prefix and '/' \
                 (e.g. 'example.com/MyName')"
            ));
            return errors;
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let wrong = dns1123_subdomain(prefix);
            errors.extend(wrong.into_iter().map(|e| format!("prefix part {e}")));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX_BYTES {
        errors.push(format!("name part {}", max_bytes_error(LABEL_MAX_BYTES)));
    }
    if !is_qualified_shape(name) {
        let words = regex_error(QUALIFIED_WORDS, QUALIFIED_FMT, &EXAMPLES);
        errors.push(format!("name part {words}"));
    }
    errors
}

/// What is wrong with `value` as the value of a label.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_BYTES {
        errors.push(max_bytes_error(LABEL_MAX_BYTES));
    }
    if !value.is_empty() && !is_qualified_shape(value) {
        errors.push(regex_error(
            LABEL_VALUE_WORDS,
            LABEL_VALUE_FMT,
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// What is wrong with `value` as a key of a ConfigMap or Secret.
pub fn config_map_key(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_MAX_BYTES {
        errors.push(max_len_error(SUBDOMAIN_MAX_BYTES));
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if value.is_empty() || !value.bytes().all(inner) {
        errors.push(regex_error(
            CONFIG_KEY_WORDS,
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match value {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        other if other.starts_with("..") => {
            errors.push("must not start with '..'".to_owned());
        }
        _ => {}
    }
    errors
}

/// What is wrong with `value` as the name of an environment variable. Kubernetes takes any
/// printable ASCII but `=` since 1.34.
pub fn env_var_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.is_empty() {
        errors.push("environment variable name must be non-empty".to_owned());
    }
    if value
        .bytes()
        .any(|b| !(b' '..=b'~').contains(&b) || b == b'=')
    {
        errors.push(
            "a valid environment variable name must consist only of printable ASCII characters \
             other than '='"
                .to_owned(),
        );
    }
    errors
}

/// What is wrong with `value` as the name of a port.
pub fn port_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > PORT_NAME_MAX_BYTES {
        errors.push(max_len_error(PORT_NAME_MAX_BYTES));
    }
    if value.is_empty() || !value.bytes().all(|b| lower_alnum(b) || b == b'-') {
        errors.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// What is wrong with `value` as the name of an HTTP header.
pub fn http_header_name(value: &str) -> Vec<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !value.is_empty() && value.bytes().all(plain) {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_error(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// What is wrong with `port` as a port number.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

/// What is wrong with `value` as a segment of a URL (names of RBAC objects).
pub fn path_segment(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|illegal| value.contains(illegal))
        .map(|illegal| format!("may not contain '{illegal}'"))
        .collect()
}

/// Whether `value` is a valid qualified name; cheaper than asking for the errors.
pub fn is_qualified_name(value: &str) -> bool {
    let (prefix, name) = match value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, value),
    };
    name.len() <= LABEL_MAX_BYTES
        && is_qualified_shape(name)
        && prefix.is_none_or(|p| p.len() <= SUBDOMAIN_MAX_BYTES && is_subdomain_shape(p))
}

/// The name that follows from a `generateName`: its first bytes and five characters chosen by
/// `random` (missing bytes count as zero).
pub fn generate_name(base: &str, random: &[u8; SUFFIX_CHARS]) -> String {
    let mut end = base.len().min(GENERATE_NAME_MAX_BYTES);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = base.get(..end).unwrap_or_default().to_owned();
    name.push_str(&suffix(random));
    name
}

/// Characters of the safe alphabet (no vowels, no look-alikes), one for each byte of `random`.
/// Kubernetes: `util/rand.SafeEncodeString`.
pub fn suffix(random: &[u8]) -> String {
    let pick = |b: &u8| SUFFIX_ALPHABET.get(usize::from(*b) % SUFFIX_ALPHABET.len());
    random
        .iter()
        .filter_map(pick)
        .map(|c| char::from(*c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains_say_what_kubernetes_says() {
        assert!(dns1123_label("a-1").is_empty());
        assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            dns1123_label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
              '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
              '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(
            dns1123_label(&"a".repeat(64)),
            ["must be no more than 63 characters"]
        );
        assert_eq!(
            dns1123_subdomain("a..b"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                 characters, '-' or '.', and must start and end with an alphanumeric character \
                 (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert!(!dns1035_label("1a").is_empty());
        assert!(!dns1123_subdomain("").is_empty());
    }

    #[test]
    fn qualified_names_and_values() {
        assert!(qualified_name("app.kubernetes.io/name").is_empty());
        assert_eq!(
            qualified_name("/x"),
            ["prefix part must be non-empty".to_owned()]
        );
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert_eq!(qualified_name("a/").len(), 2);
        assert!(label_value("").is_empty());
        assert_eq!(label_value("-x").len(), 1);
        for name in ["a", "x/y", "/x", "a/", "a/b/c", "a b", "A_b.c-d", "X/y"] {
            assert_eq!(is_qualified_name(name), qualified_name(name).is_empty());
        }
    }

    #[test]
    fn ports_and_keys() {
        assert!(port_name("http-2").is_empty());
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port_name("-a--b").len(), 2);
        assert_eq!(port_number(0).len(), 1);
        assert_eq!(config_map_key("..x"), ["must not start with '..'"]);
        assert_eq!(
            path_segment("a/b%"),
            ["may not contain '/'", "may not contain '%'"]
        );
        assert_eq!(env_var_name("A=").len(), 1);
    }

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate_name(&"x".repeat(80), &[0, 1, 2, 26, 27]);
        assert_eq!(name.len(), LABEL_MAX_BYTES);
        assert!(name.ends_with("bcd9b"));
    }
}
