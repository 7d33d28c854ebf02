//! Lifecycle hooks and probes of a container, and the signal that stops it. Must not send one.
//! Kubernetes: `pkg/apis/core/validation` validateLifecycle, validateStopSignal.

use super::probes;
use crate::resources::validate::{At, Errors};

/// Signals of Linux by name, but those of real time.
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

/// Checks `lifecycle` and the probes.
pub(super) fn validate(container: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let grace = spec.field("terminationGracePeriodSeconds").int();
    let lifecycle = container.field("lifecycle");
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.field(hook);
        if hook.is_set() {
            probes::handler(&hook, grace, errors);
        }
    }
    let signal = lifecycle.field("stopSignal");
    if signal.is_set() {
        stop_signal(&signal, &spec.field("os"), errors);
    }
    probes::liveness(&container.field("livenessProbe"), grace, errors);
    probes::readiness(&container.field("readinessProbe"), grace, errors);
    probes::liveness(&container.field("startupProbe"), grace, errors);
}

fn stop_signal(signal: &At<'_, '_>, os: &At<'_, '_>, errors: &mut Errors) {
    if !os.is_set() {
        let detail = "may not be set for containers with empty `spec.os.name`";
        errors.forbidden(signal, detail);
        return;
    }
    match os.field("name").str() {
        "windows" => errors.one_of(signal, &["SIGKILL", "SIGTERM"]),
        "linux" => {
            let above = (1..=15).map(|n| format!("SIGRTMIN+{n}"));
            let below = (1..=14).map(|n| format!("SIGRTMAX-{n}"));
            let real_time: Vec<String> = above.chain(below).collect();
            let mut all: Vec<&str> = SIGNALS.to_vec();
            all.extend(real_time.iter().map(String::as_str));
            all.sort_unstable();
            errors.one_of(signal, &all);
        }
        _ => {}
    }
}
