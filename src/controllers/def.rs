//! The row of a controller: its name, what it follows, what it does with a key.

use crate::client::{Client, ClientError};
use crate::meta::{Object, ObjectKey};
use crate::stdx::Clock;
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::time::Duration;

/// What a reconciler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    /// When the controllers started: what was before, nobody saw.
    pub(crate) started: Timestamp,
}

/// What a reconciler asks for after it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something changes.
    Wait,
    /// To be called again after a while.
    After(Duration),
}

/// Carries out what the object of a key needs.
pub(crate) type Reconcile = fn(Context, ObjectKey) -> BoxFuture<'static, Result<Next, ClientError>>;

/// A resource that is followed, and which key a change of it concerns.
pub(crate) struct Watched {
    /// Group, version, plural.
    pub(crate) resource: (&'static str, &'static str, &'static str),
    /// The key that a change of this object concerns; `None` if none.
    pub(crate) key: fn(&Object) -> Option<ObjectKey>,
}

/// The row of a controller.
pub(crate) struct ControllerDef {
    /// Kubernetes' name for it.
    pub(crate) name: &'static str,
    /// What it follows.
    pub(crate) watches: &'static [Watched],
    /// Keys that are worked on at the same time.
    pub(crate) workers: usize,
    /// What it does.
    pub(crate) reconcile: Reconcile,
}
