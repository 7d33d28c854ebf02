//! Jobs. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, number, time};
use super::workload::{controlled_by, count, selector};
use super::{Scene, template};
use crate::meta::time::{human_duration, parse};
use serde_json::Value;

/// Length of the list of completed indexes after which the next comma ends it.
const INDEXES_LENGTH_SOFT_MAX: usize = 50;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    out.field(0, "Selector", selector(object, "/spec/selector"));
    out.labels_and_annotations(object);
    controlled_by(object, out);
    let parallelism = number(object, "/spec/parallelism");
    out.field_if(0, "Parallelism", parallelism.unwrap_or_default());
    let completions = number(object, "/spec/completions");
    out.field(
        0,
        "Completions",
        completions.as_deref().unwrap_or("<unset>"),
    );
    let mode = at(object, "/spec/completionMode");
    out.field_if(0, "Completion Mode", mode);
    if let Some(suspend) = object.pointer("/spec/suspend").and_then(Value::as_bool) {
        out.field(0, "Suspend", suspend.to_string());
    }
    let limit = number(object, "/spec/backoffLimit");
    out.field_if(0, "Backoff Limit", limit.unwrap_or_default());
    let seconds = number(object, "/spec/ttlSecondsAfterFinished");
    out.field_if(0, "TTL Seconds After Finished", seconds.unwrap_or_default());
    describe_times(object, out);
    if let Some(seconds) = number(object, "/spec/activeDeadlineSeconds") {
        out.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let ready = match number(object, "/status/ready") {
        Some(ready) => format!(" ({ready} Ready)"),
        None => String::new(),
    };
    let pods = format!(
        "{} Active{ready} / {} Succeeded / {} Failed",
        count(object, "/status/active"),
        count(object, "/status/succeeded"),
        count(object, "/status/failed"),
    );
    out.field(0, "Pods Statuses", pods);
    if mode == "Indexed" {
        let indexes = completed(at(object, "/status/completedIndexes"));
        out.field(0, "Completed Indexes", indexes);
    }
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
}

fn describe_times(object: &Value, out: &mut Text) {
    let (started, ended) = (
        at(object, "/status/startTime"),
        at(object, "/status/completionTime"),
    );
    out.field_if(0, "Start Time", time(started));
    out.field_if(0, "Completed At", time(ended));
    if let (Some(started), Some(ended)) = (parse(started), parse(ended)) {
        let duration = human_duration(ended.duration_since(started));
        out.field(0, "Duration", duration);
    }
}

/// The completed indexes, of many only the first.
fn completed(indexes: &str) -> String {
    if indexes.is_empty() {
        return "<none>".to_owned();
    }
    let rest = indexes.get(INDEXES_LENGTH_SOFT_MAX..).unwrap_or_default();
    match rest.find(',') {
        Some(comma) => {
            let shown = indexes.get(..=INDEXES_LENGTH_SOFT_MAX + comma);
            format!("{}...", shown.unwrap_or(indexes))
        }
        None => indexes.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::completed;

    #[test]
    fn many_completed_indexes_are_cut_behind_a_comma() {
        assert_eq!(completed(""), "<none>");
        assert_eq!(completed("0-3,7"), "0-3,7");
        let many: Vec<String> = (10..40).map(|index| (index * 2).to_string()).collect();
        let shown = completed(&many.join(","));
        assert_eq!(shown.len(), 51 + "...".len());
        assert!(shown.ends_with("52,..."), "{shown}");
    }
}
