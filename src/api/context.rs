//! One request on its way through the chain: what it asks, who asks, and what is to be told beside
//! the answer. Must not know what the answer is.

use crate::api::audit::Record;
use crate::api::authentication::UserInfo;
use crate::api::fairness::Schema;
use crate::api::request_info::{RequestInfo, query_pairs};
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// Warnings of one answer; more are dropped.
const WARNINGS_MAX: usize = 64;
/// Bytes of all warnings of one answer.
const WARNINGS_BYTES_MAX: usize = 4 << 10;

/// How long a request lives: until its answer's last byte, and beyond that until what was made of its
/// connection has ended. What is kept in it is dropped then.
#[derive(Default)]
pub(crate) struct Life(Mutex<Vec<Box<dyn Any + Send + Sync>>>);

impl Life {
    /// Keeps something until the end.
    pub(crate) fn keep(&self, guard: impl Any + Send + Sync) {
        self.0.lock().push(Box::new(guard));
    }
}

/// One request.
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) info: RequestInfo,
    pub(crate) user: UserInfo,
    /// What the audit log follows of it.
    pub(crate) audit: Option<Arc<Record>>,
    /// By which schema it was let in or refused.
    pub(crate) flow: OnceLock<Arc<Schema>>,
    /// Held by what serves the request beyond its answer.
    pub(crate) life: Arc<Life>,
    warnings: Mutex<Vec<String>>,
}

impl Context {
    pub(crate) fn new(parts: &http::request::Parts, info: RequestInfo) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            method: parts.method.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            info,
            user: UserInfo::default(),
            audit: None,
            flow: OnceLock::new(),
            life: Arc::default(),
            warnings: Mutex::default(),
        }
    }

    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        query_pairs(&self.query)
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// Adds a `Warning` header to the answer. The same text once.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        let bytes: usize = warnings.iter().map(String::len).sum();
        let fits = warnings.len() < WARNINGS_MAX && bytes + text.len() <= WARNINGS_BYTES_MAX;
        if fits && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// What has been warned of.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// Adds to what the audit log tells of the request.
    pub(crate) fn annotate(&self, name: &str, value: impl FnOnce() -> String) {
        if let Some(record) = &self.audit {
            record.annotate(name, value());
        }
    }

    /// `User-Agent`, or nothing.
    pub(crate) fn user_agent(&self) -> &str {
        self.headers
            .get(http::header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether the request lives as long as its client wants.
    pub(crate) fn is_long_running(&self) -> bool {
        self.info.verb == "watch"
            || matches!(
                self.info.subresource.as_str(),
                "log" | "proxy" | "portforward" | "exec" | "attach"
            )
    }
}
