//! Pods from the outside, over TLS: `pod` measures one at a time from request to Ready, `pods` makes
//! many and waits until all are Ready, `ask` has each answer one request.

use crate::Failure;
use crate::args::Args;
use crate::client::{Api, Conn, Watch};
use http::Method;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Where the pods are.
const PODS: &str = "/api/v1/namespaces/default/pods";
/// The body of every request.
const JSON: &str = "application/json";
/// What an answer of the example's guest ends with.
const GREETING: &[u8] = b"Hello Docker!!";

/// `pod`: `--count` pods, one after the other; milliseconds from sending the request to the watch
/// event that says Ready=True. Each is gone before the next is made.
pub(crate) fn one_at_a_time(args: &Args) -> Result<(), Failure> {
    let api = api(args)?;
    let count: usize = args.get("count")?;
    run(async move {
        let mut watch = api.watch(PODS).await?;
        let mut conn = api.connect().await?;
        // The first compiles, or maps, what all others then find.
        measure(&mut conn, &mut watch, "bench-first").await?;
        let mut took = Vec::new();
        for number in 0..count {
            let name = format!("bench-{number}");
            took.push(measure(&mut conn, &mut watch, &name).await?);
        }
        tell(&mut took);
        Ok(())
    })
}

/// Prints the median and the 99th percentile of milliseconds.
pub(crate) fn tell(took: &mut [f64]) {
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len() - 1));
    for (name, part) in [("p50_ms", 50), ("p99_ms", 99)] {
        println!("{name} {:.3}", at(part).copied().unwrap_or_default());
    }
}

async fn measure(conn: &mut Conn, watch: &mut Watch, name: &str) -> Result<f64, Failure> {
    let body = pod(name);
    let began = Instant::now();
    let made = conn.ask(Method::POST, PODS, Some((JSON, body.into())));
    let (made, ready) = tokio::join!(made, until(watch, name, |event| event.ready()));
    let took = began.elapsed();
    made?;
    ready?;
    let path = format!("{PODS}/{name}?gracePeriodSeconds=0");
    conn.ask(Method::DELETE, &path, None).await?;
    until(watch, name, |event| event.kind == "DELETED").await?;
    Ok(took.as_secs_f64() * 1e3)
}

/// Waits for an event of the pod that `is_it`.
async fn until(
    watch: &mut Watch,
    name: &str,
    is_it: impl Fn(&Event<'_>) -> bool,
) -> Result<(), Failure> {
    let wait = async {
        loop {
            let found = watch.next(|line| {
                let event: Event<'_> = serde_json::from_slice(line)?;
                Ok(event.object.metadata.name == name && is_it(&event))
            });
            if found.await? {
                return Ok(());
            }
        }
    };
    match timeout(POD_MAX, wait).await {
        Ok(done) => done,
        Err(_) => Err(format!("pod {name} took longer than {POD_MAX:?}").into()),
    }
}

/// How long one pod may take.
const POD_MAX: Duration = Duration::from_secs(30);

/// `pods`: makes `--count` pods over `--connections`, and waits until all are Ready.
pub(crate) fn many(args: &Args) -> Result<(), Failure> {
    let api = api(args)?;
    let count: usize = args.get("count")?;
    let connections: usize = args.get_or("connections", 8)?;
    let seconds: u64 = args.get("seconds")?;
    run(async move {
        let mut watch = api.watch(PODS).await?;
        let began = Instant::now();
        let mut makers = Vec::new();
        for first in 0..connections {
            let api = api.clone();
            makers.push(tokio::spawn(async move {
                let mut conn = api.connect().await?;
                for number in (first..count).step_by(connections) {
                    let body = pod(&format!("bench-{number}"));
                    conn.ask(Method::POST, PODS, Some((JSON, body.into())))
                        .await?;
                }
                Ok::<_, Failure>(began.elapsed())
            }));
        }
        let mut ready: HashSet<String> = HashSet::with_capacity(count);
        let all = async {
            while ready.len() < count {
                let name = watch.next(|line| {
                    let event: Event<'_> = serde_json::from_slice(line)?;
                    Ok(event
                        .ready()
                        .then(|| event.object.metadata.name.into_owned()))
                });
                ready.extend(name.await?);
            }
            Ok::<_, Failure>(began.elapsed())
        };
        let waited = timeout(Duration::from_secs(seconds), all).await;
        let mut created = Duration::ZERO;
        for maker in makers {
            if maker.is_finished() || waited.is_ok() {
                created = created.max(maker.await??);
            }
        }
        let took = waited.map_err(|_| {
            format!(
                "{} of {count} pods are Ready after {seconds} s",
                ready.len()
            )
        })??;
        println!("created_s {:.3}", created.as_secs_f64());
        println!("ready_s {:.3}", took.as_secs_f64());
        Ok(())
    })
}

/// `ask`: one request to each of `--count` pods, through the API server's proxy.
pub(crate) fn ask(args: &Args) -> Result<(), Failure> {
    let api = api(args)?;
    let count: usize = args.get("count")?;
    let connections: usize = args.get_or("connections", 8)?;
    run(async move {
        let began = Instant::now();
        let mut askers = Vec::new();
        for first in 0..connections {
            let api = api.clone();
            askers.push(tokio::spawn(async move {
                let mut conn = api.connect().await?;
                for number in (first..count).step_by(connections) {
                    let path = format!("{PODS}/bench-{number}:8080/proxy/");
                    let answer = conn.ask(Method::GET, &path, None).await?;
                    if !answer.ends_with(GREETING) {
                        return Err(format!("{path}: {answer:?}").into());
                    }
                }
                Ok::<_, Failure>(())
            }));
        }
        for asker in askers {
            asker.await??;
        }
        println!("answered_s {:.3}", began.elapsed().as_secs_f64());
        Ok(())
    })
}

fn api(args: &Args) -> Result<Api, Failure> {
    Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)
}

fn run(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

fn pod(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"echo","image":"gihyodocker/echo:latest","imagePullPolicy":"IfNotPresent","ports":[{{"containerPort":8080}}]}}]}}}}"#
    )
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: Pod<'a>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    conditions: Vec<Condition<'a>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

impl Event<'_> {
    fn ready(&self) -> bool {
        let mut conditions = self.object.status.conditions.iter();
        conditions.any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}
