//! `wkube node add`: makes the object of a virtual node and waits until the server runs it.

use super::nodes;
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::durations;
use crate::client::{ClientError, Query};
use crate::meta::Quantity;
use crate::serve::ADDED_NODE;
use crate::stdx::Clock;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's name; the default is the next free `wkube-N`.
    name: Option<String>,
    /// CPU of the node [default: as the server's other nodes].
    #[arg(long, value_name = "QUANTITY")]
    cpus: Option<String>,
    /// Memory of the node [default: as the server's other nodes].
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,
    /// Pods that the node carries [default: as the server's other nodes].
    #[arg(long, value_name = "NUMBER")]
    pods: Option<u32>,
    /// Labels, as `key=value,key=value`.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Taints, as `key=value:Effect,key:Effect`.
    #[arg(long, value_name = "TAINTS", value_delimiter = ',')]
    taints: Vec<String>,
    /// How long to wait until the node is ready; zero does not wait.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: String,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let timeout = durations::seconds(&args.timeout).map_err(CliError::new)?;
    let node = args.object()?;
    let context = global.connect().await?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => next_name(&context).await?,
    };
    let mut node = node;
    if let Some(metadata) = node.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), json!(name));
    }
    let gvr = nodes();
    context
        .client
        .create::<Value>(&gvr, "", None, &node)
        .await?;
    println!("node/{name} created");
    if timeout > 0 {
        wait(&context, &name, timeout).await?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn object(&self) -> Result<Value, CliError> {
        let mut capacity = Map::new();
        for (name, asked) in [("cpu", &self.cpus), ("memory", &self.memory)] {
            if let Some(asked) = asked {
                Quantity::parse(asked)
                    .map_err(|error| CliError::new(format!("{name} {asked:?}: {error}")))?;
                capacity.insert(name.to_owned(), json!(asked));
            }
        }
        if let Some(pods) = self.pods {
            capacity.insert("pods".to_owned(), json!(pods.to_string()));
        }
        let mut labels = Map::from_iter([(ADDED_NODE.to_owned(), json!("true"))]);
        for label in &self.labels {
            let Some((key, value)) = label.split_once('=') else {
                return Err(CliError::new(format!("label {label:?} is not key=value")));
            };
            labels.insert(key.to_owned(), json!(value));
        }
        let taints: Result<Vec<Value>, CliError> = self.taints.iter().map(|of| taint(of)).collect();
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"labels": labels},
            "spec": {"taints": taints?},
            "status": {"capacity": capacity},
        }))
    }
}

/// Reads `key=value:Effect` or `key:Effect`.
fn taint(text: &str) -> Result<Value, CliError> {
    let wrong = || CliError::new(format!("taint {text:?} is not key=value:Effect"));
    let (what, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (key, value) = what.split_once('=').unwrap_or((what, ""));
    if key.is_empty() || effect.is_empty() {
        return Err(wrong());
    }
    let mut taint = Map::from_iter([
        ("key".to_owned(), json!(key)),
        ("effect".to_owned(), json!(effect)),
    ]);
    if !value.is_empty() {
        taint.insert("value".to_owned(), json!(value));
    }
    Ok(Value::Object(taint))
}

/// One more than the greatest number that a node has.
async fn next_name(context: &Context) -> Result<String, ClientError> {
    let (gvr, query) = (nodes(), Query::new());
    let listed = context.client.list::<Value>(&gvr, "", &query);
    let listed = listed.await?.items;
    let names = listed
        .iter()
        .filter_map(|node| node.pointer("/metadata/name")?.as_str());
    let numbers = names.filter_map(|name| name.strip_prefix("wkube-")?.parse::<u64>().ok());
    let next = numbers.max().map_or(0, |greatest| greatest + 1);
    Ok(format!("wkube-{next}"))
}

async fn wait(context: &Context, name: &str, seconds: u64) -> Result<(), CliError> {
    let (clock, gvr) = (Clock::real(), nodes());
    let ready = context.client.follow(&gvr, ("", name), &clock, |node| {
        let conditions = node.and_then(|node| node.pointer("/status/conditions")?.as_array());
        let mut conditions = conditions.into_iter().flatten();
        let ready = conditions.any(|own| own["type"] == "Ready" && own["status"] == "True");
        (ready || node.is_none()).then_some(ready)
    });
    tokio::select! {
        ready = ready => match ready? {
            true => Ok(()),
            false => Err(CliError::new(format!("node {name:?} was deleted before it was ready"))),
        },
        () = clock.sleep(Duration::from_secs(seconds)) => {
            let what = format!("timed out waiting for the condition on nodes/{name}");
            Err(CliError::new(what))
        }
    }
}
