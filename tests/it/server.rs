//! The real binary as a test's server: a process of its own, a port picked by the system, a folder
//! that goes with the test.

use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// The binary under test.
pub(crate) const WKUBE: &str = env!("CARGO_BIN_EXE_wkube");

/// The seed's pod, word for word.
pub(crate) const SIMPLE_POD: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/simple-pod.yaml");

/// A `wkube serve` whose stderr is read line by line; killed when dropped.
pub(crate) struct Serve {
    pub(crate) child: Child,
    /// `None` when nobody reads it any more.
    pub(crate) stderr: Option<BufReader<ChildStderr>>,
}

impl Serve {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(WKUBE)
            .args(["serve", "--listen", "127.0.0.1:0"])
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
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let stderr = self.stderr.as_mut().unwrap();
        let length = stderr.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads up to the line that has `text` in it.
    pub(crate) fn until(&mut self, text: &str) -> String {
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

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; answers what it said until then and its exit code.
    pub(crate) fn end(mut self) -> (Vec<String>, Option<i32>) {
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

/// A server that is ready, and its clients.
pub(crate) struct Server {
    /// Its stderr is kept open: a server that cannot say anything any more would end.
    serve: Serve,
    pub(crate) kubeconfig: PathBuf,
}

impl Server {
    /// Starts a server on `data_dir` and waits until it says that it is ready.
    pub(crate) fn start(data_dir: &Path, args: &[&str]) -> Self {
        let (folder, cache) = (data_dir.to_str().unwrap(), compile_cache());
        let own = [
            "--data-dir",
            folder,
            "--compile-cache",
            cache.to_str().unwrap(),
        ];
        let mut serve = Serve::start(&[&own, args].concat());
        serve.until("wkube: ready in ");
        Self {
            serve,
            kubeconfig: data_dir.join("kubeconfig"),
        }
    }

    /// As a power cut would end it.
    pub(crate) fn kill(mut self) {
        self.serve.child.kill().unwrap();
        self.serve.child.wait().unwrap();
    }

    /// As a user would end it; answers whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        self.serve.signal(Signal::TERM);
        self.serve.child.wait().unwrap().success()
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

/// Compiled code that all tests of a build share: the bundled guests are compiled once.
fn compile_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}
