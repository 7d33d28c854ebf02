//! `metric`: the sum of a metric's values, over all its labels.

use crate::Failure;
use crate::args::Args;
use crate::client::Api;
use http::Method;
use std::path::PathBuf;

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    let name = args.plain(0, "NAME")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let text = runtime.block_on(async {
        let mut conn = api.connect().await?;
        conn.ask(Method::GET, "/metrics", None).await
    })?;
    let text = std::str::from_utf8(&text)?;
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let of_it = rest.starts_with(' ') || rest.starts_with('{');
            of_it.then(|| rest.rsplit(' ').next()?.parse().ok())?
        })
        .collect();
    if values.is_empty() {
        return Err(format!("/metrics has no {name}").into());
    }
    println!("{name} {}", values.iter().sum::<f64>());
    Ok(())
}
