//! Job: pods that run until enough of them have succeeded.
//! Kubernetes: `pkg/apis/batch/{v1,validation}`, `pkg/registry/batch/job`.

use super::{job_spec, job_status};
use crate::meta::labels::Selector;
use crate::meta::{FieldError, Object, names, time};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{
    Column, FieldValue, PART_VERBS, ResourceDef, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::template;
use crate::resources::validate::{At, Errors, selector};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("batch", "v1", "Job"),
    "JobList",
    ("jobs", "job"),
    SchemaSource::of::<k8s_openapi::api::batch::v1::Job>(),
    &JobStrategy,
)
.categories(const { &[text("all")] })
.subresources(const { &[Subresource::new("status", "Job", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Status", "Whether the job runs, has ended, and how."),
            Column::new("Completions", "Pods that have succeeded, of those that are to."),
            Column::new("Duration", "How long the job has run, or ran."),
            columns::age_column(),
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ]
    },
    row,
)
.selectable_fields(
    const {
        &[SelectableField {
            label: text("status.successful"),
            value: FieldValue::Path(text("status.succeeded"), text("0")),
        }]
    },
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"echo"}]}}}}"#,
);

/// Labels by which the pods of a Job are found.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const LEGACY_CONTROLLER_UID: &str = "controller-uid";
const LEGACY_JOB_NAME: &str = "job-name";
/// More completions and pods at once than these are hard to keep track of.
const MANY_COMPLETIONS: i64 = 100_000;
const MANY_PODS: i64 = 10_000;

/// Fields of the spec that an update may not change, in Kubernetes' order.
const FIXED: &[&str] = &[
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];

/// The warning of a deletion of a Job that leaves its pods behind without being asked to.
/// Kubernetes: `pkg/registry/batch/job/storage`.
const ORPHANED: &str = "child pods are preserved by default when jobs are deleted; set \
                        propagationPolicy=Background to remove them or set \
                        propagationPolicy=Orphan to suppress this warning";

/// What a Job does beyond its shape.
pub struct JobStrategy;

impl Strategy for JobStrategy {
    fn default(&self, job: &mut Object) {
        if let Some(spec) = child(job.fields_mut(), "spec") {
            default_spec(spec);
        }
        let path = ["spec", "template", "metadata", "labels"];
        if let Some(labels) = job.get(&path).cloned()
            && job
                .get(&["metadata", "labels"])
                .and_then(Value::as_object)
                .is_none_or(Map::is_empty)
        {
            job.set(&["metadata", "labels"], labels);
        }
    }

    fn prepare_for_create(&self, job: &mut Object) {
        job.set(&["status"], json!({}));
        if job.get(&["spec", "manualSelector"]) != Some(&Value::Bool(true)) {
            select_by_uid(job);
        }
    }

    fn validate(&self, job: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(job, "spec");
        generated_selector(job, &spec, &mut errors);
        spec_and_selector(&spec, &mut errors);
        let name = job_spec::too_long_a_name(job.name(), &spec);
        errors.0.extend(name);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part != Part::Main {
            return job_status::validate(new, old);
        }
        let mut errors = Errors::new();
        let spec = At::of(new, "spec");
        spec_and_selector(&spec, &mut errors);
        completions(&spec, old, &mut errors);
        let before = |field: &str| old.get(&["spec", field]).unwrap_or(&Value::Null);
        errors.immutable(&spec.field("selector"), before("selector"));
        fixed_template(&spec, old, &mut errors);
        for field in FIXED {
            errors.immutable(&spec.field(field), before(field));
        }
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let mut warnings = match old {
            None => long_name(new.name()),
            Some(_) => Vec::new(),
        };
        let before = old.and_then(|old| old.get(&["spec"]));
        warnings.extend(warnings_of(&At::of(new, "spec"), before));
        warnings
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    /// Clients from before garbage collection count on it.
    fn orphans_dependents(&self) -> bool {
        true
    }

    fn delete_warning(&self) -> Option<&'static str> {
        Some(ORPHANED)
    }
}

/// Defaults of the spec of a Job.
fn default_spec(spec: &mut Map<String, Value>) {
    let given = |spec: &Map<String, Value>, name: &str| {
        let value = spec.get(name);
        value.is_some_and(|value| !value.is_null())
    };
    // For a job that works off a queue, only the number of pods is given.
    if !given(spec, "completions") && !given(spec, "parallelism") {
        spec.insert("completions".to_owned(), json!(1));
    }
    set_null(spec, "parallelism", json!(1));
    let per_index = given(spec, "backoffLimitPerIndex");
    let limit = if per_index { i32::MAX } else { 6 };
    set_null(spec, "backoffLimit", json!(limit));
    set_null(spec, "completionMode", json!("NonIndexed"));
    set_null(spec, "suspend", json!(false));
    set_null(spec, "manualSelector", json!(false));
    let policy = if given(spec, "podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set_null(spec, "podReplacementPolicy", json!(policy));
    default_failure_policy(spec);
    template::default(spec);
}

/// A pattern of a condition is for one that holds.
pub(super) fn default_failure_policy(spec: &mut Map<String, Value>) {
    use crate::resources::core::pod::defaults::{objects, set};
    let Some(Value::Object(policy)) = spec.get_mut("podFailurePolicy") else {
        return;
    };
    for rule in objects(policy, "rules") {
        for pattern in objects(rule, "onPodConditions") {
            set(pattern, "status", json!("True"));
        }
    }
}

/// Gives the pods labels that no other Job's pods have, and selects them by the uid.
fn select_by_uid(job: &mut Object) {
    let (name, uid) = (job.name().to_owned(), job.uid().to_owned());
    let path = ["spec", "template", "metadata", "labels"];
    let labels = |object: &Object, path: &[&str]| {
        let labels = object.get(path).and_then(Value::as_object);
        labels.cloned().unwrap_or_default()
    };
    let mut of_pods = labels(job, &path);
    let own = labels(job, &["metadata", "labels"]);
    // Labels that the job has taken from its pods stay the same.
    let shared = own.is_empty() || own == of_pods;
    for (label, value) in [
        (LEGACY_JOB_NAME, &name),
        (JOB_NAME, &name),
        (LEGACY_CONTROLLER_UID, &uid),
        (CONTROLLER_UID, &uid),
    ] {
        of_pods.entry(label).or_insert_with(|| json!(value));
    }
    if shared {
        job.set(&["metadata", "labels"], Value::Object(of_pods.clone()));
    }
    job.set(&path, Value::Object(of_pods));
    let path = ["spec", "selector", "matchLabels"];
    let mut wanted = labels(job, &path);
    wanted.entry(CONTROLLER_UID).or_insert_with(|| json!(uid));
    job.set(&path, Value::Object(wanted));
}

/// Checks that what the user gave does not stand against the labels that are generated.
fn generated_selector(job: &Object, spec: &At<'_, '_>, errors: &mut Errors) {
    let wanted = spec.field("selector");
    if spec.field("manualSelector").bool() || !wanted.is_set() {
        return;
    }
    let (name, uid) = (job.name(), job.uid());
    if uid.is_empty() {
        errors.required(&At::of(job, "metadata").field("uid"), "");
    }
    let template = spec.field("template");
    let meta = template.field("metadata");
    let labels = meta.field("labels");
    let expected = [
        (LEGACY_CONTROLLER_UID, uid),
        (LEGACY_JOB_NAME, name),
        (CONTROLLER_UID, uid),
        (JOB_NAME, name),
    ];
    for (label, value) in expected {
        let at = labels.key(label);
        if !at.is_set() {
            errors.required(&at, &format!("must be '{value}'"));
        } else if at.str() != value {
            errors.invalid(&at, format!("must be '{value}'"));
        }
    }
    let labels: Map<String, Value> = expected
        .iter()
        .map(|(label, value)| ((*label).to_owned(), json!(value)))
        .collect();
    let labels = Value::Object(labels);
    if Selector::from_label_selector(Some(wanted.value)).is_ok_and(|s| !s.matches_map(&labels)) {
        errors.invalid(&wanted, "`selector` not auto-generated");
    }
}

fn spec_and_selector(spec: &At<'_, '_>, errors: &mut Errors) {
    job_spec::validate(spec, errors);
    let wanted = spec.field("selector");
    if wanted.is_set() {
        selector::label_selector(&wanted, errors);
    } else {
        errors.required(&wanted, "");
    }
    let template = spec.field("template");
    let meta = template.field("metadata");
    let labels = meta.field("labels");
    // A selector that is absent selects nothing.
    let found = match Selector::from_label_selector(Some(wanted.value)) {
        Ok(selector) => wanted.is_set() && selector.matches_map(labels.value),
        Err(_) => true,
    };
    if !found {
        errors.invalid(&labels, "`selector` does not match template `labels`");
    }
}

/// Completions stay, but those of an indexed Job that is to have as many pods.
fn completions(spec: &At<'_, '_>, old: &Object, errors: &mut Errors) {
    let at = spec.field("completions");
    let before = old.get(&["spec", "completions"]).unwrap_or(&Value::Null);
    if spec.field("completionMode").str() != "Indexed" {
        errors.immutable(&at, before);
    } else if at.is_set() && at.value != before && at.value != spec.field("parallelism").value {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.invalid(&at, detail);
    }
}

/// The template stays; a Job that is suspended and has no pods may change where they will run.
fn fixed_template(spec: &At<'_, '_>, old: &Object, errors: &mut Errors) {
    let at = spec.field("template");
    let before = old.get(&["spec", "template"]).unwrap_or(&Value::Null);
    let suspended = old.get(&["spec", "suspend"]) == Some(&Value::Bool(true));
    let idle = old.get(&["status", "startTime"]).is_none();
    if !suspended || !idle {
        errors.immutable(&at, before);
        return;
    }
    let mut masked = before.clone();
    for path in [
        "/metadata/labels",
        "/metadata/annotations",
        "/spec/nodeSelector",
        "/spec/tolerations",
        "/spec/schedulingGates",
        "/spec/affinity/nodeAffinity",
    ] {
        take(&mut masked, at.value, path);
    }
    errors.immutable(&at, &masked);
}

/// Takes what stands at `path` from `new`; parents that are then empty go.
fn take(masked: &mut Value, new: &Value, path: &str) {
    let Some((parent, field)) = path.rsplit_once('/') else {
        return;
    };
    let wanted = new.pointer(path).cloned();
    if masked.pointer(parent).is_none()
        && wanted.is_some()
        && let Some((above, name)) = parent.rsplit_once('/')
        && let Some(Value::Object(above)) = masked.pointer_mut(above)
    {
        above.insert(name.to_owned(), json!({}));
    }
    if let Some(Value::Object(map)) = masked.pointer_mut(parent) {
        match wanted {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.remove(field),
        };
        let bare = map.is_empty() && new.pointer(parent).is_none();
        if bare
            && let Some((above, name)) = parent.rsplit_once('/')
            && let Some(Value::Object(above)) = masked.pointer_mut(above)
        {
            above.remove(name);
        }
    }
}

/// A name that is no label makes pods with surprising names.
pub(super) fn long_name(name: &str) -> Vec<String> {
    let wrong = names::dns1123_label(name);
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising \
         behavior; a DNS label is recommended: [{}]",
        wrong.join(" ")
    )]
}

/// Warnings about the spec of a Job, its template among them if it has changed.
pub(super) fn warnings_of(spec: &At<'_, '_>, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    if spec.field("completionMode").str() == "Indexed"
        && spec.field("completions").number() > MANY_COMPLETIONS
        && spec.field("parallelism").number() > MANY_PODS
    {
        warnings.push(
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism \
             higher than 10^4, Kubernetes might not be able to track completedIndexes when a big \
             number of indexes fail"
                .to_owned(),
        );
    }
    let template = spec.field("template");
    if old.and_then(|old| old.get("template")) != Some(template.value) {
        warnings.extend(template::warnings(&template));
    }
    warnings
}

fn row(job: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(job, "spec"), At::of(job, "status"));
    let succeeded = status.field("succeeded").number();
    let completions = spec.field("completions");
    let completions = match (completions.int(), spec.field("parallelism").number()) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, pods) if pods > 1 => format!("{succeeded}/1 of {pods}"),
        _ => format!("{succeeded}/1"),
    };
    let started = time::parse(status.field("startTime").str());
    let ended = time::parse(status.field("completionTime").str());
    let duration = started.map(|from| {
        let until = ended.unwrap_or(now);
        time::human_duration(until.duration_since(from))
    });
    let (containers, images) = template::containers(&spec.field("template"));
    vec![
        json!(job.name()),
        json!(state(job)),
        json!(completions),
        json!(duration.unwrap_or_default()),
        columns::age(job, now),
        json!(containers),
        json!(images),
        json!(template::selector_cell(spec.field("selector").value)),
    ]
}

fn state(job: &Object) -> &'static str {
    let is_true = |condition: &str| job_status::is_true(job, condition);
    if is_true("Complete") {
        "Complete"
    } else if is_true("Failed") {
        "Failed"
    } else if job.deletion_timestamp().is_some() {
        "Terminating"
    } else if is_true("Suspended") {
        "Suspended"
    } else if is_true("FailureTarget") {
        "FailureTarget"
    } else if is_true("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}
