//! How objects are named on the command line: `TYPE NAME...`, `TYPE/NAME...`, `TYPE,TYPE`, `-l`,
//! `-f`. Must not know verbs.

use crate::cli::context::{CliError, Context};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::manifests::{self, FileArgs};
use crate::client::{ClientError, List, Query};
use crate::meta::Reason;
use serde_json::Value;

/// One resource and the names that were asked for; none means all.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: String,
    pub(crate) names: Vec<String>,
    /// The file it was named by, if it was.
    pub(crate) place: String,
}

/// What the words or manifests of a command line mean.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) list: Vec<Target>,
    /// Whether exactly one object was named.
    pub(crate) single: bool,
    /// Manifests that could not be read; the others are used.
    pub(crate) errors: Vec<CliError>,
}

/// The words and flags that name objects, of a verb about any of them.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ObjectArgs {
    /// TYPE [NAME...], TYPE/NAME..., or TYPE,TYPE
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) selectors: SelectorArgs,
}

impl ObjectArgs {
    /// Whether anything is named.
    pub(crate) fn given(&self) -> Result<bool, CliError> {
        Ok(self.files.given()? || !self.words.is_empty())
    }

    /// What is named, as the server has it.
    pub(crate) async fn targets(&self, context: &Context) -> Result<Targets, CliError> {
        let discovery = Discovery::read(&context.client).await?;
        if self.files.filename.is_empty() {
            targets(&self.words, &discovery, context)
        } else {
            targets_of_files(&self.files, &discovery, context).await
        }
    }
}

/// How objects are picked.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SelectorArgs {
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Selector (field query) to filter on.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) field_selector: Option<String>,
    /// If present, act on the objects of all namespaces.
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
}

impl SelectorArgs {
    /// As parameters of a list.
    pub(crate) fn query(&self) -> Query {
        let text = |selector: &Option<String>| selector.clone().unwrap_or_default();
        Query::new()
            .with("labelSelector", &text(&self.selector))
            .with("fieldSelector", &text(&self.field_selector))
    }

    /// Whether any selector was given.
    pub(crate) fn any(&self) -> bool {
        self.selector.is_some() || self.field_selector.is_some()
    }

    /// What the server said of a list, with what was asked for.
    pub(crate) fn list_error(&self, target: &Target, error: ClientError) -> CliError {
        let ClientError::Api(mut api) = error else {
            return error.into();
        };
        if matches!(api.reason, Reason::BadRequest | Reason::NotFound) {
            let resource = &target.resource.resource;
            let of = format!(
                "{}/{}, Resource={}",
                resource.group, resource.version, resource.resource
            );
            api.message = if self.any() {
                format!(
                    "Unable to find {of:?} that match label selector {:?}, field selector {:?}: {}",
                    self.selector.as_deref().unwrap_or_default(),
                    self.field_selector.as_deref().unwrap_or_default(),
                    api.message
                )
            } else {
                format!("Unable to list {of:?}: {}", api.message)
            };
        }
        ClientError::Api(api).into()
    }

    /// The objects of a target: those named, or all that the selectors pick. What is wrong with
    /// one is put to `errors`.
    pub(crate) async fn objects(
        &self,
        context: &Context,
        target: &Target,
        errors: &mut Vec<CliError>,
    ) -> Vec<Value> {
        let row = &target.resource;
        if target.names.is_empty() {
            let namespace = if self.all_namespaces {
                ""
            } else {
                &target.namespace
            };
            let list = context
                .client
                .list::<Value>(&row.resource, namespace, &self.query())
                .await;
            return match list {
                Ok(List { items, .. }) => {
                    items.into_iter().map(|item| row.with_type(item)).collect()
                }
                Err(error) => {
                    errors.push(self.list_error(target, error));
                    Vec::new()
                }
            };
        }
        let mut found = Vec::new();
        for name in &target.names {
            let client = &context.client;
            match client.get(&row.resource, &target.namespace, name).await {
                Ok(object) => found.push(object),
                Err(error) => errors.push(error.into()),
            }
        }
        found
    }
}

/// What `words` mean. In `TYPE/NAME` form each word is a target of its own.
fn targets(
    words: &[String],
    discovery: &Discovery,
    context: &Context,
) -> Result<Targets, CliError> {
    let target = |row: &ApiResource, names: &[String]| Target {
        resource: row.clone(),
        namespace: match row.namespaced {
            true => context.namespace.clone(),
            false => String::new(),
        },
        names: names.to_vec(),
        place: String::new(),
    };
    let Some((types, names)) = words.split_first() else {
        return Err(CliError::new("Required resource not specified."));
    };
    let mut list: Vec<Target> = Vec::new();
    if words.iter().any(|word| word.contains('/')) {
        for word in words {
            let (kind, name) = pair(word)?;
            for row in discovery.find(kind)? {
                list.push(target(row, &[name.to_owned()]));
            }
        }
    } else {
        let types: Vec<&str> = types.split(',').filter(|word| !word.is_empty()).collect();
        let mut rows = Vec::new();
        for word in types {
            rows.extend(discovery.find(word)?);
        }
        if rows.len() > 1 && !names.is_empty() {
            return Err(CliError::new("you must specify only one resource"));
        }
        list.extend(rows.into_iter().map(|row| target(row, names)));
    }
    let single = matches!(list.as_slice(), [only] if only.names.len() == 1);
    Ok(Targets {
        list,
        single,
        errors: Vec::new(),
    })
}

/// `TYPE/NAME`.
fn pair(word: &str) -> Result<(&str, &str), CliError> {
    let Some((kind, name)) = word.split_once('/') else {
        return Err(CliError::new(
            "there is no need to specify a resource type as a separate argument when passing \
             arguments in resource/name form (e.g. 'wkube get resource/<resource_name>' instead of \
             'wkube get resource resource/<resource_name>'",
        ));
    };
    if name.contains('/') {
        let what = "arguments in resource/name form may not have more than one slash";
        return Err(CliError::new(what));
    }
    if kind.is_empty() || name.is_empty() || kind.contains(',') {
        let what = "arguments in resource/name form must have a single resource and name";
        return Err(CliError::new(what));
    }
    Ok((kind, name))
}

/// The objects that manifests name, in their order.
async fn targets_of_files(
    args: &FileArgs,
    discovery: &Discovery,
    context: &Context,
) -> Result<Targets, CliError> {
    let read = manifests::read(args).await?;
    let mut targets = Targets {
        errors: read.errors,
        // Kubernetes: one file stands for one object until it turns out to hold more.
        single: args.names_one_file(),
        ..Targets::default()
    };
    for manifest in read.manifests {
        let object = &manifest.object;
        let found = discovery
            .by_kind(object.api_version(), object.kind())
            .map_err(|error| manifest.place.unrecognized(object, &error))
            .and_then(|row| Ok((row, namespace_of(row, object.namespace(), context)?)));
        match found {
            Ok((row, namespace)) => targets.list.push(Target {
                resource: row.clone(),
                namespace,
                names: vec![object.name().to_owned()],
                place: manifest.place.to_string(),
            }),
            Err(error) => targets.errors.push(error),
        }
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
