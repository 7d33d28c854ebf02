//! `wkube top`: what pods and nodes use, as metrics.k8s.io tells. Must not measure.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::printers::tab_writer::TABLE;
use crate::client::{Client, Query, with_query};
use crate::meta::{GroupVersionResource, Quantity, Selector, time};
use crate::stdx::Clock;
use http::Method;
use jiff::SignedDuration;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The API that tells what is used.
const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// Kubernetes: a pod that is younger need not have been measured yet.
const MEASURED_AFTER: SignedDuration = SignedDuration::from_secs(120);
/// Memory is told in these (bytes).
const MEBIBYTE: i64 = 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Display resource (CPU/memory) usage of pods.
    #[command(alias = "pods", alias = "po")]
    Pod(PodArgs),
    /// Display resource (CPU/memory) usage of nodes.
    #[command(alias = "nodes", alias = "no")]
    Node(NodeArgs),
}

#[derive(Debug, clap::Args)]
struct PodArgs {
    /// The pod; all of the namespace without one.
    words: Vec<String>,
    /// Print usage of containers within a pod.
    #[arg(long)]
    containers: bool,
    /// Print the sum of the resource usage.
    #[arg(long)]
    sum: bool,
    /// Show the pods of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Selector (field query) to filter on.
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Print output without headers.
    #[arg(long)]
    no_headers: bool,
    /// Sort by cpu or memory, most first.
    #[arg(
        long,
        value_name = "FIELD",
        default_value = "",
        hide_default_value = true
    )]
    sort_by: String,
}

#[derive(Debug, clap::Args)]
struct NodeArgs {
    /// The node; all without one.
    words: Vec<String>,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Print output without headers.
    #[arg(long)]
    no_headers: bool,
    /// Compare with the capacity of the nodes, not with what pods may use of it.
    #[arg(long)]
    show_capacity: bool,
    /// Sort by cpu or memory, most first.
    #[arg(
        long,
        value_name = "FIELD",
        default_value = "",
        hide_default_value = true
    )]
    sort_by: String,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let text = match &args.what {
        What::Pod(args) => args.run(&global).await?,
        What::Node(args) => args.run(&global).await?,
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The one name among the words, or what is wrong with them.
fn name<'a>(words: &'a [String], usage: &str) -> Result<Option<&'a str>, CliError> {
    match words {
        [] => Ok(None),
        [name] => Ok(Some(name.as_str())),
        _ => {
            let verb = usage.split(' ').next().unwrap_or_default();
            let what = format!("{usage}\nSee 'wkube top {verb} -h' for help and examples");
            Err(CliError::new(what))
        }
    }
}

/// What sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Name,
    Cpu,
    Memory,
}

impl By {
    fn parse(text: &str) -> Result<Self, CliError> {
        match text {
            "" => Ok(Self::Name),
            "cpu" => Ok(Self::Cpu),
            "memory" => Ok(Self::Memory),
            _ => Err(CliError::new("--sort-by accepts only cpu or memory")),
        }
    }

    /// Sorts what has a name and a use.
    fn sort<T>(self, items: &mut [T], of: impl Fn(&T) -> (&str, Usage)) {
        match self {
            Self::Name => items.sort_by(|a, b| of(a).0.cmp(of(b).0)),
            Self::Cpu => items.sort_by_key(|item| Reverse(of(item).1.cpu.millis())),
            Self::Memory => items.sort_by_key(|item| Reverse(of(item).1.memory.value())),
        }
    }
}

/// What something uses, or may use.
#[derive(Clone, Copy, Debug)]
struct Usage {
    cpu: Quantity,
    memory: Quantity,
}

impl Usage {
    const NONE: Self = Self {
        cpu: Quantity::ZERO,
        memory: Quantity::ZERO,
    };

    /// Of a map of amounts; what is not told is zero.
    fn of(amounts: Option<&Value>) -> Self {
        let amount = |name: &str| {
            let amount = amounts.and_then(|amounts| amounts.get(name));
            let amount = amount.and_then(|amount| Quantity::from_value(amount).ok());
            amount.unwrap_or(Quantity::ZERO)
        };
        Self {
            cpu: amount("cpu"),
            memory: amount("memory"),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.plus(&other.cpu),
            memory: self.memory.plus(&other.memory),
        }
    }

    fn cpu_cell(self) -> String {
        format!("{}m\t", self.cpu.millis())
    }

    fn memory_cell(self) -> String {
        format!("{}Mi\t", self.memory.value() / MEBIBYTE)
    }

    fn cells(self) -> String {
        self.cpu_cell() + &self.memory_cell()
    }
}

/// How much of `whole` is used, in whole percent.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "percents are small, and nobody counts them to the last digit"
)]
fn percent(used: Quantity, whole: Quantity) -> String {
    let share = used.millis() as f64 / whole.millis() as f64 * 100.0;
    format!("{}%\t", share as i64)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// A container of a pod and what it uses.
struct Container {
    name: String,
    usage: Usage,
}

/// A pod as the API tells of it.
struct Pod {
    namespace: String,
    name: String,
    containers: Vec<Container>,
}

impl Pod {
    fn of(value: &Value) -> Self {
        let containers = value.get("containers").and_then(Value::as_array);
        let containers = containers.into_iter().flatten().map(|container| Container {
            name: text(container, "/name").to_owned(),
            usage: Usage::of(container.get("usage")),
        });
        Self {
            namespace: text(value, "/metadata/namespace").to_owned(),
            name: text(value, "/metadata/name").to_owned(),
            containers: containers.collect(),
        }
    }

    fn usage(&self) -> Usage {
        let all = self.containers.iter();
        all.fold(Usage::NONE, |sum, container| sum.plus(container.usage))
    }
}

impl PodArgs {
    async fn run(&self, global: &GlobalArgs) -> Result<String, CliError> {
        let name = name(&self.words, "pod [NAME | -l label]")?;
        let by = By::parse(&self.sort_by)?;
        if name.is_some() && (self.selector.is_some() || self.field_selector.is_some()) {
            let what = "only one of NAME or selector can be provided";
            return Err(CliError::new(what));
        }
        check(self.selector.as_deref())?;
        let context = global.connect().await?;
        available(&context.client).await?;
        let namespace = match self.all_namespaces {
            true => "",
            false => &context.namespace,
        };
        let pods = GroupVersionResource::new(GROUP, VERSION, "pods");
        let place = (namespace, name.unwrap_or_default());
        let found = read(&context.client, &pods, place, &self.query()).await?;
        if found.is_empty() {
            self.why_none(&context).await?;
            match self.all_namespaces {
                true => eprintln!("No resources found"),
                false => eprintln!("No resources found in {} namespace.", context.namespace),
            }
        }
        Ok(self.table(found.iter().map(Pod::of).collect(), by))
    }

    fn query(&self) -> Query {
        Query::new()
            .with(
                "labelSelector",
                self.selector.as_deref().unwrap_or_default(),
            )
            .with(
                "fieldSelector",
                self.field_selector.as_deref().unwrap_or_default(),
            )
    }

    /// Why nothing is told of any pod: there is none, or they are too young.
    async fn why_none(&self, context: &Context) -> Result<(), CliError> {
        let pods = GroupVersionResource::new("", "v1", "pods");
        let place = (context.namespace.as_str(), "");
        let pods = read(&context.client, &pods, place, &self.query()).await?;
        if pods.is_empty() {
            return Ok(());
        }
        let now = Clock::real().now();
        for pod in &pods {
            let created = time::parse(text(pod, "/metadata/creationTimestamp"));
            let age = created.map(|created| now.duration_since(created));
            if let Some(age) = age.filter(|age| *age > MEASURED_AFTER) {
                return Err(CliError::new(format!(
                    "Metrics not available for pod {}/{}, age: {}",
                    text(pod, "/metadata/namespace"),
                    text(pod, "/metadata/name"),
                    go_text(age)
                )));
            }
        }
        Err(CliError::new("metrics not available yet"))
    }

    fn table(&self, mut pods: Vec<Pod>, by: By) -> String {
        if pods.is_empty() {
            return String::new();
        }
        // Kubernetes: where there are no headers the sum does not know of the columns before.
        let (mut lines, mut before) = (String::new(), 0);
        if !self.no_headers {
            for (wanted, column) in [
                (self.all_namespaces, "NAMESPACE\t"),
                (self.containers, "POD\t"),
            ] {
                if wanted {
                    lines.push_str(column);
                    before += 1;
                }
            }
            lines.push_str("NAME\tCPU(cores)\tMEMORY(bytes)\t\n");
        }
        by.sort(&mut pods, |pod| (pod.name.as_str(), pod.usage()));
        if by == By::Name && self.all_namespaces {
            // The names within a namespace stay in their order.
            pods.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        }
        for pod in &mut pods {
            let namespace = match self.all_namespaces {
                true => format!("{}\t", pod.namespace),
                false => String::new(),
            };
            if !self.containers {
                lines.push_str(&line(&namespace, &pod.name, &pod.usage().cells()));
                continue;
            }
            by.sort(&mut pod.containers, |container| {
                (container.name.as_str(), container.usage)
            });
            let before = format!("{namespace}{}\t", pod.name);
            for container in &pod.containers {
                let cells = container.usage.cells();
                lines.push_str(&line(&before, &container.name, &cells));
            }
        }
        if self.sum {
            let sum = pods
                .iter()
                .fold(Usage::NONE, |sum, pod| sum.plus(pod.usage()));
            let before = "\t".repeat(before);
            lines.push_str(&line(&before, "", "________\t________\t"));
            lines.push_str(&line(&before, "", &sum.cells()));
        }
        TABLE.pad(&lines)
    }
}

fn line(before: &str, name: &str, cells: &str) -> String {
    format!("{before}{name}\t{cells}\n")
}

impl NodeArgs {
    async fn run(&self, global: &GlobalArgs) -> Result<String, CliError> {
        let name = name(&self.words, "node [NAME | -l label]")?;
        let by = By::parse(&self.sort_by)?;
        if name.is_some() && self.selector.is_some() {
            let what = "only one of NAME or --selector can be provided";
            return Err(CliError::new(what));
        }
        check(self.selector.as_deref())?;
        let context = global.connect().await?;
        available(&context.client).await?;
        let query = Query::new().with(
            "labelSelector",
            self.selector.as_deref().unwrap_or_default(),
        );
        let place = ("", name.unwrap_or_default());
        let measured = GroupVersionResource::new(GROUP, VERSION, "nodes");
        let used = read(&context.client, &measured, place, &query).await?;
        if used.is_empty() {
            return Err(CliError::new("metrics not available yet"));
        }
        let nodes = GroupVersionResource::new("", "v1", "nodes");
        let nodes = read(&context.client, &nodes, place, &query).await?;
        let path = match self.show_capacity {
            true => "/status/capacity",
            false => "/status/allocatable",
        };
        let whole = nodes.iter().map(|node| {
            let name = text(node, "/metadata/name").to_owned();
            (name, Usage::of(node.pointer(path)))
        });
        Ok(self.table(&used, whole.collect(), by))
    }

    fn table(&self, used: &[Value], mut whole: BTreeMap<String, Usage>, by: By) -> String {
        let mut lines = match self.no_headers {
            true => String::new(),
            false => "NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\t\n".to_owned(),
        };
        let mut nodes: Vec<(&str, Usage)> = used
            .iter()
            .map(|node| (text(node, "/metadata/name"), Usage::of(node.get("usage"))))
            .collect();
        by.sort(&mut nodes, |(name, usage)| (*name, *usage));
        for (name, usage) in nodes {
            let cells = match whole.remove(name) {
                Some(whole) => [
                    usage.cpu_cell(),
                    percent(usage.cpu, whole.cpu),
                    usage.memory_cell(),
                    percent(usage.memory, whole.memory),
                ]
                .concat(),
                None => usage.cells(),
            };
            lines.push_str(&line("", name, &cells));
        }
        for name in whole.keys() {
            lines.push_str(&line("", name, &"<unknown>\t".repeat(4)));
        }
        TABLE.pad(&lines)
    }
}

/// Kubernetes: a selector is read before anything is asked.
fn check(selector: Option<&str>) -> Result<(), CliError> {
    let parsed = selector.map(Selector::parse).transpose();
    parsed.map(|_| ()).map_err(CliError::new)
}

/// Whether the server has the API; an error if not.
async fn available(client: &Client) -> Result<(), CliError> {
    let bytes = client.call(Method::GET, "/apis", None).await?;
    let groups: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    let list = |value: &Value, name: &str| {
        let list = value.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let is_there = list(&groups, "groups").iter().any(|group| {
        let mut versions = list(group, "versions").into_iter();
        text(group, "/name") == GROUP
            && versions.any(|version| text(&version, "/version") == VERSION)
    });
    match is_there {
        true => Ok(()),
        false => Err(CliError::new("Metrics API not available")),
    }
}

/// One object by its name, or all that the query picks.
async fn read(
    client: &Client,
    resource: &GroupVersionResource,
    (namespace, name): (&str, &str),
    query: &Query,
) -> Result<Vec<Value>, CliError> {
    let path = Client::path(resource, namespace, name, "");
    let path = if name.is_empty() {
        with_query(path, query)
    } else {
        path
    };
    let bytes = client.call(Method::GET, &path, None).await?;
    let mut value: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    if !name.is_empty() {
        return Ok(vec![value]);
    }
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    Ok(items.map(std::mem::take).unwrap_or_default())
}

/// A time of minutes and more as Go prints it: `5m32.5s`, `1h0m1s`.
fn go_text(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!(".{:09}", time.subsec_nanos());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let hours = match hours {
        0 => String::new(),
        hours => format!("{hours}h"),
    };
    format!("{hours}{minutes}m{seconds}{fraction}s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(subcommand)]
        what: What,
    }

    fn pods(words: &[&str]) -> PodArgs {
        let words = ["top", "pod"].iter().chain(words);
        match Words::try_parse_from(words).unwrap().what {
            What::Pod(args) => args,
            What::Node(_) => panic!("not of pods"),
        }
    }

    fn nodes(words: &[&str]) -> NodeArgs {
        let words = ["top", "nodes"].iter().chain(words);
        match Words::try_parse_from(words).unwrap().what {
            What::Node(args) => args,
            What::Pod(_) => panic!("not of nodes"),
        }
    }

    fn pod(name: &str, used: &[(&str, &str, &str)]) -> Pod {
        let containers: Vec<Value> = used
            .iter()
            .map(|(name, cpu, memory)| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}}))
            .collect();
        Pod::of(&json!({
            "metadata": {"name": name, "namespace": "n"}, "containers": containers,
        }))
    }

    #[test]
    fn pods_and_their_containers() {
        let two = || {
            vec![
                pod("a", &[("x", "1500n", "1Mi"), ("w", "10m", "3Mi")]),
                pod("b", &[("x", "1", "1023Ki")]),
            ]
        };
        let show = |words: &[&str]| {
            let args = pods(words);
            let by = By::parse(&args.sort_by).unwrap();
            args.table(two(), by)
        };
        assert_eq!(
            show(&[]),
            "NAME   CPU(cores)   MEMORY(bytes)   \na      11m          4Mi             \nb      \
             1000m        0Mi             \n"
        );
        let by_cpu = show(&["--no-headers", "--sort-by=cpu"]);
        assert!(by_cpu.starts_with("b "), "{by_cpu}");
        let containers = show(&["--containers", "-A", "--no-headers"]);
        let first: Vec<&str> = containers
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(first, ["n", "a", "w", "10m", "3Mi"]);
        let sum = show(&["--sum"]);
        let last: Vec<&str> = sum.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["1011m", "4Mi"]);
        assert!(By::parse("x").is_err());
    }

    #[test]
    fn nodes_and_what_they_have() {
        let used = [json!({"metadata": {"name": "a"}, "usage": {"cpu": "500m", "memory": "1Gi"}})];
        let whole = Usage::of(Some(&json!({"cpu": "2", "memory": "3Gi"})));
        let whole = ["a", "b"].map(|name| (name.to_owned(), whole));
        let text = nodes(&["--no-headers"]).table(&used, whole.into(), By::Name);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["a", "500m", "25%", "1024Mi", "33%"]);
        assert_eq!(
            lines[1],
            ["b", "<unknown>", "<unknown>", "<unknown>", "<unknown>"]
        );
    }

    #[test]
    fn ages_as_go_prints_them() {
        assert_eq!(go_text(SignedDuration::new(150, 500_000_000)), "2m30.5s");
        assert_eq!(go_text(SignedDuration::from_secs(3601)), "1h0m1s");
    }
}
