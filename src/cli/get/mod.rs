//! `wkube get`: shows objects, as a table of the server or as they are.

mod objects;
mod tables;
mod watch;

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::printers::{Output, OutputArgs, SortBy};
use crate::cli::resource_args::{ObjectArgs, Target, Targets};
use crate::client::{Client, ClientError, with_query};
use http::Method;
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    objects: ObjectArgs,
    /// After listing the requested objects, watch for changes.
    #[arg(long, short)]
    watch: bool,
    /// Watch for changes to the requested objects, without listing them first.
    #[arg(long)]
    watch_only: bool,
    #[command(flatten)]
    output: OutputArgs,
    /// When printing, don't print headers.
    #[arg(long)]
    no_headers: bool,
    /// When printing, show all labels as the last column.
    #[arg(long)]
    show_labels: bool,
    /// List the resource type for the requested objects.
    #[arg(long)]
    show_kind: bool,
    /// Labels that are going to be presented as columns.
    #[arg(long, short = 'L', value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Sort by the field that a JSONPath expression names.
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,
    /// Return large lists in chunks; 0 for all at once.
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    chunk_size: u64,
    /// Get the subresource of the requested objects.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Raw URI to request from the server.
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
    /// If the requested object does not exist the command will return exit code 0.
    #[arg(long)]
    ignore_not_found: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    if let Some(path) = &args.raw {
        return raw(&global.connect().await?.client, path).await;
    }
    let output = args.output.any()?;
    let sort_by = args.sort_by.as_deref().map(SortBy::parse).transpose()?;
    if !args.objects.given()? {
        return Err(CliError::bare(
            "You must specify the type of resource to get. Use \"wkube api-resources\" for a \
             complete list of supported resources.\n\nerror: Required resource not specified.\n\
             Use \"wkube explain <resource>\" for a detailed description of that resource (e.g. \
             wkube explain pods).\nSee 'wkube get -h' for help and examples",
        ));
    }
    let context = global.connect().await?;
    let targets = args.objects.targets(&context).await?;
    args.check(&targets)?;
    let get = Get {
        args: &args,
        context: &context,
        output: output.filter(|output| !output.is_wide()),
        wide: args.output.any()?.is_some_and(|output| output.is_wide()),
        sort_by,
    };
    if args.watch || args.watch_only {
        watch::run(&get, targets).await?;
    } else if get.output.is_some() {
        objects::run(&get, targets).await?;
    } else {
        tables::run(&get, targets).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What all forms of `get` share.
struct Get<'a> {
    args: &'a Args,
    context: &'a Context,
    /// The form of the objects; a table without one.
    output: Option<Output>,
    wide: bool,
    sort_by: Option<SortBy>,
}

impl Args {
    fn check(&self, targets: &Targets) -> Result<(), CliError> {
        let named = targets.list.iter().any(|target| !target.names.is_empty());
        let by_words = named && self.objects.files.filename.is_empty();
        let what = if by_words && self.objects.selectors.all_namespaces {
            "a resource cannot be retrieved by name across all namespaces"
        } else if by_words && self.objects.selectors.any() {
            "name cannot be provided when a selector is specified"
        } else if self.subresource.is_some() && !named {
            "subresource cannot be used when bulk resources are specified"
        } else {
            return Ok(());
        };
        Err(CliError::new(what))
    }

    /// The paths that a target stands for: a list, or each of its names.
    fn paths(&self, target: &Target) -> Vec<String> {
        let resource = &target.resource.resource;
        // Tables bring metadata along; to sort them takes the whole object.
        let include = if self.sort_by.is_some() { "Object" } else { "" };
        if target.names.is_empty() {
            let whole = self.chunk_size == 0 || self.sort_by.is_some() || self.watch;
            let limit = if whole {
                String::new()
            } else {
                self.chunk_size.to_string()
            };
            let query = self.objects.selectors.query().with("limit", &limit);
            return vec![with_query(
                self.list_path(target),
                &query.with("includeObject", include),
            )];
        }
        let subresource = self.subresource.as_deref().unwrap_or_default();
        let names = target.names.iter();
        names
            .map(|name| Client::path(resource, &target.namespace, name, subresource))
            .collect()
    }

    fn list_path(&self, target: &Target) -> String {
        let namespace = if self.objects.selectors.all_namespaces {
            ""
        } else {
            &target.namespace
        };
        Client::path(&target.resource.resource, namespace, "", "")
    }

    fn failure(&self, target: &Target, error: ClientError) -> Option<CliError> {
        if self.ignore_not_found && error.is_not_found() {
            None
        } else if target.names.is_empty() {
            Some(self.objects.selectors.list_error(target, error))
        } else {
            Some(error.into())
        }
    }

    /// What is said on stderr where nothing was found.
    fn say_nothing_found(&self, context: &Context, targets: &[Target]) {
        let namespaced = targets.iter().all(|target| target.resource.namespaced);
        if self.objects.selectors.all_namespaces || !namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", context.namespace);
        }
    }
}

async fn raw(client: &Client, path: &str) -> Result<ExitCode, CliError> {
    let bytes = client.call(Method::GET, path, None).await?;
    print(&String::from_utf8_lossy(&bytes))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to stdout at once; a reader who has gone ends the command.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(CliError::new)
}
