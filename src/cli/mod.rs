//! The command line: one file a verb. Must never talk to store or api directly.

use std::process::ExitCode;

/// Parses the command line, runs the verb, answers its exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
