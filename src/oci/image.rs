//! What the rest of wkube gets for an image's name: where the module is and how to start it.

use super::error::ImageError;
use crate::stdx::Digest;
use std::path::PathBuf;
use std::str::FromStr;

/// An image that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The whole reference, `docker.io/gihyodocker/echo:latest`.
    pub reference: String,
    /// The manifest's digest: the image's identity.
    pub digest: Digest,
    /// The module's digest, under which compiled code is cached.
    pub wasm_digest: Digest,
    /// The module.
    pub wasm: ImageWasm,
    /// The program and its first arguments; never empty.
    pub entrypoint: Vec<String>,
    /// The arguments where the container gives none.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where the program begins.
    pub working_dir: Option<String>,
    /// TCP ports that the image says it listens on.
    pub exposed_ports: Vec<u16>,
    /// The unpacked root filesystem, for images that have one. Shared: must be mounted read-only.
    pub rootfs: Option<PathBuf>,
    /// What the image takes: its manifest, configuration and layers as they are stored.
    pub size_bytes: u64,
    /// How it came here.
    pub origin: Origin,
}

impl Image {
    /// The image by content, as a container's status names it: `docker.io/a/b@sha256:...`.
    pub fn image_id(&self) -> String {
        // The reference was made by `Reference`, so that the last colon behind a slash is a tag's.
        let name = self.reference.split('@').next().unwrap_or_default();
        let name = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        format!("{name}@{}", self.digest)
    }
}

/// Where a module's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageWasm {
    /// In this file, whose content was checked against its digest.
    Path(PathBuf),
    /// In wkube itself.
    Static(&'static [u8]),
}

/// How an image came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It is part of wkube.
    Bundled,
    /// Built or loaded on this machine: the name means this content, whatever a registry says.
    Loaded,
    /// From a registry.
    Pulled,
}

/// When to ask the registry. Kubernetes: core/v1 PullPolicy
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// For every container that starts.
    Always,
    /// When the name is not here.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl FromStr for PullPolicy {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        match text {
            "Always" => Ok(Self::Always),
            "IfNotPresent" => Ok(Self::IfNotPresent),
            "Never" => Ok(Self::Never),
            other => Err(ImageError::malformed(
                "imagePullPolicy",
                format!("unknown policy {other:?}"),
            )),
        }
    }
}
