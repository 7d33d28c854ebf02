//! What a service account's token says, in the form that Kubernetes gives it.
//! Kubernetes: `pkg/serviceaccount` claims and legacy.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who signs tokens that are kept in Secrets.
pub(super) const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// An object by its name and unique id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
}

/// Whose a token is and what it is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) id: String,
    pub(crate) audiences: Vec<String>,
    /// When it was made and until when it is good, in seconds since 1970; a legacy token says neither.
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) namespace: String,
    pub(crate) account: Reference,
    pub(crate) pod: Option<Reference>,
    pub(crate) secret: Option<Reference>,
    pub(crate) node: Option<Reference>,
}

/// The claims on the wire.
#[derive(Serialize, Deserialize)]
struct Wire {
    aud: Vec<String>,
    exp: i64,
    #[serde(default)]
    iat: i64,
    iss: String,
    #[serde(default)]
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Private,
    nbf: i64,
    sub: String,
}

#[derive(Serialize, Deserialize)]
struct Private {
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
}

/// What a token in a Secret says.
#[derive(Serialize, Deserialize)]
struct Legacy {
    iss: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    sub: String,
}

impl Claims {
    /// The user that the token is for.
    pub(super) fn subject(&self) -> String {
        super::super::account_user(&self.namespace, &self.account.name)
    }

    /// As the payload of a token.
    pub(super) fn to_payload(&self, issuer: &str) -> Value {
        let Some((made, until)) = self.times else {
            let secret = self.secret.clone().unwrap_or_default();
            return json!(Legacy {
                iss: LEGACY_ISSUER.to_owned(),
                namespace: self.namespace.clone(),
                secret: secret.name,
                account: self.account.name.clone(),
                uid: self.account.uid.clone(),
                sub: self.subject(),
            });
        };
        json!(Wire {
            aud: self.audiences.clone(),
            exp: until,
            iat: made,
            iss: issuer.to_owned(),
            jti: self.id.clone(),
            kubernetes: Private {
                namespace: self.namespace.clone(),
                node: self.node.clone(),
                pod: self.pod.clone(),
                secret: self.secret.clone(),
                serviceaccount: self.account.clone(),
            },
            nbf: made,
            sub: self.subject(),
        })
    }

    /// Reads the payload of a token that names one of the two issuers, `None` for others.
    pub(super) fn of_payload(payload: &[u8], issuer: &str) -> Option<Result<Self, String>> {
        #[derive(Deserialize)]
        struct Issued {
            iss: String,
        }
        let unreadable = |error: serde_json::Error| format!("the claims cannot be read: {error}");
        let issued: Issued = serde_json::from_slice(payload).ok()?;
        let claims = match issued.iss.as_str() {
            LEGACY_ISSUER => serde_json::from_slice::<Legacy>(payload)
                .map(|claims| (claims.sub.clone(), Self::of_legacy(claims))),
            own if own == issuer => serde_json::from_slice::<Wire>(payload)
                .map(|claims| (claims.sub.clone(), Self::of_wire(claims))),
            _ => return None,
        };
        Some(match claims {
            Ok((subject, claims)) if subject == claims.subject() => Ok(claims),
            Ok(_) => Err("sub claim does not match the service account".to_owned()),
            Err(error) => Err(unreadable(error)),
        })
    }

    fn of_wire(wire: Wire) -> Self {
        let private = wire.kubernetes;
        Self {
            id: wire.jti,
            audiences: wire.aud,
            times: Some((wire.nbf, wire.exp)),
            namespace: private.namespace,
            account: private.serviceaccount,
            pod: private.pod,
            secret: private.secret,
            node: private.node,
        }
    }

    fn of_legacy(legacy: Legacy) -> Self {
        Self {
            namespace: legacy.namespace,
            account: Reference {
                name: legacy.account,
                uid: legacy.uid,
            },
            secret: Some(Reference {
                name: legacy.secret,
                uid: String::new(),
            }),
            ..Self::default()
        }
    }
}
