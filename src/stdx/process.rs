//! The process itself: what it uses, as Prometheus' clients tell it, and how many files it may have
//! open. Read from `/proc`; where there is none, nothing is told.

use crate::stdx::Metrics;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this many open files a cluster of some size runs out of them.
pub const OPEN_FILES_LOW: u64 = 4_096;

/// Raises how many files the process may have open to what the system lets it; answers what that
/// is, `None` for no limit.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, wanted).is_err() {
        return limit.current;
    }
    limit.maximum
}

/// Enters `process_*`.
pub fn register_process_metrics(metrics: &Metrics) {
    metrics.count(
        "process_cpu_seconds",
        "Total user and system CPU time spent in seconds",
        || stat().map_or(0.0, |stat| stat.cpu_seconds),
    );
    metrics.gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes",
        || stat().map_or(0.0, |stat| stat.resident_bytes),
    );
    metrics.gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes",
        || stat().map_or(0.0, |stat| stat.virtual_bytes),
    );
    metrics.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds",
        || {
            let started = stat().map_or(0.0, |stat| stat.started_seconds);
            boot_seconds().unwrap_or(0.0) + started
        },
    );
    metrics.gauge(
        "process_open_fds",
        "Number of open file descriptors",
        || std::fs::read_dir("/proc/self/fd").map_or(0.0, |open| as_f64(open.count())),
    );
    metrics.gauge(
        "process_max_fds",
        "Maximum number of open file descriptors",
        || match getrlimit(Resource::Nofile).current {
            Some(limit) => limit as f64,
            None => f64::INFINITY,
        },
    );
    metrics.gauge("process_threads", "Number of threads", || {
        stat().map_or(0.0, |stat| stat.threads)
    });
}

fn as_f64(count: usize) -> f64 {
    count as f64
}

/// What `/proc/self/stat` says.
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// Since the machine started.
    started_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

fn stat() -> Option<Stat> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<f64> = rest
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // Fields count from 1 in proc(5), and the third is the first here.
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some(Stat {
        cpu_seconds: (field(14)? + field(15)?) / ticks,
        threads: field(20)?,
        started_seconds: field(22)? / ticks,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * as_f64(rustix::param::page_size()),
    })
}

/// When the machine started, since the epoch.
fn boot_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Whether whoever started the process had it ignore `SIGHUP`, as `nohup` does.
pub fn hangup_ignored() -> bool {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, which is SIGHUP.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen() {
        let metrics = Metrics::default();
        register_process_metrics(&metrics);
        let text = metrics.encode().unwrap();
        let figure = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(figure("process_resident_memory_bytes ") > 100_000.0);
        assert!(figure("process_start_time_seconds ") > 1_000_000_000.0);
        assert!(figure("process_open_fds ") >= 3.0);
        assert!(figure("process_threads ") >= 1.0);
    }

    #[test]
    fn as_many_files_as_the_system_allows() {
        let raised = raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raised, limit.maximum);
    }
}
