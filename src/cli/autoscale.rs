//! `wkube autoscale`: a HorizontalPodAutoscaler for an object.

use crate::cli::change;
use crate::cli::context::{CliError, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::made::MadeArgs;
use crate::cli::manifests::FileArgs;
use crate::cli::resource_args::ObjectArgs;
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The manager of what `autoscale` makes.
const MANAGER: &str = "kubectl-autoscale";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME or TYPE/NAME
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    made: MadeArgs,
    /// The lower limit for the number of pods that can be set by the autoscaler.
    #[arg(long, value_name = "PODS", default_value_t = -1, allow_hyphen_values = true)]
    min: i64,
    /// The upper limit for the number of pods that can be set by the autoscaler. Required.
    #[arg(long, value_name = "PODS", allow_hyphen_values = true)]
    max: i64,
    /// The target average CPU utilization (percent of requested CPU) over all the pods.
    #[arg(long, value_name = "PERCENT", default_value_t = -1, allow_hyphen_values = true)]
    cpu_percent: i64,
    /// Target CPU utilization over all the pods: a percentage, or an amount.
    #[arg(long, value_name = "TARGET")]
    cpu: Option<String>,
    /// Target memory utilization over all the pods: a percentage, or an amount.
    #[arg(long, value_name = "TARGET")]
    memory: Option<String>,
    /// The name for the newly created object. If not specified, the name of the input is used.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let what = if args.max < 1 {
        format!(
            "--max=MAXPODS is required and must be at least 1, max: {}",
            args.max
        )
    } else if args.max < args.min {
        format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {}, min: {}",
            args.max, args.min
        )
    } else if args.cpu.is_some() && args.cpu_percent >= 0 {
        "--cpu-percent and --cpu are mutually exclusive".to_owned()
    } else {
        String::new()
    };
    if !what.is_empty() {
        return Err(CliError::new(what));
    }
    let metrics = args.metrics()?;
    if args.cpu_percent >= 0 {
        eprintln!(
            "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity \
             format (e.g., '70%' for utilization or '500m' for milliCPU)."
        );
    }
    args.made.output()?;
    let context = global.connect().await?;
    let objects = ObjectArgs {
        words: args.words.clone(),
        files: args.files.clone(),
        ..ObjectArgs::default()
    };
    let (list, mut errors) = change::found(&context, &objects, false).await?;
    let discovery = Discovery::read(&context.client).await?;
    let row = discovery.by_kind("autoscaling/v2", "HorizontalPodAutoscaler")?;
    if list.is_empty() && errors.is_empty() {
        return Err(CliError::new("no objects passed to autoscale"));
    }
    for found in &list {
        let scale = found.path("scale");
        if context
            .client
            .call(Method::GET, &scale, None)
            .await
            .is_err()
        {
            let what = format!(
                "cannot autoscale a {kind}: could not find scale subresource for {}/{}, \
                 Resource={} in discovery information",
                found.row.resource.group,
                found.row.resource.version,
                found.row.resource.resource,
                kind = found.row.kind
            );
            errors.push(CliError::new(what));
            continue;
        }
        let own = found.object.name();
        let mut spec = json!({
            "scaleTargetRef": {
                "apiVersion": found.row.resource.api_version(),
                "kind": found.row.kind,
                "name": own,
            },
            "maxReplicas": args.max,
        });
        if let Some(spec) = spec.as_object_mut() {
            if args.min > 0 {
                spec.insert("minReplicas".to_owned(), json!(args.min));
            }
            if !metrics.is_empty() {
                spec.insert("metrics".to_owned(), json!(metrics));
            }
        }
        let object = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": args.name.as_deref().unwrap_or(own) },
            "spec": spec,
        });
        let words = (MANAGER, "autoscaled");
        args.made.make(&context, row, object, words).await?;
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

impl Args {
    fn metrics(&self) -> Result<Vec<Value>, CliError> {
        let mut metrics = Vec::new();
        if self.cpu_percent >= 0 {
            metrics.push(metric("cpu", &format!("{}%", self.cpu_percent))?);
        }
        for (name, target) in [("cpu", &self.cpu), ("memory", &self.memory)] {
            if let Some(target) = target {
                metrics.push(metric(name, target)?);
            }
        }
        Ok(metrics)
    }
}

/// `70%` of what is asked for, or `500m` on the average.
fn metric(name: &str, target: &str) -> Result<Value, CliError> {
    let target = match target.strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.parse().map_err(|_| {
                CliError::new(format!(
                    "invalid {name} target {target:?}: not a percentage"
                ))
            })?;
            json!({ "type": "Utilization", "averageUtilization": percent })
        }
        None => {
            crate::meta::Quantity::parse(target).map_err(CliError::new)?;
            json!({ "type": "AverageValue", "averageValue": target })
        }
    };
    Ok(json!({ "type": "Resource", "resource": { "name": name, "target": target } }))
}
