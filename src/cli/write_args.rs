//! The flags of all verbs that write: whether it is only tried, and how strictly the server reads.
//! Must not know verbs.

use crate::cli::context::CliError;
use crate::client::Query;

/// How an operation is tried without being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

impl DryRun {
    /// What follows the words of an operation that was only tried.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }

    /// As the parameter `dryRun` has it.
    pub(crate) fn parameter(self) -> &'static str {
        if self == Self::Server { "All" } else { "" }
    }

    /// Reads the flag's value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" | "false" => Ok(Self::None),
            "client" | "unchanged" | "true" => Ok(Self::Client),
            "server" => Ok(Self::Server),
            _ => Err(format!(
                "Invalid dry-run value ({text}). Must be \"none\", \"server\", or \"client\"."
            )),
        }
    }
}

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WriteArgs {
    /// Try without doing: none, client, or server.
    #[arg(long, value_parser = DryRun::parse, default_value = "none", num_args = 0..=1,
          require_equals = true, default_missing_value = "client", value_name = "WHERE", global = true)]
    pub(crate) dry_run: DryRun,
    /// How the server takes unknown and duplicate fields: strict (or true), warn, ignore (or false).
    #[arg(long, default_value = "strict", num_args = 0..=1, require_equals = true,
          default_missing_value = "strict", value_name = "HOW", global = true)]
    validate: String,
}

impl WriteArgs {
    /// The parameters of a write by `manager`.
    pub(crate) fn query(&self, manager: &str) -> Result<Query, CliError> {
        let validation = match self.validate.as_str() {
            "true" | "strict" => "Strict",
            "warn" => "Warn",
            "false" | "ignore" => "Ignore",
            other => {
                let what = format!(
                    "invalid - validate option {other:?}; must be one of: strict (or true), warn, \
                     ignore (or false)"
                );
                return Err(CliError::new(what));
            }
        };
        Ok(Query::new()
            .with("fieldManager", manager)
            .with("fieldValidation", validation)
            .with("dryRun", self.dry_run.parameter()))
    }
}
