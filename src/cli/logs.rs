//! `wkube logs`: what containers have written.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::client::{Client, Query};
use crate::meta::GroupVersionResource;
use futures::StreamExt;
use http::Method;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// POD or pod/POD
    pod: String,
    /// CONTAINER
    container_word: Option<String>,
    /// Print the logs of this container.
    #[arg(long, short)]
    container: Option<String>,
    /// Get all containers' logs in the pod.
    #[arg(long)]
    all_containers: bool,
    /// Specify if the logs should be streamed.
    #[arg(long, short)]
    follow: bool,
    /// If true, print the logs for the previous instance of the container.
    #[arg(long, short)]
    previous: bool,
    /// Lines of recent log file to display.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    tail: i64,
    /// Only return logs newer than a relative duration like 5s, 2m, or 3h.
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
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
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let name = match args.pod.split_once('/') {
        None => args.pod.as_str(),
        Some(("pod" | "pods" | "po", name)) => name,
        Some((kind, _)) => {
            let what = format!("cannot get the logs from {kind}: only pods are read yet");
            return Err(CliError::new(what));
        }
    };
    let containers = containers(&args, &context, name).await?;
    for container in containers {
        stream(&args, &context, name, container.as_deref()).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which containers to read; `None` leaves it to the server, which knows a pod's only one.
async fn containers(
    args: &Args,
    context: &Context,
    name: &str,
) -> Result<Vec<Option<String>>, CliError> {
    let asked = args
        .container
        .clone()
        .or_else(|| args.container_word.clone());
    if asked.is_some() {
        return Ok(vec![asked]);
    }
    let pod: Value = context
        .client
        .get(&pods(), &context.namespace, name)
        .await?;
    let of = |path: &str| -> Vec<String> {
        let list = pod
            .pointer(path)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        list.filter_map(|c| c.get("name")?.as_str().map(str::to_owned))
            .collect()
    };
    let own = of("/spec/containers");
    if args.all_containers {
        return Ok(of("/spec/initContainers")
            .into_iter()
            .chain(own)
            .map(Some)
            .collect());
    }
    match own.as_slice() {
        [first, _, ..] => {
            // Kubernetes: kubectl takes the first and says so.
            let all = own.join(", ");
            eprintln!("Defaulted container {first:?} out of: {all}");
            Ok(vec![Some(first.clone())])
        }
        _ => Ok(vec![None]),
    }
}

async fn stream(
    args: &Args,
    context: &Context,
    name: &str,
    container: Option<&str>,
) -> Result<(), CliError> {
    let flag = |set: bool| if set { "true" } else { "" };
    let since = args
        .since
        .as_deref()
        .map(seconds)
        .transpose()?
        .unwrap_or_default();
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let tail = u64::try_from(args.tail).ok();
    let query = Query::new()
        .with("container", container.unwrap_or_default())
        .with("follow", flag(args.follow))
        .with("previous", flag(args.previous))
        .with("timestamps", flag(args.timestamps))
        .with("sinceSeconds", &since)
        .with("sinceTime", args.since_time.as_deref().unwrap_or_default())
        .with("tailLines", &number(tail))
        .with("limitBytes", &number(args.limit_bytes));
    let path = Client::path(&pods(), &context.namespace, name, "log");
    let path = format!("{path}?{}", query.as_str());
    let response = context
        .client
        .stream(Method::GET, &path, None, "*/*")
        .await?;
    let mut body = response.into_body();
    let mut out = std::io::stdout().lock();
    let prefix = match (args.prefix, container) {
        (true, Some(container)) => format!("[pod/{name}/{container}] "),
        (true, None) => format!("[pod/{name}] "),
        _ => String::new(),
    };
    let mut at_line_start = true;
    while let Some(part) = body.next().await {
        let part = part.map_err(CliError::new)?;
        let written = if prefix.is_empty() {
            out.write_all(&part)
        } else {
            part.split_inclusive(|byte| *byte == b'\n')
                .try_for_each(|line| {
                    if at_line_start {
                        out.write_all(prefix.as_bytes())?;
                    }
                    at_line_start = line.ends_with(b"\n");
                    out.write_all(line)
                })
        };
        if written.and_then(|()| out.flush()).is_err() {
            // Whoever read has gone.
            break;
        }
    }
    Ok(())
}

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// Seconds of a duration in Go's notation: `5s`, `1h30m`.
fn seconds(text: &str) -> Result<String, CliError> {
    let wrong = || CliError::new(format!("invalid duration {text:?}"));
    let (mut total, mut number) = (0.0, String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() || c == '.' {
            number.push(c);
            continue;
        }
        let unit = match (c, chars.peek()) {
            ('m', Some('s')) => {
                chars.next();
                0.001
            }
            ('h', _) => 3_600.0,
            ('m', _) => 60.0,
            ('s', _) => 1.0,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * unit;
        number.clear();
    }
    if !number.is_empty() || total <= 0.0 {
        return Err(wrong());
    }
    Ok(format!("{}", total.ceil()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_go_notation() {
        assert_eq!(seconds("1h30m").unwrap(), "5400");
        assert_eq!(seconds("1500ms").unwrap(), "2");
        assert!(seconds("5").is_err() && seconds("x").is_err() && seconds("").is_err());
    }
}
