//! Requests to an API server: paths, queries, bodies, and answers decoded or turned into errors.

use crate::client::transport::{ResponseBody, Transport};
use crate::meta::{ApiError, GroupVersionResource, Reason};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::Arc;

/// The largest answer that is read into memory: lists of a large cluster fit, a broken server
/// does not fill the machine.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused; its Status.
    #[error("{0}")]
    Api(ApiError),
    /// The server was not reached, or the connection broke.
    #[error("{0}")]
    Transport(String),
    /// Nothing listens where the server should be; its address.
    #[error("the connection to the server {0} was refused")]
    Refused(String),
    /// The answer is not what was asked for.
    #[error("the server's answer could not be read: {0}")]
    Decode(String),
    /// The kubeconfig cannot be used.
    #[error("{0}")]
    Config(String),
}

impl ClientError {
    /// The reason of the server's refusal, if it was one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Api(error) => Some(error.reason),
            _ => None,
        }
    }

    /// Whether the server said that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some(Reason::NotFound)
    }

    /// Whether the object has changed since it was read, or stands in the way.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Some(Reason::Conflict)
    }

    /// Whether the object exists already.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Some(Reason::AlreadyExists)
    }
}

/// The query of a request, percent-encoded as it is built.
#[derive(Clone, Debug, Default)]
pub struct Query {
    text: String,
}

impl Query {
    /// An empty query.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a parameter; an empty value leaves it out.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            if !self.text.is_empty() {
                self.text.push('&');
            }
            encode_into(&mut self.text, name);
            self.text.push('=');
            encode_into(&mut self.text, value);
        }
        self
    }

    /// As it stands after the question mark.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Percent-encodes what is not unreserved (RFC 3986), for one segment of a path or query.
fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The four ways to patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge.
    Strategic,
    /// Server-side apply (YAML or JSON).
    Apply,
}

impl PatchKind {
    /// The media type that tells the server.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// Metadata of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    /// The revision the list was read at.
    pub resource_version: String,
    /// Where the next page begins; empty at the end.
    #[serde(rename = "continue")]
    pub continue_token: String,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ListMeta,
    /// Its objects.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

/// A client of an API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    field_manager: Arc<str>,
}

impl Client {
    /// A client whose writes are owned by `field_manager`.
    pub fn new(transport: Arc<dyn Transport>, field_manager: &str) -> Self {
        Self {
            transport,
            field_manager: field_manager.into(),
        }
    }

    /// The name under which this client's writes are owned.
    pub fn field_manager(&self) -> &str {
        &self.field_manager
    }

    /// The path of a resource, an object or a subresource. Empty parts are left out.
    pub fn path(
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
    ) -> String {
        let mut path = if resource.group.is_empty() {
            format!("/api/{}", resource.version)
        } else {
            format!("/apis/{}/{}", resource.group, resource.version)
        };
        if !namespace.is_empty() {
            path.push_str("/namespaces/");
            encode_into(&mut path, namespace);
        }
        for part in [resource.resource.as_str(), name] {
            if !part.is_empty() {
                path.push('/');
                encode_into(&mut path, part);
            }
        }
        for part in subresource.split('/').filter(|part| !part.is_empty()) {
            path.push('/');
            encode_into(&mut path, part);
        }
        path
    }

    /// Sends a request as it is; the answer's status is the caller's to judge.
    pub async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<ResponseBody>, ClientError> {
        self.transport.send(request).await
    }

    /// Sends a request; an answer that is no success becomes its error. The body is not read.
    pub async fn stream(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<(&str, Bytes)>,
        accept: &str,
    ) -> Result<Response<ResponseBody>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(http::header::ACCEPT, accept);
        let bytes = match body {
            Some((content_type, bytes)) => {
                request = request.header(http::header::CONTENT_TYPE, content_type);
                bytes
            }
            None => Bytes::new(),
        };
        let request = request
            .body(bytes)
            .map_err(|e| ClientError::Transport(e.to_string()))?;
        let response = self.transport.send(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = collect(response.into_body()).await?;
        Err(ClientError::Api(refusal(status, &bytes)))
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Bytes, ClientError> {
        let response = self
            .stream(method, path_and_query, body, "application/json")
            .await?;
        collect(response.into_body()).await
    }

    /// Reads one object.
    pub async fn get<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
    ) -> Result<T, ClientError> {
        let path = Self::path(resource, namespace, name, "");
        decode(&self.call(Method::GET, &path, None).await?)
    }

    /// Reads a page of objects; an empty namespace means all.
    pub async fn list<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        query: &Query,
    ) -> Result<List<T>, ClientError> {
        let path = with_query(Self::path(resource, namespace, "", ""), query);
        decode(&self.call(Method::GET, &path, None).await?)
    }

    /// Creates an object, or posts to a subresource of `name` (binding, eviction, token).
    pub async fn create<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        subresource_of: Option<(&str, &str)>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let (name, subresource) = subresource_of.unwrap_or_default();
        let path = Self::path(resource, namespace, name, subresource);
        self.write(Method::POST, path, "application/json", body)
            .await
    }

    /// Replaces an object or a subresource of it (`status`); an empty subresource is the object.
    pub async fn update<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let path = Self::path(resource, namespace, name, subresource);
        self.write(Method::PUT, path, "application/json", body)
            .await
    }

    /// Patches an object or a subresource of it; an empty subresource is the object.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        (namespace, name): (&str, &str),
        subresource: &str,
        kind: PatchKind,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let path = Self::path(resource, namespace, name, subresource);
        self.write(Method::PATCH, path, kind.content_type(), body)
            .await
    }

    /// Writes under this client's name and reads what the server made of it.
    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        content_type: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let query = Query::new().with("fieldManager", &self.field_manager);
        let body = Some((content_type, encode(body)?));
        decode(&self.call(method, &with_query(path, &query), body).await?)
    }

    /// Deletes an object; `options` is a DeleteOptions, or null.
    pub async fn delete(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Value, ClientError> {
        let path = Self::path(resource, namespace, name, "");
        let body = match options {
            Value::Null => None,
            options => Some(("application/json", encode(options)?)),
        };
        decode(&self.call(Method::DELETE, &path, body).await?)
    }
}

/// Joins a path and a query.
pub fn with_query(mut path: String, query: &Query) -> String {
    if !query.as_str().is_empty() {
        path.push('?');
        path.push_str(query.as_str());
    }
    path
}

/// Reads a body to its end.
pub async fn collect(mut body: ResponseBody) -> Result<Bytes, ClientError> {
    let mut first = None;
    let mut rest = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| ClientError::Transport(error.to_string()))?;
        if rest.is_empty() && first.is_none() {
            // Most answers are one part; it is handed on as it came.
            first = Some(part);
            continue;
        }
        if let Some(part) = first.take() {
            rest.extend_from_slice(&part);
        }
        rest.extend_from_slice(&part);
        if rest.len() > ANSWER_BYTES_MAX {
            let what = format!("it is larger than {ANSWER_BYTES_MAX} bytes");
            return Err(ClientError::Decode(what));
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

fn encode(body: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|e| ClientError::Decode(e.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|e| ClientError::Decode(e.to_string()))
}

/// The error of an answer that is no success: its Status, or its text.
fn refusal(code: StatusCode, bytes: &[u8]) -> ApiError {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(status) if status.get("kind").and_then(Value::as_str) == Some("Status") => {
            ApiError::from_status(code.as_u16(), &status)
        }
        _ => ApiError {
            code: code.as_u16(),
            reason: Reason::Unknown,
            message: String::from_utf8_lossy(bytes).trim().to_owned(),
            details: Value::Null,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        let pods = GroupVersionResource::new("", "v1", "pods");
        assert_eq!(
            Client::path(&pods, "default", "a", "log"),
            "/api/v1/namespaces/default/pods/a/log"
        );
        let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
        assert_eq!(
            Client::path(&leases, "", "", ""),
            "/apis/coordination.k8s.io/v1/leases"
        );
        assert_eq!(
            Client::path(&pods, "a/b", "", ""),
            "/api/v1/namespaces/a%2Fb/pods"
        );
        let query = Query::new()
            .with("labelSelector", "a=b,c in (d)")
            .with("limit", "");
        assert_eq!(query.as_str(), "labelSelector=a%3Db%2Cc%20in%20%28d%29");
    }
}
