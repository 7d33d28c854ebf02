//! What a writer of a Job's status may say. Must not know who writes it.
//! Kubernetes: `pkg/apis/batch/validation` ValidateJobStatusUpdate.

use super::job_spec::indexes;
use crate::meta::{FieldError, Object};
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

/// Whether a condition holds.
pub(super) fn is_true(job: &Object, condition: &str) -> bool {
    let list = job.get(&["status", "conditions"]).and_then(Value::as_array);
    list.into_iter().flatten().any(|one| {
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        text("type") == Some(condition) && text("status") == Some("True")
    })
}

/// Everything that is wrong with an update of a status.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let (spec, status) = (At::of(new, "spec"), At::of(new, "status"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.not_negative(&status.field(field));
    }
    uncounted(&status.field("uncountedTerminatedPods"), &mut errors);
    ends(new, &status, &mut errors);
    finished(new, &spec, &status, &mut errors);
    lists(&spec, &status, &mut errors);
    let ready = status.field("ready");
    if ready.number() > status.field("active").number() {
        errors.invalid(&ready, "cannot set more ready pods than active");
    }
    success(new, &spec, &status, &mut errors);
    changes(new, old, &status, &mut errors);
    errors.0
}

fn uncounted(at: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for list in ["succeeded", "failed"] {
        let list = at.field(list);
        for uid in list.items() {
            if uid.str().is_empty() {
                errors.invalid(&uid, "must not be empty");
            } else if !seen.insert(uid.str()) {
                errors.duplicate(&uid);
            }
        }
    }
}

/// Conditions that exclude or need each other, and the time of completion.
fn ends(job: &Object, status: &At<'_, '_>, errors: &mut Errors) {
    let conditions = status.field("conditions");
    let (start, completion) = (status.field("startTime"), status.field("completionTime"));
    let complete = is_true(job, "Complete");
    if complete && is_true(job, "Failed") {
        let detail = "cannot set Complete=True and Failed=true conditions";
        errors.invalid_omitted(&conditions, detail);
    }
    if complete && is_true(job, "FailureTarget") {
        let detail = "cannot set Complete=True and FailureTarget=true conditions";
        errors.invalid_omitted(&conditions, detail);
    }
    if completion.is_set() && !complete {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.invalid(&completion, detail);
    }
    if complete && !completion.is_set() {
        errors.required(&completion, "completionTime is required for Complete jobs");
    }
    // Times of whole seconds in UTC are in the order of their texts.
    if start.is_set() && completion.is_set() && completion.str() < start.str() {
        errors.invalid(&completion, "completionTime cannot be set before startTime");
    }
    if is_true(job, "Failed") && !is_true(job, "FailureTarget") {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.invalid_omitted(&conditions, detail);
    }
    if complete && !is_true(job, "SuccessCriteriaMet") {
        let detail =
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.invalid_omitted(&conditions, detail);
    }
}

fn finished(job: &Object, spec: &At<'_, '_>, status: &At<'_, '_>, errors: &mut Errors) {
    if !is_true(job, "Complete") && !is_true(job, "Failed") {
        return;
    }
    let active = status.field("active");
    if active.number() > 0 {
        errors.invalid(&active, "active>0 is invalid for finished job");
    }
    let start = status.field("startTime");
    if !start.is_set() && !spec.field("suspend").bool() {
        errors.required(&start, "startTime is required for finished job");
    }
    let uncounted = status.field("uncountedTerminatedPods");
    if !uncounted.field("failed").is_empty() || !uncounted.field("succeeded").is_empty() {
        let detail = "uncountedTerminatedPods needs to be empty for finished job";
        errors.invalid(&uncounted, detail);
    }
    let terminating = status.field("terminating");
    if terminating.number() > 0 {
        errors.invalid(&terminating, "terminating>0 is invalid for finished job");
    }
}

fn lists(spec: &At<'_, '_>, status: &At<'_, '_>, errors: &mut Errors) {
    let (done, failed) = (
        status.field("completedIndexes"),
        status.field("failedIndexes"),
    );
    let completions = spec.field("completions");
    let per_index = spec.field("backoffLimitPerIndex").is_set();
    let mut spans = (Vec::new(), Vec::new());
    if completions.is_set() {
        match indexes(done.str(), completions.number()) {
            Ok(found) => spans.0 = found,
            Err(why) => errors.invalid(&done, format!("error parsing completedIndexes: {why}")),
        }
        if per_index && failed.is_set() {
            match indexes(failed.str(), completions.number()) {
                Ok(found) => spans.1 = found,
                Err(why) => errors.invalid(&failed, format!("error parsing failedIndexes: {why}")),
            }
        }
    }
    if !done.str().is_empty() && spec.field("completionMode").str() != "Indexed" {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(&done, detail);
    }
    if failed.is_set() && !per_index {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(&failed, detail);
    }
    let common = spans.0.iter().find_map(|(first, last)| {
        let other = spans.1.iter().find(|(x, y)| first <= y && x <= last)?;
        Some(*first.max(&other.0))
    });
    if let Some(index) = common {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(&failed, detail);
    }
}

fn success(job: &Object, spec: &At<'_, '_>, status: &At<'_, '_>, errors: &mut Errors) {
    let conditions = status.field("conditions");
    let met = is_true(job, "SuccessCriteriaMet");
    if met && is_true(job, "Failed") {
        let detail = "cannot set SuccessCriteriaMet=True and Failed=true conditions";
        errors.invalid_omitted(&conditions, detail);
    }
    if met && is_true(job, "FailureTarget") {
        let detail = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
        errors.invalid_omitted(&conditions, detail);
    }
    if spec.field("successPolicy").is_set() && !met && is_true(job, "Complete") {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless \
                      SuccessCriteriaMet=True";
        errors.invalid_omitted(&conditions, detail);
    }
}

fn changes(new: &Object, old: &Object, status: &At<'_, '_>, errors: &mut Errors) {
    let conditions = status.field("conditions");
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if is_true(old, condition) && !is_true(new, condition) {
            let detail = format!("cannot disable the terminal {condition}=True condition");
            errors.invalid_omitted(&conditions, detail);
        }
    }
    let before = |field: &str| old.get(&["status", field]).unwrap_or(&Value::Null);
    let spec = At::of(new, "spec");
    // What has as many pods as completions may be made smaller.
    let elastic = spec.field("completionMode").str() == "Indexed"
        && spec.field("completions").value == spec.field("parallelism").value;
    for counter in ["failed", "succeeded"] {
        let at = status.field(counter);
        let counted = before(counter).as_i64().unwrap_or(0);
        if at.number() < counted && !(elastic && counter == "succeeded") {
            let detail = format!("cannot decrease the {counter} counter");
            errors.invalid_as(&at, at.number(), detail);
        }
    }
    let completion = status.field("completionTime");
    let completed = before("completionTime");
    if completion.is_set() && !completed.is_null() && completion.value != completed {
        errors.invalid(&completion, "completionTime cannot be mutated");
    }
    let (start, started) = (status.field("startTime"), before("startTime"));
    // A Job that is resumed starts anew.
    let resumed = is_true(old, "Suspended") && !is_true(new, "Suspended");
    let runs = !spec.field("suspend").bool() && !resumed;
    if !started.is_null() && start.value != started && runs {
        let detail = "startTime cannot be removed for unsuspended job";
        errors.required(&start, detail);
    }
    let met = |job: &Object| is_true(job, "SuccessCriteriaMet");
    if met(old) && !met(new) {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        errors.invalid_omitted(&conditions, detail);
    }
    if is_true(old, "Complete") && !met(old) && met(new) {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true \
                      conditions";
        errors.invalid_omitted(&conditions, detail);
    }
}
