//! The flags of `wkube serve` that say whom the API believes and what it lets him do, with the names
//! that they have in kube-apiserver.

use crate::serve::{AccessConfig, AuthorizationMode};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct AccessArgs {
    /// Who is asked whether a request is allowed, in this order: Node, RBAC, AlwaysAllow, AlwaysDeny
    #[arg(
        long,
        value_name = "MODES",
        value_delimiter = ',',
        default_value = "Node,RBAC"
    )]
    authorization_mode: Vec<AuthorizationMode>,
    /// PEM of authorities whose client certificates are believed, beside the cluster's own
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    /// A CSV file of bearer tokens, each with a user's name and UID and, quoted, groups
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,
    /// Admission plugins that do not act
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    disable_admission_plugins: Vec<String>,
}

impl AccessArgs {
    pub(super) fn config(&self) -> AccessConfig {
        AccessConfig {
            authorization: self.authorization_mode.clone(),
            client_ca_file: self.client_ca_file.clone(),
            token_auth_file: self.token_auth_file.clone(),
            disabled_admission_plugins: self.disable_admission_plugins.clone(),
        }
    }
}
