//! Lists: the continue token and the bytes of a list object. Must not know where items come from.
//! Kubernetes: apiserver `storage/continue`, `apis/meta/v1` ListMeta.

use crate::meta::{ApiError, Reason, go_json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Longest continue token that is read (bytes).
pub const MAX_CONTINUE_BYTES: usize = 4096;

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// Where a paged list goes on: the revision that all pages show, and the key to start after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continue {
    /// The revision of the first page; 0 for whatever is there when the token is used, after that
    /// revision was forgotten.
    pub revision: u64,
    /// The last key that was given out, below the resource's prefix (`default/x`). The next page
    /// starts after it.
    pub after: String,
}

impl Continue {
    /// From both parts.
    pub fn new(revision: u64, after: impl Into<String>) -> Self {
        Self {
            revision,
            after: after.into(),
        }
    }

    /// The token, opaque to clients. The key carries a NUL byte, which makes it the first key
    /// after `after`, as in Kubernetes.
    pub fn encode(&self) -> String {
        let start = format!("{}\0", self.after);
        let revision = match self.revision {
            0 => json!(-1),
            known => json!(known),
        };
        let token = json!({"v": TOKEN_VERSION, "rv": revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// Reads a token; what is none is a bad request.
    pub fn decode(token: &str) -> Result<Self, ApiError> {
        let bad = |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
        if token.len() > MAX_CONTINUE_BYTES {
            return Err(bad("too long"));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|e| bad(&e.to_string()))?;
        let fields: Value =
            serde_json::from_slice(&bytes).map_err(|e| bad(&go_json::words(&bytes, &e)))?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("v") != TOKEN_VERSION {
            return Err(bad(&format!(
                "server does not recognize this encoded version {}",
                text("v")
            )));
        }
        let revision = fields.get("rv").and_then(|rv| match rv.as_i64() {
            Some(-1) => Some(0),
            _ => rv.as_u64().filter(|known| *known > 0),
        });
        let Some(revision) = revision else {
            return Err(bad(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        };
        let after = text("start").trim_end_matches('\0');
        if after.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
        }
        let steps = after.trim_start_matches('/').split('/');
        if after.contains('\0') || steps.clone().any(|s| matches!(s, "" | "." | "..")) {
            return Err(bad(after));
        }
        Ok(Self::new(revision, after))
    }

    /// 410: the revision of the token is forgotten. What `to_status` makes of it lacks
    /// `metadata.continue`, a token by which the rest can be had nevertheless: [`Continue::now`].
    pub fn expired() -> ApiError {
        ApiError::new(
            Reason::Expired,
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter, or use the continue token in \
             this response to retrieve the remainder of the results. Continuing with the provided \
             token results in an inconsistent list - objects that were created, modified, or \
             deleted between the time the first chunk was returned and now may show up in the \
             list.",
        )
    }

    /// The same place, of whatever is there when the token is used.
    #[must_use]
    pub fn now(&self) -> Self {
        Self::new(0, self.after.clone())
    }
}

/// What stands in a list's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// The revision that the list shows.
    pub revision: u64,
    /// Where to go on, if there is more.
    pub next: Option<Continue>,
    /// How many more there are, if that is known.
    pub remaining: Option<u64>,
}

impl ListMeta {
    /// As JSON.
    pub fn to_value(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.revision.to_string()});
        if let (Value::Object(map), Some(next)) = (&mut meta, &self.next) {
            map.insert("continue".to_owned(), json!(next.encode()));
            if let Some(remaining) = self.remaining {
                map.insert("remainingItemCount".to_owned(), json!(remaining));
            }
        }
        meta
    }
}

/// Writes a list object around items that are encoded already.
pub fn write_list<'a>(
    api_version: &str,
    list_kind: &str,
    meta: &ListMeta,
    items: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        json!(list_kind),
        json!(api_version),
        meta.to_value()
    )
    .into_bytes();
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.extend_from_slice(b"]}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_read_back_and_bad_ones_are_refused() {
        let token = Continue::new(42, "default/a");
        assert_eq!(Continue::decode(&token.encode()).unwrap(), token);
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for (text, words) in [
            ("%".to_owned(), "continue key is not valid: "),
            (
                encode(json!({"v": "v0"})),
                "server does not recognize this encoded version v0",
            ),
            (
                encode(json!({"v": TOKEN_VERSION, "start": "a"})),
                "start resourceVersion",
            ),
            (
                encode(json!({"v": TOKEN_VERSION, "rv": 1})),
                "encoded start key empty",
            ),
            (
                encode(json!({"v": TOKEN_VERSION, "rv": 1, "start": "../x"})),
                "../x",
            ),
        ] {
            let error = Continue::decode(&text).unwrap_err();
            assert_eq!(error.code, 400);
            assert!(error.message.contains(words), "{}", error.message);
        }
    }

    #[test]
    fn lists_are_written_around_bytes() {
        let meta = ListMeta {
            revision: 7,
            next: Some(Continue::new(7, "b")),
            remaining: Some(3),
        };
        let bytes = write_list("v1", "PodList", &meta, [b"{}".as_slice(), b"{\"a\":1}"]);
        let list: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(list["kind"], "PodList");
        assert_eq!(list["metadata"]["remainingItemCount"], 3);
        assert_eq!(list["items"], json!([{}, {"a": 1}]));
    }

    proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9_=-]{0,60}") {
            let _ = Continue::decode(&token);
        }

        #[test]
        fn any_key_reads_back(key in "[a-z0-9.-]{1,20}(/[a-z0-9]{1,20})?", rv in 0..u64::MAX) {
            prop_assume!(!matches!(key.split('/').next(), Some("." | "..")));
            let token = Continue::new(rv, key);
            prop_assert_eq!(Continue::decode(&token.encode()).unwrap(), token);
        }
    }
}
