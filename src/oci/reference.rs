//! Image names, as Docker and the distribution project read and complete them:
//! `echo` is `docker.io/library/echo:latest`. Pure.

use super::error::ImageError;
use crate::stdx::Digest;
use std::fmt;
use std::str::FromStr;

/// The registry of names that say none.
const REGISTRY_DEFAULT: &str = "docker.io";
/// Bytes of a repository's name with its registry. Kubernetes: distribution/reference
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag.
const TAG_BYTES_MAX: usize = 128;

/// A whole image name: registry, repository, and a tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads and completes a name. A name with neither tag nor digest gets `latest`.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        Self::read(text).map_err(|why| ImageError::InvalidName {
            text: text.to_owned(),
            why,
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "invalid reference format".to_owned();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse::<Digest>().map_err(|e| e.to_string())?),
            ),
            None => (text, None),
        };
        if digest.is_none() && rest.len() == 64 && rest.bytes().all(is_lower_hex) {
            let why = "cannot specify 64-byte hexadecimal strings";
            return Err(format!("invalid repository name ({rest}), {why}"));
        }
        // A colon behind the last slash begins the tag; one before it, a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong());
        }
        let (registry, repository) = split_registry(name);
        if repository.is_empty() || !is_registry(&registry) {
            return Err(wrong());
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!(
                "{}: repository name ({repository}) must be lowercase",
                wrong()
            ));
        }
        if !repository.split('/').all(is_path_component) {
            return Err(wrong());
        }
        if registry.len() + 1 + repository.len() > NAME_BYTES_MAX {
            return Err(format!(
                "repository name must not be more than {NAME_BYTES_MAX} characters"
            ));
        }
        let latest = (tag.is_none() && digest.is_none()).then(|| "latest".to_owned());
        Ok(Self {
            registry,
            repository,
            tag: tag.map(str::to_owned).or(latest),
            digest,
        })
    }

    /// The registry's host with its port, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, which wins over the tag where both are given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same repository by content instead of by name.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The registry and the repository: `docker.io/library/echo`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name as a person writes it: without `docker.io/library/`.
    pub fn familiar_name(&self) -> String {
        if self.registry != REGISTRY_DEFAULT {
            return self.name();
        }
        match self.repository.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The repository's last word, for a file's name.
    pub(super) fn base_name(&self) -> &str {
        self.repository
            .rsplit('/')
            .next()
            .unwrap_or(&self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        Self::parse(text)
    }
}

/// Takes the first word for a registry if it looks like a host, else completes.
/// Kubernetes: distribution/reference, splitDockerDomain
fn split_registry(name: &str) -> (String, String) {
    let is_host = |word: &str| {
        word.contains(['.', ':'])
            || word == "localhost"
            || word.bytes().any(|b| b.is_ascii_uppercase())
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (REGISTRY_DEFAULT, name),
    };
    let hub = registry == REGISTRY_DEFAULT || registry == "index.docker.io";
    if !hub {
        return (registry.to_owned(), repository.to_owned());
    }
    let official = !repository.is_empty() && !repository.contains('/');
    let prefix = if official { "library/" } else { "" };
    (REGISTRY_DEFAULT.to_owned(), format!("{prefix}{repository}"))
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_ok = port.is_none_or(|port| !port.is_empty() && port.parse::<u16>().is_ok());
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_ok = match v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            let inner = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
            inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        }),
    };
    port_ok && host_ok
}

/// Runs of lower-case letters and digits with `.`, `_`, `__` or hyphens between them.
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = text.split(|c: char| u8::try_from(c).is_ok_and(is_word));
    let separators: Vec<&str> = separators.filter(|run| !run.is_empty()).collect();
    let ends_ok =
        text.bytes().next().is_some_and(is_word) && text.bytes().last().is_some_and(is_word);
    let runs_ok = separators
        .iter()
        .all(|run| matches!(*run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'));
    ends_ok && runs_ok
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first_ok = text.bytes().next().is_some_and(is_word);
    let rest_ok = text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-');
    first_ok && rest_ok && text.len() <= TAG_BYTES_MAX
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_as_docker_does() {
        let digest = Digest::of(b"x");
        for (text, whole) in [
            ("echo", "docker.io/library/echo:latest".to_owned()),
            (
                "gihyodocker/echo:latest",
                "docker.io/gihyodocker/echo:latest".to_owned(),
            ),
            ("docker.io/echo:1", "docker.io/library/echo:1".to_owned()),
            ("index.docker.io/a/b", "docker.io/a/b:latest".to_owned()),
            ("localhost/a", "localhost/a:latest".to_owned()),
            ("localhost:5000/a:b", "localhost:5000/a:b".to_owned()),
            ("[::1]:5000/a", "[::1]:5000/a:latest".to_owned()),
            (
                "ghcr.io/a/b__c/d--e.f:V1.0_x",
                "ghcr.io/a/b__c/d--e.f:V1.0_x".to_owned(),
            ),
            (
                &format!("a@{digest}"),
                format!("docker.io/library/a@{digest}"),
            ),
            (
                &format!("a:1@{digest}"),
                format!("docker.io/library/a:1@{digest}"),
            ),
            ("Host/a", "Host/a:latest".to_owned()),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), whole);
            assert_eq!(Reference::parse(&whole).unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn refuses_with_the_known_words() {
        let why = |text: &str| match Reference::parse(text) {
            Err(ImageError::InvalidName { why, .. }) => why,
            other => panic!("{text}: {other:?}"),
        };
        for text in [
            "",
            ":",
            "a:",
            "/a",
            "a//b",
            "a/",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a b",
            "a:b:c",
            "a:-x",
            "https://a/b",
            "a.b:x/c",
            "a.b:/c",
            "a.b:99999/c",
            "-a.b/c",
            "[::g]:1/a",
            "é",
        ] {
            assert!(
                why(text).contains("invalid reference format"),
                "{text}: {}",
                why(text)
            );
        }
        let upper = "invalid reference format: repository name (library/Echo) must be lowercase";
        assert_eq!(why("Echo"), upper);
        assert!(why(&"a".repeat(64)).contains("64-byte hexadecimal"));
        assert!(why("a/".repeat(130).trim_end_matches('/')).contains("255"));
        assert!(why("a@sha512:00").contains("sha256"));
        assert!(Reference::parse(&format!("a:{}", "b".repeat(129))).is_err());
    }

    #[test]
    fn names_for_people() {
        for (text, familiar) in [
            ("echo:1", "echo"),
            ("gihyodocker/echo", "gihyodocker/echo"),
            ("ghcr.io/a/b", "ghcr.io/a/b"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().familiar_name(), familiar);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~]{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                proptest::prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
