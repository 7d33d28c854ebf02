//! The parts of a cluster that take more than a line to make, each told what it needs by
//! `cluster.rs`. Must not know in which order they start.

use crate::api::{
    AccountTokens, CertificateAuthority, GROUP_MASTERS, GROUP_NODES, TlsFiles, UserInfo,
};
use crate::kubelet::{
    Capacity, Kubelet, KubeletConfig, KubeletMetrics, LocalNodes, MockRuntime, PodRuntime,
    WasmPodRuntime,
};
use crate::net::{Cidr, Fabric, NodeIpam};
use crate::oci::{BUNDLED, ImageStore};
use crate::serve::data_dir::DataDir;
use crate::serve::in_process::Clients;
use crate::serve::pki::{self, Authority};
use crate::serve::{NODES_MAX, NodeShape, ServeConfig, ServeError, default_data_dir};
use crate::stdx::{
    Clock, Metrics, OPEN_FILES_LOW, Shutdown, create_private_dir, raise_open_files, write_atomic,
};
use crate::store::{self, Store, StoreOptions, StoreUrl};
use crate::wasm_runtime::{RuntimeConfig, WasmRuntime};
use futures::future::try_join_all;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the names of nodes begin with; their number follows.
const NODE_PREFIX: &str = "wkube-";
/// The user of the admin's kubeconfig.
pub(crate) const ADMIN: &str = "kubernetes-admin";
/// The pods' addresses; each node has a /20 of it.
const POD_CIDR_V4: (Ipv4Addr, u8, u8) = (Ipv4Addr::new(10, 128, 0, 0), 10, 20);
/// Likewise for IPv6; each node has a /64.
const POD_CIDR_V6: (Ipv6Addr, u8, u8) = (Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0), 48, 64);

/// Pods of one node at most: what its range of addresses carries.
const NODE_PODS_MAX: u32 = 4_000;
/// Memory of a node at least: some pages for a guest, and what is held for it.
const NODE_MEMORY_MIN: u64 = 16 << 20;

/// Refuses settings that make no sense, before anything is touched.
pub(crate) fn check(config: &ServeConfig) -> Result<(), ServeError> {
    let wrong = |what: String| Err(ServeError::Config(what));
    if config.nodes > NODES_MAX {
        return wrong(format!("--nodes {}: at most {NODES_MAX}", config.nodes));
    }
    if config.max_requests_inflight + config.max_mutating_requests_inflight == 0 {
        return wrong(
            "--max-requests-inflight 0, --max-mutating-requests-inflight 0: they must add up to \
             something positive"
                .to_owned(),
        );
    }
    if config.node_shape.pods == 0 {
        return wrong("--node-pods 0: a node needs room for a pod".to_owned());
    }
    if config.node_shape.pods > NODE_PODS_MAX {
        return wrong(format!(
            "--node-pods {}: at most {NODE_PODS_MAX}",
            config.node_shape.pods
        ));
    }
    if config.node_shape.cpu_millis == 0 {
        return wrong("--node-cpu: must be more than 0".to_owned());
    }
    if config.node_shape.memory_bytes < NODE_MEMORY_MIN {
        return wrong(format!(
            "--node-memory: at least {}Mi, or no guest fits",
            NODE_MEMORY_MIN >> 20
        ));
    }
    Ok(())
}

/// Takes as many open files as the system lets the process have: each connection is one.
pub(crate) fn take_open_files() {
    if let Some(limit) = raise_open_files().filter(|limit| *limit < OPEN_FILES_LOW) {
        tracing::warn!(
            "this process may have only {limit} files and connections open (`ulimit -Hn`); many \
             clients or pods need more"
        );
    }
}

/// One provider of cryptography for the process.
pub(crate) fn install_crypto() {
    // A second cluster of this process finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A folder of the data directory, if there is one.
fn folder(dir: Option<&DataDir>, name: &str) -> Result<Option<PathBuf>, ServeError> {
    dir.map(|dir| dir.folder(name)).transpose()
}

/// Where things are kept, for as long as the cluster runs.
pub(crate) struct Kept {
    dir: Option<DataDir>,
    pub(crate) store: Arc<dyn Store>,
    images: Arc<ImageStore>,
    pub(crate) authority: Authority,
    /// The key of service accounts' tokens, in PKCS#8 form.
    accounts_key: Vec<u8>,
}

impl Kept {
    /// Takes the data directory, if there is to be one, and opens what is in it.
    pub(crate) async fn open(config: &ServeConfig, clock: &Clock) -> Result<Self, ServeError> {
        let dir = config.data_dir.as_deref().map(DataDir::open).transpose()?;
        let store = open_store(dir.as_ref()).await?;
        let images = open_images(dir.as_ref())?;
        let pki = folder(dir.as_ref(), "pki")?;
        let authority = Authority::open(pki.as_deref(), clock)?;
        let accounts_key = pki::accounts_key(pki.as_deref())?;
        Ok(Self {
            dir,
            store,
            images,
            authority,
            accounts_key,
        })
    }

    /// What signs and checks service accounts' tokens of a server at this address.
    pub(crate) fn account_tokens(&self, listen: SocketAddr) -> Result<AccountTokens, ServeError> {
        AccountTokens::new(&self.accounts_key, &server_url(listen)).map_err(ServeError::Start)
    }
}

/// The URL by which clients on this machine know the server.
fn server_url(listen: SocketAddr) -> String {
    let host = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(host, listen.port()))
}

async fn open_store(dir: Option<&DataDir>) -> Result<Arc<dyn Store>, ServeError> {
    let url = match folder(dir, "store")? {
        Some(folder) => StoreUrl::Redb(folder),
        None => StoreUrl::Memory,
    };
    let opened = tokio::task::spawn_blocking(move || store::open(&url, &StoreOptions::default()));
    match opened.await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error)) => Err(ServeError::Start(error.to_string())),
        Err(error) => Err(ServeError::Start(format!("the store: {error}"))),
    }
}

fn open_images(dir: Option<&DataDir>) -> Result<Arc<ImageStore>, ServeError> {
    let opened = match (folder(dir, "images")?, default_data_dir()) {
        (Some(folder), _) => ImageStore::open(Some(&folder), BUNDLED),
        // What this user has built or loaded runs in an ephemeral cluster, which only reads it.
        (None, Some(own)) => ImageStore::open_over(&own.join("images"), BUNDLED),
        (None, None) => ImageStore::open(None, BUNDLED),
    };
    opened.map_err(|error| ServeError::Start(format!("the image store: {error}")))
}

/// The authority by which client certificates are known.
pub(crate) fn client_authority(
    authority: &Authority,
    further: Option<&Path>,
) -> Result<CertificateAuthority, ServeError> {
    let unusable = |error: String| ServeError::Start(format!("the certificate authority: {error}"));
    let own = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    let mut roots = vec![own];
    if let Some(file) = further {
        let told = |error: rustls::pki_types::pem::Error| {
            ServeError::Config(format!("--client-ca-file {}: {error}", file.display()))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(told)? {
            roots.push(certificate.map_err(told)?);
        }
    }
    CertificateAuthority::new(&roots).map_err(unusable)
}

/// The same authority as PEM.
pub(crate) fn client_authority_pem(
    authority: &Authority,
    further: Option<&Path>,
) -> Result<String, ServeError> {
    let mut text = authority.certificate_pem().to_owned();
    if let Some(file) = further {
        let further = std::fs::read_to_string(file);
        text.push_str(&further.map_err(|error| ServeError::file(file, error))?);
    }
    Ok(text)
}

/// What the API server shows to its clients.
pub(crate) fn server_tls(
    authority: &Authority,
    listen: SocketAddr,
    service: Ipv4Addr,
) -> Result<TlsFiles, ServeError> {
    let server = authority.server(&certificate_addresses(listen, service))?;
    Ok(TlsFiles {
        certificate_chain: server.certificate_pem.into_bytes(),
        private_key: server.key_pem.into_bytes(),
    })
}

/// The addresses that the server's certificate is for.
fn certificate_addresses(listen: SocketAddr, service: Ipv4Addr) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = vec![
        Ipv4Addr::LOCALHOST.into(),
        Ipv6Addr::LOCALHOST.into(),
        service.into(),
    ];
    if !listen.ip().is_unspecified() && !addresses.contains(&listen.ip()) {
        addresses.push(listen.ip());
    }
    addresses
}

/// What runs the containers of all nodes.
pub(crate) fn pod_runtime(
    config: &ServeConfig,
    kept: &Kept,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Arc<dyn PodRuntime>, ServeError> {
    if config.mock_runtime {
        return Ok(Arc::new(MockRuntime::new(clock.clone())));
    }
    let cache_dir = match &config.compile_cache {
        Some(path) => {
            create_private_dir(path).map_err(|error| ServeError::file(path, error))?;
            Some(path.clone())
        }
        None => folder(kept.dir.as_ref(), "compiled")?,
    };
    let runtime = WasmRuntime::new(RuntimeConfig {
        cache_dir,
        ..RuntimeConfig::default()
    })
    .map_err(|error| ServeError::Start(format!("the wasm runtime: {error}")))?;
    runtime.register(metrics);
    Ok(Arc::new(WasmPodRuntime::new(runtime, kept.images.clone())))
}

/// Makes the nodes of the process: what they all share.
#[derive(Clone)]
pub(crate) struct NodeMaker {
    pub(crate) clients: Clients,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) runtime: Arc<dyn PodRuntime>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<KubeletMetrics>,
    /// The server's folder.
    pub(crate) data_dir: Option<PathBuf>,
}

impl NodeMaker {
    /// Starts a node, until `shutdown`; returns when it follows its pods.
    pub(crate) async fn start(
        &self,
        name: &str,
        number: usize,
        shape: &NodeShape,
        labels: BTreeMap<String, String>,
        shutdown: &Shutdown,
    ) -> Result<Arc<Kubelet>, ServeError> {
        let user = UserInfo::new(&format!("system:node:{name}"), &[GROUP_NODES]);
        let started = Kubelet::start(KubeletConfig {
            client: self.clients.client(user, "kubelet"),
            node_name: name.to_owned(),
            runtime: self.runtime.clone(),
            fabric: self.fabric.clone(),
            ipam: node_ipam(number)?,
            addresses: Vec::new(),
            data_dir: self.data_dir.clone(),
            clock: self.clock.clone(),
            capacity: Capacity {
                cpu_millis: shape.cpu_millis,
                memory_bytes: shape.memory_bytes,
                storage_bytes: free_bytes(self.data_dir.as_deref()),
                pods: shape.pods,
            },
            labels,
            shutdown: shutdown.clone(),
            metrics: self.metrics.clone(),
        });
        started
            .await
            .map_err(|error| ServeError::Start(error.to_string()))
    }

    /// Removes what a node kept in the server's folder; answers what went wrong.
    pub(crate) fn forget(&self, name: &str) -> Option<std::io::Error> {
        let folder = self.data_dir.as_ref()?.join("nodes").join(name);
        let removed = std::fs::remove_dir_all(folder).err()?;
        (removed.kind() != std::io::ErrorKind::NotFound).then_some(removed)
    }
}

/// Starts the nodes, together; returns when all follow their pods.
pub(crate) async fn start_nodes(
    config: &ServeConfig,
    maker: &NodeMaker,
    shutdown: &Shutdown,
    nodes: &Arc<LocalNodes>,
) -> Result<(), ServeError> {
    let names = (0..config.nodes).map(|number| (number, format!("{NODE_PREFIX}{number}")));
    let names: Vec<(usize, String)> = names.collect();
    let shape = &config.node_shape;
    let starting = names
        .iter()
        .map(|(number, name)| maker.start(name, *number, shape, BTreeMap::new(), shutdown));
    for kubelet in try_join_all(starting).await? {
        nodes.add(kubelet);
    }
    Ok(())
}

/// Whether a node is one of the first `count` of a server of this kind.
pub(crate) fn is_of_this_start(name: &str, count: usize) -> bool {
    let mut own = (0..count).map(|number| format!("{NODE_PREFIX}{number}"));
    own.any(|own| own == name)
}

/// Whether a node is one of a server of this kind, and beyond the first `count`.
pub(crate) fn is_left_out(name: &str, count: usize) -> bool {
    let number = name.strip_prefix(NODE_PREFIX);
    let number = number.and_then(|number| number.parse::<usize>().ok());
    number.is_some_and(|number| number >= count && *name == format!("{NODE_PREFIX}{number}"))
}

/// The addresses of the node of a number.
pub(crate) fn node_ipam(number: usize) -> Result<Arc<NodeIpam>, ServeError> {
    let ranges = || {
        let index = u32::try_from(number).ok()?;
        let (base, prefix, each) = POD_CIDR_V4;
        let v4 = Cidr::new(base.into(), prefix)?.subnet(each, index)?;
        let (base, prefix, each) = POD_CIDR_V6;
        let v6 = Cidr::new(base.into(), prefix)?.subnet(each, index)?;
        Some(Arc::new(NodeIpam::new(v4, Some(v6))))
    };
    ranges().ok_or_else(|| ServeError::Config(format!("no addresses are left for node {number}")))
}

/// What is free on the disk of the data directory; without one, nothing is kept on disk.
fn free_bytes(dir: Option<&Path>) -> u64 {
    let Some(dir) = dir else { return 0 };
    rustix::fs::statvfs(dir).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Where kubeconfigs were written.
pub(crate) struct Written {
    /// The one that this server always has.
    pub(crate) own: PathBuf,
    /// What of it goes with the server.
    pub(crate) left_behind: LeftBehind,
}

/// Writes the admin's kubeconfig to the data directory (or a folder that goes with the server) and
/// to the file that was asked for.
pub(crate) fn write_kubeconfigs(
    config: &ServeConfig,
    kept: &Kept,
    listen: SocketAddr,
) -> Result<Written, ServeError> {
    let url = server_url(listen);
    let authority = &kept.authority;
    let admin = authority.client(ADMIN, &[GROUP_MASTERS])?;
    let text = pki::kubeconfig(&url, authority, &admin);
    let write = |path: &Path| {
        write_atomic(path, text.as_bytes(), 0o600).map_err(|error| ServeError::file(path, error))
    };
    let (folder, temporary) = match &kept.dir {
        Some(dir) => (dir.path().to_owned(), None),
        None => {
            let name = format!("wkube-{}", uuid::Uuid::new_v4().simple());
            let folder = std::env::temp_dir().join(name);
            create_private_dir(&folder).map_err(|error| ServeError::file(&folder, error))?;
            (folder.clone(), Some(folder))
        }
    };
    let mut left_behind = LeftBehind {
        folder: temporary,
        kubeconfig: None,
    };
    let own = folder.join("kubeconfig");
    write(&own)?;
    if let Some(path) = &config.kubeconfig {
        write(path)?;
        left_behind.kubeconfig = left_behind.folder.as_ref().map(|_| path.clone());
    }
    Ok(Written { own, left_behind })
}

/// What an ephemeral server must not leave behind: removed when dropped, so however it ends.
pub(crate) struct LeftBehind {
    /// The folder that goes with the server.
    pub(crate) folder: Option<PathBuf>,
    /// The file of `--kubeconfig`, if it goes with the server.
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        clean_up(self.folder.as_deref(), self.kubeconfig.as_deref());
    }
}

fn clean_up(folder: Option<&Path>, kubeconfig: Option<&Path>) {
    if let Some(folder) = folder
        && let Err(error) = std::fs::remove_dir_all(folder)
    {
        tracing::warn!(folder = %folder.display(), %error, "not removed");
    }
    if let Some(file) = kubeconfig
        && let Err(error) = std::fs::remove_file(file)
    {
        tracing::warn!(file = %file.display(), %error, "not removed");
    }
}
