//! CronJobs. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, capital, list, number, or_none, time};
use super::workload::selector;
use super::{Scene, template};
use serde_json::Value;

/// What stands for what is not set.
const UNSET: &str = "<unset>";

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    out.labels_and_annotations(object);
    out.field(0, "Schedule", at(object, "/spec/schedule"));
    let policy = at(object, "/spec/concurrencyPolicy");
    out.field(0, "Concurrency Policy", policy);
    let suspend = object.pointer("/spec/suspend").and_then(Value::as_bool);
    out.field(0, "Suspend", suspend.map_or(UNSET, capital));
    out.field(0, "Time Zone", or_unset(at(object, "/spec/timeZone")));
    let limit = |field: &str| {
        let found = number(object, &format!("/spec/{field}"));
        found.unwrap_or_else(|| UNSET.to_owned())
    };
    let succeeded = limit("successfulJobsHistoryLimit");
    out.field(0, "Successful Job History Limit", succeeded);
    let failed = limit("failedJobsHistoryLimit");
    out.field(0, "Failed Job History Limit", failed);
    let deadline = match number(object, "/spec/startingDeadlineSeconds") {
        Some(seconds) => format!("{seconds}s"),
        None => UNSET.to_owned(),
    };
    out.field(0, "Starting Deadline Seconds", deadline);
    let job = object.pointer("/spec/jobTemplate").unwrap_or(&Value::Null);
    describe_job(job, out);
    let last = time(at(object, "/status/lastScheduleTime"));
    out.field(0, "Last Schedule Time", or_unset(&last));
    let active = list(object, "/status/active").iter();
    let active: Vec<&str> = active.map(|job| at(job, "/name")).collect();
    out.field(0, "Active Jobs", or_none(&active.join(", ")));
}

fn describe_job(job: &Value, out: &mut Text) {
    let labels = match job.pointer("/spec/selector") {
        Some(_) => selector(job, "/spec/selector"),
        None => UNSET.to_owned(),
    };
    out.field(0, "Selector", labels);
    for (title, field) in [
        ("Parallelism", "/spec/parallelism"),
        ("Completions", "/spec/completions"),
    ] {
        let count = number(job, field);
        out.field(0, title, count.as_deref().unwrap_or(UNSET));
    }
    if let Some(seconds) = number(job, "/spec/activeDeadlineSeconds") {
        out.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let template = job.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
}

fn or_unset(text: &str) -> &str {
    if text.is_empty() { UNSET } else { text }
}
