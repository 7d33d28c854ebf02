//! The media types that images and wasm artifacts are described with. Which world a module is of
//! is never read from here but from the module itself.

/// An image manifest of the OCI.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of manifests by platform, of the OCI.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's image manifest.
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index.
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An image's configuration, of the OCI.
pub(super) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The configuration of the CNCF's wasm artifact.
pub(super) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// A layer of the CNCF's wasm artifact: the module itself.
pub(super) const WASM: &str = "application/wasm";
/// A layer that is a tar archive.
pub(super) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Layers that are the module itself: the CNCF's, and older ones of wasm-to-oci, spin and others.
const WASM_LAYERS: &[&str] = &[
    WASM,
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/vnd.bytecodealliance.component.layer.v0+wasm",
];

/// Whether a layer of this type is a module.
pub(super) fn is_wasm_layer(media_type: &str) -> bool {
    WASM_LAYERS.contains(&media_type)
}

/// How a layer of a root filesystem is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// How a tar layer of this type is packed; `None` when it is no tar layer.
pub(super) fn tar_packing(media_type: &str) -> Option<Packing> {
    match media_type {
        TAR | "application/vnd.docker.image.rootfs.diff.tar" => Some(Packing::Plain),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Packing::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Packing::Zstd),
        _ => None,
    }
}

/// What a registry is asked for.
pub(super) const ACCEPTED: &[&str] = &[MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
