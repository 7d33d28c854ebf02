//! `wkube get`: shows objects, as a table of the server or as they are.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::manifests::FileArgs;
use crate::cli::printers::{Output, Table, TablePrinter};
use crate::cli::resource_args::{Target, targets, targets_of_files};
use crate::client::{Client, ClientError, Query};
use futures::StreamExt;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use std::process::ExitCode;

/// Asks for Tables; a server that has none for a resource answers objects.
const ACCEPT_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME...], TYPE/NAME..., or TYPE,TYPE
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// If present, list the requested objects across all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
    /// Selector (field query) to filter on.
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// After listing the requested objects, watch for changes.
    #[arg(long, short)]
    watch: bool,
    /// Output format: wide, yaml, json, name, jsonpath=..., custom-columns=...
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Output>,
    /// When printing, don't print headers.
    #[arg(long)]
    no_headers: bool,
    /// When printing, show all labels as the last column.
    #[arg(long)]
    show_labels: bool,
    /// If the requested object does not exist the command will return exit code 0.
    #[arg(long)]
    ignore_not_found: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let targets = if args.files.filename.is_empty() {
        targets(&args.words, &discovery, &context)?
    } else {
        targets_of_files(&args.files, &discovery, &context).await?
    };
    match &args.output {
        None | Some(Output::Wide) => tables(&args, &context, targets).await,
        Some(output) => objects(&args, output, &context, targets).await,
    }
}

impl Args {
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

    /// The paths that a target stands for: a list, or each of its names.
    fn paths(&self, target: &Target) -> Vec<String> {
        let resource = &target.resource.resource;
        if target.names.is_empty() {
            let namespace = if self.all_namespaces {
                ""
            } else {
                &target.namespace
            };
            let path = Client::path(resource, namespace, "", "");
            let query = self.query();
            let query = query.with("limit", if self.watch { "" } else { "500" });
            return vec![format!("{path}?{}", query.as_str())];
        }
        let names = target.names.iter();
        names
            .map(|name| Client::path(resource, &target.namespace, name, ""))
            .collect()
    }

    fn forgives(&self, error: &ClientError) -> bool {
        self.ignore_not_found && error.is_not_found()
    }
}

async fn tables(
    args: &Args,
    context: &Context,
    targets: Vec<Target>,
) -> Result<ExitCode, CliError> {
    let (several, mut shown, mut failed) = (targets.len() > 1, 0, false);
    let mut all_namespaced = true;
    for target in &targets {
        all_namespaced &= target.resource.namespaced;
        let mut printer = printer(args, target, several);
        let mut revision = String::new();
        let mut rows = 0;
        let mut out = String::new();
        for path in args.paths(target) {
            let mut next = Some(path.clone());
            while let Some(page) = next.take() {
                match page_of(&context.client, &page).await {
                    Ok(table) => {
                        next = table.next_page(&path);
                        table.revision().clone_into(&mut revision);
                        rows += table.rows.len();
                        if !table.rows.is_empty() {
                            out.push_str(&printer.show(&table));
                        }
                    }
                    Err(error) if args.forgives(&error) => {}
                    Err(error) => {
                        failed = true;
                        eprintln!("{}", CliError::from(error));
                    }
                }
            }
        }
        if rows > 0 {
            if shown > 0 {
                println!();
            }
            print!("{out}");
            shown += rows;
        }
        if args.watch && !failed {
            watch(args, context, target, &mut printer, &revision).await?;
        }
    }
    if shown == 0 && !failed && !args.ignore_not_found {
        if args.all_namespaces || !all_namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", context.namespace);
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn printer(args: &Args, target: &Target, several: bool) -> TablePrinter {
    let mut printer = TablePrinter::default();
    printer.wide = args.output == Some(Output::Wide);
    printer.with_namespace = args.all_namespaces && target.resource.namespaced;
    printer.no_headers = args.no_headers;
    printer.show_labels = args.show_labels;
    if several {
        printer.prefix = target.resource.object_name("");
    }
    printer
}

async fn page_of(client: &Client, path: &str) -> Result<Table, ClientError> {
    let response = client.stream(Method::GET, path, None, ACCEPT_TABLE).await?;
    let bytes = crate::client::collect(response.into_body()).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

async fn watch(
    args: &Args,
    context: &Context,
    target: &Target,
    printer: &mut TablePrinter,
    revision: &str,
) -> Result<(), CliError> {
    let mut query = args
        .query()
        .with("watch", "true")
        .with("resourceVersion", revision);
    if let [name] = target.names.as_slice() {
        query = query.with("fieldSelector", &format!("metadata.name={name}"));
    }
    let namespace = if args.all_namespaces {
        ""
    } else {
        &target.namespace
    };
    let path = Client::path(&target.resource.resource, namespace, "", "");
    let path = format!("{path}?{}", query.as_str());
    let response = context
        .client
        .stream(Method::GET, &path, None, ACCEPT_TABLE)
        .await?;
    let mut body = response.into_body();
    let mut waiting = Vec::new();
    while let Some(part) = body.next().await {
        waiting.extend_from_slice(&part.map_err(CliError::new)?);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let frame: Frame = serde_json::from_slice(&line).map_err(CliError::new)?;
            match frame.kind.as_str() {
                "BOOKMARK" => {}
                "ERROR" => {
                    let message = frame.object.get("message").and_then(Value::as_str);
                    return Err(CliError::new(message.unwrap_or("the watch ended")));
                }
                _ => {
                    let table = serde_json::from_value(frame.object).map_err(CliError::new)?;
                    print!("{}", printer.show(&table));
                }
            }
        }
    }
    Ok(())
}

async fn objects(
    args: &Args,
    output: &Output,
    context: &Context,
    targets: Vec<Target>,
) -> Result<ExitCode, CliError> {
    let (mut found, mut failed) = (Vec::new(), false);
    let as_list = targets.iter().any(|target| target.names.is_empty());
    for target in &targets {
        for path in args.paths(target) {
            let read = context.client.call(Method::GET, &path, None).await;
            let value: Value = match read {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(CliError::new)?,
                Err(error) if args.forgives(&error) => continue,
                Err(error) => {
                    failed = true;
                    eprintln!("{}", CliError::from(error));
                    continue;
                }
            };
            if target.names.is_empty() {
                let mut value = value;
                let row = &target.resource;
                let items = value.get_mut("items").and_then(Value::as_array_mut);
                for mut item in items.map(std::mem::take).unwrap_or_default() {
                    set_type(&mut item, &row.resource.api_version(), &row.kind);
                    found.push((shown(target, &item), item));
                }
            } else {
                found.push((shown(target, &value), value));
            }
        }
    }
    if found.is_empty() && (failed || *output == Output::Name) {
        return Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        });
    }
    println!("{}", output.many(found, as_list)?);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Items of a list leave out what the list says of all of them.
fn set_type(item: &mut Value, api_version: &str, kind: &str) {
    if let Value::Object(map) = item {
        map.entry("apiVersion")
            .or_insert_with(|| api_version.into());
        map.entry("kind").or_insert_with(|| kind.into());
    }
}

fn shown(target: &Target, object: &Value) -> String {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    target.resource.object_name(name)
}
