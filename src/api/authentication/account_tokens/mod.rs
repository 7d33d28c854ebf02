//! Service accounts' tokens: signed here, and believed if this server has signed them, if they are
//! meant for whom they are shown to, if their time is not over and if what they are bound to is
//! still there. Must not know requests.
//! Kubernetes: `pkg/serviceaccount`.

mod claims;
mod key;

pub(crate) use claims::{Claims, Reference};

use super::UserInfo;
use crate::api::registry::Cache;
use crate::meta::{GroupResource, Object};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use key::{ALGORITHM, Key};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who signs; also for whom a token is good if nothing else is asked.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Bytes of a token; a longer one is not looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Clocks may differ by this many seconds.
const LEEWAY_SECONDS: i64 = 60;

/// What signs and checks tokens.
pub struct AccountTokens {
    key: Key,
    jwks_uri: String,
}

/// A token that is good.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) user: UserInfo,
    /// For whom it is good, of those that were asked for.
    pub(crate) audiences: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl AccountTokens {
    /// With a key in PKCS#8 form; `server` is the URL under which others find the public half.
    pub fn new(pkcs8: &[u8], server: &str) -> Result<Self, String> {
        Ok(Self {
            key: Key::read(pkcs8)?,
            jwks_uri: format!("{server}/openid/v1/jwks"),
        })
    }

    /// With a key that nobody keeps.
    pub fn ephemeral(server: &str) -> Result<Self, String> {
        Self::new(&Self::generate_key()?, server)
    }

    /// A new key in PKCS#8 form.
    pub fn generate_key() -> Result<Vec<u8>, String> {
        Key::generate()
    }

    /// The token that a Secret keeps for a service account: it has no end of its own.
    pub fn kept(
        &self,
        namespace: &str,
        secret: &str,
        (account, uid): (&str, &str),
    ) -> Result<String, String> {
        self.sign(&Claims {
            namespace: namespace.to_owned(),
            account: Reference {
                name: account.to_owned(),
                uid: uid.to_owned(),
            },
            secret: Some(Reference {
                name: secret.to_owned(),
                uid: String::new(),
            }),
            ..Claims::default()
        })
    }

    /// The token that says `claims`.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, String> {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({ "alg": ALGORITHM, "kid": self.key.id() }));
        let signed = format!("{header}.{}", encode(claims.to_payload(ISSUER)));
        let signature = self.key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whose a token is, for one of `audiences`; `None` if it is not one of a service account.
    pub(crate) fn check(
        &self,
        token: &str,
        audiences: &[String],
        cache: &Cache,
        now: Timestamp,
    ) -> Option<Result<Accepted, String>> {
        let claims = match self.read(token)? {
            Ok(claims) => claims,
            Err(why) => return Some(Err(why)),
        };
        Some(accept(token, &claims, audiences, cache, now))
    }

    /// What a token says, if it is signed.
    fn read(&self, token: &str) -> Option<Result<Claims, String>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let (header, payload) = (decode(header)?, decode(payload)?);
        let claims = Claims::of_payload(&payload, ISSUER)?;
        let header: Header = serde_json::from_slice(&header).ok()?;
        if header.alg != ALGORITHM {
            let why = format!(
                "go-jose/go-jose: unexpected signature algorithm {:?}; expected [{ALGORITHM:?}]",
                header.alg
            );
            return Some(Err(why));
        }
        let verified = decode(signature)
            .is_some_and(|signature| self.key.verifies(signed.as_bytes(), &signature));
        if !verified {
            let why = "go-jose/go-jose: error in cryptographic primitive";
            return Some(Err(why.to_owned()));
        }
        Some(claims)
    }

    /// `/.well-known/openid-configuration`.
    pub(crate) fn configuration(&self) -> Value {
        json!({
            "issuer": ISSUER,
            "jwks_uri": self.jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        })
    }

    /// `/openid/v1/jwks`.
    pub(crate) fn keys(&self) -> Value {
        json!({ "keys": [self.key.jwk()] })
    }
}

impl std::fmt::Debug for AccountTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountTokens({})", self.key.id())
    }
}

/// Whether a token that is signed is good here and now.
fn accept(
    token: &str,
    claims: &Claims,
    audiences: &[String],
    cache: &Cache,
    now: Timestamp,
) -> Result<Accepted, String> {
    // A token without audiences is for the server itself.
    let own = [ISSUER.to_owned()];
    let meant: &[String] = if claims.times.is_none() {
        &own
    } else {
        &claims.audiences
    };
    let shared: Vec<String> = meant
        .iter()
        .filter(|audience| audiences.contains(audience))
        .cloned()
        .collect();
    if shared.is_empty() {
        use crate::resources::rbac::policy::quoted;
        return Err(format!(
            "token audiences {} is invalid for the target audiences {}",
            quoted(meant),
            quoted(audiences)
        ));
    }
    let seconds = now.as_second();
    if let Some((made, until)) = claims.times {
        if seconds > until.saturating_add(LEEWAY_SECONDS) {
            return Err("service account token has expired".to_owned());
        }
        if seconds < made.saturating_sub(LEEWAY_SECONDS) {
            return Err("service account token is not valid yet".to_owned());
        }
    }
    bound(token, claims, cache, seconds)?;
    Ok(Accepted {
        user: user(claims),
        audiences: shared,
    })
}

/// Whether the account and what the token is bound to are still there.
fn bound(token: &str, claims: &Claims, cache: &Cache, now: i64) -> Result<(), String> {
    let find = |resource: &str, namespace: &str, name: &str| -> Option<Object> {
        let key = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        cache.kind(resource)?.get(&key)?.object().ok()
    };
    let (namespace, account) = (&claims.namespace, &claims.account);
    let Some(found) = find("serviceaccounts", namespace, &account.name) else {
        let of = GroupResource {
            group: String::new(),
            resource: "serviceaccounts".to_owned(),
        };
        return Err(format!("{of} {:?} not found", account.name));
    };
    if is_deleted(&found, now) {
        return Err(format!(
            "service account {namespace}/{} has been deleted",
            account.name
        ));
    }
    if found.uid() != account.uid {
        return Err(format!(
            "service account UID ({}) does not match claim ({})",
            found.uid(),
            account.uid
        ));
    }
    // The node of a pod's token is told, not checked.
    let node = claims.node.as_ref().filter(|_| claims.pod.is_none());
    for (words, resource, namespace, reference) in [
        (
            "secret",
            "secrets",
            namespace.as_str(),
            claims.secret.as_ref(),
        ),
        ("pod", "pods", namespace.as_str(), claims.pod.as_ref()),
        ("node", "nodes", "", node),
    ] {
        let Some(reference) = reference else { continue };
        let found = find(resource, namespace, &reference.name);
        let Some(found) = found.filter(|found| !is_deleted(found, now)) else {
            return Err("service account token has been invalidated".to_owned());
        };
        if claims.times.is_none() {
            let kept = STANDARD.decode(found.str_at(&["data", "token"]));
            if kept.ok().as_deref() != Some(token.as_bytes()) {
                return Err("token does not match server's copy".to_owned());
            }
        } else if found.uid() != reference.uid {
            return Err(format!(
                "{words} UID ({}) does not match service account {words} ref claim ({})",
                found.uid(),
                reference.uid
            ));
        }
    }
    Ok(())
}

/// Whether an object is being deleted, and its time is over.
fn is_deleted(object: &Object, now: i64) -> bool {
    let at = object
        .deletion_timestamp()
        .and_then(|at| at.parse::<Timestamp>().ok());
    at.is_some_and(|at| at.as_second() < now - LEEWAY_SECONDS)
}

fn user(claims: &Claims) -> UserInfo {
    let mut user = UserInfo::service_account(&claims.namespace, &claims.account.name);
    user.uid = claims.account.uid.clone();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            let key = format!("authentication.kubernetes.io/{key}");
            user.extra.insert(key, vec![value.to_owned()]);
        }
    };
    if !claims.id.is_empty() {
        add("credential-id", &format!("JTI={}", claims.id));
    }
    for (words, reference) in [("pod", &claims.pod), ("node", &claims.node)] {
        if let Some(reference) = reference {
            add(&format!("{words}-name"), &reference.name);
            add(&format!("{words}-uid"), &reference.uid);
        }
    }
    user
}

#[cfg(test)]
mod tests;
