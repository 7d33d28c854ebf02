//! The signals that end the server. Must not know what ends.

use crate::stdx::hangup_ignored;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the server, as far as the process does not ignore them.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal has gone away; `None` if the server was started to outlive it (`nohup`).
    hangup: Option<Signal>,
}

/// A signal, by its name and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) name: &'static str,
    pub(super) number: u8,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let hangup = match hangup_ignored() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Received {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let (name, number) = tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = hangup => ("SIGHUP", 1),
        };
        Received { name, number }
    }
}
