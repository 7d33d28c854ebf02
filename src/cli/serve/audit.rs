//! The flags of the audit log, which are kube-apiserver's.

use crate::cli::context::CliError;
use crate::cli::serve::EXIT_DID_NOT_START;
use crate::serve::{AuditConfig, AuditLogConfig, AuditMode};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Which requests are told in the audit log (audit.k8s.io/v1 Policy)
    #[arg(long, value_name = "FILE")]
    audit_policy_file: Option<PathBuf>,
    /// Where the audit log is written; `-` is stdout
    #[arg(long, value_name = "FILE")]
    audit_log_path: Option<PathBuf>,
    /// Days after which an old audit log is removed; 0 keeps it
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    audit_log_maxage: u64,
    /// Old audit logs that are kept; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = 0)]
    audit_log_maxbackup: usize,
    /// Megabytes after which a new audit log is begun; 0 never does
    #[arg(long, value_name = "MEGABYTES", default_value_t = 0)]
    audit_log_maxsize: u64,
    /// Whether requests wait for their audit events
    #[arg(long, value_enum, default_value_t = Mode::Blocking)]
    audit_log_mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// They wait.
    Blocking,
    /// They wait, and are refused if the first event cannot be written.
    BlockingStrict,
    /// They do not wait; what is too much is dropped.
    Batch,
}

impl AuditArgs {
    /// Neither flag is no audit log; one without the other makes no sense.
    pub(super) fn config(&self) -> Result<Option<AuditConfig>, CliError> {
        let (policy, path) = match (&self.audit_policy_file, &self.audit_log_path) {
            (Some(policy), Some(path)) => (policy.clone(), path.clone()),
            (None, None) => return Ok(None),
            _ => {
                let what = "--audit-policy-file and --audit-log-path go together";
                return Err(CliError::with_code(what, EXIT_DID_NOT_START));
            }
        };
        Ok(Some(AuditConfig {
            policy,
            log: AuditLogConfig {
                path,
                age_days_max: self.audit_log_maxage,
                backups_max: self.audit_log_maxbackup,
                megabytes_max: self.audit_log_maxsize,
                mode: match self.audit_log_mode {
                    Mode::Blocking => AuditMode::Blocking,
                    Mode::BlockingStrict => AuditMode::BlockingStrict,
                    Mode::Batch => AuditMode::Batch,
                },
            },
        }))
    }
}
