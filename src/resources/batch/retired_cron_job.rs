//! CronJob as it was until Kubernetes 1.25: another view of the stored `batch/v1` CronJob, with the
//! same fields.

use super::cron_job::{COLUMNS, CronJobStrategy, EXAMPLE, row};
use crate::meta::Object;
use crate::resources::def::{Conversion, Deprecation, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;

const SHAPE: &str = r##"{
  "~.CronJob": {
    "description": "CronJob makes Jobs by the clock. This version is retired; batch/v1 takes its place.",
    "type": "object",
    "properties": {
      "apiVersion": {"description": "The version of this representation of the object.", "type": "string"},
      "kind": {"description": "The kind of the object.", "type": "string"},
      "metadata": {"description": "Standard object's metadata.", "$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
      "spec": {"description": "What is wanted.", "$ref": "#/$defs/io.k8s.api.batch.v1.CronJobSpec"},
      "status": {"description": "What is.", "$ref": "#/$defs/io.k8s.api.batch.v1.CronJobStatus"}
    }
  }
}"##;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("batch", "v1beta1", "CronJob"),
    "CronJobList",
    ("cronjobs", "cronjob"),
    SchemaSource::written::<k8s_openapi::api::batch::v1::CronJob>(
        "io.k8s.api.batch.v1beta1",
        "CronJob",
        SHAPE,
    ),
    &CronJobStrategy,
)
.short_names(const { &[text("cj")] })
.subresources(const { &[Subresource::new("status", "CronJob", PART_VERBS)] })
.columns(COLUMNS, row)
.conversion(Conversion::between(("batch", "v1"), to_stored, from_stored))
.deprecated(Deprecation::retired(
    ("1.21", "1.25"),
    ("batch/v1", "CronJob"),
))
.example(EXAMPLE);

fn to_stored(cron: &mut Object) {
    cron.set(&["apiVersion"], "batch/v1".into());
}

fn from_stored(cron: &mut Object) {
    cron.set(&["apiVersion"], "batch/v1beta1".into());
}
