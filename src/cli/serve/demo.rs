//! `serve --demo`: runs the example pod, asks it over HTTP through the API server, prints the answer
//! and what to try next.

use crate::cli::context::CliError;
use crate::cli::manifests::Manifest;
use crate::cli::serve::voice::print;
use crate::cli::serve::{Args, ready};
use crate::client::ClientError;
use crate::meta::Object;
use crate::serve::Cluster;
use crate::stdx::Clock;
use http::Method;
use serde_json::Value;
use std::time::Duration;

/// The example: nginx before echo over the loopback that both share.
const MANIFEST: &str = include_str!("../../../examples/simple-pod.yaml");
/// A guest may need a moment from its start to its first listen.
const TRIES_MAX: u32 = 100;
/// The wait between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Runs the demo and returns; the cluster goes on.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<(), CliError> {
    let client = cluster.client("wkube");
    let clock = Clock::real();
    print(&format!(
        "$ wkube apply -f simple-pod.yaml\n{}",
        MANIFEST.trim_end()
    ));
    let value: Value = serde_yaml::from_str(MANIFEST).map_err(CliError::new)?;
    let object = Object::from_value(value).unwrap_or_default();
    let manifest = Manifest::own("simple-pod.yaml", object);
    let began = clock.instant();
    let pods = ready::apply(&client, vec![manifest], args.log_format).await?;
    ready::wait(&client, &pods, args.ready_timeout, &clock).await?;
    print(&format!(
        "\npod/simple-echo is Ready after {} ms",
        began.elapsed().as_millis()
    ));
    let path = "/api/v1/namespaces/default/pods/simple-echo:80/proxy/";
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        match client.call(Method::GET, path, None).await {
            Ok(answer) => break answer,
            Err(ClientError::Api(error)) if error.code >= 500 && tries < TRIES_MAX => {
                clock.sleep(TRY_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    print(&format!(
        "\n$ kubectl get --raw {path}\n{}",
        String::from_utf8_lossy(&answer).trim_end()
    ));
    let kubeconfig = cluster.kubeconfig().display();
    print(&format!(
        "\nThe cluster goes on. In another terminal:\n  \
         export KUBECONFIG={kubeconfig}\n  \
         kubectl get pods -o wide          # or: wkube get pods -o wide\n  \
         kubectl logs -f simple-echo -c echo\n  \
         kubectl port-forward pod/simple-echo 8080:80\n  \
         kubectl delete pod simple-echo\n\
         Ctrl-C stops it."
    ));
    Ok(())
}
