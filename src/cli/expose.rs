//! `wkube expose`: a Service in front of the pods of an object.
//! Kubernetes: kubectl's `cmd/expose`.

use crate::cli::change::{self, Found};
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::made::{MadeArgs, labels};
use crate::cli::manifests::FileArgs;
use crate::cli::resource_args::ObjectArgs;
use crate::meta::patch::merge;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The manager of what `expose` makes.
const MANAGER: &str = "kubectl-expose";
/// Kubernetes: the longest name of a Service.
const NAME_LENGTH_MAX: usize = 63;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    made: MadeArgs,
    /// The port that the service should serve on. Copied from the resource being exposed, if unspecified.
    #[arg(long, value_name = "PORTS", default_value = "")]
    port: String,
    /// Name or number for the port on the container that the service should direct traffic to.
    #[arg(long, value_name = "PORT", default_value = "")]
    target_port: String,
    /// The network protocol for the service to be created. Default is 'TCP'.
    #[arg(long, value_name = "PROTOCOL", default_value = "")]
    protocol: String,
    /// Type for this service: ClusterIP, NodePort, LoadBalancer, or ExternalName.
    #[arg(long, value_name = "TYPE", default_value = "")]
    r#type: String,
    /// A label selector to use for this service. Only equality-based selector requirements.
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    selector: String,
    /// Labels to apply to the service created by this call.
    #[arg(long, short, value_name = "LABELS", default_value = "")]
    labels: String,
    /// The name for the newly created object.
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// ClusterIP to be assigned to the service. Set to 'None' to create a headless service.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    cluster_ip: String,
    /// Additional external IP address to accept for the service.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    external_ip: String,
    /// IP to assign to the LoadBalancer.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    load_balancer_ip: String,
    /// If non-empty, set the session affinity for the service to this: 'None', 'ClientIP'.
    #[arg(long, value_name = "AFFINITY", default_value = "")]
    session_affinity: String,
    /// An inline JSON override for the generated object, merged by JSON merge.
    #[arg(long, value_name = "JSON", default_value = "")]
    overrides: String,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    args.made.output()?;
    let context = global.connect().await?;
    let objects = ObjectArgs {
        words: args.words.clone(),
        files: args.files.clone(),
        ..ObjectArgs::default()
    };
    let (list, mut errors) = change::found(&context, &objects, false).await?;
    let discovery = Discovery::read(&context.client).await?;
    let row = discovery.by_kind("v1", "Service")?;
    for found in &list {
        let service = match args.service(found) {
            Ok(service) => service,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let words = (MANAGER, "exposed");
        args.made.make(&context, row, service, words).await?;
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

impl Args {
    fn service(&self, found: &Found) -> Result<Value, CliError> {
        let exposable = Exposable::of(found)?;
        let selector = match self.selector.as_str() {
            "" => exposable.selector()?,
            text => labels(text)?,
        };
        let own = found.object.name();
        let name = match self.name.as_str() {
            "" => own.get(..NAME_LENGTH_MAX).unwrap_or(own),
            name => name,
        };
        let own_labels = found.object.get(&["metadata", "labels"]).cloned();
        let labels = match self.labels.as_str() {
            "" => own_labels,
            text => Some(labels(text)?),
        };
        let mut metadata = json!({ "name": name });
        if let (Some(metadata), Some(labels)) = (metadata.as_object_mut(), labels) {
            metadata.insert("labels".to_owned(), labels);
        }
        let mut spec = Map::new();
        spec.insert("selector".to_owned(), selector);
        let ports = self.ports(&exposable)?;
        if !ports.is_empty() {
            spec.insert("ports".to_owned(), json!(ports));
        }
        for (field, value) in [
            ("type", &self.r#type),
            ("clusterIP", &self.cluster_ip),
            ("loadBalancerIP", &self.load_balancer_ip),
            ("sessionAffinity", &self.session_affinity),
        ] {
            if !value.is_empty() {
                spec.insert(field.to_owned(), json!(value));
            }
        }
        if !self.external_ip.is_empty() {
            spec.insert("externalIPs".to_owned(), json!([self.external_ip]));
        }
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": spec,
            "status": { "loadBalancer": {} },
        });
        if self.overrides.is_empty() {
            return Ok(service);
        }
        let patch: Value = serde_json::from_str(&self.overrides)
            .map_err(|error| CliError::new(format!("Invalid overrides: {error}")))?;
        merge::apply(service, &patch).map_err(CliError::new)
    }

    fn ports(&self, exposable: &Exposable<'_>) -> Result<Vec<Value>, CliError> {
        let known = exposable.ports();
        let asked: Vec<String> = match self.port.as_str() {
            "" => {
                let mut ports: Vec<String> =
                    known.iter().map(|(port, _)| port.to_string()).collect();
                ports.dedup();
                ports
            }
            text => text.split(',').map(str::to_owned).collect(),
        };
        if asked.is_empty() && self.cluster_ip != "None" {
            let what = "couldn't find port via --port flag or introspection";
            return Err(CliError::new(what));
        }
        let several = asked.len() > 1;
        let mut ports = Vec::new();
        for (index, text) in asked.iter().enumerate() {
            let port: i64 = text.parse().map_err(|_| {
                CliError::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
            })?;
            let protocols: Vec<&str> = match self.protocol.as_str() {
                "" => {
                    let of = known.iter().filter(|(known, _)| *known == port);
                    let of: Vec<&str> = of.map(|(_, protocol)| *protocol).collect();
                    if of.is_empty() { vec!["TCP"] } else { of }
                }
                protocol => vec![protocol],
            };
            for (number, protocol) in protocols.iter().enumerate() {
                let target = match (self.target_port.as_str(), self.target_port.parse::<i64>()) {
                    ("", _) => json!(port),
                    (_, Ok(number)) => json!(number),
                    (name, _) => json!(name),
                };
                let mut made = json!({
                    "port": port, "protocol": protocol, "targetPort": target,
                });
                if let (Some(made), true) = (made.as_object_mut(), several || protocols.len() > 1) {
                    let name = match protocols.len() {
                        0 | 1 => format!("port-{}", index + 1),
                        _ => format!("port-{}-{}", index + 1, number + 1),
                    };
                    made.insert("name".to_owned(), json!(name));
                }
                ports.push(made);
            }
        }
        Ok(ports)
    }
}

/// An object that a Service can stand in front of.
struct Exposable<'a> {
    found: &'a Found,
}

impl<'a> Exposable<'a> {
    fn of(found: &'a Found) -> Result<Self, CliError> {
        let group = found.row.resource.group.as_str();
        match (group, found.row.kind.as_str()) {
            ("", "ReplicationController" | "Service" | "Pod")
            | ("apps" | "extensions", "Deployment" | "ReplicaSet") => Ok(Self { found }),
            (group, kind) => {
                let dot = if group.is_empty() { "" } else { "." };
                Err(CliError::new(format!("cannot expose a {kind}{dot}{group}")))
            }
        }
    }

    fn selector(&self) -> Result<Value, CliError> {
        let failed = |why: String| {
            CliError::new(format!(
                "couldn't retrieve selectors via --selector flag or introspection: {why}"
            ))
        };
        let object = &self.found.object;
        let (path, missing): (&[&str], &str) = match self.found.row.kind.as_str() {
            "Pod" => (
                &["metadata", "labels"],
                "the pod has no labels and cannot be exposed",
            ),
            "Service" => (&["spec", "selector"], "the service has no pod selector set"),
            "ReplicationController" => (
                &["spec", "selector"],
                "the replication controller has no pod selector set",
            ),
            _ => (
                &["spec", "selector", "matchLabels"],
                "invalid deployment: no selectors, therefore cannot be exposed",
            ),
        };
        let expressions = object.get(&["spec", "selector", "matchExpressions"]);
        if let Some(expressions) = expressions.filter(|_| path.len() == 3) {
            return Err(failed(format!(
                "couldn't convert expressions - \"{expressions}\" to map-based selector format"
            )));
        }
        let map = object.get(path).filter(|map| {
            let map = map.as_object();
            map.is_some_and(|map| !map.is_empty())
        });
        map.cloned().ok_or_else(|| failed(missing.to_owned()))
    }

    /// The ports and protocols that are known of it.
    fn ports(&self) -> Vec<(i64, &str)> {
        let object = &self.found.object;
        let number = |port: &Value, field: &str| port.get(field).and_then(Value::as_i64);
        let protocol = |port: &'a Value| {
            let protocol = port.get("protocol").and_then(Value::as_str);
            protocol.unwrap_or("TCP")
        };
        let list = |path: &[&str]| object.get(path).and_then(Value::as_array);
        let containers = match self.found.row.kind.as_str() {
            "Service" => {
                let ports = list(&["spec", "ports"]).into_iter().flatten();
                return ports
                    .filter_map(|port| Some((number(port, "port")?, protocol(port))))
                    .collect();
            }
            "Pod" => list(&["spec", "containers"]),
            _ => list(&["spec", "template", "spec", "containers"]),
        };
        let containers = containers.into_iter().flatten();
        let ports = containers.filter_map(|container| container.get("ports")?.as_array());
        ports
            .flatten()
            .filter_map(|port| Some((number(port, "containerPort")?, protocol(port))))
            .collect()
    }
}
