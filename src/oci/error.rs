//! What can go wrong between an image's name and its module, in words that Kubernetes shows as
//! they are, and the kubelet's reason for each.

use crate::stdx::{Digest, DigestError};
use std::fmt;
use std::io;

/// The kubelet's reasons for a container that waits for its image.
/// Kubernetes: pkg/kubelet/images/types.go
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageReason {
    /// The name cannot be parsed.
    InvalidImageName,
    /// Getting the image failed just now.
    ErrImagePull,
    /// Getting the image failed, and the next try waits. Never an error's own reason: the
    /// kubelet says it while it backs off.
    ImagePullBackOff,
    /// The image is not there and the policy forbids pulling.
    ErrImageNeverPull,
    /// The image is there but cannot be read.
    ImageInspectError,
    /// The registry cannot be reached.
    RegistryUnavailable,
}

impl ImageReason {
    /// The reason as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidImageName => "InvalidImageName",
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
            Self::ImageInspectError => "ImageInspectError",
            Self::RegistryUnavailable => "RegistryUnavailable",
        }
    }
}

impl fmt::Display for ImageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an image is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The text is no image name.
    #[error("couldn't parse image name {text:?}: {why}")]
    InvalidName {
        /// What was given.
        text: String,
        /// What is wrong with it, in the words of the distribution project.
        why: String,
    },
    /// No image of this name is stored here.
    #[error("image {0:?}: not found")]
    NotFound(String),
    /// The image is not here and must not be pulled.
    #[error("Container image {0:?} is not present with pull policy of Never")]
    NeverPull(String),
    /// The registry did not answer.
    #[error("failed to pull and unpack image {reference:?}: failed to do request: {why}")]
    Unreachable {
        /// The whole reference.
        reference: String,
        /// What the network said.
        why: String,
    },
    /// The registry does not know the image, or does not say so to strangers.
    #[error("failed to pull and unpack image {reference:?}: {why}")]
    Refused {
        /// The whole reference.
        reference: String,
        /// The registry's answer.
        why: String,
    },
    /// The image is for other platforms.
    #[error(
        "failed to pull and unpack image {reference:?}: no match for platform in manifest: found \
         {found}; wkube runs WebAssembly: images of platform wasi/wasm, and wasm artifacts"
    )]
    Platform {
        /// The whole reference.
        reference: String,
        /// The platforms that the image has.
        found: String,
    },
    /// Content is not what its digest says.
    #[error("digest mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// The digest it was named by.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// A digest that cannot be used.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Something is larger than its limit.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// A manifest, a layer, an archive or a module is malformed.
    #[error("{what}: {why}")]
    Malformed {
        /// What it is.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Stored content is gone or damaged.
    #[error("stored image content {digest} is damaged: {why}")]
    Damaged {
        /// The content.
        digest: Digest,
        /// What was found.
        why: String,
    },
    /// The disk.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

impl ImageError {
    /// The kubelet's reason for this error.
    pub fn reason(&self) -> ImageReason {
        match self {
            Self::InvalidName { .. } => ImageReason::InvalidImageName,
            Self::NeverPull(_) => ImageReason::ErrImageNeverPull,
            Self::Damaged { .. } => ImageReason::ImageInspectError,
            _ => ImageReason::ErrImagePull,
        }
    }

    /// Whether the registry could not be asked at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(super) fn malformed(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Malformed {
            what: what.into(),
            why: why.to_string(),
        }
    }

    pub(super) fn too_large(what: impl Into<String>, limit: impl fmt::Display) -> Self {
        Self::TooLarge {
            what: what.into(),
            limit: limit.to_string(),
        }
    }

    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
