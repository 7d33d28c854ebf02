//! `get -w`: what there is, then what changes, until interrupted.

use super::tables::{ACCEPT_TABLE, page_of, printer};
use super::{Get, objects, print};
use crate::cli::context::CliError;
use crate::cli::printers::Table;
use crate::cli::resource_args::{Target, Targets};
use crate::client::{ClientError, with_query};
use crate::meta::watch::WatchType;

pub(super) async fn run(get: &Get<'_>, targets: Targets) -> Result<(), CliError> {
    CliError::all(targets.errors)?;
    let [target] = targets.list.as_slice() else {
        return Err(CliError::new("you may only specify a single resource type"));
    };
    if target.names.len() > 1 {
        let what = "watch is only supported on individual resources and resource collections - \
                    more than 1 resource was found";
        return Err(CliError::new(what));
    }
    let mut printer = printer(get, target, false);
    let list = get
        .args
        .paths(target)
        .into_iter()
        .next()
        .unwrap_or_default();
    let failed = |error: ClientError| {
        get.args
            .failure(target, error)
            .unwrap_or_else(|| CliError::silent(0))
    };
    let table = page_of(&get.context.client, &list).await.map_err(failed)?;
    if !get.args.watch_only {
        match &get.output {
            None => print(&printer.show(&table))?,
            Some(_) => show_now(get, target, &list).await?,
        }
    }
    let mut query = get.args.objects.selectors.query();
    if let [name] = target.names.as_slice() {
        query = query.with("fieldSelector", &format!("metadata.name={name}"));
    }
    let query = query
        .with("watch", "true")
        .with("resourceVersion", revision(&table));
    let path = with_query(get.args.list_path(target), &query);
    let accept = match get.output {
        None => ACCEPT_TABLE,
        Some(_) => "application/json",
    };
    let mut watch = get.context.client.watch(&path, accept).await?;
    while let Some(event) = watch.next().await? {
        if event.kind == WatchType::Bookmark {
            continue;
        }
        match &get.output {
            None => {
                let table = serde_json::from_value(event.object).map_err(CliError::new)?;
                print(&printer.show(&table))?;
            }
            Some(output) => {
                let shown = objects::shown(target, &event.object);
                let text = output.one(&shown, &event.object)?;
                print(&format!("{}{text}", output.separator()))?;
            }
        }
    }
    Ok(())
}

async fn show_now(get: &Get<'_>, target: &Target, path: &str) -> Result<(), CliError> {
    let bytes = get
        .context
        .client
        .call(http::Method::GET, path, None)
        .await?;
    let mut value: serde_json::Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    let Some(output) = &get.output else {
        return Ok(());
    };
    let items = match value.get_mut("items").and_then(|v| v.as_array_mut()) {
        Some(items) => std::mem::take(items),
        None => vec![value],
    };
    let mut separator = "";
    for item in items {
        let item = target.resource.with_type(item);
        let text = output.one(&objects::shown(target, &item), &item)?;
        print(&format!("{separator}{text}"))?;
        separator = output.separator();
    }
    Ok(())
}

/// Where the watch begins: a list says it, a single object is as old as its own revision.
fn revision(table: &Table) -> &str {
    match table.revision() {
        "" => table
            .rows
            .first()
            .and_then(|row| row.object.pointer("/metadata/resourceVersion")?.as_str())
            .unwrap_or_default(),
        revision => revision,
    }
}
