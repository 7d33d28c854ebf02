//! `wkube port-forward`: local ports that lead into a pod, until interrupted.

use crate::cli::context::{CliError, GlobalArgs};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections that are forwarded at the same time.
const CONNECTIONS_MAX: usize = 1_024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// POD or pod/POD
    pod: String,
    /// [LOCAL_PORT:]REMOTE_PORT; a local port of 0 is picked by the system
    #[arg(required = true)]
    ports: Vec<String>,
    /// Addresses to listen on; `localhost` is both of its addresses
    #[arg(long, value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let name = match args.pod.split_once('/') {
        None => args.pod.clone(),
        Some(("pod" | "pods" | "po", name)) => name.to_owned(),
        Some((kind, _)) => {
            let what = format!("cannot forward to {kind}: only pods are forwarded to yet");
            return Err(CliError::new(what));
        }
    };
    let pods: Api<Pod> = Api::namespaced(context.kube, &context.namespace);
    let pod = pods
        .get(&name)
        .await
        .map_err(|error| CliError::new(error.to_string()))?;
    let phase = pod
        .status
        .and_then(|status| status.phase)
        .unwrap_or_default();
    if phase != "Running" {
        let what =
            format!("unable to forward port because pod is not running. Current status={phase}");
        return Err(CliError::new(what));
    }
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut doors = JoinSet::new();
    for words in &args.ports {
        let (local, remote) = ports(words)?;
        for address in addresses(&args.address)? {
            let listener = match TcpListener::bind(SocketAddr::new(address, local)).await {
                Ok(listener) => listener,
                // A machine without IPv6 still has the other localhost.
                Err(_) if address == Ipv6Addr::LOCALHOST && args.address == ["localhost"] => {
                    continue;
                }
                Err(error) => {
                    let what = format!("unable to listen on port {local}: {error}");
                    return Err(CliError::new(what));
                }
            };
            let bound = listener.local_addr().map_err(CliError::new)?;
            println!("Forwarding from {bound} -> {remote}");
            doors.spawn(serve(
                listener,
                pods.clone(),
                name.clone(),
                remote,
                places.clone(),
            ));
        }
    }
    // Doors do not end by themselves; Ctrl-C ends the process.
    while doors.join_next().await.is_some() {}
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    listener: TcpListener,
    pods: Api<Pod>,
    name: String,
    remote: u16,
    places: Arc<Semaphore>,
) {
    let local = listener.local_addr().map_or(0, |address| address.port());
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        println!("Handling connection for {local}");
        let (pods, name) = (pods.clone(), name.clone());
        tokio::spawn(async move {
            if let Err(error) = forward(stream, &pods, &name, remote).await {
                eprintln!("error forwarding port {remote} to pod {name}: {error}");
            }
            drop(place);
        });
    }
}

async fn forward(
    mut local: TcpStream,
    pods: &Api<Pod>,
    name: &str,
    remote: u16,
) -> Result<(), String> {
    let mut forwarder = pods
        .portforward(name, &[remote])
        .await
        .map_err(|error| error.to_string())?;
    let mut stream = forwarder
        .take_stream(remote)
        .ok_or("the server opened no stream")?;
    let refused = forwarder.take_error(remote);
    let copied = tokio::io::copy_bidirectional(&mut local, &mut stream).await;
    drop(stream);
    if let Some(refused) = refused
        && let Some(error) = refused.await
    {
        return Err(error);
    }
    // A client that goes away early is no error of the forwarding.
    copied.map(|_| ()).or(Ok(()))
}

fn ports(words: &str) -> Result<(u16, u16), CliError> {
    let wrong = || CliError::new(format!("error parsing port {words:?}: want [LOCAL:]REMOTE"));
    let (local, remote) = words.split_once(':').unwrap_or((words, words));
    let remote: u16 = remote.parse().map_err(|_| wrong())?;
    let local = if local.is_empty() {
        0
    } else {
        local.parse().map_err(|_| wrong())?
    };
    if remote == 0 {
        return Err(CliError::new("remote port must be > 0"));
    }
    Ok((local, remote))
}

fn addresses(words: &[String]) -> Result<Vec<IpAddr>, CliError> {
    let mut addresses = Vec::new();
    for word in words {
        if word == "localhost" {
            addresses.extend([
                IpAddr::from(Ipv4Addr::LOCALHOST),
                Ipv6Addr::LOCALHOST.into(),
            ]);
        } else {
            let what = || CliError::new(format!("{word} is not a valid IP"));
            addresses.push(word.parse().map_err(|_| what())?);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_kubectl_reads_them() {
        assert_eq!(ports("80").unwrap(), (80, 80));
        assert_eq!(ports("8080:80").unwrap(), (8080, 80));
        assert_eq!(ports(":80").unwrap(), (0, 80));
        assert!(ports("x").is_err() && ports("1:0").is_err() && ports("1:2:3").is_err());
    }
}
