//! `wkube api-resources`: what the server serves.

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::Discovery;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// When using the default output format, don't print headers.
    #[arg(long)]
    no_headers: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let mut lines: Vec<[String; 5]> = Vec::new();
    if !args.no_headers {
        lines.push(["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"].map(str::to_owned));
    }
    for row in discovery.all() {
        lines.push([
            row.resource.resource.clone(),
            row.short_names.join(","),
            row.resource.api_version(),
            row.namespaced.to_string(),
            row.kind.clone(),
        ]);
    }
    let mut widths = [0usize; 5];
    for line in &lines {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = (*width).max(text.len());
        }
    }
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(text, width)| format!("{text:<width$}"))
            .collect();
        println!("{}", cells.join("   ").trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
