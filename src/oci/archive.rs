//! Images as one file: reads what `docker save` (both its forms), podman and `wkube image save`
//! write, and writes what all of them read: an OCI layout with docker's list beside it. An
//! archive is hostile until its content has been checked; its paths are looked up in a table and
//! never used as paths.

use super::error::ImageError;
use super::image::{Image, Origin};
use super::local::{BlobWriter, Spooled, Work};
use super::manifest::{
    DOCUMENT_BYTES_MAX, Descriptor, Document, ImageConfig, Index, Manifest, Platform,
};
use super::media_types::{self, Packing};
use super::reference::Reference;
use super::resolve::check_platform;
use super::store::ImageStore;
use super::unpack::{Meter, RATIO_FREE_BYTES, RATIO_MAX, malformed, packing_of, unpacked};
use crate::stdx::Digest;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Component, Path};
use std::rc::Rc;

/// Files of one archive.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of one archive, unpacked.
const ARCHIVE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Links of an archive that lead to each other.
const LINKS_MAX: usize = 8;
/// The annotation with an image's whole name.
const FULL_NAME: &str = "io.containerd.image.name";
/// The annotation with an image's name, or only its tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An archive's files, each spooled and hashed, by their cleaned names.
struct Archive {
    files: HashMap<String, Spooled>,
    links: HashMap<String, String>,
}

/// One image of docker's list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Takes in all images of an archive that wkube can run; none of them is an error.
pub(super) fn load(
    store: &ImageStore,
    from: &mut dyn Read,
    name: Option<&Reference>,
) -> Result<Vec<Image>, ImageError> {
    let _shared = store.disk.lock_shared()?;
    let work = store.disk.work()?;
    let archive = Archive::read(&work, from)?;
    if archive.find("index.json").is_some() && archive.find("oci-layout").is_some() {
        return archive.load_layout(store, &work, name);
    }
    if archive.find("manifest.json").is_some() {
        return archive.load_docker(store, &work, name);
    }
    Err(ImageError::malformed(
        "image archive",
        "holds neither index.json nor manifest.json",
    ))
}

impl Archive {
    fn read(work: &Work, from: &mut dyn Read) -> Result<Self, ImageError> {
        let packed = Rc::new(Cell::new(0));
        let mut counted = BufReader::new(Counted {
            inner: from,
            count: packed.clone(),
        });
        let packing = packing_of(counted.fill_buf().map_err(broken)?);
        let limit = move || {
            let ratio = packed.get().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
            ratio.min(ARCHIVE_BYTES_MAX)
        };
        let mut tar = tar::Archive::new(Meter::new(unpacked(counted, packing)?, limit));
        let mut archive = Self {
            files: HashMap::new(),
            links: HashMap::new(),
        };
        for (number, entry) in tar.entries().map_err(broken)?.enumerate() {
            let mut entry = entry.map_err(broken)?;
            if number >= ENTRIES_MAX {
                return Err(ImageError::too_large(
                    "image archive",
                    format!("{ENTRIES_MAX} files"),
                ));
            }
            let path = entry.path().map_err(broken)?.into_owned();
            let name = clean(Path::new(""), &path)?;
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let mut writer = BlobWriter::begin(work, ARCHIVE_BYTES_MAX)?;
                    writer.copy(&mut entry, broken)?;
                    archive.files.insert(name, writer.finish()?);
                }
                // Older docker archives share layers by links.
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name().map_err(broken)?.unwrap_or_default();
                    let is_hard = entry.header().entry_type() == tar::EntryType::Link;
                    let folder = path.parent().filter(|_| !is_hard).unwrap_or(Path::new(""));
                    archive.links.insert(name, clean(folder, &target)?);
                }
                _ => {}
            }
        }
        Ok(archive)
    }

    fn find(&self, name: &str) -> Option<&Spooled> {
        let mut name = name;
        for _ in 0..LINKS_MAX {
            if let Some(file) = self.files.get(name) {
                return Some(file);
            }
            name = self.links.get(name)?;
        }
        None
    }

    fn file(&self, name: &str) -> Result<&Spooled, ImageError> {
        let missing = || ImageError::malformed("image archive", format!("{name} is missing"));
        let clean = clean(Path::new(""), Path::new(name))?;
        self.find(&clean).ok_or_else(missing)
    }

    /// A small file's bytes.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let file = self.file(name)?;
        if file.size > DOCUMENT_BYTES_MAX as u64 {
            return Err(ImageError::too_large(
                name,
                format!("{DOCUMENT_BYTES_MAX} bytes"),
            ));
        }
        std::fs::read(&file.path).map_err(ImageError::io(format!("read {}", file.path.display())))
    }

    /// Content by its digest, where the content is what the name says.
    fn content(&self, digest: &Digest) -> Result<&Spooled, ImageError> {
        let file = self.file(&format!("blobs/sha256/{}", digest.hex()))?;
        match file.digest == *digest {
            true => Ok(file),
            false => Err(ImageError::Mismatch {
                expected: *digest,
                actual: file.digest,
            }),
        }
    }

    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Document), ImageError> {
        self.content(digest)?;
        let bytes = self.bytes(&format!("blobs/sha256/{}", digest.hex()))?;
        let document = Document::parse(&bytes)?;
        Ok((bytes, document))
    }

    fn load_layout(
        &self,
        store: &ImageStore,
        work: &Work,
        name: Option<&Reference>,
    ) -> Result<Vec<Image>, ImageError> {
        let Document::Index(index) = Document::parse(&self.bytes("index.json")?)? else {
            return Err(ImageError::malformed(
                "image archive",
                "index.json is no index",
            ));
        };
        // The same manifest may be listed once for each of its names.
        let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
        for entry in &index.manifests {
            let digest = entry.digest()?;
            let names = names_of(entry, name)?;
            match images.iter_mut().find(|(have, _)| *have == digest) {
                Some((_, have)) => have.extend(names),
                None => images.push((digest, names)),
            }
        }
        let mut loaded = Vec::new();
        for (digest, names) in images {
            loaded.push(self.load_manifest(store, work, &digest, &named(names)?)?);
        }
        some(loaded)
    }

    fn load_manifest(
        &self,
        store: &ImageStore,
        work: &Work,
        digest: &Digest,
        names: &[Reference],
    ) -> Result<Image, ImageError> {
        let title = names.first().map(Reference::to_string).unwrap_or_default();
        let (mut bytes, mut document) = self.document(digest)?;
        let mut digest = *digest;
        if let Document::Index(index) = &document {
            let chosen = index.choose();
            let chosen = chosen.map_err(|found| ImageError::Platform {
                reference: title.clone(),
                found,
            })?;
            digest = chosen.digest()?;
            (bytes, document) = self.document(&digest)?;
        }
        let Document::Manifest(manifest) = document else {
            return Err(ImageError::malformed(
                "image archive",
                "an index holds an index",
            ));
        };
        self.content(&manifest.config.digest()?)?;
        let config = self.bytes(&format!("blobs/sha256/{}", manifest.config.digest()?.hex()))?;
        let config_parsed = ImageConfig::parse(&config, &manifest.config.media_type)?;
        check_platform(&title, &manifest, &config_parsed)?;
        for layer in &manifest.layers {
            let layer = layer.digest()?;
            if !store.disk.has_blob(&layer) {
                store.disk.commit(self.content(&layer)?)?;
            }
        }
        store.disk.write_blob(work, &config)?;
        store.disk.write_blob(work, &bytes)?;
        store.install(work, &digest, names, Origin::Loaded)
    }

    fn load_docker(
        &self,
        store: &ImageStore,
        work: &Work,
        name: Option<&Reference>,
    ) -> Result<Vec<Image>, ImageError> {
        let listed: Vec<Listed> = serde_json::from_slice(&self.bytes("manifest.json")?)
            .map_err(|error| ImageError::malformed("manifest.json", error))?;
        let mut loaded = Vec::new();
        for image in listed {
            let tags = image.repo_tags.unwrap_or_default();
            let mut names = Vec::new();
            for tag in &tags {
                names.push(Reference::parse(tag)?);
            }
            if names.is_empty() {
                names.extend(name.cloned());
            }
            let names = named(names)?;
            let config = self.bytes(&image.config)?;
            let mut layers = Vec::new();
            for layer in &image.layers {
                let file = self.file(layer)?;
                layers.push(Descriptor {
                    media_type: layer_type(file)?.to_owned(),
                    digest: file.digest.to_string(),
                    size: file.size,
                    ..Descriptor::default()
                });
            }
            let manifest = Manifest {
                schema_version: 2,
                media_type: Some(media_types::MANIFEST.to_owned()),
                config: Descriptor::of(media_types::IMAGE_CONFIG, &config),
                layers,
                annotations: BTreeMap::new(),
            };
            let parsed = ImageConfig::parse(&config, media_types::IMAGE_CONFIG)?;
            let title = names.first().map(Reference::to_string).unwrap_or_default();
            check_platform(&title, &manifest, &parsed)?;
            for layer in &image.layers {
                let file = self.file(layer)?;
                if !store.disk.has_blob(&file.digest) {
                    store.disk.commit(file)?;
                }
            }
            let bytes = serde_json::to_vec(&manifest);
            let bytes = bytes.map_err(|error| ImageError::malformed("image manifest", error))?;
            store.disk.write_blob(work, &config)?;
            let digest = store.disk.write_blob(work, &bytes)?;
            loaded.push(store.install(work, &digest, &names, Origin::Loaded)?);
        }
        some(loaded)
    }
}

/// An error of reading an archive: its own fault, or the limit's veto.
fn broken(error: std::io::Error) -> ImageError {
    match malformed(error) {
        ImageError::Malformed { why, .. } => ImageError::malformed("image archive", why),
        other => other,
    }
}

/// Counts what is read of the packed archive.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    count: Rc<Cell<u64>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

fn some(loaded: Vec<Image>) -> Result<Vec<Image>, ImageError> {
    match loaded.is_empty() {
        true => Err(ImageError::malformed("image archive", "holds no image")),
        false => Ok(loaded),
    }
}

fn named(names: Vec<Reference>) -> Result<Vec<Reference>, ImageError> {
    match names.is_empty() {
        true => Err(ImageError::malformed(
            "image archive",
            "an image in it has no name: give it one",
        )),
        false => Ok(names),
    }
}

/// The names of an entry of an archive's index, or the given one.
fn names_of(entry: &Descriptor, name: Option<&Reference>) -> Result<Vec<Reference>, ImageError> {
    if let Some(full) = entry.annotations.get(FULL_NAME) {
        return Ok(vec![Reference::parse(full)?]);
    }
    match entry.annotations.get(REF_NAME) {
        // Only a tag, as some tools write it, names nothing.
        Some(text) if text.contains(['/', ':']) => Ok(vec![Reference::parse(text)?]),
        _ => Ok(name.cloned().into_iter().collect()),
    }
}

fn layer_type(file: &Spooled) -> Result<&'static str, ImageError> {
    let mut start = Vec::new();
    let opened = File::open(&file.path).and_then(|file| file.take(4).read_to_end(&mut start));
    opened.map_err(ImageError::io(format!("read {}", file.path.display())))?;
    Ok(match packing_of(&start) {
        Packing::Plain => media_types::TAR,
        Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    })
}

/// A name in an archive, or where a link from `folder` leads, with `/` between words. One that
/// climbs out of the archive is refused.
fn clean(folder: &Path, path: &Path) -> Result<String, ImageError> {
    let wrong =
        || ImageError::malformed("image archive", format!("{} leads outside", path.display()));
    let mut words: Vec<&str> = Vec::new();
    for part in folder.components().chain(path.components()) {
        match part {
            Component::Normal(word) => words.push(word.to_str().ok_or_else(wrong)?),
            Component::ParentDir => {
                words.pop().ok_or_else(wrong)?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(wrong()),
        }
    }
    Ok(words.join("/"))
}

/// Writes images into one archive.
pub(super) fn save(
    store: &ImageStore,
    names: &[Reference],
    out: &mut dyn Write,
) -> Result<(), ImageError> {
    let mut tar = tar::Builder::new(out);
    let mut index = Index {
        schema_version: 2,
        media_type: Some(media_types::INDEX.to_owned()),
        manifests: Vec::new(),
    };
    let mut listed: Vec<Listed> = Vec::new();
    let mut written: BTreeSet<Digest> = BTreeSet::new();
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    for name in names {
        let (digest, bytes) = store.manifest_bytes(name)?;
        let Document::Manifest(manifest) = Document::parse(&bytes)? else {
            return Err(ImageError::malformed(name.to_string(), "is an index"));
        };
        let tag = name
            .tag()
            .map(|tag| format!("{}:{tag}", name.familiar_name()));
        let mut entry = Descriptor::of(media_types::MANIFEST, &bytes);
        entry.platform = Some(Platform {
            os: "wasi".to_owned(),
            architecture: "wasm".to_owned(),
            variant: None,
        });
        entry
            .annotations
            .insert(FULL_NAME.to_owned(), name.to_string());
        entry
            .annotations
            .extend(name.tag().map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
        index.manifests.push(entry);
        let mut layers = Vec::new();
        for part in manifest.layers.iter().chain([&manifest.config]) {
            let part = part.digest()?;
            if written.insert(part) {
                append_content(store, &mut tar, &part)?;
            }
            layers.push(blob(&part));
        }
        let config = layers.pop().unwrap_or_default();
        listed.push(Listed {
            config,
            repo_tags: Some(tag.into_iter().collect()),
            layers,
        });
        if written.insert(digest) {
            append(&mut tar, &blob(&digest), &bytes)?;
        }
    }
    let json = |result: serde_json::Result<Vec<u8>>| {
        result.map_err(|e| ImageError::malformed("archive", e))
    };
    append(&mut tar, "index.json", &json(serde_json::to_vec(&index))?)?;
    append(
        &mut tar,
        "manifest.json",
        &json(serde_json::to_vec(&listed))?,
    )?;
    append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.finish().map_err(ImageError::io("write the archive"))
}

fn append_content(
    store: &ImageStore,
    tar: &mut tar::Builder<&mut dyn Write>,
    digest: &Digest,
) -> Result<(), ImageError> {
    let path = match store.disk.verify(digest) {
        Ok(path) => path,
        Err(error) => {
            let bytes = store.bundled_content(digest).ok_or(error)?;
            return append(tar, &format!("blobs/sha256/{}", digest.hex()), &bytes);
        }
    };
    let what = || format!("read {}", path.display());
    let file = File::open(&path).map_err(ImageError::io(what()))?;
    let size = file.metadata().map_err(ImageError::io(what()))?.len();
    append_from(
        tar,
        &format!("blobs/sha256/{}", digest.hex()),
        size,
        &mut file.take(size),
    )
}

fn append(
    tar: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    mut bytes: &[u8],
) -> Result<(), ImageError> {
    append_from(tar, name, bytes.len() as u64, &mut bytes)
}

fn append_from(
    tar: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    size: u64,
    from: &mut dyn Read,
) -> Result<(), ImageError> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    let written = tar.append_data(&mut header, name, from);
    written.map_err(ImageError::io("write the archive"))
}
