//! What the server says on stderr: its own lines and its logs, as text or as JSON, one line each.
//! A reader that has gone away must not end the server, so nothing here fails. Must not know what
//! is said.

use crate::stdx::Clock;
use serde_json::json;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// `wkube: ...`, and logs as people read them.
    Text,
    /// A JSON object a line.
    Json,
}

impl LogFormat {
    /// Says a line that is no log: it comes whatever the filter of logs is.
    pub(super) fn say(self, text: &str) {
        let line = match self {
            Self::Text => format!("wkube: {text}\n"),
            Self::Json => {
                let timestamp = Clock::real().now().to_string();
                let line = json!({
                    "timestamp": timestamp,
                    "level": "INFO",
                    "fields": {"message": text},
                    "target": "wkube",
                });
                format!("{line}\n")
            }
        };
        // Nobody is there to be told of a failure.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Says what was applied, as `kubectl` would.
    pub(super) fn say_applied(self, text: &str) {
        match self {
            Self::Text => {
                let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
            }
            Self::Json => self.say(text),
        }
    }
}

/// Prints for whoever looks at stdout.
pub(super) fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.write_all(b"\n");
    let _ = out.flush();
}

/// Stderr, for logs.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// Makes a panic a log as any other, so that each line of JSON logs is JSON.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default().to_owned();
        tracing::error!(thread, "{panic}");
    }));
}
