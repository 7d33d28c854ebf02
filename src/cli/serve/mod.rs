//! `wkube serve`: a cluster in this process, until it is told to stop or the command it was
//! started for has ended.

mod access;
mod audit;
mod demo;
mod ready;
mod signals;
mod voice;

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::manifests::{self, FileArgs, Manifest, Manifests};
use crate::cli::serve::signals::Signals;
use crate::cli::serve::voice::LogFormat;
use crate::meta::{Quantity, go_duration};
use crate::serve::{Cluster, NodeShape, ServeConfig, ServiceRange, default_data_dir};
use crate::stdx::Clock;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Exit code when the cluster did not start.
pub(super) const EXIT_DID_NOT_START: u8 = 125;
/// Exit code when what was applied did not become ready in time.
const EXIT_NEVER_READY: u8 = 124;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the API [default: 127.0.0.1:6443, or a free port when that one is taken]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where everything is kept [default: $XDG_DATA_HOME/wkube or ~/.local/share/wkube]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Keep everything in memory and leave nothing behind
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// How many virtual nodes
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    nodes: usize,
    /// CPU of each node [default: the machine's cores]
    #[arg(long, value_name = "QUANTITY", value_parser = cpu_millis, allow_hyphen_values = true)]
    node_cpu: Option<u64>,
    /// Memory of each node [default: the machine's memory]
    #[arg(long, value_name = "QUANTITY", value_parser = bytes, allow_hyphen_values = true)]
    node_memory: Option<u64>,
    /// Pods of each node
    #[arg(
        long,
        value_name = "N",
        default_value_t = NodeShape::default().pods,
        allow_negative_numbers = true
    )]
    node_pods: u32,
    /// What pods may reach outside the cluster: `all`, CIDR[:PORT], NAME:PORT, localhost:PORT
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    egress: Vec<String>,
    /// Where compiled code is kept; it may be shared by several servers of one user
    #[arg(long, value_name = "FOLDER")]
    compile_cache: Option<PathBuf>,
    /// Where the addresses of services come from [default: 10.96.0.0/12]
    #[arg(long, value_name = "CIDR")]
    service_cluster_ip_range: Option<ServiceRange>,
    /// Names by which the API may be asked, and whose pages may ask it, beside its own
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    accept_hosts: Vec<String>,
    /// How long /readyz says that the server will end before it refuses anything
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = go_duration::positive)]
    shutdown_delay_duration: Duration,
    #[command(flatten)]
    audit: audit::AuditArgs,
    /// Requests served at once: the sum of both is shared by the priority levels
    #[arg(long, value_name = "N", default_value_t = 400)]
    max_requests_inflight: usize,
    /// See --max-requests-inflight
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_mutating_requests_inflight: usize,
    /// Do not serve the versions that Kubernetes has retired, such as extensions/v1beta1 Ingress
    #[arg(long)]
    hide_retired_apis: bool,
    #[command(flatten)]
    access: access::AccessArgs,
    /// Schedule pods; with `false` somebody else has to
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    scheduler: bool,
    /// Run containers by the mock runtime, which does what annotations say
    #[arg(long)]
    mock_runtime: bool,
    /// Show what wkube does: run the example pod, ask it, print the answer
    #[arg(long)]
    demo: bool,
    /// Apply these once the cluster is ready
    #[command(flatten)]
    files: FileArgs,
    /// How long what was applied may take to become ready, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ready_timeout: u64,
    /// Run this when all that was applied is ready, with KUBECONFIG set; then stop and exit as it did
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Logs as text or JSON, on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Which logs: error, warn, info, debug, trace, or a filter by room
    #[arg(long, value_name = "FILTER", env = "WKUBE_LOG", default_value = "warn")]
    log: String,
}

fn cpu_millis(text: &str) -> Result<u64, String> {
    let quantity = Quantity::parse(text).map_err(|error| error.to_string())?;
    u64::try_from(quantity.millis()).map_err(|_| "must not be negative".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let quantity = Quantity::parse(text).map_err(|error| error.to_string())?;
    u64::try_from(quantity.value()).map_err(|_| "must not be negative".to_owned())
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let began = Instant::now();
    start_logs(&args)?;
    // What is to be applied is read first: a mistake in it starts nothing.
    let manifests = manifests::read(&args.files)
        .await
        .and_then(Manifests::whole)
        .map_err(|error| error.coded(EXIT_DID_NOT_START))?;
    let config = config(&args, &global)?;
    // From here on a signal is an order that is followed, not an end in silence.
    let mut signals = Signals::new().map_err(CliError::new)?;
    let voice = args.log_format;
    let cluster = tokio::select! {
        started = Cluster::start(config) => {
            started.map_err(|error| CliError::with_code(error, EXIT_DID_NOT_START))?
        }
        signal = signals.next() => {
            let what = format!("{} before the cluster was ready", signal.name);
            return Err(CliError::with_code(what, EXIT_DID_NOT_START));
        }
    };
    say_ready(voice, &cluster, began.elapsed());
    let code = tokio::select! {
        code = work(&args, &cluster, manifests) => code,
        signal = signals.next() => {
            voice.say(&format!("{} received, stopping", signal.name));
            Ok(ExitCode::SUCCESS)
        }
        why = cluster.failed() => Err(CliError::new(format!("wkube: {why}"))),
    };
    let began = Instant::now();
    tokio::select! {
        () = cluster.stop() => {}
        signal = signals.next() => {
            let name = signal.name;
            voice.say(&format!("{name} received while stopping, ending at once"));
            return Ok(ExitCode::from(128 + signal.number));
        }
    }
    if args.command.is_empty() {
        voice.say(&format!("stopped in {} ms", began.elapsed().as_millis()));
    }
    code
}

/// What the cluster was started for: applies, shows, runs the command; without one, serves until a
/// signal comes.
async fn work(
    args: &Args,
    cluster: &Cluster,
    manifests: Vec<Manifest>,
) -> Result<ExitCode, CliError> {
    let client = cluster.client("wkube");
    let applied = ready::apply(&client, manifests, args.log_format).await?;
    if args.demo {
        demo::run(cluster, args).await?;
    }
    let Some((program, words)) = args.command.split_first() else {
        return std::future::pending().await;
    };
    let clock = Clock::real();
    ready::wait(&client, &applied, args.ready_timeout, &clock)
        .await
        .map_err(|error| error.coded(EXIT_NEVER_READY))?;
    let status = tokio::process::Command::new(program)
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| CliError::with_code(format!("{program}: {error}"), 127))?;
    // A command that a signal ended answers as a shell would.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn config(args: &Args, global: &GlobalArgs) -> Result<ServeConfig, CliError> {
    let data_dir = match (&args.data_dir, args.ephemeral) {
        (_, true) => None,
        (Some(dir), false) => Some(dir.clone()),
        (None, false) => Some(default_data_dir().ok_or_else(|| {
            let what = "no home directory: name a data directory with --data-dir, or keep \
                        everything in memory with --ephemeral";
            CliError::with_code(what, EXIT_DID_NOT_START)
        })?),
    };
    let machine = NodeShape::default();
    Ok(ServeConfig {
        listen: args.listen,
        data_dir,
        kubeconfig: global.kubeconfig.clone(),
        nodes: args.nodes,
        node_shape: NodeShape {
            cpu_millis: args.node_cpu.unwrap_or(machine.cpu_millis),
            memory_bytes: args.node_memory.unwrap_or(machine.memory_bytes),
            pods: args.node_pods,
        },
        service_range: args.service_cluster_ip_range.clone(),
        accept_hosts: args.accept_hosts.clone(),
        shutdown_delay: args.shutdown_delay_duration,
        audit: args.audit.config()?,
        max_requests_inflight: args.max_requests_inflight,
        max_mutating_requests_inflight: args.max_mutating_requests_inflight,
        hide_retired_apis: args.hide_retired_apis,
        access: args.access.config(),
        scheduler: args.scheduler,
        egress: args.egress.clone(),
        compile_cache: args.compile_cache.clone(),
        mock_runtime: args.mock_runtime,
    })
}

fn start_logs(args: &Args) -> Result<(), CliError> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log)
        .map_err(|error| CliError::with_code(format!("--log: {error}"), EXIT_DID_NOT_START))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(voice::Stderr);
    let started = match args.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => {
            voice::log_panics();
            logs.json().try_init()
        }
    };
    started.map_err(|error| CliError::with_code(error, EXIT_DID_NOT_START))
}

fn say_ready(voice: LogFormat, cluster: &Cluster, took: Duration) {
    if cluster.replaced_port() {
        let port = cluster.address().port();
        voice.say(&format!("port 6443 is taken, using {port}"));
    }
    voice.say(&format!(
        "ready in {} ms at https://{} (kubeconfig: {})",
        took.as_millis(),
        cluster.address(),
        cluster.kubeconfig().display()
    ));
}
