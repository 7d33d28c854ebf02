//! Images from a registry, by the OCI distribution protocol. The registry is not trusted: what
//! it sends is limited while it comes and counts only if its digest is the one that was asked
//! for. HTTPS always, but for registries on this machine's own loopback.

use super::credentials::Credentials;
use super::error::ImageError;
use super::image::{Image, Origin};
use super::local::{BlobWriter, Work};
use super::manifest::{DOCUMENT_BYTES_MAX, Descriptor, Document, ImageConfig, Manifest};
use super::media_types;
use super::reference::Reference;
use super::resolve::check_platform;
use super::store::ImageStore;
use crate::stdx::Digest;
use futures::{StreamExt, TryStreamExt};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Bytes of an image as it is transferred.
const IMAGE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Layers of one image that are fetched at once.
const DOWNLOADS_MAX: usize = 3;
/// How long a registry may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// How long a registry may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long logging in, or a manifest, may take altogether.
const EXCHANGE_MAX: Duration = Duration::from_secs(60);

/// What makes several pulls of one name wait for each other.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(name).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(tokio::sync::Mutex::new(()));
        flights.insert(name.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

/// Fetches and stores an image.
pub(super) async fn pull(
    store: &Arc<ImageStore>,
    reference: &Reference,
    credentials: Option<Credentials>,
) -> Result<Image, ImageError> {
    let flight = store.pulls.of(&reference.to_string());
    let _alone = flight.lock().await;
    let registry = Registry::connect(reference, credentials).await?;
    let (digest, bytes, manifest) = registry.manifest().await?;
    let here = store.clone();
    let _shared = blocking(move || here.disk.lock_shared()).await?;
    let here = store.clone();
    let work = Arc::new(blocking(move || here.disk.work()).await?);
    registry.fetch(store, &work, &manifest).await?;
    let (here, names) = (store.clone(), [reference.clone()]);
    blocking(move || {
        here.disk.write_blob(&work, &bytes)?;
        here.install(&work, &digest, &names, Origin::Pulled)
    })
    .await
}

/// Runs what waits for the disk where it keeps nobody else waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ImageError::Io {
            what: "store the image".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}

/// One repository of a registry, logged in.
struct Registry<'a> {
    reference: &'a Reference,
    /// Its name as the client library knows it.
    repository: oci_client::Reference,
    /// Fetches layers. A client of its own for each pull: it remembers credentials by registry,
    /// and two pods' credentials must not mix.
    client: oci_client::Client,
    /// Fetches manifests: the library would read one of any length.
    http: reqwest::Client,
    scheme: &'static str,
    auth: RegistryAuth,
    token: Option<String>,
}

impl<'a> Registry<'a> {
    async fn connect(
        reference: &'a Reference,
        credentials: Option<Credentials>,
    ) -> Result<Self, ImageError> {
        install_tls();
        let is_local = is_loopback(reference.registry());
        let repository = oci_client::Reference::with_tag(
            reference.registry().to_owned(),
            reference.repository().to_owned(),
            reference.tag().unwrap_or("latest").to_owned(),
        );
        let config = ClientConfig {
            protocol: if is_local {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(CONNECT_MAX),
            read_timeout: Some(SILENCE_MAX),
            user_agent: concat!("wkube/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let broken = |why: String| ImageError::Unreachable {
            reference: reference.to_string(),
            why,
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .user_agent(concat!("wkube/", env!("CARGO_PKG_VERSION")));
        let auth = match credentials {
            None => RegistryAuth::Anonymous,
            Some(Credentials::Basic { username, password }) => {
                RegistryAuth::Basic(username, password)
            }
            Some(Credentials::Bearer(token)) => RegistryAuth::Bearer(token),
        };
        let mut registry = Self {
            reference,
            repository,
            client: oci_client::Client::try_from(config).map_err(|e| broken(e.to_string()))?,
            http: http.build().map_err(|e| broken(all_of(&e)))?,
            scheme: if is_local { "http" } else { "https" },
            auth,
            token: None,
        };
        registry.token = registry.log_in().await?;
        Ok(registry)
    }

    async fn log_in(&self) -> Result<Option<String>, ImageError> {
        use oci_client::RegistryOperation::Pull;
        use oci_client::errors::OciDistributionError as E;
        let login = self.client.auth(&self.repository, &self.auth, Pull);
        match tokio::time::timeout(EXCHANGE_MAX, login).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(E::RequestError(error))) => Err(self.unreachable(&error)),
            Ok(Err(E::AuthenticationFailure(answer))) => {
                Err(self.refused(format!("failed to authorize: {}", short(&answer))))
            }
            Ok(Err(error)) => Err(self.refused(format!("failed to authorize: {error}"))),
            Err(_) => Err(self.silent()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ImageError {
        ImageError::Unreachable {
            reference: self.reference.to_string(),
            why: all_of(error),
        }
    }

    fn silent(&self) -> ImageError {
        let why = format!("no answer within {} s", EXCHANGE_MAX.as_secs());
        ImageError::Unreachable {
            reference: self.reference.to_string(),
            why,
        }
    }

    fn refused(&self, why: String) -> ImageError {
        ImageError::Refused {
            reference: self.reference.to_string(),
            why,
        }
    }

    /// The manifest that the name means for wkube: its digest, its bytes, what they say.
    async fn manifest(&self) -> Result<(Digest, Vec<u8>, Manifest), ImageError> {
        let (digest, bytes) = self.document(self.reference.digest()).await?;
        let index = match Document::parse(&bytes)? {
            Document::Manifest(manifest) => return Ok((digest, bytes, manifest)),
            Document::Index(index) => index,
        };
        let entry = index.choose().map_err(|found| ImageError::Platform {
            reference: self.reference.to_string(),
            found,
        })?;
        let (digest, bytes) = self.document(Some(entry.digest()?)).await?;
        match Document::parse(&bytes)? {
            Document::Manifest(manifest) => Ok((digest, bytes, manifest)),
            Document::Index(_) => Err(ImageError::malformed(
                self.reference.to_string(),
                "its index holds an index",
            )),
        }
    }

    /// A manifest or an index by digest, or by the reference's tag. Checked against the digest.
    async fn document(&self, digest: Option<Digest>) -> Result<(Digest, Vec<u8>), ImageError> {
        let exchange = tokio::time::timeout(EXCHANGE_MAX, self.request(digest));
        let bytes = exchange.await.map_err(|_| self.silent())??;
        let actual = Digest::of(&bytes);
        match digest {
            Some(expected) if expected != actual => Err(ImageError::Mismatch { expected, actual }),
            _ => Ok((actual, bytes)),
        }
    }

    async fn request(&self, digest: Option<Digest>) -> Result<Vec<u8>, ImageError> {
        let name = digest.map(|digest| digest.to_string());
        let name = name.unwrap_or_else(|| self.reference.tag().unwrap_or("latest").to_owned());
        let (scheme, host) = (self.scheme, self.repository.resolve_registry());
        let url = format!(
            "{scheme}://{host}/v2/{}/manifests/{name}",
            self.reference.repository()
        );
        let request = self
            .http
            .get(&url)
            .header("Accept", media_types::ACCEPTED.join(", "));
        let request = match (&self.token, &self.auth) {
            (Some(token), _) | (None, RegistryAuth::Bearer(token)) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(name, password)) => request.basic_auth(name, Some(password)),
            (None, RegistryAuth::Anonymous) => request,
        };
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > DOCUMENT_BYTES_MAX {
                return Err(ImageError::too_large(
                    "image manifest",
                    format!("{DOCUMENT_BYTES_MAX} bytes"),
                ));
            }
        }
        match status.as_u16() {
            200 => Ok(bytes),
            404 => Err(self.refused(format!(
                "failed to resolve reference {:?}: {}: not found",
                self.reference.to_string(),
                self.reference
            ))),
            401 | 403 => Err(self.refused(format!(
                "failed to resolve reference {:?}: pull access denied, repository does not exist or \
                 may require authorization: server message: {}",
                self.reference.to_string(),
                short(&String::from_utf8_lossy(&bytes))
            ))),
            _ => Err(self.refused(format!(
                "failed to resolve reference {:?}: unexpected status from GET request to {url}: {status}",
                self.reference.to_string()
            ))),
        }
    }

    /// Fetches the configuration, checks that wkube can run the image, then fetches the layers.
    async fn fetch(
        &self,
        store: &Arc<ImageStore>,
        work: &Arc<Work>,
        manifest: &Manifest,
    ) -> Result<(), ImageError> {
        let parts = manifest.layers.iter().chain([&manifest.config]);
        let total = parts.map(|part| part.size).fold(0, u64::saturating_add);
        if total > IMAGE_BYTES_MAX {
            return Err(ImageError::too_large(
                self.reference.to_string(),
                format!("{IMAGE_BYTES_MAX} bytes"),
            ));
        }
        if manifest.config.size > DOCUMENT_BYTES_MAX as u64 {
            return Err(ImageError::too_large(
                "image config",
                format!("{DOCUMENT_BYTES_MAX} bytes"),
            ));
        }
        self.blob(store, work, &manifest.config).await?;
        let (here, digest) = (store.clone(), manifest.config.digest()?);
        let config = blocking(move || here.disk.read_blob(&digest, DOCUMENT_BYTES_MAX)).await?;
        let config = ImageConfig::parse(&config, &manifest.config.media_type)?;
        check_platform(&self.reference.to_string(), manifest, &config)?;
        let mut seen = HashSet::new();
        // A list and no chain of closures: the future of those could not be sent between threads.
        let mut downloads = Vec::new();
        for layer in &manifest.layers {
            if seen.insert(layer.digest.clone()) {
                downloads.push(Ok::<_, ImageError>(self.blob(store, work, layer)));
            }
        }
        futures::stream::iter(downloads)
            .try_buffer_unordered(DOWNLOADS_MAX)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Fetches one piece of content, unless it is here.
    async fn blob(
        &self,
        store: &Arc<ImageStore>,
        work: &Arc<Work>,
        part: &Descriptor,
    ) -> Result<(), ImageError> {
        let digest = part.digest()?;
        let here = store.clone();
        if blocking(move || Ok(here.disk.has_blob(&digest))).await? {
            return Ok(());
        }
        let named = oci_client::manifest::OciDescriptor {
            digest: part.digest.clone(),
            size: i64::try_from(part.size).unwrap_or(i64::MAX),
            ..Default::default()
        };
        let failed = |error: &dyn std::fmt::Display| {
            self.refused(format!("failed to copy: content {digest}: {error}"))
        };
        let stream = self.client.pull_blob_stream(&self.repository, &named).await;
        let mut stream = stream.map_err(|error| failed(&error))?;
        let mut writer = BlobWriter::begin(work, part.size)?;
        while let Some(chunk) = stream.next().await {
            // The library's own check comes with the last chunk; ours is made below as well, on
            // what has been written.
            writer.write(&chunk.map_err(|error| failed(&error))?)?;
        }
        let here = store.clone();
        let size = part.size;
        blocking(move || {
            let spooled = writer.finish()?;
            if spooled.digest != digest {
                return Err(ImageError::Mismatch {
                    expected: digest,
                    actual: spooled.digest,
                });
            }
            if spooled.size != size {
                let why = format!(
                    "is {} bytes long, and its manifest says {size}",
                    spooled.size
                );
                return Err(ImageError::malformed(
                    format!("image content {digest}"),
                    why,
                ));
            }
            here.disk.commit(&spooled).map(|_| ())
        })
        .await
    }
}

/// Whether a registry is on this machine, so that it may be spoken to without TLS.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => registry,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Makes sure that TLS has its cryptography; whoever chose one before has chosen.
fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// An error with its causes, which say more than it does.
fn all_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What a server said, as much of it as a person reads.
fn short(text: &str) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    line.trim().to_owned()
}
