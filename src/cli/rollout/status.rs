//! `wkube rollout status`: how far a rollout is, until it is done.
//! Kubernetes: kubectl's `polymorphichelpers/rollout_status.go`.

use super::history::kind;
use super::{RolloutArgs, is};
use crate::cli::change::Found;
use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::meta::{Object, go_duration};
use crate::stdx::Clock;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Where a Deployment's revision stands.
const REVISION: &str = "deployment.kubernetes.io/revision";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// Watch the status of the rollout until it's done.
    #[arg(long, short, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    watch: bool,
    /// Pin to a specific revision for showing its status. Defaults to 0 (last revision).
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    revision: i64,
    /// The length of time to wait before ending watch, zero means never.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = go_duration::positive)]
    timeout: Duration,
}

pub(super) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    if args.revision < 0 {
        let what = format!("revision must be a positive integer: {}", args.revision);
        return Err(CliError::new(what));
    }
    let (context, list, mut errors) = args.rollout.found(&global).await?;
    if list.is_empty() && errors.is_empty() {
        RolloutArgs::say_nothing_found(&context);
    }
    for found in &list {
        if let Err(error) = follow(&args, &context, found).await {
            errors.push(error);
        }
    }
    CliError::all(errors).map(|()| ExitCode::SUCCESS)
}

async fn follow(args: &Args, context: &Context, found: &Found) -> Result<(), CliError> {
    let view = viewer(found)?;
    let clock = Clock::real();
    let place = (found.namespace.as_str(), found.object.name());
    let judge = |object: Option<&Value>| {
        let Some(object) = object.cloned().and_then(Object::from_value) else {
            return Some(Err(CliError::new("object has been deleted")));
        };
        match view(&object, args.revision) {
            Ok(Said { text, done }) => {
                println!("{text}");
                (done || !args.watch).then_some(Ok(()))
            }
            Err(why) => Some(Err(CliError::new(why))),
        }
    };
    let resource = &found.row.resource;
    let followed = context.client.follow(resource, place, &clock, judge);
    if args.timeout.is_zero() {
        return followed.await?;
    }
    tokio::select! {
        followed = followed => followed?,
        () = clock.sleep(args.timeout) => {
            Err(CliError::new("timed out waiting for the condition"))
        }
    }
}

/// What is said of a rollout, and whether it is done.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    text: String,
    done: bool,
}

fn waiting(text: String) -> Result<Said, String> {
    Ok(Said { text, done: false })
}

fn done(text: String) -> Result<Said, String> {
    Ok(Said { text, done: true })
}

type Viewer = fn(&Object, i64) -> Result<Said, String>;

fn viewer(found: &Found) -> Result<Viewer, CliError> {
    if is(found, "Deployment") {
        Ok(deployment)
    } else if is(found, "StatefulSet") {
        Ok(stateful_set)
    } else if is(found, "DaemonSet") {
        Ok(daemon_set)
    } else {
        let what = format!("no status viewer has been implemented for {}", kind(found));
        Err(CliError::new(what))
    }
}

fn number(object: &Object, path: &[&str]) -> i64 {
    object.get(path).and_then(Value::as_i64).unwrap_or(0)
}

fn is_observed(object: &Object) -> bool {
    object.generation() <= number(object, &["status", "observedGeneration"])
}

fn deployment(object: &Object, revision: i64) -> Result<Said, String> {
    let name = object.name();
    if revision > 0 {
        let running = object.annotation(REVISION).unwrap_or("0");
        let running: i64 = running
            .parse()
            .map_err(|error| format!("cannot get the revision of deployment {name:?}: {error}"))?;
        if running != revision {
            return Err(format!(
                "desired revision ({revision}) is different from the running revision ({running})"
            ));
        }
    }
    if !is_observed(object) {
        return waiting("Waiting for deployment spec update to be observed...".to_owned());
    }
    let conditions = object.get(&["status", "conditions"]);
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let late = conditions.any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Progressing") && text("reason") == Some("ProgressDeadlineExceeded")
    });
    if late {
        return Err(format!(
            "deployment {name:?} exceeded its progress deadline"
        ));
    }
    let wanted = number(object, &["spec", "replicas"]);
    let of = |field: &str| number(object, &["status", field]);
    let (updated, available) = (of("updatedReplicas"), of("availableReplicas"));
    let to_finish = format!("Waiting for deployment {name:?} rollout to finish:");
    if updated < wanted {
        return waiting(format!(
            "{to_finish} {updated} out of {wanted} new replicas have been updated..."
        ));
    }
    if of("replicas") > updated {
        return waiting(format!(
            "{to_finish} {} old replicas are pending termination...",
            of("replicas") - updated
        ));
    }
    if available < updated {
        return waiting(format!(
            "{to_finish} {available} of {updated} updated replicas are available..."
        ));
    }
    done(format!("deployment {name:?} successfully rolled out"))
}

fn is_rolling(object: &Object) -> Result<(), String> {
    match object.str_at(&["spec", "updateStrategy", "type"]) {
        "RollingUpdate" => Ok(()),
        _ => Err("rollout status is only available for RollingUpdate strategy type".to_owned()),
    }
}

fn daemon_set(object: &Object, _: i64) -> Result<Said, String> {
    is_rolling(object)?;
    let name = object.name();
    if !is_observed(object) {
        return waiting("Waiting for daemon set spec update to be observed...".to_owned());
    }
    let of = |field: &str| number(object, &["status", field]);
    let wanted = of("desiredNumberScheduled");
    let (updated, available) = (of("updatedNumberScheduled"), of("numberAvailable"));
    let to_finish = format!("Waiting for daemon set {name:?} rollout to finish:");
    if updated < wanted {
        return waiting(format!(
            "{to_finish} {updated} out of {wanted} new pods have been updated..."
        ));
    }
    if available < wanted {
        return waiting(format!(
            "{to_finish} {available} of {wanted} updated pods are available..."
        ));
    }
    done(format!("daemon set {name:?} successfully rolled out"))
}

fn stateful_set(object: &Object, _: i64) -> Result<Said, String> {
    is_rolling(object)?;
    let of = |field: &str| number(object, &["status", field]);
    if of("observedGeneration") == 0 || !is_observed(object) {
        return waiting("Waiting for statefulset spec update to be observed...".to_owned());
    }
    let wanted = number(object, &["spec", "replicas"]);
    let (ready, updated) = (of("readyReplicas"), of("updatedReplicas"));
    if ready < wanted {
        return waiting(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        ));
    }
    let rolling = ["spec", "updateStrategy", "rollingUpdate"];
    if object.get(&rolling).is_some() {
        let partition = number(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "partition"],
        );
        if updated < wanted - partition {
            return waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been \
                 updated...",
                wanted - partition
            ));
        }
        return done(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    let revision = |field: &str| object.str_at(&["status", field]);
    let (update, current) = (revision("updateRevision"), revision("currentRevision"));
    if update != current {
        return waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision \
             {update}..."
        ));
    }
    done(format!(
        "statefulset rolling update complete {} pods at revision {current}...",
        of("currentReplicas")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(spec: Value, status: Value, view: Viewer) -> Result<Said, String> {
        let object = json!({
            "metadata": { "name": "x", "generation": 2 }, "spec": spec, "status": status,
        });
        view(&Object::from_value(object).unwrap(), 0)
    }

    #[test]
    fn a_deployment_is_waited_for() {
        let spec = json!({ "replicas": 3 });
        for (status, wanted) in [
            (
                json!({ "observedGeneration": 1 }),
                "spec update to be observed",
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 1 }),
                "1 out of 3 new replicas have been updated...",
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 4 }),
                "1 old replicas are pending termination...",
            ),
            (
                json!({ "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3 }),
                "0 of 3 updated replicas are available...",
            ),
        ] {
            let said = said(spec.clone(), status, deployment).unwrap();
            assert!(said.text.contains(wanted) && !said.done, "{said:?}");
        }
        let status = json!({
            "observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3,
        });
        let all = said(spec.clone(), status, deployment).unwrap();
        assert_eq!(all.text, "deployment \"x\" successfully rolled out");
        assert!(all.done);
        let late = json!([{ "type": "Progressing", "reason": "ProgressDeadlineExceeded" }]);
        let status = json!({ "observedGeneration": 2, "conditions": late });
        let why = said(spec, status, deployment).unwrap_err();
        assert_eq!(why, "deployment \"x\" exceeded its progress deadline");
    }

    #[test]
    fn the_others_are_waited_for_where_they_roll() {
        let by_hand = json!({ "updateStrategy": { "type": "OnDelete" } });
        for view in [stateful_set, daemon_set] {
            let why = said(by_hand.clone(), json!({}), view).unwrap_err();
            assert!(why.starts_with("rollout status is only available"));
        }
        let spec = json!({ "replicas": 2, "updateStrategy": { "type": "RollingUpdate",
            "rollingUpdate": { "partition": 1 } } });
        let status = json!({ "observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 1 });
        let all = said(spec, status, stateful_set).unwrap();
        assert!(
            all.text
                .starts_with("partitioned roll out complete: 1 new pods")
        );
    }
}
