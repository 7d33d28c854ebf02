//! `wkube version`: of this program, and of the server if there is one.

use crate::cli::context::{CliError, GlobalArgs};
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// If true, shows client version only (no server required).
    #[arg(long)]
    client: bool,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    println!("Client Version: v{} (wkube)", env!("CARGO_PKG_VERSION"));
    if args.client {
        return Ok(ExitCode::SUCCESS);
    }
    let context = global.connect().await?;
    let bytes = context.client.call(Method::GET, "/version", None).await?;
    let version: Value = serde_json::from_slice(&bytes).map_err(CliError::new)?;
    let text = version
        .get("gitVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    println!("Server Version: {text}");
    Ok(ExitCode::SUCCESS)
}
