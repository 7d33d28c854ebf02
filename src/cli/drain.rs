//! `wkube drain`: cordons a node and evicts its pods, in kubectl's words.
//! Kubernetes: `k8s.io/kubectl/pkg/drain`.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::durations;
use crate::client::{ClientError, PatchKind, Query};
use crate::meta::{GroupVersionResource, Object, Reason};
use crate::stdx::Clock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// How long an eviction that a disruption budget forbids waits before it is tried again.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NODE...
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// The flags of a drain.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct How {
    /// Ignore DaemonSet-managed pods.
    #[arg(long)]
    pub(crate) ignore_daemonsets: bool,
    /// Continue even if there are pods that do not declare a controller.
    #[arg(long)]
    force: bool,
    /// Continue even if there are pods using emptyDir (local data that will be deleted when the node
    /// is drained).
    #[arg(long)]
    delete_emptydir_data: bool,
    /// Force drain to use delete, even if eviction is supported.
    #[arg(long)]
    disable_eviction: bool,
    /// Period of time in seconds given to each pod to terminate gracefully; -1 for its own.
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// The length of time to wait before giving up, zero means infinite.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    timeout: String,
    /// Label selector to filter pods on the node.
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    pod_selector: String,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    for name in &args.nodes {
        drain(&context, name, &args.how).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Cordons a node and empties it.
pub(crate) async fn drain(context: &Context, name: &str, how: &How) -> Result<(), CliError> {
    let timeout = durations::seconds(&how.timeout).map_err(CliError::new)?;
    cordon(context, name).await?;
    let doomed = match pods(context, name, how).await? {
        Ok(doomed) => doomed,
        Err(whys) => {
            let all = match whys.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            eprintln!(
                "error: unable to drain node {name:?} due to error: {all}, continuing command..."
            );
            eprintln!("There are pending nodes to be drained:\n {name}");
            return Err(CliError::bare(whys.join("\n")));
        }
    };
    let clock = Clock::real();
    let all = futures::future::try_join_all(doomed.iter().map(|pod| go(context, pod, how, &clock)));
    if timeout == 0 {
        all.await?;
    } else {
        tokio::select! {
            gone = all => drop(gone?),
            () = clock.sleep(Duration::from_secs(timeout)) => {
                let what = format!("global timeout reached: {}", how.timeout);
                return Err(CliError::new(format!("error when evicting pods: {what}")));
            }
        }
    }
    println!("node/{name} drained");
    Ok(())
}

async fn cordon(context: &Context, name: &str) -> Result<(), ClientError> {
    let gvr = GroupVersionResource::new("", "v1", "nodes");
    let node = context.client.get::<Value>(&gvr, "", name).await?;
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        println!("node/{name} already cordoned");
        return Ok(());
    }
    let patch = json!({"spec": {"unschedulable": true}});
    let patched = context
        .client
        .patch::<Value>(&gvr, ("", name), "", PatchKind::Strategic, &patch);
    patched.await?;
    println!("node/{name} cordoned");
    Ok(())
}

/// Why a pod is not to be evicted just so; none if it is.
enum Verdict {
    Evict,
    /// It stays, and that is said.
    Skip(&'static str),
    /// It stays, and nothing is to be said.
    Leave,
    /// It goes, and that is said.
    Warn(&'static str),
    /// It hinders.
    Refuse(&'static str),
}

const DAEMON_FATAL: &str = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const DAEMON_WARN: &str = "ignoring DaemonSet-managed Pods";
const LOCAL_FATAL: &str = "Pods with local storage (use --delete-emptydir-data to override)";
const LOCAL_WARN: &str = "deleting Pods with local storage";
/// kubectl says "cannot delete" twice of these.
const BARE_FATAL: &str = "cannot delete Pods that declare no controller (use --force to override)";
const BARE_WARN: &str = "deleting Pods that declare no controller";

fn judge(pod: &Object, how: &How) -> Vec<Verdict> {
    if pod.annotation("kubernetes.io/config.mirror").is_some() {
        return vec![Verdict::Leave];
    }
    let ended = matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    let owners = pod.get(&["metadata", "ownerReferences"]);
    let mut owners = owners.and_then(Value::as_array).into_iter().flatten();
    let controller = owners.find(|owner| owner["controller"] == true);
    let is_daemon = controller.is_some_and(|owner| owner["kind"] == "DaemonSet");
    if is_daemon && !ended {
        return vec![match how.ignore_daemonsets {
            true => Verdict::Skip(DAEMON_WARN),
            false => Verdict::Refuse(DAEMON_FATAL),
        }];
    }
    let mut verdicts = Vec::new();
    let volumes = pod.get(&["spec", "volumes"]).and_then(Value::as_array);
    let local = |volume: &Value| volume.get("emptyDir").is_some_and(|of| !of.is_null());
    if !ended && volumes.into_iter().flatten().any(local) {
        verdicts.push(match how.delete_emptydir_data {
            true => Verdict::Warn(LOCAL_WARN),
            false => Verdict::Refuse(LOCAL_FATAL),
        });
    }
    if !ended && controller.is_none() {
        verdicts.push(match how.force {
            true => Verdict::Warn(BARE_WARN),
            false => Verdict::Refuse(BARE_FATAL),
        });
    }
    verdicts.push(Verdict::Evict);
    verdicts
}

/// The pods that are to go, or why the node cannot be drained.
async fn pods(
    context: &Context,
    node: &str,
    how: &How,
) -> Result<Result<Vec<Object>, Vec<String>>, ClientError> {
    let query = Query::new()
        .with("fieldSelector", &format!("spec.nodeName={node}"))
        .with("labelSelector", &how.pod_selector);
    let listed = context
        .client
        .list::<Value>(&resource(), "", &query)
        .await?;
    let mut doomed = Vec::new();
    let (mut warnings, mut refusals) = (Groups::default(), Groups::default());
    for pod in listed.items.into_iter().filter_map(Object::from_value) {
        let mut refused = false;
        for verdict in judge(&pod, how) {
            match verdict {
                Verdict::Leave | Verdict::Evict => {}
                Verdict::Skip(why) | Verdict::Warn(why) => warnings.add(why, &pod),
                Verdict::Refuse(why) => {
                    refusals.add(why, &pod);
                    refused = true;
                }
            }
            if matches!(verdict, Verdict::Evict) && !refused {
                doomed.push(pod.clone());
            }
        }
    }
    if !refusals.0.is_empty() {
        let lines = refusals.lines().map(|line| format!("cannot delete {line}"));
        return Ok(Err(lines.collect()));
    }
    if !warnings.0.is_empty() {
        let lines: Vec<String> = warnings.lines().collect();
        eprintln!("Warning: {}", lines.join("; "));
    }
    Ok(Ok(doomed))
}

/// Pods by what is said of them.
#[derive(Default)]
struct Groups(BTreeMap<&'static str, Vec<String>>);

impl Groups {
    fn add(&mut self, why: &'static str, pod: &Object) {
        let pods = self.0.entry(why).or_default();
        pods.push(format!("{}/{}", pod.namespace(), pod.name()));
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let groups = self.0.iter();
        groups.map(|(why, pods)| format!("{why}: {}", pods.join(", ")))
    }
}

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// Evicts a pod, again and again while a budget forbids it, and waits until it is gone.
async fn go(context: &Context, pod: &Object, how: &How, clock: &Clock) -> Result<(), CliError> {
    let (namespace, name) = (pod.namespace(), pod.name());
    let (client, gvr) = (&context.client, resource());
    let mut options = json!({});
    if let (true, Some(fields)) = (how.grace_period >= 0, options.as_object_mut()) {
        fields.insert("gracePeriodSeconds".to_owned(), json!(how.grace_period));
    }
    let (doing, done) = match how.disable_eviction {
        true => ("deleting", "deleted"),
        false => ("evicting", "evicted"),
    };
    loop {
        println!("{doing} pod {namespace}/{name}");
        let asked = if how.disable_eviction {
            client.delete(&gvr, namespace, name, &options).await
        } else {
            let eviction = json!({
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": namespace},
                "deleteOptions": options,
            });
            let at = Some((name, "eviction"));
            client.create::<Value>(&gvr, namespace, at, &eviction).await
        };
        match asked {
            Ok(_) => break,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.reason() == Some(Reason::TooManyRequests) => {
                eprintln!(
                    "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {error}"
                );
                clock.sleep(RETRY).await;
            }
            Err(error) => {
                let what = format!("error when evicting pods/{name:?} -n {namespace:?}: {error}");
                return Err(CliError::new(what));
            }
        }
    }
    let uid = pod.uid();
    let gone = |now: Option<&Value>| {
        let now = now.and_then(|now| now.pointer("/metadata/uid")?.as_str());
        (now != Some(uid)).then_some(())
    };
    client.follow(&gvr, (namespace, name), clock, gone).await?;
    println!("pod/{name} {done}");
    Ok(())
}
