//! `wkube create token`: a token of a service account. Must not keep it.

use crate::cli::context::{CliError, Context};
use crate::cli::durations;
use crate::cli::printers::Output;
use crate::meta::GroupVersionResource;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service account.
    name: String,
    /// Audience of the requested token.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// Requested lifetime of the issued token, such as 1h.
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
}

impl Args {
    pub(super) async fn run(
        &self,
        context: &Context,
        output: Option<&Output>,
    ) -> Result<ExitCode, CliError> {
        let mut spec = json!({ "audiences": self.audience });
        if let (Some(text), Value::Object(map)) = (&self.duration, &mut spec) {
            let seconds = durations::seconds(text).map_err(CliError::new)?;
            map.insert("expirationSeconds".to_owned(), json!(seconds));
        }
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
        });
        let accounts = GroupVersionResource::new("", "v1", "serviceaccounts");
        let made: Value = context
            .client
            .create(
                &accounts,
                &context.namespace,
                Some((&self.name, "token")),
                &request,
            )
            .await
            .map_err(|error| CliError::new(format!("failed to create token: {error}")))?;
        match output {
            Some(output) => print!(
                "{}",
                output.one(&format!("tokenrequest/{}", self.name), &made)?
            ),
            None => {
                let token = made.pointer("/status/token").and_then(Value::as_str);
                println!("{}", token.unwrap_or_default());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
