//! Manifests, indexes and image configurations: read, chosen from by platform, written. Pure.

use super::error::ImageError;
use super::media_types;
use crate::stdx::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of a manifest, an index or a configuration. Registries limit them so as well.
pub(super) const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Layers of one image.
pub(super) const LAYERS_MAX: usize = 128;
/// Entries of one index.
pub(super) const INDEX_ENTRIES_MAX: usize = 1024;

/// A pointer to content.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    /// What kind of content it is.
    #[serde(default)]
    pub(super) media_type: String,
    /// The content's digest as text: an index may name content by algorithms that wkube does not
    /// read, as long as it need not be read.
    pub(super) digest: String,
    /// The content's length in bytes.
    pub(super) size: u64,
    /// Free text; `org.opencontainers.image.title` names a layer's file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    /// In an index: what kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Platform {
    /// `linux`, `wasi`, `wasip1`, `wasip2`.
    #[serde(default)]
    pub(super) os: String,
    /// `amd64`, `wasm`.
    #[serde(default)]
    pub(super) architecture: String,
    /// `v7` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// Always 2.
    pub(super) schema_version: u32,
    /// [`media_types::MANIFEST`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    /// The configuration.
    pub(super) config: Descriptor,
    /// The layers, lowest first.
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    /// Free text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// Images by platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    /// Always 2.
    pub(super) schema_version: u32,
    /// [`media_types::INDEX`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    /// The images.
    pub(super) manifests: Vec<Descriptor>,
}

/// What a registry gives for a name.
#[derive(Clone, Debug)]
pub(super) enum Document {
    /// One image.
    Manifest(Manifest),
    /// A choice of images.
    Index(Index),
}

/// The part of an image's configuration that says how to start it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ImageConfig {
    /// `wasm` for a module.
    #[serde(default)]
    pub(super) architecture: String,
    /// `wasi`, `wasip1`, `wasip2`.
    #[serde(default)]
    pub(super) os: String,
    /// How to start it.
    #[serde(default)]
    pub(super) config: Option<RunConfig>,
    /// The layers before they were packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rootfs: Option<RootFs>,
}

/// `config` of an image's configuration. Missing lists are written as null by some tools.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RunConfig {
    /// The program and its first arguments.
    pub(super) entrypoint: Option<Vec<String>>,
    /// The arguments where none are given.
    pub(super) cmd: Option<Vec<String>>,
    /// `NAME=value`.
    pub(super) env: Option<Vec<String>>,
    /// Where the program begins.
    pub(super) working_dir: Option<String>,
    /// `8080/tcp` and the like.
    pub(super) exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
}

/// `rootfs` of an image's configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The digests of the unpacked layers, lowest first.
    pub(super) diff_ids: Vec<String>,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes).to_string(),
            size: bytes.len() as u64,
            ..Self::default()
        }
    }

    /// The digest, where wkube can check it.
    pub(super) fn digest(&self) -> Result<Digest, ImageError> {
        Ok(self.digest.parse()?)
    }
}

impl Platform {
    /// `wasi/wasm` and the like, as Docker writes it.
    pub(super) fn name(&self) -> String {
        let word = |text: &str| {
            if text.is_empty() {
                "unknown".to_owned()
            } else {
                text.to_owned()
            }
        };
        let mut name = format!("{}/{}", word(&self.os), word(&self.architecture));
        if let Some(variant) = self
            .variant
            .as_deref()
            .filter(|variant| !variant.is_empty())
        {
            name = format!("{name}/{variant}");
        }
        name
    }

    /// How much wkube likes this platform, small is better; `None`: it does not run it.
    pub(super) fn rank(&self) -> Option<u8> {
        let wasm = matches!(self.architecture.as_str(), "wasm" | "wasm32");
        match (self.os.as_str(), wasm) {
            ("wasi", true) => Some(0),
            ("wasip2", _) => Some(1),
            ("wasip1", _) => Some(2),
            (_, true) => Some(3),
            ("wasi", false) => Some(4),
            _ => None,
        }
    }
}

impl Document {
    /// Reads a manifest or an index; which of them it is, its fields say.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: Option<u32>,
            manifests: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        let wrong = |why: &dyn std::fmt::Display| ImageError::malformed("image manifest", why);
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(ImageError::too_large("image manifest", "4 MiB"));
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
        if kind.schema_version != Some(2) {
            return Err(wrong(&"schemaVersion is not 2"));
        }
        match (kind.manifests, kind.config) {
            (Some(_), None) => {
                let index: Index = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
                if index.manifests.len() > INDEX_ENTRIES_MAX {
                    return Err(ImageError::too_large(
                        "image index",
                        format!("{INDEX_ENTRIES_MAX} entries"),
                    ));
                }
                Ok(Self::Index(index))
            }
            (None, Some(_)) => {
                let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
                if manifest.layers.len() > LAYERS_MAX {
                    return Err(ImageError::too_large(
                        "image manifest",
                        format!("{LAYERS_MAX} layers"),
                    ));
                }
                Ok(Self::Manifest(manifest))
            }
            // One that claims to be both could be read differently by two readers.
            _ => Err(wrong(&"neither an image manifest nor an image index")),
        }
    }
}

impl Index {
    /// The best entry for wkube; the error lists the platforms there are.
    pub(super) fn choose(&self) -> Result<&Descriptor, String> {
        let rank = |entry: &&Descriptor| match &entry.platform {
            Some(platform) => platform.rank(),
            // An artifact without a platform may be wasm; its own manifest tells.
            None => Some(9),
        };
        let best = self
            .manifests
            .iter()
            .filter(|entry| rank(entry).is_some())
            .min_by_key(rank);
        best.ok_or_else(|| {
            let mut found: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|entry| entry.platform.as_ref())
                .map(Platform::name)
                // Attestations stand beside the images under this name.
                .filter(|name| name != "unknown/unknown")
                .collect();
            found.dedup();
            if found.is_empty() {
                "no image".to_owned()
            } else {
                found.join(", ")
            }
        })
    }
}

impl Manifest {
    /// The layer that is the module, if the image is of that form. More than one is an error:
    /// which of them to run would be a guess.
    pub(super) fn wasm_layer(&self) -> Result<Option<&Descriptor>, ImageError> {
        let mut layers = self
            .layers
            .iter()
            .filter(|l| media_types::is_wasm_layer(&l.media_type));
        match (layers.next(), layers.next()) {
            (layer, None) => Ok(layer),
            _ => Err(ImageError::malformed(
                "image manifest",
                "has more than one wasm layer",
            )),
        }
    }
}

impl ImageConfig {
    /// Reads a configuration; that of an artifact may be anything, also nothing.
    pub(super) fn parse(bytes: &[u8], media_type: &str) -> Result<Self, ImageError> {
        match serde_json::from_slice(bytes) {
            Ok(config) => Ok(config),
            Err(_) if media_type != media_types::IMAGE_CONFIG => Ok(Self::default()),
            Err(error) => Err(ImageError::malformed("image config", error)),
        }
    }

    /// What the image runs on.
    pub(super) fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: None,
        }
    }

    /// The program and its arguments as the image says them.
    pub(super) fn command(&self) -> impl Iterator<Item = &String> {
        let run = self.config.iter();
        run.flat_map(|run| {
            run.entrypoint
                .iter()
                .flatten()
                .chain(run.cmd.iter().flatten())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str)]) -> Index {
        let manifests = platforms.iter().map(|(os, architecture)| Descriptor {
            digest: format!("{os}/{architecture}"),
            platform: Some(Platform {
                os: (*os).to_owned(),
                architecture: (*architecture).to_owned(),
                variant: None,
            }),
            ..Descriptor::default()
        });
        Index {
            schema_version: 2,
            media_type: None,
            manifests: manifests.collect(),
        }
    }

    #[test]
    fn the_wasm_platform_is_chosen() {
        let chosen = |platforms: &[(&str, &str)]| {
            index(platforms).choose().map(|entry| entry.digest.clone())
        };
        assert_eq!(
            chosen(&[("linux", "amd64"), ("wasip1", "wasm"), ("wasi", "wasm")]).unwrap(),
            "wasi/wasm"
        );
        assert_eq!(
            chosen(&[("wasip1", "wasm"), ("wasip2", "wasm")]).unwrap(),
            "wasip2/wasm"
        );
        assert_eq!(
            chosen(&[("linux", "wasm"), ("linux", "arm64")]).unwrap(),
            "linux/wasm"
        );
        let found = chosen(&[
            ("linux", "amd64"),
            ("linux", "arm64"),
            ("unknown", "unknown"),
        ]);
        assert_eq!(found.unwrap_err(), "linux/amd64, linux/arm64");
    }

    #[test]
    fn what_is_two_things_is_refused() {
        let parse = |text: &str| Document::parse(text.as_bytes());
        assert!(matches!(
            parse(r#"{"schemaVersion":2,"manifests":[]}"#),
            Ok(Document::Index(_))
        ));
        for wrong in [
            "",
            "[]",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"manifests":[],"config":{}}"#,
            r#"{"schemaVersion":2,"config":{"digest":"x"}}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
