//! Who asks. The authenticators are tried in the order of one list; the first that finds
//! credentials decides. Credentials that are wrong are a 401, never a step down to anonymous.
//! Must not know what the caller may do.

mod account_tokens;
mod certificates;
mod tokens;

pub use account_tokens::AccountTokens;
pub(crate) use account_tokens::{Accepted as AcceptedToken, Claims, ISSUER, Reference};
pub(crate) use certificates::AnyCertificate;
pub use certificates::CertificateAuthority;
pub use tokens::TokenTable;

use crate::api::ApiServer;
use crate::meta::{ApiError, Reason, names};
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
/// All service accounts; with a namespace behind it, those of the namespace.
pub(crate) const GROUP_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// The user of a request without credentials.
pub(crate) const USER_ANONYMOUS: &str = "system:anonymous";

/// The user that a service account is.
pub(crate) fn account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Namespace and name of the service account that a user is, if it is one.
pub(crate) fn split_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    let valid =
        names::dns1123_label(namespace).is_empty() && names::dns1123_subdomain(name).is_empty();
    valid.then_some((namespace, name))
}

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

    /// A service account.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let own = format!("{GROUP_SERVICE_ACCOUNTS}:{namespace}");
        Self::new(
            &account_user(namespace, name),
            &[GROUP_SERVICE_ACCOUNTS, &own],
        )
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
    server: &'a ApiServer,
}

/// Who asks; `Ok(None)` for a request without credentials.
pub(crate) fn authenticate(
    server: &ApiServer,
    headers: &HeaderMap,
    extensions: &http::Extensions,
) -> Result<Option<UserInfo>, ApiError> {
    let credentials = Credentials {
        headers,
        extensions,
        server,
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
    let known = token_user(credentials.server, token, &[ISSUER.to_owned()]);
    Some(known.map(|known| known.user))
}

/// Whose a token is, for one of `audiences`. A token of the table is for everyone.
pub(crate) fn token_user(
    server: &ApiServer,
    token: &str,
    audiences: &[String],
) -> Result<AcceptedToken, String> {
    const UNKNOWN: &str = "invalid bearer token";
    let own = ISSUER.to_owned();
    if audiences.contains(&own)
        && let Some(user) = server.tokens.find(token)
    {
        return Ok(AcceptedToken {
            user,
            audiences: vec![own],
        });
    }
    let (cache, now) = (&server.registry.cache, server.clock.now());
    match server.accounts.check(token, audiences, cache, now) {
        None => Err(UNKNOWN.to_owned()),
        Some(Err(why)) => Err(format!("[{UNKNOWN}, {why}]")),
        Some(Ok(accepted)) => Ok(accepted),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
