//! What a cluster is started with. The command line fills it in; a test may as well.

use crate::api::{AuditLogConfig, AuthorizationMode, STANDARD_MODES, ServiceRange};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port that is taken when none is asked for; if it is in use, a free one is.
pub(crate) const DEFAULT_PORT: u16 = 6443;
/// How many virtual nodes one process may have.
pub const NODES_MAX: usize = 1_000;

/// The size of each virtual node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeShape {
    /// CPU in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// How many pods.
    pub pods: u32,
}

impl Default for NodeShape {
    /// The machine's own cores and memory, and as many pods as its memory maps carry.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu_millis: u64::try_from(cores).unwrap_or(1).saturating_mul(1_000),
            memory_bytes: machine_memory_bytes(),
            pods: 1_000,
        }
    }
}

/// What `MemTotal` says; 1 GiB where it cannot be read.
fn machine_memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .map_or(1 << 30, |kib| kib.saturating_mul(1_024))
}

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The file with the policy.
    pub policy: PathBuf,
    /// Where it goes.
    pub log: AuditLogConfig,
}

/// Whom the API believes, and what it lets him do.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Who is asked whether a request is allowed, in this order.
    pub authorization: Vec<AuthorizationMode>,
    /// A file with authorities whose client certificates are believed, beside the cluster's own.
    pub client_ca_file: Option<PathBuf>,
    /// A file with bearer tokens and whose they are, as kube-apiserver reads it.
    pub token_auth_file: Option<PathBuf>,
    /// Admission plugins that do not act, by Kubernetes' names of them.
    pub disabled_admission_plugins: Vec<String>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            authorization: STANDARD_MODES.to_vec(),
            client_ca_file: None,
            token_auth_file: None,
            disabled_admission_plugins: Vec::new(),
        }
    }
}

/// Everything a cluster is started with.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The address of the API; `None` is 127.0.0.1:6443, or a free port when that one is taken.
    pub listen: Option<SocketAddr>,
    /// Where everything is kept; `None` keeps it in memory and leaves nothing behind.
    pub data_dir: Option<PathBuf>,
    /// A further file to write the admin's kubeconfig to.
    pub kubeconfig: Option<PathBuf>,
    /// How many virtual nodes; 0 is an API with its controllers and nothing that runs pods.
    pub nodes: usize,
    /// Their size.
    pub node_shape: NodeShape,
    /// Which requests are told in the audit log, and how it is kept.
    pub audit: Option<AuditConfig>,
    /// Where Services' addresses come from; `None` is what the cluster was made with.
    pub service_range: Option<ServiceRange>,
    /// Names by which the API may be asked, and whose pages may ask it, beside its own.
    pub accept_hosts: Vec<String>,
    /// How long `/readyz` says that the server will end before it refuses anything.
    pub shutdown_delay: Duration,
    /// Requests that read and are served at once; with the next, the seats that priority levels share.
    pub max_requests_inflight: usize,
    /// Requests that write and are served at once.
    pub max_mutating_requests_inflight: usize,
    /// Serve no versions that Kubernetes has retired (extensions/v1beta1 Ingress and the like).
    pub hide_retired_apis: bool,
    /// Whom the API believes, and what it lets him do.
    pub access: AccessConfig,
    /// Whether this process schedules pods; without, somebody else must.
    pub scheduler: bool,
    /// What guests may reach outside the cluster, as `--egress` takes it.
    pub egress: Vec<String>,
    /// Where compiled code is kept; `None` is in the data directory, or nowhere without one.
    pub compile_cache: Option<PathBuf>,
    /// Runs containers by the mock runtime, for tests of what lies above.
    pub mock_runtime: bool,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: None,
            data_dir: None,
            kubeconfig: None,
            nodes: 1,
            node_shape: NodeShape::default(),
            audit: None,
            service_range: None,
            accept_hosts: Vec::new(),
            shutdown_delay: Duration::ZERO,
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            hide_retired_apis: false,
            access: AccessConfig::default(),
            scheduler: true,
            egress: Vec::new(),
            compile_cache: None,
            mock_runtime: false,
        }
    }
}

/// The default address to listen on.
pub(crate) fn default_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))
}

/// The data directory when none is named: `$XDG_DATA_HOME/wkube` or `~/.local/share/wkube`.
pub fn default_data_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
        .map(|path| path.join("wkube"))
}
