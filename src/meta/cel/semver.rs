//! Semantic versions, read and compared as Kubernetes' CEL library does (`blang/semver`).
//! Must not know CEL.

use std::cmp::Ordering;
use std::fmt;

use crate::meta::go_json::quoted;

/// A version.
#[derive(Clone, Debug)]
pub struct Semver {
    /// The first number.
    pub major: u64,
    /// The second.
    pub minor: u64,
    /// The third.
    pub patch: u64,
    pre: Vec<Part>,
    build: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

impl Semver {
    /// Reads `1.2.3-pre+build`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (patch, pre) = match rest.split_once('-') {
            Some((patch, pre)) => (patch, Some(pre)),
            None => (rest, None),
        };
        let mut version = Self {
            major: number(major, "major number")?,
            minor: number(minor, "minor number")?,
            patch: number(patch, "patch number")?,
            pre: Vec::new(),
            build: Vec::new(),
        };
        for part in pre.iter().flat_map(|pre| pre.split('.')) {
            version.pre.push(pre_part(part)?);
        }
        for part in build.iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !letters(part) {
                return Err(format!(
                    "Invalid character(s) found in build meta data {}",
                    quoted(part)
                ));
            }
            version.build.push(part.to_owned());
        }
        Ok(version)
    }

    /// Reads with a leading `v`, leading zeros and numbers left out.
    pub fn parse_loose(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text
            .splitn(3, '.')
            .map(|part| {
                if part.len() < 2 {
                    return part.to_owned();
                }
                let short = part.trim_start_matches('0');
                if short.starts_with(|c: char| c.is_ascii_digit()) {
                    short.to_owned()
                } else {
                    format!("0{short}")
                }
            })
            .collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }

    /// How two versions are ordered; builds do not count.
    pub fn cmp_version(&self, other: &Self) -> Ordering {
        let numbers = (self.major, self.minor, self.patch);
        let by_number = numbers.cmp(&(other.major, other.minor, other.patch));
        by_number.then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        for (at, part) in self.pre.iter().enumerate() {
            f.write_str(if at == 0 { "-" } else { "." })?;
            match part {
                Part::Number(n) => write!(f, "{n}")?,
                Part::Text(text) => f.write_str(text)?,
            }
        }
        for (at, part) in self.build.iter().enumerate() {
            f.write_str(if at == 0 { "+" } else { "." })?;
            f.write_str(part)?;
        }
        Ok(())
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn letters(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn number(text: &str, what: &str) -> Result<u64, String> {
    if !digits(text) {
        return Err(format!(
            "Invalid character(s) found in {what} {}",
            quoted(text)
        ));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(
            format!("{what} must not contain leading zeroes {}", quoted(text))
                .replacen('m', "M", 1),
        );
    }
    text.parse().map_err(|_| match text {
        "" => "strconv.ParseUint: parsing \"\": invalid syntax".to_owned(),
        _ => format!(
            "strconv.ParseUint: parsing {}: value out of range",
            quoted(text)
        ),
    })
}

fn pre_part(text: &str) -> Result<Part, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if !digits(text) {
        if !letters(text) {
            return Err(format!(
                "Invalid character(s) found in prerelease {}",
                quoted(text)
            ));
        }
        return Ok(Part::Text(text.to_owned()));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!(
            "Numeric PreRelease version must not contain leading zeroes {}",
            quoted(text)
        ));
    }
    text.parse().map(Part::Number).map_err(|_| {
        format!(
            "strconv.ParseUint: parsing {}: value out of range",
            quoted(text)
        )
    })
}
