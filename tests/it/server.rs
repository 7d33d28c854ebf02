//! The real binary as a test's server: a process of its own, a port picked by the system, a folder
//! that goes with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// The binary under test.
pub(crate) const WKUBE: &str = env!("CARGO_BIN_EXE_wkube");

/// The seed's pod, word for word.
pub(crate) const SIMPLE_POD: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/simple-pod.yaml");

/// A running `wkube serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open: a server that cannot say anything any more would end.
    _stderr: BufReader<ChildStderr>,
    pub(crate) kubeconfig: PathBuf,
}

impl Server {
    /// Starts a server on `data_dir` and waits until it says that it is ready.
    pub(crate) fn start(data_dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(WKUBE)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(["--compile-cache", compile_cache().to_str().unwrap()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line).unwrap() == 0 {
                panic!("the server did not start: {said}");
            }
            said.push_str(&line);
            if line.starts_with("wkube: ready in ") {
                break;
            }
        }
        Self {
            child,
            _stderr: stderr,
            kubeconfig: data_dir.join("kubeconfig"),
        }
    }

    /// As a power cut would end it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As a user would end it; answers whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// Runs a client against the server.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        self.command(program, args).output().unwrap()
    }

    /// A client of the server, about to be run.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.kubeconfig.parent().unwrap())
            .stdin(Stdio::null());
        command
    }

    /// Runs a client that must succeed; answers what it printed.
    pub(crate) fn ok(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{program} {args:?}\n{stdout}\n{stderr}"
        );
        stdout
    }

    /// Runs a client again and again until `good` likes what it printed; bounded by tries, each of
    /// which asks the server anew.
    pub(crate) fn until(
        &self,
        program: &str,
        args: &[&str],
        good: impl Fn(&str) -> bool,
    ) -> String {
        let mut last = String::new();
        for _ in 0..600 {
            let output = self.run(program, args);
            last = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && good(&last) {
                return last;
            }
            last.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        panic!("{program} {args:?} never came to it: {last}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiled code that all tests of a build share: the bundled guests are compiled once.
fn compile_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}
