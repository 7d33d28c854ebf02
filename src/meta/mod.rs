//! What is on the wire and on disk: objects, names, selectors, patches, field ownership, Status,
//! watch frames. Must never do I/O, spawn or read the clock; pure functions over values.

mod error;
mod gvk;
mod object;

pub use error::{ApiError, FieldError, FieldErrorKind, Reason};
pub use gvk::{GroupResource, GroupVersionKind, GroupVersionResource};
pub use object::{Object, ObjectKey};
