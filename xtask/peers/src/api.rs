//! `api`: ConfigMaps made and read over connections that are kept, each with one request under way, as
//! many as are answered. `etcd`: the same with keys of etcd. What the generator itself costs is told.

use crate::Failure;
use crate::args::Args;
use crate::client::{Api, Conn};
use crate::etcd::Etcd;
use bytes::Bytes;
use http::Method;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the objects are.
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Before the clock starts.
const WARM: Duration = Duration::from_secs(1);
/// Bytes of an object's data, and of a key's value.
const VALUE_BYTES: usize = 1024;
/// Keys that are read in turn.
const READ_KEYS: usize = 100;

/// One client: it makes and reads what a number names.
trait Client: Send + 'static {
    fn make(&mut self, name: &str) -> impl Future<Output = Result<(), Failure>> + Send;
    fn read(&mut self, name: &str) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Client for Conn {
    async fn make(&mut self, name: &str) -> Result<(), Failure> {
        let value = "x".repeat(VALUE_BYTES);
        let body = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"k":"{value}"}}}}"#
        );
        let body = ("application/json", Bytes::from(body));
        self.ask(Method::POST, CONFIG_MAPS, Some(body))
            .await
            .map(drop)
    }

    async fn read(&mut self, name: &str) -> Result<(), Failure> {
        let path = format!("{CONFIG_MAPS}/{name}");
        self.ask(Method::GET, &path, None).await.map(drop)
    }
}

impl Client for Etcd {
    async fn make(&mut self, name: &str) -> Result<(), Failure> {
        self.put(name.as_bytes(), &[b'x'; VALUE_BYTES]).await
    }

    async fn read(&mut self, name: &str) -> Result<(), Failure> {
        self.range(name.as_bytes()).await
    }
}

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    run(args, async || api.connect().await)
}

pub(crate) fn etcd(args: &Args) -> Result<(), Failure> {
    let address = args.get("address")?;
    run(args, async || Etcd::connect(address).await)
}

fn run<C: Client>(
    args: &Args,
    connect: impl AsyncFn() -> Result<C, Failure>,
) -> Result<(), Failure> {
    let connections: usize = args.get_or("connections", 32)?;
    let measured = Duration::from_secs(args.get("seconds")?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect().await?);
        }
        let clients = phase("creates", clients, measured, async |client, by, at| {
            client.make(&format!("bench-{by}-{at}")).await
        });
        // What all have made while they warmed up.
        phase("gets", clients.await?, measured, async |client, by, at| {
            client.read(&format!("bench-{by}-{}", at % READ_KEYS)).await
        })
        .await?;
        Ok(())
    })
}

/// Has all clients ask until the time is over; prints answers a second, and the generator's own
/// processor time for each.
async fn phase<C: Client>(
    name: &str,
    clients: Vec<C>,
    measured: Duration,
    ask: impl AsyncFn(&mut C, usize, usize) -> Result<(), Failure>,
) -> Result<Vec<C>, Failure> {
    let from = Instant::now() + WARM;
    let until = from + measured;
    let ask = &ask;
    let asking = clients
        .into_iter()
        .enumerate()
        .map(async |(by, mut client)| {
            let mut answers = 0_u64;
            for at in 0.. {
                ask(&mut client, by, at).await?;
                let now = Instant::now();
                if now >= until && at >= READ_KEYS {
                    break;
                }
                answers += u64::from(now >= from && now < until);
            }
            Ok::<_, Failure>((client, answers))
        });
    let before = own_cpu_seconds()?;
    let began = Instant::now();
    let done = futures::future::try_join_all(asking).await?;
    let cpu = (own_cpu_seconds()? - before) / began.elapsed().as_secs_f64();
    let answers: u64 = done.iter().map(|(_, answers)| answers).sum();
    println!(
        "{name}_per_s {:.1}",
        answers as f64 / measured.as_secs_f64()
    );
    println!("{name}_generator_cpu {cpu:.3}");
    Ok(done.into_iter().map(|(client, _)| client).collect())
}

/// Seconds of processor time that this process has used; Linux tells them in hundredths.
pub(crate) fn own_cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may hold anything; what follows its bracket is numbers.
    let (_, numbers) = stat.rsplit_once(')').ok_or("stat without a name")?;
    let ticks = numbers.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}
