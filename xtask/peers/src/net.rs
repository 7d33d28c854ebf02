//! `net`: two guests of one process and one thread that talk over the kernel's loopback.

use crate::args::Args;
use crate::{Failure, embed};
use std::net::TcpListener;
use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::Command;

/// Clock ticks a second that Linux tells processor time in.
const TICKS: f64 = 100.0;

/// The server guest gets the words `SERVER ADDRESS`, the client guest `CLIENT ADDRESS REST...`. What
/// the client prints are findings; `cpu_s` is the process's own.
pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let code = Path::new(args.plain(0, "CODE")?);
    let engine = embed::engine(None)?;
    let component = embed::component(&engine, code)?;
    let linker = embed::linker(&engine)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let server: Vec<String> = ["guest", args.plain(1, "SERVER")?, &address]
        .map(str::to_owned)
        .into();
    let mut client: Vec<String> = ["guest", args.plain(2, "CLIENT")?, &address]
        .map(str::to_owned)
        .into();
    client.extend(args.rest.iter().cloned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let before = cpu_seconds()?;
        let (served, asked) = tokio::join!(
            guest(&engine, &component, &linker, &server),
            guest(&engine, &component, &linker, &client),
        );
        served.map_err(|error| format!("server: {error}"))?;
        asked.map_err(|error| format!("client: {error}"))?;
        println!("cpu_s {:.3}", cpu_seconds()? - before);
        Ok(())
    })
}

async fn guest(
    engine: &Engine,
    component: &Component,
    linker: &Linker<embed::State>,
    args: &[String],
) -> Result<(), Failure> {
    let mut store = embed::store(engine, args);
    let guest = Command::instantiate_async(&mut store, component, linker).await?;
    let done = guest.wasi_cli_run().call_run(&mut store).await?;
    done.map_err(|()| "it failed".into())
}

/// Processor time of this process so far.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, numbers) = stat.rsplit_once(')').ok_or("stat without a name")?;
    let ticks = numbers.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
