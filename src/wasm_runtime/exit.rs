//! How a container ended, in the codes and words of Kubernetes. Pure.

use super::RuntimeError;
use super::course::{Course, Ending};
use super::error::chain;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// The code of a trap: what a shell shows of a process that aborted (128 + SIGABRT).
const TRAP_CODE: i32 = 134;
/// 128 + SIGKILL.
const KILL_CODE: i32 = 137;
/// 128 + SIGTERM.
const STOP_CODE: i32 = 143;
/// What a container runtime gives when a container could not be started.
const START_ERROR_CODE: i32 = 128;

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code as Kubernetes shows it.
    pub code: i32,
    /// Why.
    pub reason: ExitReason,
    /// What there is to say about it; empty when the guest ended by itself.
    pub message: String,
}

/// Why a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// By itself, with 0.
    Completed,
    /// By itself, with another code; or it could not be started.
    Error,
    /// It needed more memory than it may have.
    OomKilled,
    /// It did what wasm forbids: the message says what.
    Trapped,
    /// It was killed.
    Killed,
    /// It was asked to stop, and served nobody any more.
    Stopped,
}

impl ExitReason {
    /// The reason as a Kubernetes client sees it in a container's status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::OomKilled => "OOMKilled",
            Self::Error | Self::Trapped | Self::Killed | Self::Stopped => "Error",
        }
    }
}

impl Exit {
    /// The guest ended by itself.
    pub(super) fn with_code(code: i32) -> Self {
        let reason = if code == 0 {
            ExitReason::Completed
        } else {
            ExitReason::Error
        };
        Self {
            code,
            reason,
            message: String::new(),
        }
    }

    pub(super) fn killed() -> Self {
        Self {
            code: KILL_CODE,
            reason: ExitReason::Killed,
            message: "killed".into(),
        }
    }

    pub(super) fn stopped() -> Self {
        Self {
            code: STOP_CODE,
            reason: ExitReason::Stopped,
            message: "stopped".into(),
        }
    }

    pub(super) fn not_started(message: String) -> Self {
        Self {
            code: START_ERROR_CODE,
            reason: ExitReason::Error,
            message,
        }
    }

    /// The guest ended by an error: its own `exit`, or a trap.
    pub(super) fn of_error(error: &wasmtime::Error, course: &Course) -> Self {
        if let Some(error) = error.downcast_ref::<RuntimeError>() {
            return Self::not_started(error.to_string());
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Self::of_code(exit.0 & 0xff, course);
        }
        let message = trap_message(error);
        let ending = match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) | None => Ending::Abort,
            Some(_) => Ending::Other,
        };
        match course.explains(ending) {
            Some(refusal) => Self::out_of_memory(&refusal, &message),
            None => Self {
                code: TRAP_CODE,
                reason: ExitReason::Trapped,
                message,
            },
        }
    }

    /// The guest ended with a code of its own.
    pub(super) fn of_code(code: i32, course: &Course) -> Self {
        match course.explains(Ending::Other).filter(|_| code != 0) {
            Some(refusal) => Self::out_of_memory(&refusal, &format!("it exited with {code}")),
            None => Self::with_code(code),
        }
    }

    fn out_of_memory(refusal: &str, then: &str) -> Self {
        Self {
            code: KILL_CODE,
            reason: ExitReason::OomKilled,
            message: format!("{refusal}; then {then}"),
        }
    }
}

/// A trap in words, with the function it happened in.
fn trap_message(error: &wasmtime::Error) -> String {
    let what = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => chain(error),
    };
    let frame = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().first())
        .and_then(|frame| frame.func_name());
    match frame {
        Some(function) => format!("{what} (in {function})"),
        None => what,
    }
}
