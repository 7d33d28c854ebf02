//! A probe by TCP: somebody accepts a connection, or nobody does.
//!
//! Kubernetes: `pkg/probe/tcp`.

use super::Outcome;
use super::way::{Way, joined};
use std::time::Duration;

/// Connects to `port` of `host`, by default the pod, and hangs up.
pub(super) async fn ask(way: &Way, host: Option<&str>, port: u16, timeout: Duration) -> Outcome {
    let own = way.address.to_string();
    let host = host.filter(|host| !host.is_empty()).unwrap_or(&own);
    match way.within(way.after(timeout), way.dial(host, port)).await {
        Some(Ok(_)) => Outcome::Success,
        Some(Err(no)) => Outcome::Failure {
            words: no.words,
            refused: no.refused,
        },
        None => Outcome::failure(format!("dial tcp {}: i/o timeout", joined(host, port))),
    }
}
