//! Deployments as the watch of a `wkube get -w` tells them, line by line, so that what has come is
//! known when it is told and nothing asks again and again. Must not know what is measured.

use super::lab::{Lab, Running};
use super::server::Server;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long what is waited for may take.
const LIMIT: Duration = Duration::from_secs(600);

/// A line of the watch: words of a letter, `=` and a value, which is empty where the object has none.
const LINE: &str = "jsonpath=n={.metadata.name} g={.metadata.generation} \
                    o={.status.observedGeneration} w={.spec.replicas} r={.status.replicas} \
                    u={.status.updatedReplicas} a={.status.availableReplicas} \
                    t={.status.terminatingReplicas}{\"\\n\"}";

/// A Deployment as it was told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) name: String,
    /// Of its specification; 1 is that which it was made with.
    pub(super) generation: u64,
    observed: u64,
    wanted: u64,
    replicas: u64,
    updated: u64,
    available: u64,
    terminating: u64,
}

impl Told {
    fn parse(line: &str) -> Self {
        let mut told = Self::default();
        for word in line.split_whitespace() {
            let Some((letter, value)) = word.split_once('=') else {
                continue;
            };
            let number = value.parse().unwrap_or_default();
            match letter {
                "n" => value.clone_into(&mut told.name),
                "g" => told.generation = number,
                "o" => told.observed = number,
                "w" => told.wanted = number,
                "r" => told.replicas = number,
                "u" => told.updated = number,
                "a" => told.available = number,
                "t" => told.terminating = number,
                _ => {}
            }
        }
        told
    }

    /// Whether all pods of the newest template are Available, and no other is there, not even one
    /// that is going.
    pub(super) fn settled(&self) -> bool {
        let all = [self.replicas, self.updated, self.available];
        self.observed == self.generation
            && all.iter().all(|count| *count == self.wanted)
            && self.terminating == 0
    }

    fn describe(&self) -> String {
        format!(
            "{}: {} wanted, {} there, {} updated, {} available, {} terminating",
            self.name, self.wanted, self.replicas, self.updated, self.available, self.terminating
        )
    }
}

/// The watch; ended with its guard.
pub(super) struct Follower {
    _child: Running,
    lines: Receiver<String>,
}

impl Follower {
    /// Follows all Deployments of the namespace: those that are there are told first.
    pub(super) fn start(lab: &Lab, server: &Server) -> Result<Self, String> {
        let child = Command::new(&lab.wkube)
            .args(["get", "deployments", "--watch", "--output", LINE])
            .env("KUBECONFIG", server.kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("wkube: {error}"))?;
        let mut child = Running(child);
        let stdout = child.0.stdout.take().ok_or("no standard output")?;
        let (sender, lines) = channel();
        // It ends with the child, whose output it reads, or with the one who listens.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            _child: child,
            lines,
        })
    }

    /// Takes what is told until `enough` says so.
    pub(super) fn until(&self, mut enough: impl FnMut(&Told) -> bool) -> Result<(), String> {
        let began = Instant::now();
        let mut last = Told::default();
        loop {
            let left = LIMIT.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => last = Told::parse(&line),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("not in {LIMIT:?}; {}", last.describe()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("the watch has ended; {}", last.describe()));
                }
            }
            if enough(&last) {
                return Ok(());
            }
        }
    }
}
