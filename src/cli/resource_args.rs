//! How objects are named on the command line: `TYPE NAME...`, `TYPE/NAME...`, `TYPE,TYPE`, `-l`,
//! `-f`. Must not know verbs.

use crate::cli::context::{CliError, Context};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::manifests::{self, FileArgs};

/// One resource and the names that were asked for; none means all.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: String,
    pub(crate) names: Vec<String>,
}

/// What `words` mean. In `TYPE/NAME` form each word is a target of its own.
pub(crate) fn targets(
    words: &[String],
    discovery: &Discovery,
    context: &Context,
) -> Result<Vec<Target>, CliError> {
    let namespace = |row: &ApiResource| match row.namespaced {
        true => context.namespace.clone(),
        false => String::new(),
    };
    let Some((types, names)) = words.split_first() else {
        let what = "You must specify the type of resource to get. Use \"wkube api-resources\" for \
                    a complete list of supported resources.\n\nerror: Required resource not \
                    specified.";
        return Err(CliError {
            text: what.to_owned(),
            code: 1,
        });
    };
    let mut targets: Vec<Target> = Vec::new();
    if words.iter().any(|word| word.contains('/')) {
        for word in words {
            let Some((kind, name)) = word.split_once('/').filter(|(_, name)| !name.is_empty())
            else {
                let what = "there is no need to specify a resource type as a separate argument \
                            when passing arguments in resource/name form (e.g. 'wkube get \
                            resource/<resource_name>' instead of 'wkube get resource \
                            resource/<resource_name>'";
                return Err(CliError::new(what));
            };
            for row in discovery.find(kind)? {
                let same = targets
                    .last_mut()
                    .filter(|last| last.resource.resource == row.resource);
                match same {
                    Some(target) => target.names.push(name.to_owned()),
                    None => targets.push(Target {
                        resource: row.clone(),
                        namespace: namespace(row),
                        names: vec![name.to_owned()],
                    }),
                }
            }
        }
        return Ok(targets);
    }
    for word in types.split(',').filter(|word| !word.is_empty()) {
        for row in discovery.find(word)? {
            targets.push(Target {
                resource: row.clone(),
                namespace: namespace(row),
                names: names.to_vec(),
            });
        }
    }
    Ok(targets)
}

/// The objects that manifests name, in their order.
pub(crate) async fn targets_of_files(
    args: &FileArgs,
    discovery: &Discovery,
    context: &Context,
) -> Result<Vec<Target>, CliError> {
    let mut targets = Vec::new();
    for manifest in manifests::read(args).await? {
        let object = &manifest.object;
        let row = discovery.by_kind(object.api_version(), object.kind())?;
        targets.push(Target {
            resource: row.clone(),
            namespace: namespace_of(row, object.namespace(), context)?,
            names: vec![object.name().to_owned()],
        });
    }
    Ok(targets)
}

/// The namespace of an object of a manifest: its own, else the context's; `-n` must agree.
pub(crate) fn namespace_of(
    row: &ApiResource,
    own: &str,
    context: &Context,
) -> Result<String, CliError> {
    match (row.namespaced, own) {
        (false, _) => Ok(String::new()),
        (true, "") => Ok(context.namespace.clone()),
        (true, own) if context.namespace_asked && own != context.namespace => {
            let what = format!(
                "the namespace from the provided object {own:?} does not match the namespace {:?}. \
                 You must pass '--namespace={own}' to perform this operation.",
                context.namespace
            );
            Err(CliError::new(what))
        }
        (true, own) => Ok(own.to_owned()),
    }
}
