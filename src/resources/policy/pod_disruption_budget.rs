//! PodDisruptionBudget: how many pods may be taken away at will at a time.
//! Kubernetes: `pkg/apis/policy/validation`, `pkg/registry/policy/poddisruptionbudget`.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status};
use crate::resources::validate::{At, Errors, int_or_percent, selector};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("policy", "v1", "PodDisruptionBudget"),
    "PodDisruptionBudgetList",
    ("poddisruptionbudgets", "poddisruptionbudget"),
    SchemaSource::of::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(),
    &BudgetStrategy,
)
.short_names(const { &[text("pdb")] })
.subresources(const { &[Subresource::new("status", "PodDisruptionBudget", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Min Available", "How many pods must stay."),
            Column::new("Max Unavailable", "How many pods may be missing."),
            Column::integer("Allowed Disruptions", "How many may go now."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"example"}}}}"#,
);

/// What is done with pods that run and are not ready.
const EVICTION_POLICIES: &[&str] = &["AlwaysAllow", "IfHealthyBudget"];
/// Numbers of the status, which are always told.
const COUNTS: &[&str] = &[
    "disruptionsAllowed",
    "currentHealthy",
    "desiredHealthy",
    "expectedPods",
];

/// What a PodDisruptionBudget does beyond its shape.
pub struct BudgetStrategy;

impl Strategy for BudgetStrategy {
    /// Kubernetes: its validation looks at the spec alone.
    fn checks_metadata(&self) -> bool {
        false
    }

    fn default(&self, budget: &mut Object) {
        child(budget.fields_mut(), "spec");
        if let Some(status) = child(budget.fields_mut(), "status") {
            for field in COUNTS {
                set_null(status, field, json!(0));
            }
        }
    }

    fn prepare_for_create(&self, budget: &mut Object) {
        budget.remove(&["status"]);
        self.default(budget);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main => keep(new, old, "status"),
            _ => keep_all_but_status(new, old),
        }
    }

    fn validate(&self, budget: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(budget, "spec");
        let (min, max) = (spec.field("minAvailable"), spec.field("maxUnavailable"));
        let policy = spec.field("unhealthyPodEvictionPolicy");
        if min.is_set() && max.is_set() {
            // Kubernetes shows its inner form, whose names begin with capitals.
            let shown = json!({
                "MinAvailable": min.value,
                "Selector": spec.field("selector").value,
                "MaxUnavailable": max.value,
                "UnhealthyPodEvictionPolicy": policy.value,
            });
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.invalid_as(&spec, shown, detail);
        }
        for amount in [&min, &max] {
            if amount.is_set() {
                int_or_percent::not_negative(amount, &mut errors);
                int_or_percent::at_most_all(amount, &mut errors);
            }
        }
        selector::label_selector(&spec.field("selector"), &mut errors);
        if policy.is_set() {
            errors.one_of(&policy, EVICTION_POLICIES);
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            return self.validate(new);
        }
        let mut errors = Errors::new();
        let status = At::of(new, "status");
        for field in COUNTS {
            errors.not_negative(&status.field(field));
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn row(budget: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(budget, "spec"), At::of(budget, "status"));
    let amount = |field: &str| match spec.field(field).value {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        number => json!(number.to_string()),
    };
    vec![
        json!(budget.name()),
        amount("minAvailable"),
        amount("maxUnavailable"),
        json!(status.field("disruptionsAllowed").number()),
        columns::age(budget, now),
    ]
}
