//! `wkube explain`: what a resource and its fields are, as the server's OpenAPI tells. Must not know
//! kinds.

mod render;
mod wrap;

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::client::Client;
use crate::meta::GroupVersionResource;
use http::Method;
use render::Document;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE[.FIELD...]
    words: Vec<String>,
    /// Print the fields of fields.
    #[arg(long, short = 'R')]
    recursive: bool,
    /// Get different explanations for particular API version (group/version).
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "",
        hide_default_value = true
    )]
    api_version: String,
    /// Format in which to render the schema (plaintext).
    #[arg(long, short, value_name = "FORMAT", default_value = "plaintext")]
    output: String,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let word = args.check()?;
    let segments = segments(word)?;
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let (row, fields) = found(&discovery, &segments)?;
    let mut resource = row.resource.clone();
    if !args.api_version.is_empty() {
        let (group, version) = group_version(&args.api_version)?;
        resource = GroupVersionResource::new(group, version, &resource.resource);
    }
    let value = document(&context.client, &resource).await?;
    let document = Document::new(&value);
    let kind = document.kind_of(&resource).ok_or_else(|| {
        let what = format!(
            "error: GVR ({}) not found in OpenAPI schema",
            shown(&resource)
        );
        CliError::bare(what)
    })?;
    // Kubernetes: what is known is told, whatever comes after it.
    print!("{}", render::head(kind));
    let text = document.explain(kind, fields, args.recursive)?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn check(&self) -> Result<&str, CliError> {
        let what = match (self.words.as_slice(), self.output.as_str()) {
            ([word], "plaintext") => return Ok(word.as_str()),
            ([], _) => {
                "You must specify the type of resource to explain. Use \"wkube api-resources\" for \
                 a complete list of supported resources."
                    .to_owned()
            }
            ([_], "plaintext-openapiv2") => {
                "the output format \"plaintext-openapiv2\" is not supported by wkube: use plaintext"
                    .to_owned()
            }
            ([_], other) => format!("unrecognized format: {other}"),
            _ => "We accept only this format: explain RESOURCE".to_owned(),
        };
        Err(CliError::new(what))
    }
}

/// The parts of `pods.spec.containers`.
fn segments(word: &str) -> Result<Vec<&str>, CliError> {
    let word = word.strip_suffix('.').unwrap_or(word);
    let segments: Vec<&str> = word.split('.').collect();
    if word.contains(['[', ']', '{', '}', '*', '@', '?']) {
        let what = "invalid jsonpath syntax, all nodes must be field nodes";
        return Err(CliError::new(what));
    }
    Ok(segments)
}

/// The resource that the first parts name, with its group as far as it is told, and the fields that
/// the others name.
fn found<'a, 'b>(
    discovery: &'a Discovery,
    segments: &'b [&'b str],
) -> Result<(&'a ApiResource, &'b [&'b str]), CliError> {
    for end in (1..=segments.len()).rev() {
        let (name, fields) = segments.split_at_checked(end).unwrap_or_default();
        let rows = discovery.find(&name.join(".")).unwrap_or_default();
        // A category is no resource.
        if let [row] = rows.as_slice() {
            return Ok((*row, fields));
        }
    }
    let name = segments.first().copied().unwrap_or_default().to_lowercase();
    let what = format!("the server doesn't have a resource type {name:?}");
    Err(CliError::bare(what))
}

fn group_version(text: &str) -> Result<(&str, &str), CliError> {
    match text.split_once('/') {
        None => Ok(("", text)),
        Some((_, version)) if version.contains('/') => {
            let what = format!("unexpected GroupVersion string: {text}");
            Err(CliError::new(what))
        }
        Some(both) => Ok(both),
    }
}

/// `apps/v1, Resource=deployments`, as Go prints it.
fn shown(resource: &GroupVersionResource) -> String {
    let GroupVersionResource {
        group,
        version,
        resource,
    } = resource;
    format!("{group}/{version}, Resource={resource}")
}

/// The OpenAPI document of a group's version.
async fn document(client: &Client, resource: &GroupVersionResource) -> Result<Value, CliError> {
    let read = |bytes: bytes::Bytes| -> Result<Value, CliError> {
        serde_json::from_slice(&bytes).map_err(CliError::new)
    };
    let index = client.call(Method::GET, "/openapi/v3", None).await;
    let index = index.map_err(|error| {
        CliError::new(format!("failed to fetch list of groupVersions: {error}"))
    })?;
    let index = read(index)?;
    let path = match resource.group.as_str() {
        "" => format!("api/{}", resource.version),
        group => format!("apis/{group}/{}", resource.version),
    };
    let address = index
        .get("paths")
        .and_then(|paths| paths.get(&path)?.get("serverRelativeURL")?.as_str());
    let Some(address) = address else {
        let what = format!("couldn't find resource for \"{}\"", shown(resource));
        return Err(CliError::new(what));
    };
    let bytes = client.call(Method::GET, address, None).await;
    let bytes = bytes.map_err(|error| {
        CliError::new(format!(
            "failed to fetch openapi schema for {path}: {error}"
        ))
    })?;
    read(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_kubectl_reads_them() {
        assert_eq!(segments("pods.spec.").unwrap(), ["pods", "spec"]);
        assert!(segments("pods.spec.containers[0]").is_err());
        assert_eq!(group_version("apps/v1").unwrap(), ("apps", "v1"));
        assert_eq!(group_version("v1").unwrap(), ("", "v1"));
        assert!(group_version("a/b/c").is_err());
        let pods = GroupVersionResource::new("", "v1", "pods");
        assert_eq!(shown(&pods), "/v1, Resource=pods");
    }
}
