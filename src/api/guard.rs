//! What a browser could be misused for: a page of another site that asks this server with the user's
//! own certificate, or under a name that was turned on this machine (DNS rebinding). Such requests
//! tell their origin, or the name by which they came; both are looked at before anything else. Must
//! not know who asks.
//! The model is `kubectl proxy` with `--accept-hosts`. Kubernetes' API server does not look.

use crate::meta::{ApiError, Reason};
use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use std::net::{IpAddr, SocketAddr};

/// Names by which a cluster's own clients know the server.
const OWN_NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Which names and origins are let in.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Nobody else's name leads here, so none is accepted.
    loopback: bool,
    names: Vec<String>,
}

impl Guard {
    /// For a listener; `names` are accepted beside the server's own.
    pub fn new(listen: SocketAddr, names: &[String]) -> Self {
        let own = OWN_NAMES.iter().map(|name| (*name).to_owned());
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            loopback: listen.ip().is_loopback(),
            names: own.chain(names).collect(),
        }
    }

    /// Refuses a request by its head.
    pub(crate) fn check(
        &self,
        authority: Option<&Authority>,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let host = match authority {
            Some(authority) => Some(authority.as_str()),
            None => text(headers, &HOST)?,
        };
        let host = host.unwrap_or_default();
        let name = name_of(host);
        // An address cannot be turned on another machine.
        if self.loopback && !host.is_empty() && !is_address(&name) && !self.knows(&name) {
            return Err(forbidden(format!(
                "the request came by the name {name:?}, which is none of this server's; if it is \
                 meant to be, start it with --accept-hosts {name}"
            )));
        }
        let Some(origin) = text(headers, &ORIGIN)? else {
            return Ok(());
        };
        let (_, of) = origin.split_once("://").unwrap_or_default();
        let page = name_of(of);
        let own = !of.is_empty() && of.eq_ignore_ascii_case(host);
        if own || is_loopback(&page) || (!page.is_empty() && self.knows(&page)) {
            return Ok(());
        }
        Err(forbidden(format!(
            "pages of {origin:?} may not use this server; if they are meant to, start it with \
             --accept-hosts and their host"
        )))
    }

    fn knows(&self, name: &str) -> bool {
        name.ends_with(".localhost") || self.names.iter().any(|own| own == name)
    }
}

fn forbidden(why: String) -> ApiError {
    ApiError::new(Reason::Forbidden, why)
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next().map(|value| value.to_str());
    if values.next().is_some() {
        return Err(forbidden(format!("{name} stands twice in the request")));
    }
    let unreadable = |_| forbidden(format!("{name} cannot be read"));
    first.transpose().map_err(unreadable)
}

/// The host of `host:port`, in lower case, without the brackets of an address.
fn name_of(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

fn is_loopback(name: &str) -> bool {
    let address: Option<IpAddr> = name.parse().ok();
    address.is_some_and(|address| address.is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_in(listen: &str, host: &str, origin: Option<&str>) -> bool {
        let guard = Guard::new(listen.parse().unwrap(), &["Dash.example".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        guard.check(None, &headers).is_ok()
    }

    #[test]
    fn names_and_origins_are_those_of_the_server_or_of_this_machine() {
        for (listen, host, origin, wanted) in [
            ("127.0.0.1:6443", "127.0.0.1:6443", None, true),
            ("127.0.0.1:6443", "[::1]:6443", None, true),
            ("127.0.0.1:6443", "localhost:6443", None, true),
            ("127.0.0.1:6443", "LocalHost.:6443", None, true),
            ("127.0.0.1:6443", "wkube.localhost", None, true),
            ("127.0.0.1:6443", "kubernetes.default.svc", None, true),
            ("127.0.0.1:6443", "dash.example", None, true),
            ("127.0.0.1:6443", "evil.example:6443", None, false),
            ("127.0.0.1:6443", "localhost.evil.example", None, false),
            ("127.0.0.1:6443", "127.0.0.1.evil.example", None, false),
            // A listener for others may have any name; pages may not be of any site.
            ("0.0.0.0:6443", "cluster.lan:6443", None, true),
            (
                "0.0.0.0:6443",
                "cluster.lan:6443",
                Some("https://cluster.lan:6443"),
                true,
            ),
            (
                "0.0.0.0:6443",
                "cluster.lan:6443",
                Some("https://cluster.lan"),
                false,
            ),
            (
                "0.0.0.0:6443",
                "cluster.lan:6443",
                Some("https://evil.example"),
                false,
            ),
            // What `kubectl proxy` passes on.
            (
                "127.0.0.1:6443",
                "127.0.0.1:6443",
                Some("http://localhost:8001"),
                true,
            ),
            (
                "127.0.0.1:6443",
                "127.0.0.1:6443",
                Some("https://127.0.0.1:6443"),
                true,
            ),
            (
                "127.0.0.1:6443",
                "127.0.0.1:6443",
                Some("https://dash.example"),
                true,
            ),
            (
                "127.0.0.1:6443",
                "127.0.0.1:6443",
                Some("https://evil.example"),
                false,
            ),
            (
                "127.0.0.1:6443",
                "127.0.0.1:6443",
                Some("https://evil.example:6443"),
                false,
            ),
            ("127.0.0.1:6443", "127.0.0.1:6443", Some("null"), false),
            ("127.0.0.1:6443", "127.0.0.1:6443", Some(""), false),
        ] {
            assert_eq!(
                let_in(listen, host, origin),
                wanted,
                "{listen} {host} {origin:?}"
            );
        }
    }
}
