//! What is on the wire and on disk: objects, names, selectors, patches, field ownership, Status,
//! watch frames, and the expression language CEL. Must never do I/O, spawn or read the clock; pure
//! functions over values.

pub mod apply;
pub mod cel;
mod error;
pub mod fields;
pub mod go_duration;
pub mod go_json;
pub mod go_regex;
mod gvk;
pub mod jsonpath;
pub mod labels;
pub mod list;
pub mod names;
mod object;
pub mod options;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod schema_node;
pub mod time;
pub mod watch;
pub mod yaml;

pub use error::{ApiError, FieldError, FieldErrorKind, Reason};
pub use fields::FieldSelector;
pub use gvk::{GroupResource, GroupVersionKind, GroupVersionResource, api_version};
pub use labels::Selector;
pub use object::{Object, ObjectKey};
pub use quantity::Quantity;
pub use schema_node::{ListType, SchemaNode};
