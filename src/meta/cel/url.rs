//! URLs as Go's `net/url` cuts them. Must not know CEL.

use std::collections::BTreeMap;

use crate::meta::go_json::quoted;

/// A URL, cut.
#[derive(Clone, Debug)]
pub struct Url {
    text: String,
    scheme: String,
    host: String,
    path: String,
    raw_query: String,
}

impl Url {
    /// Reads a URL as one that could be requested: absolute, or a path from the root.
    pub fn parse_request(text: &str) -> Result<Self, String> {
        let fail = |why: &str| Err(format!("parse {}: {why}", quoted(text)));
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return fail("net/url: invalid control character in URL");
        }
        if text.is_empty() {
            return fail("empty url");
        }
        let before_fragment = text.split('#').next().unwrap_or_default();
        let (before_query, raw_query) = match before_fragment.split_once('?') {
            Some((before, query)) => (before, query),
            None => (before_fragment, ""),
        };
        let (scheme, rest) = match scheme(before_query) {
            Ok(parts) => parts,
            Err(why) => return fail(why),
        };
        if !rest.starts_with('/') && scheme.is_empty() {
            return fail("invalid URI for request");
        }
        if !rest.starts_with('/') {
            // Something like `mailto:x`: opaque, nothing more to cut.
            return Ok(Self {
                text: text.to_owned(),
                scheme,
                host: String::new(),
                path: String::new(),
                raw_query: raw_query.to_owned(),
            });
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(after) if !scheme.is_empty() || !rest.starts_with("///") => {
                let end = after.find('/').unwrap_or(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
            _ => ("", rest),
        };
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        if let Some(why) = bad_host(host) {
            return fail(&why);
        }
        if let Some(why) = bad_escape(path) {
            return fail(&why);
        }
        Ok(Self {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            path: path.to_owned(),
            raw_query: raw_query.to_owned(),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> String {
        self.scheme.clone()
    }

    /// The host with its port.
    pub fn host(&self) -> String {
        unescape(&self.host, false)
    }

    /// The host without its port and without brackets.
    pub fn hostname(&self) -> String {
        let host = self.host();
        if let Some((inside, _)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            return inside.to_owned();
        }
        host.split_once(':')
            .map_or(host.clone(), |(name, _)| name.to_owned())
    }

    /// The port.
    pub fn port(&self) -> String {
        let host = self.host();
        let after = host
            .rsplit_once(']')
            .map_or(host.as_str(), |(_, after)| after);
        after
            .rsplit_once(':')
            .map(|(_, port)| port.to_owned())
            .unwrap_or_default()
    }

    /// The path, escaped.
    pub fn escaped_path(&self) -> String {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/[]%".contains(&b);
        if self.path.bytes().all(valid) {
            return self.path.clone();
        }
        unescape(&self.path, false)
            .bytes()
            .map(|b| match b {
                b if b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b) => {
                    char::from(b).to_string()
                }
                b => format!("%{b:02X}"),
            })
            .collect()
    }

    /// The query's values by name.
    pub fn query(&self) -> BTreeMap<String, Vec<String>> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self
            .raw_query
            .split('&')
            .filter(|p| !p.is_empty() && !p.contains(';'))
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if bad_escape(name).is_some() || bad_escape(value).is_some() {
                continue;
            }
            values
                .entry(unescape(name, true))
                .or_default()
                .push(unescape(value, true));
        }
        values
    }
}

/// Cuts the scheme off; empty where there is none.
fn scheme(text: &str) -> Result<(String, &str), &'static str> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme"),
            ':' => {
                let (scheme, rest) = text.split_at_checked(at).unwrap_or((text, ""));
                let rest = rest.strip_prefix(':').unwrap_or(rest);
                return Ok((scheme.to_ascii_lowercase(), rest));
            }
            _ => break,
        }
    }
    Ok((String::new(), text))
}

fn bad_host(host: &str) -> Option<String> {
    let after = match host.strip_prefix('[') {
        Some(inside) => match inside.rsplit_once(']') {
            Some((_, after)) => after,
            None => return Some("missing ']' in host".to_owned()),
        },
        None => host
            .find(':')
            .and_then(|at| host.get(at..))
            .unwrap_or_default(),
    };
    if !after.is_empty() {
        let port = after.strip_prefix(':');
        if port.is_none_or(|port| !port.bytes().all(|b| b.is_ascii_digit())) {
            return Some(format!("invalid port {} after host", quoted(after)));
        }
    }
    if let Some(bad) = host.chars().find(|c| {
        matches!(
            c,
            ' ' | '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '}' | '|'
        ) && *c != '<'
            && *c != '>'
            && *c != '"'
    }) {
        return Some(format!(
            "invalid character {:?} in host name",
            bad.to_string()
        ));
    }
    bad_escape(host)
}

fn bad_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('%')) {
        let start = at + found;
        let hex = |offset: usize| bytes.get(start + offset).is_some_and(u8::is_ascii_hexdigit);
        if !hex(1) || !hex(2) {
            let end = (start + 3).min(text.len());
            let shown = text.get(start..end).unwrap_or("%");
            return Some(format!("invalid URL escape {}", quoted(shown)));
        }
        at = start + 3;
    }
    None
}

fn unescape(text: &str, plus: bool) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match b {
            b'%' => {
                if let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                }
            }
            b'+' if plus => out.push(b' '),
            b => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
