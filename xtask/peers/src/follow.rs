//! `list`: a long list, to its first and its last byte. `watchers`: many watches of one resource while
//! it changes, and how late each is told.

use crate::Failure;
use crate::api::own_cpu_seconds;
use crate::args::Args;
use crate::client::{Api, Watch};
use crate::pods::tell;
use bytes::Bytes;
use http::Method;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is listed.
const PODS: &str = "/api/v1/namespaces/default/pods";
/// What changes while it is watched.
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// What precedes the time in an object's data.
const MARK: &[u8] = b"sent at ";
/// Lists of which the median is told.
const LISTS: usize = 5;
/// How long the last event may take.
const LATE_MAX: Duration = Duration::from_secs(60);

/// `list`: makes `--count` pods that no scheduler takes over `--connections`, and lists them.
pub(crate) fn list(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    let count: usize = args.get("count")?;
    let connections: usize = args.get_or("connections", 8)?;
    runtime()?.block_on(async {
        let mut makers = Vec::new();
        for first in 0..connections {
            let api = api.clone();
            makers.push(tokio::spawn(async move {
                let mut conn = api.connect().await?;
                for number in (first..count).step_by(connections) {
                    let body = ("application/json", Bytes::from(pod(number)));
                    conn.ask(Method::POST, PODS, Some(body)).await?;
                }
                Ok::<_, Failure>(())
            }));
        }
        for maker in makers {
            maker.await??;
        }
        let mut conn = api.connect().await?;
        let (mut firsts, mut lasts, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..LISTS {
            let began = Instant::now();
            let mut first = None;
            bytes = 0;
            conn.stream(PODS, |data| {
                first.get_or_insert_with(|| began.elapsed());
                bytes += data.len();
            })
            .await?;
            firsts.push(first.unwrap_or_default().as_secs_f64() * 1e3);
            lasts.push(began.elapsed().as_secs_f64() * 1e3);
        }
        for (name, values) in [("first_byte_ms", &mut firsts), ("last_byte_ms", &mut lasts)] {
            values.sort_by(f64::total_cmp);
            println!(
                "{name} {:.3}",
                values.get(LISTS / 2).copied().unwrap_or_default()
            );
        }
        println!("list_bytes {bytes}");
        Ok(())
    })
}

fn pod(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"listed-{number}","labels":{{"app":"listed"}}}},"spec":{{"schedulerName":"nobody","containers":[{{"name":"c","image":"wkube/wasm-echo:latest","ports":[{{"containerPort":8080}}]}}]}}}}"#
    )
}

/// `watchers`: `--count` watches, each a connection, while one client makes `--writes` changes, one
/// each `--every-ms`.
pub(crate) fn watchers(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    let (count, writes): (usize, usize) = (args.get("count")?, args.get("writes")?);
    let every = Duration::from_millis(args.get("every-ms")?);
    open_files(count)?;
    runtime()?.block_on(async {
        let mut conn = api.connect().await?;
        let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"watched"}}"#;
        let body = ("application/json", Bytes::from_static(object.as_bytes()));
        conn.ask(Method::POST, CONFIG_MAPS, Some(body)).await?;
        let began = Instant::now();
        let mut watching = Vec::new();
        for _ in 0..count {
            let watch = api.watch(CONFIG_MAPS).await?;
            watching.push(tokio::spawn(delays(watch, began, writes)));
        }
        let before = (own_cpu_seconds()?, Instant::now());
        let mut ticks = tokio::time::interval(every);
        for _ in 0..writes {
            ticks.tick().await;
            let at = began.elapsed().as_nanos();
            let patch = format!(r#"{{"data":{{"at":"sent at {at}."}}}}"#);
            let body = ("application/merge-patch+json", patch.into());
            let path = format!("{CONFIG_MAPS}/watched");
            conn.ask(Method::PATCH, &path, Some(body)).await?;
        }
        let mut all = Vec::with_capacity(count * writes);
        for one in watching {
            let late = tokio::time::timeout(LATE_MAX, one).await;
            let late = late.map_err(|_| "a watcher was not told of every change")?;
            all.extend(late??);
        }
        let spent = before.1.elapsed().as_secs_f64();
        println!("events {}", all.len());
        println!("events_per_s {:.0}", all.len() as f64 / spent);
        println!(
            "generator_cpu {:.3}",
            (own_cpu_seconds()? - before.0) / spent
        );
        tell(&mut all);
        Ok(())
    })
}

/// Milliseconds from each change's request to its event.
async fn delays(mut watch: Watch, began: Instant, writes: usize) -> Result<Vec<f64>, Failure> {
    let mut delays = Vec::with_capacity(writes);
    while delays.len() < writes {
        let sent = watch.next(|line| Ok(sent_at(line))).await?;
        let now = began.elapsed().as_nanos() as f64;
        if let Some(sent) = sent {
            delays.push((now - sent) / 1e6);
        }
    }
    Ok(delays)
}

/// The time in an event's object; the first after the mark is the newest.
fn sent_at(line: &[u8]) -> Option<f64> {
    let at = line.windows(MARK.len()).position(|part| part == MARK)?;
    let rest = line.get(at + MARK.len()..)?;
    let end = rest.iter().position(|byte| *byte == b'.')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// Lets the process have as many connections as it needs.
fn open_files(count: usize) -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::try_from(count)? + 64;
    let found = getrlimit(Resource::Nofile);
    if found.current.is_some_and(|current| current < wanted) {
        let limit = Rlimit {
            current: Some(wanted),
            maximum: found.maximum,
        };
        setrlimit(Resource::Nofile, limit)
            .map_err(|error| format!("{wanted} open files are needed: {error}"))?;
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
