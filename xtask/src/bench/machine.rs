//! The machine that figures are taken on, in words.

use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

pub(super) fn date() -> String {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

pub(super) fn revision() -> String {
    if std::env::var_os("WKUBE_BENCH_BINARIES").is_some() {
        return "unknown (built before)".to_owned();
    }
    said("git", &["describe", "--always", "--dirty"])
}

/// The load averages.
pub(super) fn load() -> String {
    let text = read("/proc/loadavg");
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Processor, cores, memory, kernel, disk.
pub(super) fn describe() -> String {
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{model}, {cores} cores, {:.0} GiB, Linux {}, {}",
        kib as f64 / f64::from(1 << 20),
        kernel.trim(),
        disk()
    )
}

/// The file system below the build folder, and whether its disk turns.
fn disk() -> String {
    let here = said("df", &["--output=fstype,source", "."]);
    let line = here.lines().nth(1).unwrap_or_default();
    let mut words = line.split_whitespace();
    let (kind, source) = (
        words.next().unwrap_or("unknown"),
        words.next().unwrap_or("unknown"),
    );
    let device = source.trim_start_matches("/dev/");
    let turns = match read(&format!("/sys/class/block/{device}/queue/rotational")).trim() {
        "0" => ", which does not turn",
        "1" => ", which turns or says so",
        _ => "",
    };
    format!("{kind} on {source}{turns}")
}
