//! What every verb shares: the flags that say which cluster, and errors as kubectl words them.
//! Must not know verbs.

use crate::client::{Client, ClientError, Connection, connect};
use crate::meta::Reason;
use crate::serve::default_data_dir;
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

/// What a verb fails with: the whole text for stderr, and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct CliError {
    /// As it is printed.
    pub(crate) text: String,
    /// The exit code.
    pub(crate) code: u8,
}

impl CliError {
    /// `error: what`, exit code 1.
    pub(crate) fn new(what: impl std::fmt::Display) -> Self {
        Self {
            text: format!("error: {what}"),
            code: 1,
        }
    }

    /// `error: what`, with an exit code of its own.
    pub(crate) fn with_code(what: impl std::fmt::Display, code: u8) -> Self {
        Self {
            text: format!("error: {what}"),
            code,
        }
    }
}

impl From<ClientError> for CliError {
    /// As kubectl words what the server refused.
    fn from(error: ClientError) -> Self {
        let text = match &error {
            ClientError::Api(api) => match api.reason {
                Reason::Unauthorized => {
                    "error: You must be logged in to the server (Unauthorized)".to_owned()
                }
                // kubectl: the whole message with its field errors, without a prefix.
                Reason::Invalid => api.message.clone(),
                Reason::Unknown => format!("error: {}", api.message),
                reason => format!("Error from server ({}): {}", reason.as_str(), api.message),
            },
            ClientError::Transport(why) => format!("Unable to connect to the server: {why}"),
            ClientError::Decode(_) | ClientError::Config(_) => format!("error: {error}"),
        };
        Self { text, code: 1 }
    }
}
