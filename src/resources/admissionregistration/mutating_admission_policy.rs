//! MutatingAdmissionPolicy: expressions that change requests.
//! Kubernetes: `pkg/registry/admissionregistration/mutatingadmissionpolicy`.

use super::{not_in_force, policy};
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicy",
    ),
    "MutatingAdmissionPolicyList",
    ("mutatingadmissionpolicies", "mutatingadmissionpolicy"),
    SchemaSource::of::<k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy>(),
    &MutatingAdmissionPolicyStrategy,
)
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::integer("Mutations", "How many mutations there are."),
            Column::new("ParamKind", "The kind of the parameters."),
            columns::age_column(),
        ]
    },
    row,
)
// What an apply owns as a whole stands here with its defaults, so that applying it again changes nothing.
.example(
    r#"{"metadata":{"name":"example"},"spec":{"reinvocationPolicy":"Never","matchConstraints":{"matchPolicy":"Equivalent","namespaceSelector":{},"objectSelector":{},"resourceRules":[{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["deployments"],"scope":"*"}]},"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{}"}}]}}"#,
);

/// Kinds of patches, each with the field that has its expression.
const PATCHES: &[(&str, &str)] = &[
    ("ApplyConfiguration", "applyConfiguration"),
    ("JSONPatch", "jsonPatch"),
];

/// What a MutatingAdmissionPolicy does beyond its shape.
pub struct MutatingAdmissionPolicyStrategy;

impl Strategy for MutatingAdmissionPolicyStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, policy: &mut Object) {
        policy::default_policy(policy);
    }

    fn validate(&self, policy: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(policy, "spec");
        policy::common(&spec, &mut errors);
        let list = spec.field("mutations");
        if list.is_empty() {
            errors.required(&list, "mutations must contain at least one item");
        }
        for one in list.items() {
            mutation(&one, &mut errors);
        }
        let again = spec.field("reinvocationPolicy");
        if again.str().is_empty() {
            errors.required(&again, "");
        } else {
            errors.one_of(&again, &["IfNeeded", "Never"]);
        }
        errors.0
    }

    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        not_in_force("admission policies")
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

fn mutation(one: &At<'_, '_>, errors: &mut Errors) {
    let kind = one.field("patchType");
    let Some((_, own)) = PATCHES.iter().find(|(name, _)| *name == kind.str()) else {
        if kind.str().is_empty() {
            errors.required(&kind, "");
        } else {
            errors.not_supported(&kind, &["ApplyConfiguration", "JSONPatch"]);
        }
        return;
    };
    for (name, field) in PATCHES {
        let at = one.field(field);
        if field != own && at.is_set() {
            let detail = format!("must not be specified when patchType is not {name}");
            errors.forbidden(&at, detail);
        } else if field == own && !at.is_set() {
            let detail = format!("must be specified when patchType is {name}");
            errors.required(&at, &detail);
        } else if field == own {
            let expression = at.field("expression");
            policy::expression_given(&expression, "expression is not specified", errors);
        }
    }
}

fn row(policy: &Object, now: Timestamp) -> Vec<Value> {
    policy::row(policy, "mutations", now)
}
