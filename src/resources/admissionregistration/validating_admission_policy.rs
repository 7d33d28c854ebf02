//! ValidatingAdmissionPolicy: expressions that requests must meet.
//! Kubernetes: `pkg/registry/admissionregistration/validatingadmissionpolicy`.

use super::{not_in_force, policy};
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
    ),
    "ValidatingAdmissionPolicyList",
    ("validatingadmissionpolicies", "validatingadmissionpolicy"),
    SchemaSource::of::<k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy>(),
    &ValidatingAdmissionPolicyStrategy,
)
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "ValidatingAdmissionPolicy", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::integer("Validations", "How many validations there are."),
            Column::new("ParamKind", "The kind of the parameters."),
            columns::age_column(),
        ]
    },
    row,
)
// What an apply owns as a whole stands here with its defaults, so that applying it again changes nothing.
.example(
    r#"{"metadata":{"name":"example"},"spec":{"matchConstraints":{"matchPolicy":"Equivalent","namespaceSelector":{},"objectSelector":{},"resourceRules":[{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["deployments"],"scope":"*"}]},"validations":[{"expression":"object.spec.replicas < 5"}]}}"#,
);

const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
/// Most audit annotations, and the longest expression of one (bytes).
const AUDIT_MAX: usize = 20;
const AUDIT_MAX_BYTES: usize = 5 * 1024;

/// What a ValidatingAdmissionPolicy does beyond its shape.
pub struct ValidatingAdmissionPolicyStrategy;

impl Strategy for ValidatingAdmissionPolicyStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, policy: &mut Object) {
        policy::default_policy(policy);
    }

    fn prepare_for_create(&self, policy: &mut Object) {
        policy.set(&["status"], json!({}));
    }

    fn validate(&self, policy: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(policy, "spec");
        policy::common(&spec, &mut errors);
        let (list, audit) = (spec.field("validations"), spec.field("auditAnnotations"));
        if list.is_empty() && audit.is_empty() {
            let detail = "validations or auditAnnotations must contain at least one item";
            errors.required(&list, detail);
            errors.required(&audit, detail);
            return errors.0;
        }
        for one in list.items() {
            validation(&one, &mut errors);
        }
        audits(policy.name(), &audit, &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            return self.validate(new);
        }
        let mut errors = Errors::new();
        let status = At::of(new, "status");
        let checking = status.field("typeChecking");
        for one in checking.field("expressionWarnings").items() {
            for field in ["warning", "fieldRef"] {
                if one.field(field).str().trim().is_empty() {
                    errors.required(&one.field(field), "");
                }
            }
        }
        errors.0
    }

    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        not_in_force("admission policies")
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn validation(one: &At<'_, '_>, errors: &mut Errors) {
    let expression = one.field("expression");
    policy::expression_given(&expression, "expression is not specified", errors);
    let (of_message, message) = (one.field("messageExpression"), one.field("message"));
    let blank = |at: &At<'_, '_>| !at.str().is_empty() && at.str().trim().is_empty();
    if blank(&of_message) {
        errors.invalid(&of_message, "must be non-empty if specified");
    }
    if blank(&message) {
        errors.invalid(&message, "message must be non-empty if specified");
    } else if message.str().trim().contains(['\n', '\r']) {
        errors.invalid(&message, "message must not contain line breaks");
    }
    let reason = one.field("reason");
    if reason.is_set() {
        errors.one_of(&reason, REASONS);
    }
}

fn audits(policy: &str, list: &At<'_, '_>, errors: &mut Errors) {
    if list.len() > AUDIT_MAX {
        let detail = format!("must not have more than {AUDIT_MAX} auditAnnotations");
        errors.invalid(list, detail);
    }
    let mut seen = BTreeSet::new();
    for one in list.items() {
        let (key, value) = (one.field("key"), one.field("valueExpression"));
        let full = format!("{policy}/{}", key.str());
        for detail in names::qualified_name(&full) {
            errors.invalid_as(&key, full.as_str(), detail);
        }
        policy::expression_given(&value, "valueExpression is not specified", errors);
        if value.str().trim().len() > AUDIT_MAX_BYTES {
            let detail = format!("must not exceed {AUDIT_MAX_BYTES} bytes in length");
            errors.required(&value, &detail);
        }
        if !seen.insert(key.str()) {
            errors.duplicate_as(&key, key.str());
        }
    }
}

fn row(policy: &Object, now: Timestamp) -> Vec<Value> {
    policy::row(policy, "validations", now)
}
