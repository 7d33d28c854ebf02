//! A watch as it is read: lines cut out of a stream, frames, and the wait for one object to become
//! what is wanted. Must not keep objects: that is the informer's.

use crate::client::request::{Client, ClientError, Query, with_query};
use crate::client::transport::ResponseBody;
use crate::meta::watch::{WatchEvent, WatchType};
use crate::meta::{GroupVersionResource, Reason};
use crate::stdx::Clock;
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use http::Method;
use serde_json::Value;
use std::time::Duration;

/// The largest single watch frame that is accepted.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How long to wait before an object is looked at again whose watch ended without a word.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// Up to here there is no line end.
    searched: usize,
}

impl Frames {
    pub(super) fn push(&mut self, part: Bytes) -> Result<(), ClientError> {
        if self.buffer.len() + part.len() > FRAME_BYTES_MAX {
            let what = format!("a watch frame is larger than {FRAME_BYTES_MAX} bytes");
            return Err(ClientError::Decode(what));
        }
        self.buffer.extend_from_slice(&part);
        Ok(())
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        loop {
            let rest = self.buffer.get(self.searched..)?;
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + end);
            self.buffer.advance(1);
            self.searched = 0;
            if !line.is_empty() {
                return Some(line.freeze());
            }
        }
    }
}

/// A watch that is open.
pub struct Watch {
    body: ResponseBody,
    frames: Frames,
}

impl Watch {
    /// The next frame; `None` when the server has ended the watch. An error frame is an error.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        loop {
            if let Some(line) = self.frames.next() {
                let event = WatchEvent::parse(&line)
                    .ok_or_else(|| ClientError::Decode("not a watch frame".to_owned()))?;
                return match event.error() {
                    Some(error) => Err(ClientError::Api(error)),
                    None => Ok(Some(event)),
                };
            }
            match self.body.next().await {
                Some(Ok(part)) => self.frames.push(part)?,
                Some(Err(error)) => return Err(ClientError::Transport(error.to_string())),
                None => return Ok(None),
            }
        }
    }
}

impl Client {
    /// Opens the watch of a path with its query; `accept` is the form of its objects.
    pub async fn watch(&self, path: &str, accept: &str) -> Result<Watch, ClientError> {
        let response = self.stream(Method::GET, path, None, accept).await?;
        Ok(Watch {
            body: response.into_body(),
            frames: Frames::default(),
        })
    }

    /// Follows one object until `judge` answers; it is given the object, or `None` once it is gone.
    pub async fn follow<T>(
        &self,
        resource: &GroupVersionResource,
        (namespace, name): (&str, &str),
        clock: &Clock,
        mut judge: impl FnMut(Option<&Value>) -> Option<T> + Send,
    ) -> Result<T, ClientError> {
        loop {
            let now = match self.get::<Value>(resource, namespace, name).await {
                Ok(now) => Some(now),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
            if let Some(answer) = judge(now.as_ref()) {
                return Ok(answer);
            }
            let revision = now.as_ref().and_then(|now| {
                let revision = now.pointer("/metadata/resourceVersion")?;
                revision.as_str()
            });
            let query = Query::new()
                .with("watch", "true")
                .with("fieldSelector", &format!("metadata.name={name}"))
                .with("resourceVersion", revision.unwrap_or_default());
            let path = with_query(Self::path(resource, namespace, "", ""), &query);
            let mut seen = false;
            let mut watch = self.watch(&path, "application/json").await?;
            loop {
                let event = match watch.next().await {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    // The history is gone, or the connection: the object is read anew.
                    Err(ClientError::Api(error))
                        if matches!(error.reason, Reason::Expired | Reason::Gone) =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                };
                seen = true;
                let object = match event.kind {
                    WatchType::Added | WatchType::Modified => Some(&event.object),
                    WatchType::Deleted => None,
                    _ => continue,
                };
                if let Some(answer) = judge(object) {
                    return Ok(answer);
                }
            }
            if !seen {
                clock.sleep(LOOK_AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_lines_however_they_come() {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for part in ["{\"a\"", ":1}\n\n{", "}", "\n", "x\ny\nz"] {
            frames.push(Bytes::from(part)).unwrap();
            while let Some(line) = frames.next() {
                seen.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(seen, ["{\"a\":1}", "{}", "x", "y"]);
    }
}
