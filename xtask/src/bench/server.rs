//! `wkube serve` under measurement, and what the kernel tells of a process.

use super::lab::{Folder, Lab, Running, pause};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

/// How often a server is asked for what it should come to, and how long it may take between.
const ASKS_MAX: usize = 600;
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A running server; gone with its guard, and its data directory with it.
pub(super) struct Server {
    child: Running,
    /// Kept open: a server that cannot say anything any more would end.
    _stderr: BufReader<ChildStderr>,
    pub(super) data: Folder,
}

impl Server {
    /// Starts a durable server of its own with `args` and waits until it says that it is ready.
    /// `cores` are those it may run on, as taskset takes them; none is all.
    pub(super) fn start(lab: &Lab, cores: Option<&str>, args: &[&str]) -> Result<Self, String> {
        let data = lab.folder("data")?;
        let mut command = match cores {
            None => Command::new(&lab.wkube),
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(&lab.wkube);
                command
            }
        };
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("wkube: {error}"))?;
        let mut child = Running(child);
        let stderr = child.0.stderr.take().ok_or("no standard error")?;
        let mut stderr = BufReader::new(stderr);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap_or_default();
            if read == 0 {
                return Err(format!("wkube did not start: {said}"));
            }
            if line.starts_with("wkube: ready in ") {
                break;
            }
            said.push_str(&line);
        }
        Ok(Self {
            child,
            _stderr: stderr,
            data,
        })
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.data.path().join("kubeconfig")
    }

    /// Runs a client verb that must succeed; what it printed.
    pub(super) fn wkube(&self, lab: &Lab, args: &[&str]) -> Result<String, String> {
        let output = Command::new(&lab.wkube)
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("wkube: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("wkube {}: {why}", args.join(" ")))
    }

    /// Asks again and again until the answer is one of the words of `wanted`.
    pub(super) fn until(&self, lab: &Lab, args: &[&str], wanted: &str) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..ASKS_MAX {
            last = self.wkube(lab, args)?;
            if wanted.split(' ').any(|word| word == last.trim()) {
                return Ok(());
            }
            pause(ASK_AGAIN);
        }
        let what = args.join(" ");
        Err(format!("wkube {what}: {last:?} and never {wanted:?}"))
    }

    /// Applies a manifest.
    pub(super) fn apply(&self, lab: &Lab, manifest: &str) -> Result<(), String> {
        let path = self.data.path().join("bench.yaml");
        std::fs::write(&path, manifest).map_err(|error| error.to_string())?;
        let path = path.to_string_lossy();
        self.wkube(lab, &["apply", "-f", &path]).map(drop)
    }

    /// Makes an image that this server finds.
    pub(super) fn image(&self, lab: &Lab, name: &str, wasm: &Path) -> Result<(), String> {
        let (data, wasm) = (self.data.path().to_string_lossy(), wasm.to_string_lossy());
        self.wkube(
            lab,
            &["image", "--data-dir", &data, "build", "-t", name, &wasm],
        )
        .map(drop)
    }

    /// The compiled code of the only module that has run here.
    pub(super) fn only_code(&self) -> Result<PathBuf, String> {
        let folder = self.data.path().join("compiled");
        let entries = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
        let paths = entries.flatten().map(|entry| entry.path());
        let mut code = paths.filter(|path| path.extension().is_some_and(|kind| kind == "code"));
        match (code.next(), code.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(format!("{}: not one module's code", folder.display())),
        }
    }

    /// What the kernel tells of it.
    pub(super) fn usage(&self) -> Result<Usage, String> {
        Usage::of(self.child.0.id())
    }
}

/// What a process has used, as the kernel tells.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    /// Seconds of processor time, its own and the kernel's for it.
    pub(super) cpu_seconds: f64,
    /// Bytes of memory that it holds now.
    pub(super) resident_bytes: f64,
    /// The part of it that no file stands behind.
    pub(super) anonymous_bytes: f64,
    /// Bytes that it has given to calls that write, to files or elsewhere.
    pub(super) written_bytes: f64,
}

/// Clock ticks a second that Linux tells processor time in, on every machine that wkube runs on.
const TICKS: f64 = 100.0;

impl Usage {
    pub(super) fn of(pid: u32) -> Result<Self, String> {
        let folder = Path::new("/proc").join(pid.to_string());
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))
        };
        let stat = read("stat")?;
        // The name may hold anything; what follows its bracket is numbers.
        let (_, numbers) = stat.rsplit_once(')').ok_or("stat without a name")?;
        let ticks = |index: usize| -> f64 {
            let word = numbers.split_whitespace().nth(index);
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        let field = |text: &str, name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        Ok(Self {
            cpu_seconds: (ticks(11) + ticks(12)) / TICKS,
            resident_bytes: field(&read("status")?, "VmRSS:") * 1024.0,
            anonymous_bytes: field(&read("status")?, "RssAnon:") * 1024.0,
            written_bytes: field(&read("io")?, "wchar:"),
        })
    }
}
