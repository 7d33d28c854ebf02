//! What a namespace asks of its pods: three modes, each with a level and the version of Kubernetes
//! whose checks are meant. Read off labels. Must not know the checks.
//! Kubernetes: `k8s.io/pod-security-admission/api`.

use crate::meta::{FieldError, Object};
use std::fmt;

/// What its labels begin with.
pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted]
            .into_iter()
            .find(|level| level.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Whose checks: those of 1.N, or the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Latest,
    Minor(u32),
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let minor = text.strip_prefix("v1.")?;
        let plain = minor.bytes().all(|b| b.is_ascii_digit());
        let padded = minor.len() > 1 && minor.starts_with('0');
        (plain && !padded).then(|| minor.parse().ok().map(Self::Minor))?
    }
}

/// A level of a version: `restricted:latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Version::Latest => write!(f, "{}:latest", self.level.as_str()),
            Version::Minor(minor) => write!(f, "{}:v1.{minor}", self.level.as_str()),
        }
    }
}

/// What is done with pods that do not keep to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// They are refused.
    pub(super) enforce: Standard,
    /// The audit log is told.
    pub(super) audit: Standard,
    /// The client is told.
    pub(super) warn: Standard,
}

impl Policy {
    /// The policy of a namespace, and what is wrong with its labels. There is always one: wrong
    /// labels mean the strictest where pods are refused, and nothing where clients are told.
    pub(super) fn of(namespace: &Object) -> (Self, Vec<FieldError>) {
        let mut errors = Vec::new();
        let (enforce, asked) = mode(namespace, "enforce", Level::Restricted, &mut errors);
        let (audit, _) = mode(namespace, "audit", Level::Privileged, &mut errors);
        let (mut warn, told) = mode(namespace, "warn", Level::Privileged, &mut errors);
        if !told.level && asked.valid_level && enforce.level > warn.level {
            warn.level = enforce.level;
            if !told.version {
                warn.version = enforce.version;
            }
        }
        let policy = Self {
            enforce,
            audit,
            warn,
        };
        (policy, errors)
    }

    /// Nothing is asked.
    pub(super) fn is_privileged(&self) -> bool {
        let modes = [self.enforce, self.audit, self.warn];
        modes.iter().all(|mode| mode.level == Level::Privileged)
    }
}

/// Which labels of a mode there are.
struct Labels {
    level: bool,
    valid_level: bool,
    version: bool,
}

fn mode(
    namespace: &Object,
    name: &str,
    otherwise: Level,
    errors: &mut Vec<FieldError>,
) -> (Standard, Labels) {
    let (level_label, version_label) =
        (format!("{PREFIX}{name}"), format!("{PREFIX}{name}-version"));
    let mut standard = Standard {
        level: Level::Privileged,
        version: Version::Latest,
    };
    let level = namespace.label(&level_label);
    let parsed = level.map(Level::parse);
    if let (Some(text), Some(parsed)) = (level, parsed) {
        standard.level = parsed.unwrap_or(otherwise);
        if parsed.is_none() {
            let wanted = "must be one of privileged, baseline, restricted";
            errors.push(wrong(&level_label, text, wanted));
        }
    }
    let version = namespace.label(&version_label);
    if let Some(text) = version {
        standard.version = Version::parse(text).unwrap_or_else(|| {
            errors.push(wrong(
                &version_label,
                text,
                "must be \"latest\" or \"v1.x\"",
            ));
            Version::Latest
        });
    }
    let labels = Labels {
        level: level.is_some(),
        valid_level: parsed.flatten().is_some(),
        version: version.is_some(),
    };
    (standard, labels)
}

fn wrong(label: &str, value: &str, text: &str) -> FieldError {
    FieldError::invalid(format!("metadata.labels[{label}]"), value, text)
}
