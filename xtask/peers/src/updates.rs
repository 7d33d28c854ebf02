//! `updates`: one object changed again and again. By one client: of several, all but one would only
//! learn that the object has changed meanwhile.

use crate::Failure;
use crate::args::Args;
use crate::client::Api;
use bytes::Bytes;
use http::Method;
use std::path::PathBuf;
use std::time::Instant;

/// Where the object is.
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub(crate) fn command(args: &Args) -> Result<(), Failure> {
    let api = Api::of_kubeconfig(&args.get::<PathBuf>("kubeconfig")?)?;
    let count: usize = args.get("count")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut conn = api.connect().await?;
        let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bench"}}"#;
        let body = ("application/json", Bytes::from_static(object.as_bytes()));
        // It may be there from a call before.
        let _ = conn.ask(Method::POST, CONFIG_MAPS, Some(body)).await;
        let began = Instant::now();
        let path = format!("{CONFIG_MAPS}/bench");
        for number in 0..count {
            let patch = format!(r#"{{"data":{{"at":"{number} of {count}"}}}}"#);
            let body = ("application/merge-patch+json", patch.into());
            conn.ask(Method::PATCH, &path, Some(body)).await?;
        }
        println!("updated_s {:.3}", began.elapsed().as_secs_f64());
        Ok(())
    })
}
