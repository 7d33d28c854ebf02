//! The command line: one file a verb, one line in the list. Speaks to an API server through
//! `client`, and starts one through `serve`. Must never talk to store or api directly.

mod annotate;
mod api_resources;
mod apply;
mod autoscale;
mod change;
mod completion;
mod context;
mod cordon;
mod create;
mod delete;
mod describe;
mod diff;
mod discovery;
mod drain;
mod durations;
mod edit;
mod errors;
mod events;
mod explain;
mod expose;
mod flags;
mod get;
mod image;
mod label;
mod logs;
mod made;
mod manifests;
mod merge_facts;
mod node;
mod pairs;
mod patch;
mod port_forward;
mod printers;
mod replace;
mod resource_args;
mod rollout;
mod run;
mod scale;
mod serve;
mod set;
mod taint;
mod top;
mod uncordon;
mod version;
mod wait;
mod write_args;

use clap::{Parser, Subcommand};
use context::{CliError, GlobalArgs};
use std::process::ExitCode;

/// A Kubernetes in one rootless program whose pods are WebAssembly sandboxes.
#[derive(Debug, Parser)]
#[command(
    name = "wkube",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

/// Declares the verbs: variant, module, and nothing else.
macro_rules! verbs {
    ($($(#[$meta:meta])* $variant:ident => $module:ident,)+) => {
        #[derive(Debug, Subcommand)]
        enum Verb {
            // Boxed: one verb's flags are many more than another's.
            $($(#[$meta])* $variant(Box<$module::Args>),)+
        }

        async fn run(verb: Verb, global: GlobalArgs) -> Result<ExitCode, CliError> {
            match verb {
                $(Verb::$variant(args) => $module::run(*args, global).await,)+
            }
        }
    };
}

verbs! {
    /// Start a cluster in this process.
    Serve => serve,
    /// Apply a configuration to objects by file name, folder, URL or stdin.
    Apply => apply,
    /// Display one or many objects.
    Get => get,
    /// Show details of a specific object or group of objects.
    Describe => describe,
    /// Print the logs for a container in a pod.
    Logs => logs,
    /// Delete objects by file names, names, or selectors.
    Delete => delete,
    /// Create objects from a file or from stdin.
    Create => create,
    /// Edit a resource from the default editor.
    Edit => edit,
    /// Update fields of a resource.
    Patch => patch,
    /// Replace a resource by file name or stdin.
    Replace => replace,
    /// Diff the live version against a would-be applied version.
    Diff => diff,
    /// Wait for a specific condition on one or many resources.
    Wait => wait,
    /// List events.
    Events => events,
    /// Get documentation for a resource.
    Explain => explain,
    /// Display resource (CPU/memory) usage.
    Top => top,
    /// Manage the rollout of one or many resources.
    Rollout => rollout,
    /// Set a new size for a deployment, replica set, or replication controller.
    Scale => scale,
    /// Auto-scale a deployment, replica set, stateful set, or replication controller.
    Autoscale => autoscale,
    /// Take a replication controller, service, deployment or pod and expose it as a new service.
    Expose => expose,
    /// Run a particular image on the cluster.
    Run => run,
    /// Set specific features on objects.
    Set => set,
    /// Update the labels on a resource.
    Label => label,
    /// Update the annotations on a resource.
    Annotate => annotate,
    /// Update the taints on one or more nodes.
    Taint => taint,
    /// Mark node as unschedulable.
    Cordon => cordon,
    /// Mark node as schedulable.
    Uncordon => uncordon,
    /// Drain node in preparation for maintenance.
    Drain => drain,
    /// Forward one or more local ports to a pod.
    PortForward => port_forward,
    /// Add, remove and drain virtual nodes.
    Node => node,
    /// Build, fetch, load and list images.
    Image => image,
    /// Print the API resources that the server has.
    ApiResources => api_resources,
    /// Print the client and server version information.
    Version => version,
    /// Print the shell completion script.
    Completion => completion,
}

/// Parses the command line, runs the verb, answers its exit code.
pub fn main() -> ExitCode {
    let Cli { global, verb } = match flags::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the threads of wkube cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(run(verb, global)) {
        Ok(code) => code,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                eprintln!("{}", text.trim_end_matches('\n'));
            }
            ExitCode::from(error.code)
        }
    };
    // Guests and clients that hang must not keep the process.
    runtime.shutdown_background();
    code
}
