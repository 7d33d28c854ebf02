//! What every measurement needs: the two programs, built for release together; a folder that goes
//! afterwards; peers that are fetched once and kept in the user's cache.

use crate::cargo::cargo;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long one call of the peers' program may take.
const CALL_MAX: Duration = Duration::from_secs(600);
/// Between two looks whether a child has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Where measurements are made.
pub(super) struct Lab {
    pub(super) root: PathBuf,
    pub(super) wkube: PathBuf,
    pub(super) peers: PathBuf,
    pub(super) quick: bool,
    pub(super) idle_minutes: u64,
    /// The number of the run under way.
    pub(super) run: usize,
    work: Folder,
}

/// A folder that goes with its guard.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left would only take room.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Lab {
    /// Builds what is measured, unless `WKUBE_BENCH_BINARIES` names a folder with the two programs.
    pub(super) fn open(quick: bool, idle_minutes: u64) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let root = root.ok_or("no folder above xtask")?.to_owned();
        let binaries = match std::env::var_os("WKUBE_BENCH_BINARIES") {
            Some(folder) => PathBuf::from(folder),
            None => build(&root)?,
        };
        let work = target(&root).join(format!("bench-{}", std::process::id()));
        let lab = Self {
            wkube: binaries.join("wkube"),
            peers: binaries.join("wkube-peers"),
            quick,
            idle_minutes,
            run: 0,
            work: Folder(work),
            root,
        };
        for program in [&lab.wkube, &lab.peers] {
            if !program.is_file() {
                return Err(format!("{} is not there", program.display()));
            }
        }
        std::fs::create_dir_all(lab.work.path()).map_err(|error| error.to_string())?;
        Ok(lab)
    }

    /// A new folder on the disk that is measured.
    pub(super) fn folder(&self, name: &str) -> Result<Folder, String> {
        let path = self.work.path().join(name);
        if path.exists() {
            return Err(format!("{} is in use", path.display()));
        }
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        Ok(Folder(path))
    }

    /// Runs the peers' program; the lines `NAME VALUE` that it prints.
    pub(super) fn peers<I, S>(&self, args: I) -> Result<Findings, String>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.peers);
        command.args(args);
        findings(command)
    }

    /// The program of a Debian package, unpacked and not installed; fetched once.
    pub(super) fn debian(&self, package: &str, program: &str) -> Result<PathBuf, String> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || std::env::home_dir().map(|home| home.join(".cache")),
            |cache| Some(PathBuf::from(cache)),
        );
        let folder = cache.ok_or("no home directory")?;
        let folder = folder.join("wkube-bench").join(package);
        let found = folder.join(program);
        if found.is_file() {
            return Ok(found);
        }
        let failed = |what: &str| {
            format!("the peer {package} cannot be had: {what} (Debian's package is needed)")
        };
        let packed = folder.join("package");
        std::fs::create_dir_all(&packed).map_err(|error| failed(&error.to_string()))?;
        let mut fetch = Command::new("apt-get");
        fetch
            .args(["download", "-qq", package])
            .current_dir(&packed);
        let fetched = fetch.status().is_ok_and(|status| status.success());
        if !fetched {
            // The lists may be missing or old.
            let _ = Command::new("apt-get").args(["update", "-qq"]).status();
            if !fetch.status().is_ok_and(|status| status.success()) {
                return Err(failed("apt-get download failed"));
            }
        }
        let entries = std::fs::read_dir(&packed).map_err(|error| failed(&error.to_string()))?;
        for entry in entries.flatten() {
            let mut unpack = Command::new("dpkg");
            unpack.arg("-x").arg(entry.path()).arg(&folder);
            if !unpack.status().is_ok_and(|status| status.success()) {
                return Err(failed("dpkg -x failed"));
            }
        }
        if found.is_file() {
            Ok(found)
        } else {
            Err(failed("the package does not hold it"))
        }
    }
}

/// What a program found, by name.
pub(super) struct Findings(BTreeMap<String, f64>);

impl Findings {
    pub(super) fn get(&self, name: &str) -> Result<f64, String> {
        let found = self.0.get(name).copied();
        found.ok_or(format!("wkube-peers did not tell {name}"))
    }
}

/// Runs a program to its end and reads what it printed.
pub(super) fn findings(mut command: Command) -> Result<Findings, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut child = Running(child);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if began.elapsed() > CALL_MAX {
            return Err(format!("{program} took longer than {CALL_MAX:?}"));
        }
        pause(LOOK);
    };
    if !status.success() {
        return Err(format!("{program}: {status}"));
    }
    let stdout = child.0.stdout.take().ok_or("no output")?;
    let text = std::io::read_to_string(stdout).map_err(|error| error.to_string())?;
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    });
    Ok(Findings(values.collect()))
}

/// A child that is ended with its guard.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a measurement waits for real time to pass; xtask has no clock of its own"
)]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Both programs in one build, so that what they share is compiled once and with the same features.
fn build(root: &Path) -> Result<PathBuf, String> {
    let status = cargo()
        .args(["build", "--release", "-p", "wkube", "-p", "wkube-peers"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the release build failed".to_owned());
    }
    Ok(target(root).join("release"))
}
