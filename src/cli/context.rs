//! What every verb shares: the flags that say which cluster, and the way to it. Must not know verbs.

pub(crate) use crate::cli::errors::CliError;
use crate::client::{Client, Connection, connect};
use crate::serve::default_data_dir;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The flags of every verb.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Path to the kubeconfig file to use for CLI requests.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The name of the kubeconfig context to use.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub(crate) context: Option<String>,
    /// The name of the kubeconfig cluster to use.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub(crate) cluster: Option<String>,
    /// The name of the kubeconfig user to use.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub(crate) user: Option<String>,
    /// If present, the namespace scope for this CLI request.
    #[arg(
        long,
        short,
        global = true,
        value_name = "NAMESPACE",
        help_heading = "Global options"
    )]
    pub(crate) namespace: Option<String>,
}

/// A verb's way to its cluster.
pub(crate) struct Context {
    /// The client.
    pub(crate) client: Client,
    /// The namespace of `-n`, or of the kubeconfig's context.
    pub(crate) namespace: String,
    /// Whether `-n` was given.
    pub(crate) namespace_asked: bool,
    /// The ecosystem's client, for upgrades of connections.
    pub(crate) kube: kube::Client,
}

impl GlobalArgs {
    /// Connects to the cluster that the flags name.
    pub(crate) async fn connect(&self) -> Result<Context, CliError> {
        // rustls needs one provider of cryptography for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = Connection {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            own_server: default_data_dir().map(|dir| dir.join("kubeconfig")),
            warn: Some(print_warning),
        };
        let (client, namespace, kube) = connect(&connection, "wkube").await?;
        Ok(Context {
            client,
            namespace: self.namespace.clone().unwrap_or(namespace),
            namespace_asked: self.namespace.is_some(),
            kube,
        })
    }
}

/// What a server warns of, each once. Kubernetes: kubectl's warning writer.
fn print_warning(text: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().insert(text.to_owned()) {
        eprintln!("Warning: {text}");
    }
}
