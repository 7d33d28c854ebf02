//! One component, already compiled, as a process of its own: `run` is that process, `processes`
//! measures many of them one after the other, `touched` tells what the guest itself holds.

use crate::args::Args;
use crate::{Failure, embed, pods};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use wasmtime_wasi::p2::bindings::Command;

/// `run`: to its end.
pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(guest(Path::new(args.plain(0, "CODE")?), &args.rest))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

async fn guest(code: &Path, args: &[String]) -> Result<(), Failure> {
    let engine = embed::engine(None)?;
    let component = embed::component(&engine, code)?;
    let linker = embed::linker(&engine)?;
    let mut words = vec!["guest".to_owned()];
    words.extend(args.iter().cloned());
    let mut store = embed::store(&engine, &words);
    let guest = Command::instantiate_async(&mut store, &component, &linker).await?;
    let done = guest.wasi_cli_run().call_run(&mut store).await?;
    done.map_err(|()| "the guest failed".into())
}

/// `processes`: milliseconds from before the exec to the first line that the guest writes.
pub(crate) fn many(args: &Args) -> Result<(), Failure> {
    let code = args.plain(0, "CODE")?;
    let count: usize = args.get("count")?;
    let own = std::env::current_exe()?;
    let mut took = Vec::new();
    // One more, which finds the pages of the files in memory for all others.
    for number in 0..=count {
        let began = Instant::now();
        let mut child = std::process::Command::new(&own)
            .args(["run", code, "--"])
            .args(&args.rest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line)?;
        let elapsed = began.elapsed();
        child.kill()?;
        child.wait()?;
        if read == 0 {
            return Err("the guest said nothing".into());
        }
        if number > 0 {
            took.push(elapsed.as_secs_f64() * 1e3);
        }
    }
    pods::tell(&mut took);
    Ok(())
}

/// How long a guest gets to come to rest.
const REST: Duration = Duration::from_millis(500);

/// `touched`: bytes of its linear memory that a guest holds once it waits for clients.
pub(crate) fn touched(args: &Args) -> Result<(), Failure> {
    let guest = guest(Path::new(args.plain(0, "CODE")?), &args.rest);
    runtime()?.block_on(async {
        tokio::pin!(guest);
        tokio::select! {
            ended = &mut guest => Err(format!("the guest has ended: {ended:?}").into()),
            () = tokio::time::sleep(REST) => {
                println!("touched_bytes {}", linear_memory()?);
                Ok(())
            }
        }
    })
}

/// Resident bytes of the linear memories of this process: the mappings right before a reservation
/// of address space, which nothing else in the process has.
fn linear_memory() -> Result<u64, Failure> {
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    let mut before: Vec<Mapping> = Vec::new();
    let mut total = 0;
    for line in maps.lines() {
        if let Some(mapping) = Mapping::parse(line) {
            before.push(mapping);
        } else if let Some(rest) = line.strip_prefix("Rss:")
            && let Some(last) = before.last_mut()
        {
            let kib = rest.trim().trim_end_matches(" kB").parse::<u64>()?;
            last.resident = kib * 1024;
        }
    }
    for (index, reservation) in before.iter().enumerate() {
        if !reservation.closed || reservation.end - reservation.start < RESERVATION_MIN {
            continue;
        }
        let mut start = reservation.start;
        for mapping in before.iter().take(index).rev() {
            if mapping.end != start || mapping.closed {
                break;
            }
            start = mapping.start;
            total += mapping.resident;
        }
    }
    if total == 0 {
        return Err("no linear memory was found in /proc/self/smaps".into());
    }
    Ok(total)
}

/// The least address space behind a linear memory.
const RESERVATION_MIN: u64 = 2 << 30;

struct Mapping {
    start: u64,
    end: u64,
    /// Nobody may read it.
    closed: bool,
    resident: u64,
}

impl Mapping {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next().filter(|rights| rights.len() == 4)?;
        Some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            closed: rights.starts_with("---"),
            resident: 0,
        })
    }
}
