//! What a request asks for, read off its method and path alone: verb, group, version, resource,
//! subresource, namespace, name. Everything after (authorization, routing, audit) speaks in these
//! words. Must not know which resources exist.
//! Kubernetes: apiserver `endpoints/request` RequestInfo.

use http::Method;

/// Verbs that stand in the path of old clients (`/api/v1/watch/pods`).
const PATH_VERBS: &[&str] = &["proxy", "watch"];
/// Subresources of a Namespace; another third segment is a resource in the namespace.
const NAMESPACE_SUBRESOURCES: &[&str] = &["status", "finalize"];

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether it is about a resource; otherwise only `path` and `verb` are set.
    pub is_resource: bool,
    /// The path, percent-decoded.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, ...; the method in lower case for other paths.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace; for a Namespace itself, its name.
    pub namespace: String,
    /// Plural lower-case name.
    pub resource: String,
    /// Subresource, may be empty.
    pub subresource: String,
    /// Name, may be empty.
    pub name: String,
    /// What follows the subresource, as it was sent (percent-encoded), with its leading slash: the
    /// path that a proxy passes on.
    pub tail: String,
    /// Whether the verb stood in the path (`/api/v1/watch/...`).
    pub verb_in_path: bool,
}

impl RequestInfo {
    /// Reads a request. `Err` is the sentence for a 400.
    pub fn of(method: &Method, raw_path: &str, query: &str) -> Result<Self, String> {
        let decoded = decode(raw_path).ok_or_else(|| "the path is not valid UTF-8".to_owned())?;
        let mut info = Self {
            path: decoded,
            verb: method.as_str().to_ascii_lowercase(),
            ..Self::default()
        };
        let raw: Vec<&str> = raw_path.trim_matches('/').split('/').collect();
        let (grouped, rest) = match raw.split_first() {
            Some((&"api", rest)) if rest.len() >= 2 => (false, rest),
            Some((&"apis", rest)) if rest.len() >= 3 => (true, rest),
            _ => return Ok(info),
        };
        let mut parts: Vec<String> = Vec::with_capacity(rest.len());
        for part in rest {
            parts.push(decode(part).ok_or_else(|| "the path is not valid UTF-8".to_owned())?);
        }
        let mut parts = parts.into_iter();
        if grouped {
            info.group = parts.next().unwrap_or_default();
        }
        info.version = parts.next().unwrap_or_default();
        info.is_resource = true;
        let mut parts: Vec<String> = parts.collect();
        info.read_verb(method, &mut parts)?;
        info.read_parts(parts);
        info.tail = info.tail_of(raw_path);
        info.refine_verb(query);
        Ok(info)
    }

    fn read_verb(&mut self, method: &Method, parts: &mut Vec<String>) -> Result<(), String> {
        if let Some(first) = parts.first()
            && PATH_VERBS.contains(&first.as_str())
        {
            if parts.len() < 2 {
                return Err(format!(
                    "unable to determine kind and namespace from url, {}",
                    self.path
                ));
            }
            self.verb = parts.remove(0);
            self.verb_in_path = true;
            return Ok(());
        }
        let verb = match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "",
        };
        verb.clone_into(&mut self.verb);
        Ok(())
    }

    fn read_parts(&mut self, mut parts: Vec<String>) {
        if parts.first().is_some_and(|part| part == "namespaces") && parts.len() > 1 {
            self.namespace = parts.get(1).cloned().unwrap_or_default();
            let inside = parts
                .get(2)
                .is_some_and(|part| !NAMESPACE_SUBRESOURCES.contains(&part.as_str()));
            if inside {
                parts.drain(..2);
            }
        }
        let mut parts = parts.into_iter();
        self.resource = parts.next().unwrap_or_default();
        self.name = parts.next().unwrap_or_default();
        if !self.verb_in_path {
            self.subresource = parts.next().unwrap_or_default();
        }
    }

    /// What follows the subresource in the path as it was sent.
    fn tail_of(&self, raw_path: &str) -> String {
        if self.subresource.is_empty() {
            return String::new();
        }
        let prefix = if self.group.is_empty() { 2 } else { 3 };
        let inside = !self.namespace.is_empty() && self.resource != "namespaces";
        let segments = prefix + if inside { 2 } else { 0 } + 3;
        let path = raw_path.trim_start_matches('/');
        path.match_indices('/')
            .nth(segments - 1)
            .and_then(|(at, _)| path.get(at..))
            .unwrap_or_default()
            .to_owned()
    }

    /// A get without a name is a list or a watch; a delete without a name is of the collection.
    fn refine_verb(&mut self, query: &str) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" => {
                let mut watch = false;
                let mut fields = String::new();
                for (name, value) in query_pairs(query) {
                    match name.as_str() {
                        "watch" => watch = is_true(&value),
                        "fieldSelector" => fields = value,
                        _ => {}
                    }
                }
                let verb = if watch { "watch" } else { "list" };
                verb.clone_into(&mut self.verb);
                self.name = exact_name(&fields);
            }
            "watch" => {
                for (name, value) in query_pairs(query) {
                    if name == "fieldSelector" {
                        self.name = exact_name(&value);
                    }
                }
            }
            "delete" => "deletecollection".clone_into(&mut self.verb),
            _ => {}
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        crate::meta::api_version(&self.group, &self.version)
    }

    /// Whether the verb only reads.
    pub fn is_read_only(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "get" | "list" | "watch" | "head" | "options"
        )
    }

    /// `pods` or `pods/log`.
    pub fn resource_and_subresource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// The name that `metadata.name=x` asks for, if that is a valid path segment.
fn exact_name(fields: &str) -> String {
    fields
        .split(',')
        .find_map(|part| {
            let value = part.strip_prefix("metadata.name=")?;
            Some(value.strip_prefix('=').unwrap_or(value))
        })
        .filter(|name| !matches!(*name, "." | "..") && !name.contains(['/', '%', '\\']))
        .unwrap_or_default()
        .to_owned()
}

/// Kubernetes' reading of a boolean in a query.
pub(crate) fn is_true(value: &str) -> bool {
    !matches!(value, "false" | "0")
}

/// The pairs of a query, percent-decoded; what is not UTF-8 is left out.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plus = |text: &str| text.replace('+', " ");
            Some((decode(&plus(name))?, decode(&plus(value))?))
        })
}

/// Percent-decodes; `None` if the result is not UTF-8. A stray percent sign stays as it is.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3);
        let value = pair
            .filter(|_| byte == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let Some(value) = value {
            out.push(value);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, uri: &str) -> RequestInfo {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        RequestInfo::of(&method, path, query).unwrap()
    }

    #[test]
    fn reads_paths_as_kubernetes_does() {
        // method, uri, verb, group, version, namespace, resource, subresource, name
        let cases = [
            (
                Method::GET,
                "/api/v1/namespaces",
                "list / v1 / / namespaces / /",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/other",
                "get / v1 / other / namespaces / / other",
            ),
            (
                Method::PUT,
                "/api/v1/namespaces/other/finalize",
                "update / v1 / other / namespaces / finalize / other",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/other/pods",
                "list / v1 / other / pods / /",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/other/pods?watch=true",
                "watch / v1 / other / pods / /",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/other/pods?watch=1&fieldSelector=metadata.name%3Dfoo",
                "watch / v1 / other / pods / / foo",
            ),
            (
                Method::GET,
                "/api/v1/watch/namespaces/other/pods",
                "watch / v1 / other / pods / /",
            ),
            (
                Method::GET,
                "/api/v1/pods/foo/log",
                "get / v1 / / pods / log / foo",
            ),
            (
                Method::POST,
                "/api/v1/namespaces/other/pods/foo/binding",
                "create / v1 / other / pods / binding / foo",
            ),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/other/deployments",
                "deletecollection / apps / v1 / other / deployments / /",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/other/deployments/x/status",
                "patch / apps / v1 / other / deployments / status / x",
            ),
        ];
        for (method, uri, expected) in cases {
            let info = read(method, uri);
            let got = [
                &info.verb,
                &info.group,
                &info.version,
                &info.namespace,
                &info.resource,
                &info.subresource,
                &info.name,
            ];
            let expected: Vec<&str> = expected.split('/').map(str::trim).collect();
            // "verb / group / version ..." with an empty group is written "verb / version".
            let got: Vec<&str> = got.iter().map(|part| part.as_str()).collect();
            let expected: Vec<&str> = if expected.len() == 6 {
                let mut full = vec![expected[0], ""];
                full.extend(&expected[1..]);
                full
            } else {
                expected
            };
            assert_eq!(got, expected, "{uri}");
        }
    }

    #[test]
    fn other_paths_are_no_resources() {
        for uri in [
            "/",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/version",
            "/x/y/z",
        ] {
            let info = read(Method::GET, uri);
            assert!(!info.is_resource, "{uri}");
            assert_eq!(info.verb, "get");
        }
    }

    #[test]
    fn keeps_the_tail_as_it_was_sent() {
        let info = read(
            Method::GET,
            "/api/v1/namespaces/d/pods/p:80/proxy/a%2Fb/c/?q",
        );
        assert_eq!(info.name, "p:80");
        assert_eq!(info.subresource, "proxy");
        assert_eq!(info.tail, "/a%2Fb/c/");
        let info = read(Method::GET, "/api/v1/namespaces/d/pods/p/proxy");
        assert_eq!(info.tail, "");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(path in ".{0,200}", query in ".{0,100}") {
            let _ = RequestInfo::of(&Method::GET, &path, &query);
        }
    }
}
