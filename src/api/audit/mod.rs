//! The audit log: who asked for what, when, and what came of it, by the policy that was given. Must
//! not know verbs.
//! Kubernetes: apiserver `endpoints/filters/audit.go`, `audit`.

mod event;
mod log;
mod policy;
mod record;

pub use log::{AuditLogConfig, AuditMode};
pub(crate) use record::{Peer, Record};

use crate::api::context::Context;
use crate::meta::ApiError;
use crate::stdx::{Clock, Metrics};
use event::Event;
use http::request::Parts;
use log::Log;
use policy::{Level, Policy};
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// The log and the policy.
pub struct Audit {
    policy: Policy,
    log: Log,
    clock: Clock,
    events: Counter,
    errors: Counter,
}

impl Audit {
    /// Reads the policy and opens the log. The error is for who configured it.
    pub fn open(
        policy: &Path,
        log: &AuditLogConfig,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, String> {
        let text = std::fs::read(policy)
            .map_err(|error| format!("failed to read file path {policy:?}: {error}"))?;
        let read = Policy::parse(&text);
        let policy = read.map_err(|error| format!("{error}: from file {}", policy.display()))?;
        let opened = Log::open(log, clock);
        Ok(Arc::new(Self {
            policy,
            log: opened.map_err(|error| format!("{}: {error}", log.path.display()))?,
            clock: clock.clone(),
            events: metrics.counter("apiserver_audit_event", "Audit events that were made"),
            errors: metrics.counter(
                "apiserver_audit_error",
                "Audit events that were not written",
            ),
        }))
    }

    /// Begins to follow a request, if the policy wants any of it; tells that it was received.
    pub(crate) fn begin(
        self: &Arc<Self>,
        context: &Context,
        parts: &Parts,
    ) -> Result<Option<Record>, ApiError> {
        let decision = self.policy.decide(Some(&context.user), &context.info);
        if decision.level == Level::None {
            return Ok(None);
        }
        let record = Record::new(self.clone(), decision.clone(), context, parts);
        if record.received().is_err() && self.log.is_strict() {
            return Err(ApiError::internal("failed to store audit event"));
        }
        Ok(Some(record))
    }

    /// Tells of a request whose credentials were refused.
    pub(crate) fn refused(self: &Arc<Self>, context: &Context, parts: &Parts) {
        let decision = self.policy.decide(None, &context.info);
        if decision.level == Level::None {
            return;
        }
        let record = Record::new(self.clone(), decision.clone(), context, parts);
        let attempted = match parts.headers.contains_key(http::header::AUTHORIZATION) {
            true => "bearer",
            false => "x509",
        };
        record.refused(&json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("Authentication failed, attempted: {attempted}"),
            "code": 401,
        }));
    }

    /// Writes out what waits.
    pub async fn close(&self) {
        self.log.close().await;
    }

    fn emit(&self, event: &Event) -> std::io::Result<()> {
        self.events.inc();
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        let written = self.log.write(line);
        if let Err(error) = &written {
            self.errors.inc();
            tracing::error!(%error, id = event.audit_id, "an audit event was not written");
        }
        written
    }
}
