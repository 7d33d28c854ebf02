//! From a kubeconfig to a client. The order in which one is looked for: the flag, `$KUBECONFIG`,
//! the kubeconfig of the wkube server of this user, `~/.kube/config`.

use crate::client::{Client, ClientError, Remote};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a command line says about where to connect.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// The kubeconfig that the server of this user writes, if it is there.
    pub own_server: Option<PathBuf>,
    /// Told what the server warns of.
    pub warn: Option<fn(&str)>,
}

/// Connects as `connection` says. Also answers the namespace of the context and the ecosystem's
/// client, which upgrades (port-forward) need.
pub async fn connect(
    connection: &Connection,
    field_manager: &str,
) -> Result<(Client, String, kube::Client), ClientError> {
    let kubeconfig = read(connection)?;
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| ClientError::Config(error.to_string()))?;
    // Watches and logs may be silent for as long as they like.
    config.read_timeout = None;
    let namespace = config.default_namespace.clone();
    let address = config
        .cluster_url
        .authority()
        .map_or_else(String::new, ToString::to_string);
    let client =
        kube::Client::try_from(config).map_err(|error| ClientError::Config(error.to_string()))?;
    let remote = Arc::new(Remote::new(client.clone(), address, connection.warn));
    Ok((Client::new(remote, field_manager), namespace, client))
}

fn read(connection: &Connection) -> Result<Kubeconfig, ClientError> {
    let from = |path: &Path| {
        Kubeconfig::read_from(path)
            .map_err(|error| ClientError::Config(format!("{}: {error}", path.display())))
    };
    if let Some(path) = &connection.kubeconfig {
        return from(path);
    }
    match Kubeconfig::from_env() {
        Ok(Some(config)) => return Ok(config),
        Ok(None) => {}
        Err(error) => return Err(ClientError::Config(format!("$KUBECONFIG: {error}"))),
    }
    if let Some(path) = connection
        .own_server
        .as_deref()
        .filter(|path| path.exists())
    {
        return from(path);
    }
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    match home.filter(|path| path.exists()) {
        Some(path) => from(&path),
        None => Err(ClientError::Config(
            "no cluster to talk to: start one with `wkube serve`, or name a kubeconfig with \
             --kubeconfig or $KUBECONFIG"
                .to_owned(),
        )),
    }
}
