//! `get` without a form, or wide: the server's Tables. Must not know objects.

use super::{Get, print};
use crate::cli::context::CliError;
use crate::cli::printers::{Table, TablePrinter};
use crate::cli::resource_args::{Target, Targets};
use crate::client::{Client, ClientError, collect};
use http::Method;

/// Asks for Tables; a server that has none for a resource answers objects.
pub(super) const ACCEPT_TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub(super) async fn run(get: &Get<'_>, targets: Targets) -> Result<(), CliError> {
    let mut errors = targets.errors;
    let mut found: Vec<(&Target, Table)> = Vec::new();
    for target in &targets.list {
        for path in get.args.paths(target) {
            let mut next = Some(path.clone());
            while let Some(page) = next.take() {
                match page_of(&get.context.client, &page).await {
                    Ok(table) => {
                        next = table.next_page(&path);
                        match found.last_mut() {
                            // Pages of a list, and objects named one by one, are one table.
                            Some((last, rows)) if is_same(last, target) => rows.extend(table),
                            _ => found.push((target, table)),
                        }
                    }
                    Err(error) => errors.extend(get.args.failure(target, error)),
                }
            }
        }
    }
    let mut out = String::new();
    let several = several_kinds(found.iter().map(|(target, _)| *target));
    for (target, mut table) in found {
        if let Some(by) = &get.sort_by {
            by.sort(&mut table.rows, |row| &row.object)?;
        }
        let text = printer(get, target, several).show(&table);
        if !text.is_empty() && !out.is_empty() && !get.args.no_headers {
            out.push('\n');
        }
        out.push_str(&text);
    }
    if out.is_empty() && errors.is_empty() && !get.args.ignore_not_found {
        get.args.say_nothing_found(get.context, &targets.list);
    }
    print(&out)?;
    CliError::all(errors)
}

fn is_same(a: &Target, b: &Target) -> bool {
    a.resource.resource == b.resource.resource
}

/// Whether tables of several kinds are shown: then names say their kind.
fn several_kinds<'a>(mut targets: impl Iterator<Item = &'a Target>) -> bool {
    let first = targets.next();
    first.is_some_and(|first| targets.any(|target| !is_same(first, target)))
}

pub(super) fn printer(get: &Get<'_>, target: &Target, with_kind: bool) -> TablePrinter {
    let args = get.args;
    let mut printer = TablePrinter::default();
    printer.wide = get.wide;
    printer.with_namespace = args.objects.selectors.all_namespaces && target.resource.namespaced;
    printer.no_headers = args.no_headers;
    printer.show_labels = args.show_labels;
    printer.label_columns.clone_from(&args.label_columns);
    if with_kind || args.show_kind {
        printer.prefix = target.resource.object_name("");
    }
    printer
}

pub(super) async fn page_of(client: &Client, path: &str) -> Result<Table, ClientError> {
    let response = client.stream(Method::GET, path, None, ACCEPT_TABLE).await?;
    let bytes = collect(response.into_body()).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}
