//! `wkube serve` as a user has it: what it says, how it stops, what its flags do. The real binary,
//! mostly with the mock runtime.

mod figures;
mod guests;
mod nodes;
mod owners;
mod stops;

use crate::server::WKUBE;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// A `serve --ephemeral` whose stderr is read line by line.
struct Serve {
    child: Child,
    /// `None` when nobody reads it any more.
    stderr: Option<BufReader<ChildStderr>>,
}

impl Serve {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(WKUBE)
            .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stderr }
    }

    /// The next line, `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let stderr = self.stderr.as_mut().unwrap();
        let length = stderr.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads up to the line that has `text` in it.
    fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        while let Some(line) = self.line() {
            if line.contains(text) {
                return line;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("the server ended without saying {text:?}: {said}");
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; answers what it said until then and its exit code.
    fn end(mut self) -> (Vec<String>, Option<i32>) {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            lines.push(line);
        }
        let code = self.child.wait().unwrap().code();
        (lines, code)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `serve` with a command and answers how it went.
fn run(args: &[&str]) -> Output {
    Command::new(WKUBE)
        .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
}
