//! `get -o FORMAT`: the objects themselves. Must not know Tables.

use super::{Get, print};
use crate::cli::context::CliError;
use crate::cli::printers::Output;
use crate::cli::resource_args::{Target, Targets};
use crate::client::{Client, ClientError, List};
use http::Method;
use serde_json::Value;

pub(super) async fn run(get: &Get<'_>, targets: Targets) -> Result<(), CliError> {
    let Some(output) = &get.output else {
        return Ok(());
    };
    let mut errors = targets.errors;
    let mut found = Vec::new();
    for target in &targets.list {
        for path in get.args.paths(target) {
            let read = if target.names.is_empty() {
                pages(&get.context.client, target, &path).await
            } else {
                one(&get.context.client, &path).await
            };
            match read {
                Ok(objects) => {
                    let shown = objects
                        .into_iter()
                        .map(|object| (shown(target, &object), object));
                    found.extend(shown);
                }
                Err(error) => errors.extend(get.args.failure(target, error)),
            }
        }
    }
    if let Some(by) = &get.sort_by {
        by.sort(&mut found, |(_, object)| object)?;
    }
    let nothing = found.is_empty() && (get.args.ignore_not_found || targets.single);
    if !nothing {
        print(&text(get, output, found, targets.single)?)?;
    }
    CliError::all(errors)
}

fn text(
    get: &Get<'_>,
    output: &Output,
    mut found: Vec<(String, Value)>,
    single: bool,
) -> Result<String, CliError> {
    let alone = single && found.len() == 1 && !(get.args.no_headers && output.is_columns());
    if let Some((shown, object)) = found.pop_if(|_| alone) {
        return output.one(&shown, &object);
    }
    output.list(found, "", !get.args.no_headers)
}

async fn one(client: &Client, path: &str) -> Result<Vec<Value>, ClientError> {
    let bytes = client.call(Method::GET, path, None).await?;
    let object = serde_json::from_slice(&bytes);
    let object = object.map_err(|error| ClientError::Decode(error.to_string()))?;
    Ok(vec![object])
}

/// All pages of a list, as objects that say what they are.
async fn pages(client: &Client, target: &Target, path: &str) -> Result<Vec<Value>, ClientError> {
    let mut found = Vec::new();
    let mut next = path.to_owned();
    loop {
        let bytes = client.call(Method::GET, &next, None).await?;
        let list: List<Value> = serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Decode(error.to_string()))?;
        let items = list.items.into_iter();
        found.extend(items.map(|item| target.resource.with_type(item)));
        let token = list.metadata.continue_token;
        if token.is_empty() {
            return Ok(found);
        }
        let token = crate::client::Query::new().with("continue", &token);
        let separator = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{separator}{}", token.as_str());
    }
}

pub(super) fn shown(target: &Target, object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    target.resource.object_name(name.unwrap_or_default())
}
