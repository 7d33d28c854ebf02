//! CronJob: Jobs that are made by the clock.
//! Kubernetes: `pkg/apis/batch/{v1,validation}`, `pkg/registry/batch/cronjob`.

use super::{job, job_spec, schedule};
use crate::meta::{FieldError, Object, time};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("batch", "v1", "CronJob"),
    "CronJobList",
    ("cronjobs", "cronjob"),
    SchemaSource::of::<k8s_openapi::api::batch::v1::CronJob>(),
    &CronJobStrategy,
)
.short_names(const { &[text("cj")] })
.categories(const { &[text("all")] })
.subresources(const { &[Subresource::new("status", "CronJob", PART_VERBS)] })
.columns(COLUMNS, row)
.example(EXAMPLE);

/// The smallest valid object.
pub(super) const EXAMPLE: &str = r#"{"metadata":{"name":"example"},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"echo"}]}}}}}}"#;

pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Schedule", "When jobs are made."),
    Column::new("Timezone", "The time zone of the schedule."),
    Column::boolean("Suspend", "Whether no jobs are made for now."),
    Column::integer("Active", "Jobs that run."),
    Column::new("Last Schedule", "Time since the last job was made."),
    columns::age_column(),
    columns::CONTAINERS,
    columns::IMAGES,
    columns::SELECTOR,
];

/// Longest name: the names of the jobs add eleven bytes to it.
const NAME_MAX_BYTES: usize = 52;

/// What a CronJob does beyond its shape.
pub struct CronJobStrategy;

impl Strategy for CronJobStrategy {
    /// Kubernetes: the spec of the jobs is not defaulted before there are jobs, but for their pods.
    fn default(&self, cron: &mut Object) {
        let Some(spec) = child(cron.fields_mut(), "spec") else {
            return;
        };
        set(spec, "concurrencyPolicy", json!("Allow"));
        set_null(spec, "suspend", json!(false));
        set_null(spec, "successfulJobsHistoryLimit", json!(3));
        set_null(spec, "failedJobsHistoryLimit", json!(1));
        let Some(jobs) = child(spec, "jobTemplate") else {
            return;
        };
        child(jobs, "metadata");
        let Some(spec) = child(jobs, "spec") else {
            return;
        };
        job::default_failure_policy(spec);
        template::default(spec);
        if let Some(pods) = child(spec, "template") {
            child(pods, "metadata");
        }
    }

    fn prepare_for_create(&self, cron: &mut Object) {
        cron.set(&["status"], json!({}));
    }

    fn validate(&self, cron: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(cron, None, &mut errors);
        if cron.name().len() > NAME_MAX_BYTES {
            let detail = "must be no more than 52 characters";
            let name = cron.name();
            errors
                .0
                .push(FieldError::invalid("metadata.name", name, detail));
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Main {
            spec(new, Some(old), &mut errors);
        }
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let mut warnings = match old {
            None => job::long_name(new.name()),
            Some(_) => Vec::new(),
        };
        let spec = At::of(new, "spec");
        let jobs = spec.field("jobTemplate");
        let before = old.and_then(|old| old.get(&["spec", "jobTemplate", "spec"]));
        warnings.extend(job::warnings_of(&jobs.field("spec"), before));
        if spec.field("schedule").str().contains("TZ") {
            warnings.push(
                "CRON_TZ or TZ used in spec.schedule is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more \
                 details"
                    .to_owned(),
            );
        }
        warnings
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn spec(cron: &Object, old: Option<&Object>, errors: &mut Errors) {
    let spec = At::of(cron, "spec");
    let zone = spec.field("timeZone");
    let was = |field: &str| old.and_then(|old| old.get(&["spec", field]));
    let was_zoned = was("schedule")
        .and_then(Value::as_str)
        .is_some_and(|text| text.contains("TZ"));
    schedule::validate(&spec.field("schedule"), &zone, was_zoned, errors);
    errors.not_negative(&spec.field("startingDeadlineSeconds"));
    if old.is_none() || was("timeZone").unwrap_or(&Value::Null) != zone.value {
        schedule::validate_zone(&zone, errors);
    }
    let policy = spec.field("concurrencyPolicy");
    errors.one_of(&policy, &["Allow", "Forbid", "Replace"]);
    let jobs = spec.field("jobTemplate");
    let of_jobs = jobs.field("spec");
    job_spec::validate(&of_jobs, errors);
    let selector = of_jobs.field("selector");
    if selector.is_set() {
        errors.invalid(&selector, "`selector` will be auto-generated");
    }
    let manual = of_jobs.field("manualSelector");
    if manual.bool() {
        errors.0.push(FieldError::new(
            crate::meta::FieldErrorKind::NotSupported,
            manual.path(),
            true,
            "supported values: \"nil\", \"false\"",
        ));
    }
    errors.not_negative(&spec.field("successfulJobsHistoryLimit"));
    errors.not_negative(&spec.field("failedJobsHistoryLimit"));
}

pub(super) fn row(cron: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(cron, "spec"), At::of(cron, "status"));
    let zone = spec.field("timeZone");
    let suspend = match spec.field("suspend").value {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    let last = status.field("lastScheduleTime");
    let last = if last.is_set() {
        time::age(last.str(), now)
    } else {
        "<none>".to_owned()
    };
    let jobs = spec.field("jobTemplate");
    let of_jobs = jobs.field("spec");
    let (containers, images) = template::containers(&of_jobs.field("template"));
    vec![
        json!(cron.name()),
        json!(spec.field("schedule").str()),
        json!(if zone.is_set() { zone.str() } else { "<none>" }),
        json!(suspend),
        json!(status.field("active").len()),
        json!(last),
        columns::age(cron, now),
        json!(containers),
        json!(images),
        json!(template::selector_cell(of_jobs.field("selector").value)),
    ]
}
