//! The composition root: the only room that knows every room. Starts them in order, stops them in
//! reverse. Must never hold logic that could live in a room. Read [`Cluster::start`] first.

mod added_nodes;
mod cluster;
mod config;
mod data_dir;
mod in_process;
mod listen;
mod parts;
mod pki;
mod token_file;

pub use crate::api::{AuditLogConfig, AuditMode, AuthorizationMode, ServiceRange};
pub use added_nodes::ADDED_NODE;
pub use cluster::Cluster;
pub use config::{AccessConfig, AuditConfig, NODES_MAX, NodeShape, ServeConfig, default_data_dir};

use std::path::{Path, PathBuf};

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file or folder cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The data directory is in use.
    #[error(
        "{}: another wkube serve{by} uses this data directory; stop it, or name another one with \
         --data-dir",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// ` (pid N)`, or empty when not known.
        by: String,
    },
    /// The address that was asked for cannot be listened on.
    #[error("--listen {address}: {why}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        why: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// A part did not start.
    #[error("{0}")]
    Start(String),
}

impl ServeError {
    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}
