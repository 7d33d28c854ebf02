//! `wkube logs`: what containers have written.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::durations;
use crate::client::{Client, ClientError, Query, with_query};
use crate::meta::GroupVersionResource;
use futures::StreamExt;
use futures::future::try_join_all;
use http::Method;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

/// Lines of each container that a selector shows where nothing else is asked for.
const TAIL_OF_SELECTED: i64 = 10;
/// Which container is meant where none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// POD or TYPE/NAME, then perhaps CONTAINER
    words: Vec<String>,
    /// Print the logs of this container.
    #[arg(long, short)]
    container: Option<String>,
    /// Selector (label query) of the pods whose logs are printed.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Get all containers' logs in the pod(s).
    #[arg(long)]
    all_containers: bool,
    /// Specify if the logs should be streamed.
    #[arg(long, short)]
    follow: bool,
    /// If true, print the logs for the previous instance of the container.
    #[arg(long, short)]
    previous: bool,
    /// Lines of recent log file to display; -1 for all, or 10 with a selector.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    tail: i64,
    /// Only return logs newer than a relative duration like 5s, 2m, or 3h.
    #[arg(long, value_name = "DURATION", value_parser = durations::seconds)]
    since: Option<u64>,
    /// Only return logs after a specific date (RFC3339).
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// Include timestamps on each line in the log output.
    #[arg(long)]
    timestamps: bool,
    /// Maximum bytes of logs to return.
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
    /// Prefix each log line with the log source.
    #[arg(long)]
    prefix: bool,
    /// Logs that are followed at the same time by a selector.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    max_log_requests: usize,
    /// If watching / following pod logs, allow for any errors that occur to be non-fatal.
    #[arg(long)]
    ignore_errors: bool,
}

/// One container whose log is read.
struct Source {
    namespace: String,
    pod: String,
    container: String,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    args.check()?;
    let context = global.connect().await?;
    let pods = pods(&args, &context).await?;
    if pods.is_empty() {
        eprintln!("No resources found in {} namespace.", context.namespace);
        return Ok(ExitCode::SUCCESS);
    }
    let mut sources = Vec::new();
    for pod in &pods {
        sources.extend(containers(&args, pod)?);
    }
    if args.follow && sources.len() > args.max_log_requests {
        let what = format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, \
             use --max-log-requests to increase the limit",
            sources.len(),
            args.max_log_requests
        );
        return Err(CliError::new(what));
    }
    let streams = sources.iter().map(|source| async {
        match stream(&args, &context, source).await {
            Err(error) if args.ignore_errors => {
                eprintln!("{error}");
                Ok(())
            }
            done => done,
        }
    });
    if args.follow {
        try_join_all(streams).await?;
    } else {
        for stream in streams {
            stream.await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn check(&self) -> Result<(), CliError> {
        let usage = "See 'wkube logs -h' for help and examples";
        let what = if self.selector.is_some() && !self.words.is_empty() {
            format!("only a selector (-l) or a POD name is allowed\n{usage}")
        } else if self.selector.is_none() && !(1..=2).contains(&self.words.len()) {
            format!(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is \
                 a required argument for the logs command\n{usage}"
            )
        } else if self.words.len() == 2 && self.container.is_some() {
            format!("only one of -c or an inline [CONTAINER] arg is allowed\n{usage}")
        } else if self.since.is_some() && self.since_time.is_some() {
            "at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned()
        } else if self.all_containers && self.container().is_some() {
            "--all-containers=true should not be specified with container name".to_owned()
        } else if self.tail < -1 {
            "--tail must be greater than or equal to -1".to_owned()
        } else {
            return Ok(());
        };
        Err(CliError::new(what))
    }

    fn container(&self) -> Option<&str> {
        self.container
            .as_deref()
            .or_else(|| self.words.get(1).map(String::as_str))
    }

    fn query(&self, container: &str) -> Query {
        let flag = |set: bool| if set { "true" } else { "" };
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let tail = match self.tail {
            -1 if self.selector.is_some() => TAIL_OF_SELECTED,
            tail => tail,
        };
        Query::new()
            .with("container", container)
            .with("follow", flag(self.follow))
            .with("previous", flag(self.previous))
            .with("timestamps", flag(self.timestamps))
            .with("sinceSeconds", &number(self.since))
            .with("sinceTime", self.since_time.as_deref().unwrap_or_default())
            .with("tailLines", &number(u64::try_from(tail).ok()))
            .with("limitBytes", &number(self.limit_bytes))
    }
}

fn pod_resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// The pods that the words or the selector mean. Something else than a pod stands for one of the
/// pods that its selector picks.
async fn pods(args: &Args, context: &Context) -> Result<Vec<Value>, CliError> {
    if let Some(selector) = &args.selector {
        return selected(context, selector).await;
    }
    let word = args.words.first().map(String::as_str).unwrap_or_default();
    let (kind, name) = word.split_once('/').unwrap_or(("pods", word));
    let get = |resource: GroupVersionResource| async move {
        let found: Result<Value, ClientError> = context
            .client
            .get(&resource, &context.namespace, name)
            .await;
        found.map_err(|error| match error {
            ClientError::Api(api) if api.code == 404 => CliError::new(format!(
                "error from server ({}): {} in namespace {:?}",
                api.reason.as_str(),
                api.message,
                context.namespace
            )),
            other => other.into(),
        })
    };
    if matches!(kind, "pod" | "pods" | "po") {
        return Ok(vec![get(pod_resource()).await?]);
    }
    let discovery = Discovery::read(&context.client).await?;
    let rows = discovery.find(kind)?;
    let Some(row) = rows.first() else {
        return Ok(Vec::new());
    };
    let object = get(row.resource.clone()).await?;
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .or_else(|| object.pointer("/spec/selector"))
        .and_then(Value::as_object);
    let Some(labels) = labels else {
        let what = format!(
            "cannot get the logs from {}: Logs are only known of pods",
            row.kind
        );
        return Err(CliError::new(what));
    };
    let pairs = labels.iter().map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        format!("{key}={value}")
    });
    let selector = pairs.collect::<Vec<_>>().join(",");
    let mut found = selected(context, &selector).await?;
    if found.len() > 1 {
        let name = text(found.first().unwrap_or(&Value::Null), "/metadata/name").to_owned();
        eprintln!("Found {} pods, using pod/{name}", found.len());
    }
    found.truncate(1);
    Ok(found)
}

async fn selected(context: &Context, selector: &str) -> Result<Vec<Value>, CliError> {
    let query = Query::new().with("labelSelector", selector);
    let pods = pod_resource();
    let list = context.client.list(&pods, &context.namespace, &query);
    Ok(list.await?.items)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The containers of a pod whose logs are meant.
fn containers(args: &Args, pod: &Value) -> Result<Vec<Source>, CliError> {
    let of = |path: &str| -> Vec<String> {
        let list = pod.pointer(path).and_then(Value::as_array);
        let names = list.into_iter().flatten();
        names.map(|c| text(c, "/name").to_owned()).collect()
    };
    let (own, init) = (of("/spec/containers"), of("/spec/initContainers"));
    let ephemeral = of("/spec/ephemeralContainers");
    let source = |container: String| Source {
        namespace: text(pod, "/metadata/namespace").to_owned(),
        pod: text(pod, "/metadata/name").to_owned(),
        container,
    };
    if args.all_containers {
        let all = init.into_iter().chain(own).chain(ephemeral);
        return Ok(all.map(source).collect());
    }
    if let Some(name) = args.container() {
        let known = own.iter().chain(&init).chain(&ephemeral);
        if !known.into_iter().any(|other| other == name) {
            let what = format!(
                "container {name} is not valid for pod {}",
                text(pod, "/metadata/name")
            );
            return Err(CliError::new(what));
        }
        return Ok(vec![source(name.to_owned())]);
    }
    let annotated = pod
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(DEFAULT_CONTAINER)?.as_str())
        .filter(|name| own.iter().any(|other| other == name));
    let first = annotated
        .map(str::to_owned)
        .or_else(|| own.first().cloned());
    if own.len() + init.len() + ephemeral.len() > 1 {
        // Kubernetes: kubectl takes the first and says so.
        let all: Vec<String> = own
            .iter()
            .cloned()
            .chain(ephemeral.iter().map(|name| format!("{name} (ephem)")))
            .chain(init.iter().map(|name| format!("{name} (init)")))
            .collect();
        if annotated.is_none() {
            eprintln!(
                "Defaulted container {:?} out of: {}",
                first.as_deref().unwrap_or_default(),
                all.join(", ")
            );
        }
    }
    Ok(first.map(source).into_iter().collect())
}

async fn stream(args: &Args, context: &Context, source: &Source) -> Result<(), CliError> {
    let path = Client::path(&pod_resource(), &source.namespace, &source.pod, "log");
    let path = with_query(path, &args.query(&source.container));
    let response = context
        .client
        .stream(Method::GET, &path, None, "*/*")
        .await?;
    let mut body = response.into_body();
    let prefix = match args.prefix {
        true => format!("[pod/{}/{}] ", source.pod, source.container),
        false => String::new(),
    };
    // Several logs are followed at once: each is written line by line.
    let by_line = args.prefix || args.selector.is_some() || args.all_containers;
    let mut waiting = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(CliError::new)?;
        if !by_line {
            if written(&part).is_err() {
                return Ok(());
            }
            continue;
        }
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            if waiting.is_empty() {
                waiting.extend_from_slice(prefix.as_bytes());
            }
            waiting.extend_from_slice(line);
            if line.ends_with(b"\n") || waiting.len() > LINE_BYTES_MAX {
                if written(&waiting).is_err() {
                    return Ok(());
                }
                waiting.clear();
            }
        }
    }
    // Whoever read may have gone.
    let _ = written(&waiting);
    Ok(())
}

/// The longest line that is kept whole beside others.
const LINE_BYTES_MAX: usize = 1 << 20;

fn written(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
