//! `wkube events`: what has happened, oldest first. Must not know what events are about.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::printers::tab_writer::TABLE;
use crate::cli::printers::{Output, OutputArgs};
use crate::client::{Client, List, Query, with_query};
use crate::meta::GroupVersionResource;
use crate::meta::time::{age, parse};
use crate::meta::watch::WatchType;
use crate::stdx::Clock;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// If present, list the events of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Filter events to only those pertaining to the specified resource (TYPE/NAME).
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// Output only events of given types: Normal, Warning.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// After listing the requested events, watch for more events.
    #[arg(long, short)]
    watch: bool,
    /// When using the default output format, don't print headers.
    #[arg(long)]
    no_headers: bool,
    /// Return large lists in chunks; 0 for all at once.
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    chunk_size: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let output = args.output.object()?;
    let known = |kind: &String| {
        let kind = kind.to_lowercase();
        kind == "normal" || kind == "warning"
    };
    if !args.types.iter().all(known) {
        return Err(CliError::new("valid --types are Normal or Warning"));
    }
    let context = global.connect().await?;
    let query = args.query(&context).await?;
    let show = Show {
        args: &args,
        context: &context,
        clock: Clock::real(),
    };
    match args.watch {
        true => show.watch(output.as_ref(), &query).await?,
        false => show.list(output.as_ref(), &query).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    async fn query(&self, context: &Context) -> Result<Query, CliError> {
        let Some(about) = self.about.as_deref().filter(|about| !about.is_empty()) else {
            return Ok(Query::new());
        };
        let Some((word, name)) = about.split_once('/') else {
            return Err(CliError::new("--for must be in resource/name form"));
        };
        if name.contains('/') {
            let what = "arguments in resource/name form may not have more than one slash";
            return Err(CliError::new(what));
        }
        let discovery = Discovery::read(&context.client).await?;
        let rows = discovery.find(word);
        let rows = rows.map_err(|error| CliError::bare(error.sentence()))?;
        let kind = rows.first().map(|row| row.kind.as_str());
        let kind = kind.unwrap_or_default();
        let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
        Ok(Query::new().with("fieldSelector", &selector))
    }

    fn wants(&self, event: &Value) -> bool {
        let kind = text(event, "/type").to_lowercase();
        let mut types = self.types.iter();
        self.types.is_empty() || types.any(|wanted| wanted.to_lowercase() == kind)
    }
}

/// What showing events takes.
struct Show<'a> {
    args: &'a Args,
    context: &'a Context,
    clock: Clock,
}

impl Show<'_> {
    fn path(&self) -> String {
        let namespace = match self.args.all_namespaces {
            true => "",
            false => &self.context.namespace,
        };
        let events = GroupVersionResource::new("", "v1", "events");
        Client::path(&events, namespace, "", "")
    }

    async fn list(&self, output: Option<&Output>, query: &Query) -> Result<(), CliError> {
        let mut events = self.pages(query).await?;
        events.retain(|event| self.args.wants(event));
        if events.is_empty() {
            match self.args.all_namespaces {
                true => eprintln!("No events found."),
                false => eprintln!("No events found in {} namespace.", self.context.namespace),
            }
            return Ok(());
        }
        events.sort_by_key(seen);
        let Some(output) = output else {
            let mut lines = self.headers();
            let now = self.clock.now();
            events
                .iter()
                .for_each(|event| lines.push_str(&self.line(event, now)));
            return print(&TABLE.pad(&lines));
        };
        if output.is_name() {
            let events = events.into_iter();
            let events = events.map(|event| (name(&event), event)).collect();
            return print(&output.list(events, "", true)?);
        }
        let list = json!({
            "apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": events,
        });
        print(&output.one("", &list)?)
    }

    /// All events, each saying what it is.
    async fn pages(&self, query: &Query) -> Result<Vec<Value>, CliError> {
        let limit = match self.args.chunk_size {
            0 => String::new(),
            size => size.to_string(),
        };
        let (mut events, mut next) = (Vec::new(), String::new());
        loop {
            let query = query.clone().with("limit", &limit).with("continue", &next);
            let path = with_query(self.path(), &query);
            let page = self.context.client.call(http::Method::GET, &path, None);
            let page: List<Value> = serde_json::from_slice(&page.await?).map_err(CliError::new)?;
            events.extend(page.items.into_iter().map(with_type));
            next = page.metadata.continue_token;
            if next.is_empty() {
                return Ok(events);
            }
        }
    }

    /// What there is in the server's order, then what comes. Kubernetes: the server begins a watch
    /// of no revision with what there is.
    async fn watch(&self, output: Option<&Output>, query: &Query) -> Result<(), CliError> {
        let query = query.clone().with("watch", "true");
        let path = with_query(self.path(), &query);
        let client = &self.context.client;
        let mut watch = client.watch(&path, "application/json").await?;
        let mut lines = self.headers();
        while let Some(event) = watch.next().await? {
            let is_new = matches!(event.kind, WatchType::Added | WatchType::Modified);
            if !is_new || !self.args.wants(&event.object) {
                // An event that is deleted is only old.
                continue;
            }
            let event = with_type(event.object);
            match output {
                Some(output) => {
                    let text = output.one(&name(&event), &event)?;
                    print(&format!("{}{text}", output.separator()))?;
                }
                None => {
                    lines.push_str(&self.line(&event, self.clock.now()));
                    print(&TABLE.pad(&std::mem::take(&mut lines)))?;
                }
            }
        }
        Ok(())
    }

    fn headers(&self) -> String {
        if self.args.no_headers {
            return String::new();
        }
        let namespace = match self.args.all_namespaces {
            true => "NAMESPACE\t",
            false => "",
        };
        format!("{namespace}LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n")
    }

    fn line(&self, event: &Value, now: Timestamp) -> String {
        let cell = |path: &str| escaped(text(event, path));
        let namespace = match self.args.all_namespaces {
            true => format!("{}\t", text(event, "/metadata/namespace")),
            false => String::new(),
        };
        format!(
            "{namespace}{}\t{}\t{}\t{}/{}\t{}\n",
            interval(event, now),
            cell("/type"),
            cell("/reason"),
            cell("/involvedObject/kind"),
            cell("/involvedObject/name"),
            escaped(text(event, "/message").trim()),
        )
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = value.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn name(event: &Value) -> String {
    format!("event/{}", text(event, "/metadata/name"))
}

/// An item of a list, which leaves out what the list says of all of them.
fn with_type(mut event: Value) -> Value {
    if let Value::Object(fields) = &mut event {
        let fields: &mut Map<String, Value> = fields;
        fields.entry("apiVersion").or_insert_with(|| json!("v1"));
        fields.entry("kind").or_insert_with(|| json!("Event"));
    }
    event
}

/// Without what would steer a terminal. Kubernetes: `printers.EscapeTerminal`.
fn escaped(text: &str) -> String {
    text.replace('\u{1b}', "^[").replace('\r', "\\r")
}

/// When it was seen last; what has no time was before all others.
fn seen(event: &Value) -> Option<Timestamp> {
    if event.get("series").is_some_and(|series| !series.is_null()) {
        return parse(text(event, "/series/lastObservedTime"));
    }
    parse(text(event, "/lastTimestamp")).or_else(|| parse(text(event, "/eventTime")))
}

fn interval(event: &Value, now: Timestamp) -> String {
    let since = |path: &str| age(text(event, path), now);
    let first = match text(event, "/eventTime") {
        "" => since("/firstTimestamp"),
        _ => since("/eventTime"),
    };
    let number = |path: &str| event.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    if event.get("series").is_some_and(|series| !series.is_null()) {
        let last = since("/series/lastObservedTime");
        return format!("{last} (x{} over {first})", number("/series/count"));
    }
    match number("/count") {
        count if count > 1 => format!("{} (x{count} over {first})", since("/lastTimestamp")),
        _ => first,
    }
}

/// Writes to stdout at once; a reader who has gone ends the command.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(CliError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_and_how_often() {
        let now: Timestamp = "2024-01-01T01:00:00Z".parse().unwrap();
        let old = json!({
            "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:59:30Z",
            "eventTime": null, "count": 3,
        });
        assert_eq!(interval(&old, now), "30s (x3 over 60m)");
        let once = json!({"firstTimestamp": "2024-01-01T00:59:00Z", "count": 1});
        assert_eq!(interval(&once, now), "60s");
        let series = json!({
            "eventTime": "2024-01-01T00:58:00.000000Z",
            "series": {"count": 2, "lastObservedTime": "2024-01-01T00:59:59.000000Z"},
        });
        assert_eq!(interval(&series, now), "1s (x2 over 2m)");
        assert_eq!(interval(&json!({}), now), "<unknown>");
        assert!(seen(&json!({})) < seen(&old) && seen(&old) < seen(&series));
    }
}
