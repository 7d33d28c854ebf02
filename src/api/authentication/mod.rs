//! Who asks. The authenticators are tried in the order of one list; the first that finds
//! credentials decides. Credentials that are wrong are a 401, never a step down to anonymous.
//! Must not know what the caller may do.

mod certificates;
mod tokens;

pub(crate) use certificates::AnyCertificate;
pub use certificates::CertificateAuthority;
pub use tokens::TokenTable;

use crate::meta::{ApiError, Reason};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::collections::BTreeMap;

/// Everyone who has shown who he is.
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
/// Everyone who has not.
pub(crate) const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
/// Those who may do everything.
pub const GROUP_MASTERS: &str = "system:masters";
/// The nodes' agents.
pub const GROUP_NODES: &str = "system:nodes";
/// The user of a request without credentials.
pub(crate) const USER_ANONYMOUS: &str = "system:anonymous";

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// User name, for example `system:node:node-1`.
    pub name: String,
    /// Unique id, often empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user in groups.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self::new(USER_ANONYMOUS, &[GROUP_UNAUTHENTICATED])
    }

    /// Whether the user is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The same user, in the group of those who have shown who they are.
    pub(crate) fn authenticated(mut self) -> Self {
        if !self.is_in(GROUP_AUTHENTICATED) && self.name != USER_ANONYMOUS {
            self.groups.push(GROUP_AUTHENTICATED.to_owned());
        }
        self
    }
}

/// The identity of a caller in this process. Only code of this process can put it into a request's
/// extensions: the TLS edge makes its requests without any but `TlsIdentity`.
#[derive(Clone, Debug)]
pub struct InProcessIdentity(pub UserInfo);

/// What the client's certificate said, verified once a connection. `Err` if it was not accepted.
#[derive(Clone, Debug)]
pub(crate) struct TlsIdentity(pub(crate) Result<UserInfo, String>);

/// A way to know a caller: `None` if the request has no credentials of this sort.
type Authenticator = fn(&Credentials<'_>) -> Option<Result<UserInfo, String>>;

/// The ways, in the order they are tried.
const AUTHENTICATORS: &[Authenticator] = &[in_process, client_certificate, bearer_token];

/// Where the authenticators look.
struct Credentials<'a> {
    headers: &'a HeaderMap,
    extensions: &'a http::Extensions,
    tokens: &'a TokenTable,
}

/// Who asks; `Ok(None)` for a request without credentials.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    extensions: &http::Extensions,
    tokens: &TokenTable,
) -> Result<Option<UserInfo>, ApiError> {
    let credentials = Credentials {
        headers,
        extensions,
        tokens,
    };
    for authenticator in AUTHENTICATORS {
        match authenticator(&credentials) {
            None => {}
            Some(Ok(user)) => return Ok(Some(user.authenticated())),
            Some(Err(why)) => {
                tracing::debug!(error = why, "credentials refused");
                return Err(unauthorized());
            }
        }
    }
    Ok(None)
}

/// 401 in Kubernetes' words.
pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(Reason::Unauthorized, "Unauthorized")
}

fn in_process(credentials: &Credentials<'_>) -> Option<Result<UserInfo, String>> {
    let identity = credentials.extensions.get::<InProcessIdentity>()?;
    Some(Ok(identity.0.clone()))
}

fn client_certificate(credentials: &Credentials<'_>) -> Option<Result<UserInfo, String>> {
    let identity = credentials.extensions.get::<TlsIdentity>()?;
    Some(identity.0.clone())
}

fn bearer_token(credentials: &Credentials<'_>) -> Option<Result<UserInfo, String>> {
    let header = credentials.headers.get(AUTHORIZATION)?;
    let Some(token) = header.to_str().ok().and_then(bearer) else {
        return Some(Err("the Authorization header is no bearer token".to_owned()));
    };
    let found = credentials.tokens.find(token);
    Some(found.ok_or_else(|| "the bearer token is not known".to_owned()))
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
