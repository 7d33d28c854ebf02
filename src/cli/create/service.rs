//! `wkube create service clusterip|nodeport|loadbalancer|externalname`. Must not know servers.

use crate::cli::context::CliError;
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Create a ClusterIP service.
    Clusterip {
        #[command(flatten)]
        ports: Ports,
        /// Assign your own ClusterIP or set to 'None' for a 'headless' service.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        clusterip: String,
    },
    /// Create a NodePort service.
    Nodeport {
        #[command(flatten)]
        ports: Ports,
        /// Port used to expose the service on each node in a cluster.
        #[arg(long, value_name = "PORT", default_value_t = 0)]
        node_port: i32,
    },
    /// Create a LoadBalancer service.
    Loadbalancer {
        #[command(flatten)]
        ports: Ports,
    },
    /// Create an ExternalName service.
    Externalname {
        #[command(flatten)]
        ports: Ports,
        /// External name of service.
        #[arg(long, value_name = "NAME")]
        external_name: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Ports {
    /// Its name.
    name: String,
    /// Port pairs can be specified as '<port>:<targetPort>'.
    #[arg(long, value_name = "PORT[:TARGET]", value_delimiter = ',')]
    tcp: Vec<String>,
}

impl What {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Clusterip { .. } => "ClusterIP",
            Self::Nodeport { .. } => "NodePort",
            Self::Loadbalancer { .. } => "LoadBalancer",
            Self::Externalname { .. } => "ExternalName",
        }
    }

    pub(super) fn object(&self) -> Result<Value, CliError> {
        let (ports, node_port) = match self {
            Self::Clusterip { ports, .. }
            | Self::Loadbalancer { ports }
            | Self::Externalname { ports, .. } => (ports, 0),
            Self::Nodeport { ports, node_port } => (ports, *node_port),
        };
        let headless = matches!(self, Self::Clusterip { clusterip, .. } if clusterip == "None");
        let needs_ports = !headless && !matches!(self, Self::Externalname { .. });
        if ports.tcp.is_empty() && needs_ports {
            return Err(CliError::new(
                "at least one tcp port specifier must be provided",
            ));
        }
        let listed: Result<Vec<Value>, CliError> =
            ports.tcp.iter().map(|text| port(text, node_port)).collect();
        let listed = listed?;
        let mut spec = json!({ "type": self.kind(), "selector": { "app": ports.name } });
        let mut set = |name: &str, value: Value| {
            if let Value::Object(map) = &mut spec {
                map.insert(name.to_owned(), value);
            }
        };
        if !listed.is_empty() {
            set("ports", Value::Array(listed));
        }
        match self {
            Self::Clusterip { clusterip, .. } if !clusterip.is_empty() => {
                set("clusterIP", json!(clusterip));
            }
            Self::Externalname { external_name, .. } => set("externalName", json!(external_name)),
            _ => {}
        }
        Ok(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": ports.name, "labels": { "app": ports.name } },
            "spec": spec, "status": { "loadBalancer": {} },
        }))
    }
}

/// `80`, `80:8080` or `80:name`.
fn port(text: &str, node_port: i32) -> Result<Value, CliError> {
    let number = |text: &str| -> Result<i32, CliError> {
        let wrong =
            |why: &str| CliError::new(format!("strconv.ParseUint: parsing {text:?}: {why}"));
        let port = text.parse::<i32>();
        port.map_err(|_| wrong("invalid syntax"))
    };
    let (first, target) = text.split_once(':').unwrap_or((text, text));
    let first = number(first)?;
    let target = match target.parse::<i32>() {
        Ok(number) => json!(number),
        Err(_) => json!(target),
    };
    let name = text.replace(':', "-");
    let mut port = json!({
        "name": name, "port": first, "protocol": "TCP", "targetPort": target,
    });
    if let (Value::Object(map), true) = (&mut port, node_port > 0) {
        map.insert("nodePort".to_owned(), json!(node_port));
    }
    Ok(port)
}
