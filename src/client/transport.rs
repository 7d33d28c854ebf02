//! The two ways to an API server: a function of this process, or TLS through the ecosystem's own
//! client. A request is whole bytes; an answer is a stream, because watches and logs have no end.

use crate::client::ClientError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use std::io;
use std::sync::Arc;

/// The bytes of an answer as they come.
pub type ResponseBody = BoxStream<'static, io::Result<Bytes>>;

/// A way to an API server.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request; the URI has a path and a query, no host.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<ResponseBody>, ClientError>;
}

type Handler =
    dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<ResponseBody>> + Send + Sync + 'static;

/// Calls an API server of this process. The function carries the caller's identity; requests take
/// the same chain of filters as those that come over TLS.
#[derive(Clone)]
pub struct InProcess {
    handler: Arc<Handler>,
}

impl InProcess {
    /// Wraps the function that answers requests.
    pub fn new<F>(handler: F) -> Self
    where
        F: Fn(Request<Bytes>) -> BoxFuture<'static, Response<ResponseBody>> + Send + Sync + 'static,
    {
        Self {
            handler: Arc::new(handler),
        }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<ResponseBody>, ClientError> {
        Ok((self.handler)(request).await)
    }
}

/// Speaks to an API server over TLS, as a kubeconfig says.
#[derive(Clone)]
pub struct Remote {
    client: kube::Client,
    /// For messages: `host:port`.
    address: String,
    /// Told what the server warns of.
    warn: Option<fn(&str)>,
}

impl Remote {
    /// Wraps the ecosystem's client of the server at `address`; `warn` is told what the server
    /// warns of.
    pub fn new(client: kube::Client, address: impl Into<String>, warn: Option<fn(&str)>) -> Self {
        Self {
            client,
            address: address.into(),
            warn,
        }
    }

    /// The ecosystem's client, for upgrades (port-forward, exec).
    pub fn kube(&self) -> &kube::Client {
        &self.client
    }
}

#[async_trait]
impl Transport for Remote {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<ResponseBody>, ClientError> {
        let request = request.map(kube::client::Body::from);
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| self.failure(&error))?;
        if let Some(warn) = self.warn {
            let headers = response.headers().get_all(http::header::WARNING);
            let texts = headers.iter().filter_map(|value| value.to_str().ok());
            texts.flat_map(warnings).for_each(|text| warn(&text));
        }
        Ok(response.map(|body| {
            body.into_data_stream()
                .map(|part| part.map_err(io::Error::other))
                .boxed()
        }))
    }
}

impl Remote {
    /// The deepest cause says what a person can act on ("connection refused"), the outer ones do
    /// not.
    fn failure(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let mut deepest = error;
        loop {
            let kind = deepest.downcast_ref::<io::Error>().map(io::Error::kind);
            if kind == Some(io::ErrorKind::ConnectionRefused) {
                return ClientError::Refused(self.address.clone());
            }
            match deepest.source() {
                Some(source) => deepest = source,
                None => return ClientError::Transport(deepest.to_string()),
            }
        }
    }
}

/// The texts of a Warning header: `299 - "text", 299 - "text"` (RFC 7234).
fn warnings(header: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut chars = header.chars();
    while chars.by_ref().any(|c| c == '"') {
        let mut text = String::new();
        while let Some(c) = chars.next().filter(|c| *c != '"') {
            text.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        texts.push(text);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_out_of_their_header() {
        let header = r#"299 - "unknown field \"spec.a\"", 299 - "b""#;
        assert_eq!(warnings(header), ["unknown field \"spec.a\"", "b"]);
        assert!(warnings("299 -").is_empty());
    }
}
