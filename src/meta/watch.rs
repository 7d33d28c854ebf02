//! The frames of a watch: one JSON line for each change. Must not know where changes come from.
//! Kubernetes: `apis/meta/v1.WatchEvent`, apiserver `handlers/watch`.

use crate::meta::ApiError;
use serde_json::{Value, json};

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum WatchType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl WatchType {
    /// `ADDED`, ...
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    /// Reads `ADDED`, ...
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Added,
            Self::Modified,
            Self::Deleted,
            Self::Bookmark,
            Self::Error,
        ]
        .into_iter()
        .find(|t| t.as_str() == text)
    }
}

/// A frame as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchType,
    /// The object, a bookmark's shell, or a Status.
    pub object: Value,
}

impl WatchEvent {
    /// Reads one line; `None` for what is no frame.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut frame: Value = serde_json::from_slice(line).ok()?;
        let kind = WatchType::parse(frame.get("type")?.as_str()?)?;
        let object = frame.get_mut("object")?.take();
        Some(Self { kind, object })
    }

    /// The error that an `ERROR` frame carries.
    pub fn error(&self) -> Option<ApiError> {
        if self.kind != WatchType::Error {
            return None;
        }
        let code = self.object.get("code").and_then(Value::as_u64);
        let code = code.and_then(|c| u16::try_from(c).ok()).unwrap_or(500);
        Some(ApiError::from_status(code, &self.object))
    }
}

/// A frame around an object that is encoded already (a trailing newline in it is dropped).
pub fn frame(kind: WatchType, object: &[u8]) -> Vec<u8> {
    let object = object.strip_suffix(b"\n").unwrap_or(object);
    let mut out = Vec::with_capacity(object.len() + 40);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    out
}

/// A bookmark: all changes up to `revision` have been sent. `initial_events_end` marks the one
/// after the objects there were.
pub fn bookmark(api_version: &str, kind: &str, revision: u64, initial_events_end: bool) -> Vec<u8> {
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if initial_events_end && let Value::Object(map) = &mut metadata {
        map.insert(
            "annotations".to_owned(),
            json!({"k8s.io/initial-events-end": "true"}),
        );
    }
    let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
    frame(WatchType::Bookmark, object.to_string().as_bytes())
}

/// An error, after which the watch ends.
pub fn error(error: &ApiError) -> Vec<u8> {
    frame(WatchType::Error, error.to_status().to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Reason;

    #[test]
    fn frames_read_back() {
        let added = WatchEvent::parse(&frame(WatchType::Added, b"{\"a\":1}\n")).unwrap();
        assert_eq!(
            (added.kind, added.object),
            (WatchType::Added, json!({"a": 1}))
        );
        let mark = WatchEvent::parse(&bookmark("v1", "Pod", 9, true)).unwrap();
        assert_eq!(mark.object["metadata"]["resourceVersion"], "9");
        assert_eq!(
            mark.object["metadata"]["annotations"]["k8s.io/initial-events-end"],
            "true"
        );
        let gone = ApiError::new(Reason::Expired, "too old resource version: 1 (5)");
        let read = WatchEvent::parse(&error(&gone)).unwrap();
        assert_eq!(read.error(), Some(gone));
        assert_eq!(WatchEvent::parse(b"{}"), None);
        assert_eq!(WatchEvent::parse(b"\xff"), None);
    }
}
