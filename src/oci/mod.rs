//! References, manifests, the registry client and the local image store: from an image's name to
//! the bytes of a wasm module and how to start it. Must never know pods.
//!
//! The door is [`ImageStore`]: `get` answers what is here, `ensure` does what a pull policy asks,
//! `build`, `load`, `save`, `tag`, `list` and `remove` are what `wkube image` does. What comes
//! from outside (registries, archives, layers) is hostile until it has been checked: digests
//! before use, limits with a name for everything, paths only through a handle (`unpack`).

mod archive;
mod build;
mod bundled;
mod credentials;
mod error;
mod image;
mod local;
mod manifest;
mod media_types;
mod pull;
mod reference;
mod resolve;
mod store;
mod unpack;

pub use bundled::{BUNDLED, Bundled};
pub use credentials::{Credentials, Keyring};
pub use error::{ImageError, ImageReason};
pub use image::{Image, ImageWasm, Origin, PullPolicy};
pub use reference::Reference;
pub use store::{ImageStore, ImageSummary};
