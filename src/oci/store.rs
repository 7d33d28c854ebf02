//! The image store: names to images. Loaded names win over what wkube brings along, and both are
//! answered without asking anybody; pulled names are asked for as the pull policy says.

use super::build;
use super::bundled::Bundled;
use super::credentials::Credentials;
use super::error::ImageError;
use super::image::{Image, ImageWasm, Origin, PullPolicy};
use super::local::{BlobWriter, Disk, RefRecord, Work};
use super::manifest::DOCUMENT_BYTES_MAX;
use super::reference::Reference;
use super::resolve::{self, Resolved};
use super::unpack::UNPACKED_BYTES_MAX;
use super::{archive, pull};
use crate::stdx::{Clock, Digest};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Images whose way to start is remembered in memory.
const REMEMBERED_MAX: usize = 4096;

/// The images of this machine. Several processes may open one folder at the same time.
#[derive(Debug)]
pub struct ImageStore {
    pub(super) disk: Disk,
    /// Images that are read and never changed: those of the user's own data directory, under a
    /// store in memory.
    below: Option<Arc<ImageStore>>,
    bundled: Vec<BundledImage>,
    resolved: Mutex<HashMap<Digest, Arc<Resolved>>>,
    pub(super) pulls: pull::Flights,
    clock: Clock,
}

#[derive(Debug)]
struct BundledImage {
    names: Vec<Reference>,
    def: &'static Bundled,
    /// Its digests, worked out when it is first asked for: opening must be fast.
    made: OnceLock<(build::Artifact, Digest)>,
}

/// One line of the list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The name.
    pub reference: Reference,
    /// The manifest's digest.
    pub digest: Digest,
    /// What it takes as it is stored.
    pub size_bytes: u64,
    /// How it came.
    pub origin: Origin,
    /// When it came; what wkube brings along came with it.
    pub created: Option<jiff::Timestamp>,
}

impl ImageStore {
    /// Opens the store in `dir`, or one in memory, which makes a private temporary folder only
    /// when something is stored and removes it when it is dropped.
    pub fn open(dir: Option<&Path>, bundled: &'static [Bundled]) -> Result<Arc<Self>, ImageError> {
        Self::over(Disk::open(dir)?, None, bundled)
    }

    /// Opens a store in memory that also finds the images loaded in `dir`, if there is such a
    /// folder: what was built on this machine runs in a cluster that leaves nothing behind.
    pub fn open_over(dir: &Path, bundled: &'static [Bundled]) -> Result<Arc<Self>, ImageError> {
        let below = match dir.join("refs").is_dir() {
            true => Some(Self::open(Some(dir), &[])?),
            false => None,
        };
        Self::over(Disk::open(None)?, below, bundled)
    }

    fn over(
        disk: Disk,
        below: Option<Arc<Self>>,
        bundled: &'static [Bundled],
    ) -> Result<Arc<Self>, ImageError> {
        let made = |def: &'static Bundled| {
            let names: Result<Vec<_>, _> = def.names.iter().map(|n| Reference::parse(n)).collect();
            Ok(BundledImage {
                names: names?,
                def,
                made: OnceLock::new(),
            })
        };
        Ok(Arc::new(Self {
            disk,
            below,
            bundled: bundled
                .iter()
                .map(made)
                .collect::<Result<_, ImageError>>()?,
            resolved: Mutex::default(),
            pulls: pull::Flights::default(),
            clock: Clock::real(),
        }))
    }

    /// The image of a name, if it is here. Reads the disk; asks nobody.
    pub fn get(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        if let Some(record) = self.record(reference)? {
            match self.image(reference, &record) {
                // It can be pulled again: as if it had never been here.
                Err(error @ ImageError::Damaged { .. }) if record.origin == Origin::Pulled => {
                    tracing::warn!(%reference, %error, "a damaged image is left out");
                }
                done => return done.map(Some),
            }
        }
        if let Some(below) = &self.below
            && let Some(image) = below.get(reference)?
        {
            return Ok(Some(image));
        }
        self.bundled_image(reference)
    }

    /// The image of a name as a pull policy wants it. Names that were loaded or are bundled need
    /// no registry under any policy. `credentials` are tried in order; none means anonymously.
    pub async fn ensure(
        self: &Arc<Self>,
        reference: &Reference,
        policy: PullPolicy,
        credentials: &[Credentials],
    ) -> Result<Image, ImageError> {
        let here = self.get(reference)?;
        match (here, policy) {
            (Some(image), _) if image.origin != Origin::Pulled => return Ok(image),
            (Some(image), PullPolicy::IfNotPresent | PullPolicy::Never) => return Ok(image),
            (None, PullPolicy::Never) => return Err(ImageError::NeverPull(reference.to_string())),
            _ => {}
        }
        let mut result = None;
        for credentials in credentials {
            match self.pull(reference, Some(credentials.clone())).await {
                Err(error @ ImageError::Refused { .. }) => result = Some(error),
                done => return done,
            }
        }
        match result {
            Some(error) => Err(error),
            None => self.pull(reference, None).await,
        }
    }

    /// Fetches an image from its registry: checks digests, picks the platform, stores it. What is
    /// here already is not fetched again. Several calls for one name are one after the other.
    pub async fn pull(
        self: &Arc<Self>,
        reference: &Reference,
        credentials: Option<Credentials>,
    ) -> Result<Image, ImageError> {
        pull::pull(self, reference, credentials).await
    }

    /// Makes an image of a module (`.wasm`, `.wat`) or a folder and gives it names.
    pub fn build(&self, from: &Path, names: &[Reference]) -> Result<Image, ImageError> {
        let _shared = self.disk.lock_shared()?;
        let work = self.disk.work()?;
        let is_dir = std::fs::metadata(from)
            .map_err(ImageError::io(format!("open {}", from.display())))?
            .is_dir();
        let manifest = match is_dir {
            true => self.store_folder(&work, from)?,
            false => {
                let wasm = build::read_module(from)?;
                let stem = from.file_stem().unwrap_or_default().to_string_lossy();
                self.store_artifact(
                    &work,
                    &wasm,
                    &build::artifact(&wasm, &format!("{stem}.wasm"))?,
                )?
            }
        };
        self.install(&work, &manifest, names, Origin::Loaded)
    }

    fn store_folder(&self, work: &Work, from: &Path) -> Result<Digest, ImageError> {
        let folder = build::Folder::read(from)?;
        let mut writer = BlobWriter::begin(work, UNPACKED_BYTES_MAX)?;
        folder.write(&mut writer)?;
        let layer = writer.finish()?;
        self.disk.commit(&layer)?;
        let config = folder.config(&layer.digest)?;
        self.disk.write_blob(work, &config)?;
        self.disk.write_blob(
            work,
            &build::folder_manifest(&config, &layer.digest, layer.size)?,
        )
    }

    fn store_artifact(
        &self,
        work: &Work,
        wasm: &[u8],
        artifact: &build::Artifact,
    ) -> Result<Digest, ImageError> {
        self.disk.write_blob(work, wasm)?;
        self.disk.write_blob(work, &artifact.config)?;
        self.disk.write_blob(work, &artifact.manifest)
    }

    /// Takes in the images of an archive as `docker save` or `wkube image save` writes it. Images
    /// without a name in it get `name`.
    pub fn load(
        &self,
        from: &mut dyn Read,
        name: Option<&Reference>,
    ) -> Result<Vec<Image>, ImageError> {
        archive::load(self, from, name)
    }

    /// Writes images as an archive that wkube, docker and podman load.
    pub fn save(&self, names: &[Reference], out: &mut dyn Write) -> Result<(), ImageError> {
        archive::save(self, names, out)
    }

    /// Gives an image one more name.
    pub fn tag(&self, from: &Reference, to: &Reference) -> Result<Image, ImageError> {
        let _shared = self.disk.lock_shared()?;
        let work = self.disk.work()?;
        let manifest = match (self.record(from)?, self.find_bundled(from)) {
            (Some(record), _) => record.digest()?,
            (None, Some(bundled)) => {
                let (artifact, _) = bundled.made()?;
                self.store_artifact(&work, bundled.def.wasm, artifact)?
            }
            (None, None) => return Err(ImageError::NotFound(from.to_string())),
        };
        self.install(&work, &manifest, std::slice::from_ref(to), Origin::Loaded)
    }

    /// All names, sorted. A loaded name hides a bundled one.
    pub fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let mut found: Vec<ImageSummary> = Vec::new();
        for record in self.disk.refs()? {
            let digest = record.digest()?;
            let resolved = self.resolved_of(&digest)?;
            found.push(ImageSummary {
                reference: Reference::parse(&record.reference)?,
                digest,
                size_bytes: resolved.map_or(0, |resolved| resolved.size_bytes),
                origin: record.origin,
                created: Some(record.created),
            });
        }
        for bundled in &self.bundled {
            for name in &bundled.names {
                if !found.iter().any(|image| image.reference == *name) {
                    let (artifact, digest) = bundled.made()?;
                    found.push(ImageSummary {
                        reference: name.clone(),
                        digest: *digest,
                        size_bytes: bundled.size_bytes(artifact),
                        origin: Origin::Bundled,
                        created: None,
                    });
                }
            }
        }
        found.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(found)
    }

    /// Forgets a name and removes what no other name leads to. Answers the bytes that were freed.
    pub fn remove(&self, reference: &Reference) -> Result<u64, ImageError> {
        if !self.disk.remove_ref(reference)? {
            return Err(match self.find_bundled(reference) {
                Some(_) => ImageError::malformed(
                    reference.to_string(),
                    "is part of wkube and cannot be removed",
                ),
                None => ImageError::NotFound(reference.to_string()),
            });
        }
        self.disk.collect()
    }

    // === Inside the room ===

    /// Works out a stored manifest and makes names mean it.
    pub(super) fn install(
        &self,
        work: &Work,
        manifest: &Digest,
        names: &[Reference],
        origin: Origin,
    ) -> Result<Image, ImageError> {
        let Some(first) = names.first() else {
            return Err(ImageError::malformed("image", "has no name"));
        };
        let program = format!("{}.wasm", first.base_name());
        resolve::resolve(&self.disk, work, &first.to_string(), manifest, &program)?;
        let mut image = None;
        for name in names {
            let record = RefRecord {
                reference: name.to_string(),
                manifest: manifest.to_string(),
                origin,
                created: self.clock.now(),
            };
            self.disk.write_ref(&record)?;
            if image.is_none() {
                image = Some(self.image(name, &record)?);
            }
        }
        image.ok_or_else(|| ImageError::malformed("image", "has no name"))
    }

    /// The bytes of stored or bundled content that an image consists of.
    pub(super) fn manifest_bytes(
        &self,
        reference: &Reference,
    ) -> Result<(Digest, Vec<u8>), ImageError> {
        if let Some(record) = self.record(reference)? {
            let digest = record.digest()?;
            return Ok((digest, self.disk.read_blob(&digest, DOCUMENT_BYTES_MAX)?));
        }
        match self.find_bundled(reference) {
            Some(bundled) => bundled
                .made()
                .map(|(artifact, digest)| (*digest, artifact.manifest.clone())),
            None => Err(ImageError::NotFound(reference.to_string())),
        }
    }

    /// Content of a bundled image that lies in no file.
    pub(super) fn bundled_content(&self, digest: &Digest) -> Option<Vec<u8>> {
        for bundled in &self.bundled {
            let (artifact, _) = bundled.made().ok()?;
            let parts = [
                artifact.config.as_slice(),
                artifact.manifest.as_slice(),
                bundled.def.wasm,
            ];
            if let Some(part) = parts.into_iter().find(|part| Digest::of(part) == *digest) {
                return Some(part.to_vec());
            }
        }
        None
    }

    /// What a name means on the disk. A name by digest also finds content that came by a tag.
    fn record(&self, reference: &Reference) -> Result<Option<RefRecord>, ImageError> {
        let record = self.disk.read_ref(reference)?;
        let (None, Some(digest)) = (&record, reference.digest()) else {
            return Ok(record);
        };
        let (name, digest) = (reference.name(), digest.to_string());
        let same = |record: &RefRecord| {
            let named = Reference::parse(&record.reference).is_ok_and(|r| r.name() == name);
            named && record.manifest == digest
        };
        Ok(self.disk.refs()?.into_iter().find(same))
    }

    fn image(&self, reference: &Reference, record: &RefRecord) -> Result<Image, ImageError> {
        let digest = record.digest()?;
        let resolved = match self.resolved_of(&digest)? {
            Some(resolved) => resolved,
            None => {
                // What was worked out is gone, what it was worked out of may be there.
                let _shared = self.disk.lock_shared()?;
                let work = self.disk.work()?;
                let program = format!("{}.wasm", reference.base_name());
                let name = reference.to_string();
                Arc::new(resolve::resolve(
                    &self.disk, &work, &name, &digest, &program,
                )?)
            }
        };
        let wasm_digest = resolved.wasm_digest()?;
        let wasm = ImageWasm::Path(self.disk.verify(&wasm_digest)?);
        let rootfs = self.disk.root().filter(|_| resolved.has_rootfs);
        Ok(Image {
            reference: reference.to_string(),
            digest,
            wasm_digest,
            wasm,
            entrypoint: resolved.entrypoint.clone(),
            cmd: resolved.cmd.clone(),
            env: resolved.env.clone(),
            working_dir: resolved.working_dir.clone(),
            exposed_ports: resolved.exposed_ports.clone(),
            rootfs: rootfs.map(|root| resolve::rootfs_path(&root, &digest)),
            size_bytes: resolved.size_bytes,
            origin: record.origin,
        })
    }

    fn resolved_of(&self, manifest: &Digest) -> Result<Option<Arc<Resolved>>, ImageError> {
        if let Some(resolved) = self.resolved.lock().get(manifest) {
            return Ok(Some(resolved.clone()));
        }
        let Some(resolved) = Resolved::read(&self.disk, manifest)? else {
            return Ok(None);
        };
        let resolved = Arc::new(resolved);
        let mut remembered = self.resolved.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(*manifest, resolved.clone());
        Ok(Some(resolved))
    }

    fn find_bundled(&self, reference: &Reference) -> Option<&BundledImage> {
        self.bundled.iter().find(|bundled| {
            bundled
                .names
                .iter()
                .any(|name| match (reference.digest(), name) {
                    (None, name) => name == reference,
                    (Some(digest), name) => {
                        let made = || bundled.made().is_ok_and(|(_, have)| *have == digest);
                        name.name() == reference.name() && made()
                    }
                })
        })
    }

    fn bundled_image(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        let Some(bundled) = self.find_bundled(reference) else {
            return Ok(None);
        };
        let (artifact, digest) = bundled.made()?;
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Ok(Some(Image {
            reference: reference.to_string(),
            digest: *digest,
            wasm_digest: artifact.wasm_digest,
            wasm: ImageWasm::Static(bundled.def.wasm),
            entrypoint: vec![bundled.def.program.to_owned()],
            cmd: Vec::new(),
            env: words(bundled.def.env),
            working_dir: None,
            exposed_ports: bundled.def.exposed_ports.to_vec(),
            rootfs: None,
            size_bytes: bundled.size_bytes(artifact),
            origin: Origin::Bundled,
        }))
    }
}

impl BundledImage {
    /// Its manifest and that one's digest.
    fn made(&self) -> Result<&(build::Artifact, Digest), ImageError> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let artifact = build::artifact(self.def.wasm, self.def.program)?;
        let digest = Digest::of(&artifact.manifest);
        Ok(self.made.get_or_init(|| (artifact, digest)))
    }

    fn size_bytes(&self, artifact: &build::Artifact) -> u64 {
        (artifact.manifest.len() + artifact.config.len() + self.def.wasm.len()) as u64
    }
}
