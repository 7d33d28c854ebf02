//! From a stored manifest to what can be started: finds the module, unpacks the root filesystem
//! if there is one, and remembers the result, which can always be made again.

use super::error::ImageError;
use super::local::{BlobWriter, Disk, Work};
use super::manifest::{DOCUMENT_BYTES_MAX, Document, ImageConfig, Manifest};
use super::media_types;
use super::unpack::{self, Layer};
use crate::stdx::{Digest, write_atomic};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a module.
pub(super) const WASM_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How to start an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Resolved {
    wasm: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) working_dir: Option<String>,
    pub(super) exposed_ports: Vec<u16>,
    pub(super) has_rootfs: bool,
    pub(super) size_bytes: u64,
}

impl Resolved {
    /// The module's digest.
    pub(super) fn wasm_digest(&self) -> Result<Digest, ImageError> {
        Ok(self.wasm.parse()?)
    }

    /// What is remembered of a manifest, if all of it is still there.
    pub(super) fn read(disk: &Disk, manifest: &Digest) -> Result<Option<Self>, ImageError> {
        let Some(root) = disk.root() else {
            return Ok(None);
        };
        let path = root.join("images").join(manifest.hex());
        let Ok(bytes) = std::fs::read(&path) else {
            return Ok(None);
        };
        let resolved = serde_json::from_slice(&bytes).ok();
        Ok(resolved.filter(|resolved: &Self| {
            !resolved.has_rootfs || rootfs_path(&root, manifest).is_dir()
        }))
    }

    fn write(&self, disk: &Disk, manifest: &Digest) -> Result<(), ImageError> {
        let path = disk.root_to_write()?.join("images").join(manifest.hex());
        let bytes = serde_json::to_vec(self).map_err(|e| ImageError::malformed("image", e))?;
        write_atomic(&path, &bytes, 0o600)
            .map_err(ImageError::io(format!("write {}", path.display())))
    }
}

/// Where a manifest's root filesystem lies.
pub(super) fn rootfs_path(root: &Path, manifest: &Digest) -> PathBuf {
    root.join("rootfs").join(manifest.hex())
}

/// Checks that wkube can run an image before its layers are fetched or unpacked.
pub(super) fn check_platform(
    reference: &str,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<(), ImageError> {
    if manifest.wasm_layer()?.is_some() {
        return Ok(());
    }
    let other = |found: String| ImageError::Platform {
        reference: reference.to_owned(),
        found,
    };
    let layers = &manifest.layers;
    if let Some(layer) = layers
        .iter()
        .find(|l| media_types::tar_packing(&l.media_type).is_none())
    {
        return Err(other(format!("an artifact of {}", layer.media_type)));
    }
    let platform = config.platform();
    // Builders that know no wasm platform write their own one: the program's name tells.
    let says_wasm = config
        .command()
        .next()
        .is_some_and(|program| program.ends_with(".wasm"));
    match platform.rank().is_some() || says_wasm {
        true => Ok(()),
        false => Err(other(platform.name())),
    }
}

/// Works out how to start the image of `manifest`, all of whose content is stored.
pub(super) fn resolve(
    disk: &Disk,
    work: &Work,
    reference: &str,
    manifest: &Digest,
    program: &str,
) -> Result<Resolved, ImageError> {
    if let Some(resolved) = Resolved::read(disk, manifest)?
        && disk.verify(&resolved.wasm_digest()?).is_ok()
    {
        return Ok(resolved);
    }
    let bytes = disk.read_blob(manifest, DOCUMENT_BYTES_MAX)?;
    let Document::Manifest(document) = Document::parse(&bytes)? else {
        return Err(ImageError::malformed(
            reference,
            "is an index where an image was expected",
        ));
    };
    let config = disk.read_blob(&document.config.digest()?, DOCUMENT_BYTES_MAX)?;
    let config = ImageConfig::parse(&config, &document.config.media_type)?;
    check_platform(reference, &document, &config)?;
    let run = config.config.clone().unwrap_or_default();
    let sizes = document.layers.iter().map(|layer| layer.size);
    let mut resolved = Resolved {
        entrypoint: run.entrypoint.unwrap_or_default(),
        cmd: run.cmd.unwrap_or_default(),
        env: run.env.unwrap_or_default(),
        working_dir: run.working_dir.filter(|path| !path.is_empty()),
        exposed_ports: ports(run.exposed_ports.unwrap_or_default().keys()),
        size_bytes: bytes.len() as u64 + document.config.size + sizes.sum::<u64>(),
        ..Resolved::default()
    };
    let wasm = match document.wasm_layer()? {
        Some(layer) => {
            if resolved.entrypoint.is_empty() {
                let title = layer.annotations.get("org.opencontainers.image.title");
                resolved.entrypoint = vec![title.map_or(program, String::as_str).to_owned()];
            }
            layer.digest()?
        }
        None => {
            resolved.has_rootfs = true;
            if resolved.entrypoint.is_empty() && !resolved.cmd.is_empty() {
                // The program is the first word, whichever list it stands in.
                resolved.entrypoint.push(resolved.cmd.remove(0));
            }
            unpack_rootfs(disk, work, manifest, &document, &config, &resolved)?
        }
    };
    check_module(&disk.verify(&wasm)?)?;
    resolved.wasm = wasm.to_string();
    resolved.write(disk, manifest)?;
    Ok(resolved)
}

/// `8080/tcp` and `8080` as numbers.
fn ports<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<u16> {
    let tcp = texts.filter_map(|text| match text.split_once('/') {
        None => text.parse().ok(),
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
    });
    tcp.collect()
}

/// Unpacks the layers, puts them where they belong, and stores the module that the entrypoint
/// names as content of its own.
fn unpack_rootfs(
    disk: &Disk,
    work: &Work,
    manifest: &Digest,
    document: &Manifest,
    config: &ImageConfig,
    resolved: &Resolved,
) -> Result<Digest, ImageError> {
    let diff_ids = config
        .rootfs
        .as_ref()
        .map(|rootfs| rootfs.diff_ids.as_slice());
    if diff_ids.is_some_and(|ids| ids.len() != document.layers.len()) {
        return Err(ImageError::malformed(
            "image config",
            "its diff_ids are not as many as the layers",
        ));
    }
    let mut layers = Vec::new();
    for (number, layer) in document.layers.iter().enumerate() {
        let diff_id = diff_ids
            .and_then(|ids| ids.get(number))
            .map(|id| id.parse())
            .transpose()?;
        let packing = media_types::tar_packing(&layer.media_type)
            .ok_or_else(|| ImageError::malformed("image layer", "is no tar archive"))?;
        layers.push(Layer {
            path: disk.verify(&layer.digest()?)?,
            packing,
            diff_id,
        });
    }
    let folder = work.new_path();
    std::fs::create_dir(&folder).map_err(ImageError::io(format!("create {}", folder.display())))?;
    unpack::unpack(&layers, &folder)?;
    let wasm = take_module(disk, work, &folder, resolved)?;
    let root = disk.root_to_write()?;
    let place = rootfs_path(&root, manifest);
    let what = || format!("store {}", place.display());
    // One sync of the filesystem instead of one a file: what is named below must be whole.
    let handle = File::open(&folder).map_err(ImageError::io(what()))?;
    rustix::fs::syncfs(&handle).map_err(|e| ImageError::io(what())(e.into()))?;
    match std::fs::rename(&folder, &place) {
        Ok(()) => Ok(wasm),
        // Another process was faster; the same manifest unpacks to the same files.
        Err(_) if place.is_dir() => Ok(wasm),
        Err(error) => Err(ImageError::io(what())(error)),
    }
}

fn take_module(
    disk: &Disk,
    work: &Work,
    folder: &Path,
    resolved: &Resolved,
) -> Result<Digest, ImageError> {
    let Some(program) = resolved.entrypoint.first() else {
        return Err(ImageError::malformed("image config", "names no entrypoint"));
    };
    let path = Path::new("/")
        .join(resolved.working_dir.as_deref().unwrap_or("/"))
        .join(program);
    let path = path.strip_prefix("/").unwrap_or(&path);
    let what = || format!("the image's entrypoint {program:?}");
    let root = Dir::open_ambient_dir(folder, ambient_authority())
        .map_err(ImageError::io(format!("open {}", folder.display())))?;
    // The handle keeps a link in the image from leading outside.
    let mut file = root
        .open(path)
        .map_err(|error| ImageError::malformed(what(), error))?;
    if !file.metadata().is_ok_and(|data| data.is_file()) {
        return Err(ImageError::malformed(what(), "is not a file"));
    }
    let mut writer = BlobWriter::begin(work, WASM_BYTES_MAX)?;
    writer.copy(&mut file, |error| ImageError::malformed(what(), error))?;
    let spooled = writer.finish()?;
    check_module(&spooled.path)?;
    disk.commit(&spooled)
}

/// Whether a file begins as a module or a component does.
pub(super) fn check_module(path: &Path) -> Result<(), ImageError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(ImageError::io(format!("open {}", path.display())))?;
    let read = file.take(8).read_to_end(&mut start);
    read.map_err(ImageError::io(format!("read {}", path.display())))?;
    module_kind(&start).map(|_| ())
}

/// What a module is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModuleKind {
    /// A core module: preview 1.
    Core,
    /// A component: 0.2 and later.
    Component,
}

pub(super) fn module_kind(start: &[u8]) -> Result<ModuleKind, ImageError> {
    let why = match start {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Ok(ModuleKind::Core),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(ModuleKind::Component),
        [0, b'a', b's', b'm', ..] => "is of a binary version that wkube does not know",
        [0x7f, b'E', b'L', b'F', ..] => "is a linux program, and wkube runs WebAssembly",
        [b'#', b'!', ..] => "is a script, and wkube runs WebAssembly",
        _ => "does not begin as WebAssembly does",
    };
    Err(ImageError::malformed("the image's program", why))
}
