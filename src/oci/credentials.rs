//! Who to be at a registry: read from the `dockerconfigjson` of an image pull secret, chosen by
//! the image's name as the kubelet's keyring does. Pure.

use super::error::ImageError;
use super::reference::Reference;
use base64::Engine;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of one secret's configuration; a Secret cannot be larger.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// How to log in. The secret part is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, exchanged for a token where the registry wants one.
    Basic {
        /// The name.
        username: String,
        /// The password, or an access token in its place.
        password: String,
    },
    /// A token for the registry itself.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username:?}, ...)"),
            Self::Bearer(_) => f.write_str("Bearer(...)"),
        }
    }
}

/// What several image pull secrets know, in their order.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// Host and path, possibly with `*` in the host, and who to be there.
    entries: Vec<(String, Credentials)>,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

impl Keyring {
    /// Adds the content of a secret of type `kubernetes.io/dockerconfigjson`.
    pub fn add_docker_config_json(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let config: DockerConfig = read(bytes)?;
        self.add(config.auths)
    }

    /// Adds the content of a secret of type `kubernetes.io/dockercfg`, the older form.
    pub fn add_docker_cfg(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let auths = read(bytes)?;
        self.add(auths)
    }

    fn add(&mut self, auths: BTreeMap<String, Entry>) -> Result<(), ImageError> {
        for (key, entry) in auths {
            if let Some(credentials) = entry.credentials(&key)? {
                self.entries.push((normal_key(&key), credentials));
            }
        }
        Ok(())
    }

    /// All that match, the closest first: each is tried until the registry lets one in.
    pub fn find(&self, reference: &Reference) -> Vec<Credentials> {
        let mut found: Vec<(usize, &Credentials)> = Vec::new();
        for (key, credentials) in &self.entries {
            if matches(key, reference) {
                found.push((key.len(), credentials));
            }
        }
        // A stable sort: among equals the secret that the pod names first wins.
        found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        found
            .into_iter()
            .map(|(_, credentials)| credentials.clone())
            .collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ImageError> {
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(ImageError::too_large("image pull secret", "1 MiB"));
    }
    // The parser's message may quote the secret: say only where.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ImageError::malformed(
            "image pull secret",
            format!("not as Docker writes it, at line {line} column {column}"),
        )
    })
}

impl Entry {
    fn credentials(self, key: &str) -> Result<Option<Credentials>, ImageError> {
        let wrong =
            |why: &str| ImageError::malformed(format!("image pull secret for {key:?}"), why);
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(self.registry_token) {
            return Ok(Some(Credentials::Bearer(token)));
        }
        if let (Some(username), Some(password)) = (given(self.username), given(self.password)) {
            return Ok(Some(Credentials::Basic { username, password }));
        }
        if let Some(auth) = given(self.auth) {
            let engine = base64::engine::general_purpose::STANDARD;
            let bytes = engine
                .decode(auth.trim())
                .map_err(|_| wrong("auth is not base64"))?;
            let text = String::from_utf8(bytes).map_err(|_| wrong("auth is not text"))?;
            let (username, password) = text
                .split_once(':')
                .ok_or_else(|| wrong("auth is not name:password"))?;
            // Docker pads some passwords with NUL bytes.
            let password = password.trim_end_matches('\0').to_owned();
            return Ok(Some(Credentials::Basic {
                username: username.to_owned(),
                password,
            }));
        }
        if self.identity_token.is_some() {
            tracing::warn!(
                registry = key,
                "an identity token cannot be used to pull: left out"
            );
        }
        Ok(None)
    }
}

/// Without scheme, version path and trailing slash; Docker Hub by the name that references use.
fn normal_key(key: &str) -> String {
    let bare = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let bare = bare.trim_end_matches('/');
    let bare = bare
        .strip_suffix("/v1")
        .or(bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    let (host, path) = bare
        .split_once('/')
        .map_or((bare, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    path.map_or(host.to_owned(), |path| format!("{host}/{path}"))
}

/// Whether a key covers a reference: the host label by label, where a label may hold `*`, the
/// port if it says one, the path as a prefix. Kubernetes: credentialprovider.URLsMatch
fn matches(key: &str, reference: &Reference) -> bool {
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let labels = |host: &str| host.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (want, have) = (labels(host), labels(reference.registry()));
    let hosts = want.len() == have.len() && want.iter().zip(&have).all(|(w, h)| glob(w, h));
    let inside = reference.repository().strip_prefix(path);
    hosts && inside.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// Whether `text` is what `pattern` says, `*` standing for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(before) else {
        return false;
    };
    let mut pieces = after.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &str, image: &str) -> Vec<String> {
        let mut keyring = Keyring::default();
        keyring.add_docker_config_json(config.as_bytes()).unwrap();
        let found = keyring.find(&Reference::parse(image).unwrap());
        found
            .into_iter()
            .map(|credentials| match credentials {
                Credentials::Basic { username, password } => format!("{username}:{password}"),
                Credentials::Bearer(token) => token,
            })
            .collect()
    }

    #[test]
    fn the_closest_entry_comes_first() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
            "*.example.com": {"username": "star", "password": "p"},
            "a.example.com/team": {"username": "team", "password": "p"},
            "localhost:5000": {"registrytoken": "token"},
            "old.io": {"identitytoken": "x"}
        }}"#;
        assert_eq!(names(config, "echo"), ["hub:pw"]);
        assert_eq!(
            names(config, "a.example.com/team/echo"),
            ["team:p", "star:p"]
        );
        assert_eq!(names(config, "a.example.com/teams/echo"), ["star:p"]);
        assert_eq!(names(config, "localhost:5000/echo"), ["token"]);
        for none in [
            "localhost:5001/echo",
            "example.com/echo",
            "b.a.example.com/echo",
            "old.io/a",
        ] {
            assert!(names(config, none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_wrong_secret_is_not_quoted() {
        let mut keyring = Keyring::default();
        for wrong in [
            r#"{"auths":{"a":{"auth":"hunter2!"}}}"#,
            r#"{"auths":"hunter2"}"#,
            "hunter2",
        ] {
            let error = keyring
                .add_docker_config_json(wrong.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let credentials = Credentials::Bearer("hunter2".to_owned());
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
