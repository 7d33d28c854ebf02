//! Images from what lies on this machine: a module becomes a wasm artifact, a folder an image of
//! platform wasi/wasm whose one layer is the folder. The same input gives the same digest: no
//! time, owner or order of the file system gets in.

use super::error::ImageError;
use super::manifest::{Descriptor, ImageConfig, Manifest, RootFs, RunConfig};
use super::media_types;
use super::resolve::{ModuleKind, WASM_BYTES_MAX, module_kind};
use super::unpack::{DEPTH_MAX, FILES_MAX, UNPACKED_BYTES_MAX};
use crate::stdx::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The annotation that names a layer's file.
const TITLE: &str = "org.opencontainers.image.title";

/// A wasm artifact without its module.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    /// The manifest as it is stored.
    pub(super) manifest: Vec<u8>,
    /// The configuration as it is stored.
    pub(super) config: Vec<u8>,
    /// The module's digest.
    pub(super) wasm_digest: Digest,
}

/// The CNCF's wasm artifact around a module. `program` becomes its argument 0.
pub(super) fn artifact(wasm: &[u8], program: &str) -> Result<Artifact, ImageError> {
    let os = match module_kind(wasm)? {
        ModuleKind::Core => "wasip1",
        ModuleKind::Component => "wasip2",
    };
    let mut layer = Descriptor::of(media_types::WASM, wasm);
    let wasm_digest = layer.digest()?;
    layer.annotations = BTreeMap::from([(TITLE.to_owned(), program.to_owned())]);
    let config = serde_json::json!({
        "architecture": "wasm",
        "os": os,
        "layerDigests": [layer.digest],
    });
    let config = config.to_string().into_bytes();
    let manifest = manifest(Descriptor::of(media_types::WASM_CONFIG, &config), layer)?;
    Ok(Artifact {
        manifest,
        config,
        wasm_digest,
    })
}

fn manifest(config: Descriptor, layer: Descriptor) -> Result<Vec<u8>, ImageError> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_types::MANIFEST.to_owned()),
        config,
        layers: vec![layer],
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&manifest).map_err(|error| ImageError::malformed("image manifest", error))
}

/// Reads a module from a file: the binary form or, by its content, the text form.
pub(super) fn read_module(path: &Path) -> Result<Vec<u8>, ImageError> {
    let what = path.display().to_string();
    let file = File::open(path).map_err(ImageError::io(format!("open {what}")))?;
    let mut bytes = Vec::new();
    let read = file.take(WASM_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(ImageError::io(format!("read {what}")))?;
    if bytes.len() as u64 > WASM_BYTES_MAX {
        return Err(ImageError::too_large(
            what,
            format!("{WASM_BYTES_MAX} bytes"),
        ));
    }
    if path.extension().is_some_and(|extension| extension == "wat") {
        let text =
            std::str::from_utf8(&bytes).map_err(|error| ImageError::malformed(&what, error))?;
        return wat::parse_str(text).map_err(|error| ImageError::malformed(&what, error));
    }
    module_kind(&bytes).map_err(|_| ImageError::malformed(&what, "is no WebAssembly module"))?;
    Ok(bytes)
}

/// The program of a folder image: the one module that lies directly in the folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// The module's name in the image.
    program: String,
    /// A `.wat` of which the module is made; it stays out of the image.
    text: Option<PathBuf>,
    /// Everything that goes in, relative and sorted.
    paths: Vec<PathBuf>,
}

impl Folder {
    /// Lists a folder.
    pub(super) fn read(root: &Path) -> Result<Self, ImageError> {
        let what = root.display().to_string();
        let mut paths = Vec::new();
        list(root, Path::new(""), &mut paths)?;
        paths.sort();
        let is_module = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            path.components().count() == 1 && matches!(extension, Some("wasm" | "wat"))
        };
        let modules: Vec<PathBuf> = paths.iter().filter(is_module).cloned().collect();
        let [module] = modules.as_slice() else {
            let why = match modules.len() {
                0 => "holds no .wasm or .wat file to start".to_owned(),
                count => {
                    format!("holds {count} .wasm or .wat files: which one to start is unclear")
                }
            };
            return Err(ImageError::malformed(what, why));
        };
        let is_text = module
            .extension()
            .is_some_and(|extension| extension == "wat");
        let name = module.with_extension("wasm");
        let program = name
            .to_str()
            .ok_or_else(|| ImageError::malformed(&what, "is not named in UTF-8"))?;
        let text = is_text.then(|| module.clone());
        paths.retain(|path| Some(path) != text.as_ref());
        Ok(Self {
            root: root.to_owned(),
            program: program.to_owned(),
            text,
            paths,
        })
    }

    /// Writes the folder as a tar archive.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), ImageError> {
        let what = || self.root.display().to_string();
        let failed = |error| ImageError::Io {
            what: format!("pack {}", what()),
            source: error,
        };
        let mut tar = tar::Builder::new(out);
        let mut budget = UNPACKED_BYTES_MAX;
        if let Some(text) = &self.text {
            let wasm = read_module(&self.root.join(text))?;
            let mut header = header(tar::EntryType::Regular, 0o755, wasm.len() as u64);
            tar.append_data(&mut header, &self.program, wasm.as_slice())
                .map_err(failed)?;
        } else {
            // What cannot start is better refused now than when a pod starts.
            read_module(&self.root.join(&self.program))?;
        }
        for path in &self.paths {
            let full = self.root.join(path);
            let data = std::fs::symlink_metadata(&full).map_err(failed)?;
            if data.is_dir() {
                let mut header = header(tar::EntryType::Directory, 0o755, 0);
                tar.append_data(&mut header, path, std::io::empty())
                    .map_err(failed)?;
            } else if data.is_symlink() {
                let target = std::fs::read_link(&full).map_err(failed)?;
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                tar.append_link(&mut header, path, target).map_err(failed)?;
            } else if data.is_file() {
                let file = File::open(&full).map_err(failed)?;
                let size = file.metadata().map_err(failed)?.len();
                budget = budget.checked_sub(size).ok_or_else(|| {
                    ImageError::too_large(what(), format!("{UNPACKED_BYTES_MAX} bytes"))
                })?;
                let mode = std::os::unix::fs::PermissionsExt::mode(&data.permissions());
                let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
                let mut header = header(tar::EntryType::Regular, mode, size);
                // A file that grows meanwhile must not spoil the archive.
                tar.append_data(&mut header, path, file.take(size))
                    .map_err(failed)?;
            } else {
                let why = format!(
                    "{} is neither a file nor a folder nor a link",
                    path.display()
                );
                return Err(ImageError::malformed(what(), why));
            }
        }
        tar.finish().map_err(failed)
    }

    /// The configuration of the image whose one layer is the archive of this digest.
    pub(super) fn config(&self, diff_id: &Digest) -> Result<Vec<u8>, ImageError> {
        let config = ImageConfig {
            architecture: "wasm".to_owned(),
            os: "wasi".to_owned(),
            config: Some(RunConfig {
                entrypoint: Some(vec![format!("/{}", self.program)]),
                working_dir: Some("/".to_owned()),
                ..RunConfig::default()
            }),
            rootfs: Some(RootFs {
                kind: "layers".to_owned(),
                diff_ids: vec![diff_id.to_string()],
            }),
        };
        serde_json::to_vec(&config).map_err(|error| ImageError::malformed("image config", error))
    }
}

/// The manifest of a folder's image.
pub(super) fn folder_manifest(
    config: &[u8],
    layer: &Digest,
    size: u64,
) -> Result<Vec<u8>, ImageError> {
    let layer = Descriptor {
        media_type: media_types::TAR.to_owned(),
        digest: layer.to_string(),
        size,
        ..Descriptor::default()
    };
    manifest(Descriptor::of(media_types::IMAGE_CONFIG, config), layer)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn list(root: &Path, below: &Path, paths: &mut Vec<PathBuf>) -> Result<(), ImageError> {
    let folder = root.join(below);
    let failed = || format!("read {}", folder.display());
    for entry in std::fs::read_dir(&folder).map_err(ImageError::io(failed()))? {
        let entry = entry.map_err(ImageError::io(failed()))?;
        let path = below.join(entry.file_name());
        if paths.len() >= FILES_MAX || path.components().count() > DEPTH_MAX {
            let limit = format!("{FILES_MAX} files in {DEPTH_MAX} levels");
            return Err(ImageError::too_large(root.display().to_string(), limit));
        }
        let is_dir = entry
            .file_type()
            .map_err(ImageError::io(failed()))?
            .is_dir();
        paths.push(path.clone());
        if is_dir {
            list(root, &path, paths)?;
        }
    }
    Ok(())
}
