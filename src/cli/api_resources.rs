//! `wkube api-resources`: what the server serves.

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::{ApiResource, Discovery};
use crate::cli::printers::tab_writer::TABLE;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// When using the default output format, don't print headers.
    #[arg(long)]
    no_headers: bool,
    /// Output format: wide or name.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<String>,
    /// Limit to resources in the specified API group.
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// If false, non-namespaced resources will be returned, otherwise namespaced ones.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    namespaced: Option<bool>,
    /// Limit to resources that support the specified verbs.
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    verbs: Vec<String>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let mut text = String::new();
    if !args.no_headers {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\n");
    }
    let mut rows = discovery.preferred();
    rows.retain(|row| args.shows(row));
    // Kubernetes: by group, then by name.
    rows.sort_by_key(|row| (&row.resource.group, &row.resource.resource));
    if let Some(form) = args.output.as_deref().filter(|form| *form != "wide") {
        if form != "name" {
            return Err(CliError::new(format!("--output {form} is not available")));
        }
        for row in rows {
            let resource = &row.resource;
            match resource.group.as_str() {
                "" => println!("{}", resource.resource),
                group => println!("{}.{group}", resource.resource),
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wide = args.output.is_some();
    if wide && !args.no_headers {
        text = text.trim_end().to_owned() + "\tVERBS\tCATEGORIES\n";
    }
    for row in rows {
        let mut cells = vec![
            row.resource.resource.clone(),
            row.short_names.join(","),
            row.resource.api_version(),
            row.namespaced.to_string(),
            row.kind.clone(),
        ];
        if wide {
            cells.push(row.verbs.join(","));
            cells.push(row.categories.join(","));
        }
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    print!("{}", TABLE.pad(&text));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn shows(&self, row: &ApiResource) -> bool {
        let verbs = self.verbs.iter().all(|verb| row.verbs.contains(verb));
        verbs
            && self
                .namespaced
                .is_none_or(|wanted| wanted == row.namespaced)
            && self
                .api_group
                .as_ref()
                .is_none_or(|wanted| *wanted == row.resource.group)
    }
}
