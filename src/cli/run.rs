//! `wkube run`: a pod of one container from words.
//! Kubernetes: kubectl's `cmd/run` and `generate/versioned/run.go`.

use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::made::{MadeArgs, labels};
use crate::meta::patch::merge;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The manager of what `run` makes.
const MANAGER: &str = "kubectl-run";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME [ARGUMENT...]
    words: Vec<String>,
    #[command(flatten)]
    made: MadeArgs,
    /// The image for the container to run.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// The port that this container exposes.
    #[arg(long, value_name = "PORT", default_value = "")]
    port: String,
    /// Environment variables to set in the container.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Comma separated labels to apply to the pod.
    #[arg(long, short, value_name = "LABELS", default_value = "")]
    labels: String,
    /// Annotations to apply to the pod.
    #[arg(long, value_name = "NAME=VALUE")]
    annotations: Vec<String>,
    /// If true and extra arguments are present, use them as the 'command' field in the container.
    #[arg(long)]
    command: bool,
    /// The restart policy for this Pod: Always, OnFailure, Never.
    #[arg(long, value_name = "POLICY", default_value = "Always")]
    restart: String,
    /// The image pull policy for the container.
    #[arg(long, value_name = "POLICY", default_value = "")]
    image_pull_policy: String,
    /// If true, create a ClusterIP service associated with the pod. Requires `--port`.
    #[arg(long)]
    expose: bool,
    /// An inline JSON override for the generated object, merged by JSON merge.
    #[arg(long, value_name = "JSON", default_value = "")]
    overrides: String,
    /// Keep stdin open on the container (not supported).
    #[arg(long, short = 'i')]
    stdin: bool,
    /// Allocate a TTY for the container (not supported).
    #[arg(long, short)]
    tty: bool,
    /// Attach to the pod once it runs (not supported).
    #[arg(long)]
    attach: bool,
    /// Delete the pod after it exits; for attached containers only (not supported).
    #[arg(long)]
    rm: bool,
    /// Arguments behind `--`.
    #[arg(last = true, value_name = "ARGUMENT")]
    last: Vec<String>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let name = args.check()?;
    args.made.output()?;
    let pod = merged(args.pod(name)?, &args.overrides)?;
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let row = discovery.by_kind("v1", "Pod")?;
    if args.expose {
        let service = discovery.by_kind("v1", "Service")?;
        let object = args.service(name)?;
        let words = (MANAGER, "created");
        args.made.make(&context, service, object, words).await?;
    }
    let words = (MANAGER, "created");
    args.made.make(&context, row, pod, words).await?;
    Ok(ExitCode::SUCCESS)
}

/// The object with what the user puts over it.
fn merged(object: Value, overrides: &str) -> Result<Value, CliError> {
    if overrides.is_empty() {
        return Ok(object);
    }
    let patch: Value = serde_json::from_str(overrides)
        .map_err(|error| CliError::new(format!("Invalid overrides: {error}")))?;
    merge::apply(object, &patch).map_err(CliError::new)
}

impl Args {
    /// The name, or what is wrong with the flags.
    fn check(&self) -> Result<&str, CliError> {
        let name = self.words.first().map(String::as_str);
        let what = if self.stdin || self.tty || self.attach || self.rm {
            "-i, -t, --attach and --rm are not supported by wkube yet: read what the pod says with \
             `wkube logs`"
                .to_owned()
        } else if name.is_none() {
            "NAME is required for run".to_owned()
        } else if self.image.is_empty() {
            "--image is required".to_owned()
        } else if self.expose && self.port.is_empty() {
            "--port must be set when exposing a service".to_owned()
        } else if !["Always", "OnFailure", "Never"].contains(&self.restart.as_str()) {
            format!("invalid restart policy: {}", self.restart)
        } else {
            String::new()
        };
        match name {
            Some(name) if what.is_empty() => Ok(name),
            _ => Err(CliError::new(what).with_line("See 'wkube run -h' for help and examples")),
        }
    }

    fn labels(&self, name: &str) -> Result<Value, CliError> {
        match self.labels.as_str() {
            "" => Ok(json!({ "run": name })),
            text => labels(text),
        }
    }

    fn pod(&self, name: &str) -> Result<Value, CliError> {
        let mut container = Map::new();
        let mut set = |field: &str, value: Value| container.insert(field.to_owned(), value);
        set("name", json!(name));
        set("image", json!(self.image));
        set("resources", json!({}));
        let words: Vec<&String> = self.words.iter().skip(1).chain(&self.last).collect();
        if !words.is_empty() {
            set(if self.command { "command" } else { "args" }, json!(words));
        }
        if !self.env.is_empty() {
            set("env", json!(self.variables()?));
        }
        if !self.port.is_empty() {
            set("ports", json!([{ "containerPort": self.port()? }]));
        }
        if !self.image_pull_policy.is_empty() {
            set("imagePullPolicy", json!(self.image_pull_policy));
        }
        let mut metadata = json!({ "name": name, "labels": self.labels(name)? });
        if let (Some(metadata), false) = (metadata.as_object_mut(), self.annotations.is_empty()) {
            let annotations = labels(&self.annotations.join(","))?;
            metadata.insert("annotations".to_owned(), annotations);
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "containers": [container],
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": self.restart,
            },
            "status": {},
        }))
    }

    fn variables(&self) -> Result<Vec<Value>, CliError> {
        let variables = self.env.iter().map(|text| {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| CliError::new(format!("invalid env: {text}")))?;
            Ok(json!({ "name": name, "value": value }))
        });
        variables.collect()
    }

    fn port(&self) -> Result<u16, CliError> {
        self.port.parse().map_err(|_| {
            let text = &self.port;
            CliError::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
        })
    }

    fn service(&self, name: &str) -> Result<Value, CliError> {
        let port = self.port()?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name },
            "spec": {
                "ports": [{ "port": port, "protocol": "TCP", "targetPort": port }],
                "selector": self.labels(name)?,
            },
            "status": { "loadBalancer": {} },
        }))
    }
}
