//! What the two kinds of webhooks share: defaults, checks, the row. Must not call them.
//! Kubernetes: `pkg/apis/admissionregistration/{v1,validation}`.

use super::{client, not_in_force, rules};
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, objects, set, set_null};
use crate::resources::def::Column;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors, selector};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::integer("Webhooks", "How many webhooks there are."),
    columns::age_column(),
];

const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
/// Versions of the question that are known.
const REVIEWS: &[&str] = &["v1", "v1beta1"];

/// What a configuration of webhooks does beyond its shape.
pub(super) struct WebhookStrategy {
    /// Whether the webhooks may change requests.
    pub(super) mutating: bool,
}

impl Strategy for WebhookStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, configuration: &mut Object) {
        default(configuration, self.mutating);
    }

    fn validate(&self, configuration: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate(configuration, &mut errors);
        errors.0
    }

    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        not_in_force("admission webhooks")
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        new.get(&["webhooks"]) != old.get(&["webhooks"])
    }
}

/// Defaults of all webhooks.
fn default(configuration: &mut Object, mutating: bool) {
    for hook in objects(configuration.fields_mut(), "webhooks") {
        set(hook, "failurePolicy", json!("Fail"));
        set(hook, "matchPolicy", json!("Equivalent"));
        child(hook, "namespaceSelector");
        child(hook, "objectSelector");
        set_null(hook, "timeoutSeconds", json!(10));
        if mutating {
            set(hook, "reinvocationPolicy", json!("Never"));
        }
        rules::default_rules(hook, "rules");
        let config = hook.get_mut("clientConfig");
        let service = config.and_then(|config| config.get_mut("service"));
        if let Some(Value::Object(service)) = service {
            set_null(service, "port", json!(443));
        }
    }
}

/// Checks all webhooks.
fn validate(configuration: &Object, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for hook in At::of(configuration, "webhooks").items() {
        self::hook(&hook, errors);
        let name = hook.field("name");
        if !name.str().is_empty() && !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
}

fn hook(hook: &At<'_, '_>, errors: &mut Errors) {
    full_name(&hook.field("name"), errors);
    for rule in hook.field("rules").items() {
        rules::rule(&rule, errors);
    }
    for (field, known) in [
        ("failurePolicy", rules::FAILURE_POLICIES),
        ("matchPolicy", rules::MATCH_POLICIES),
    ] {
        let field = hook.field(field);
        if field.is_set() {
            errors.one_of(&field, known);
        }
    }
    let effects = hook.field("sideEffects");
    if effects.is_set() {
        errors.one_of(&effects, NO_SIDE_EFFECTS);
    } else {
        errors.required(&effects, "must specify one of None, NoneOnDryRun");
    }
    let timeout = hook.field("timeoutSeconds");
    if timeout.int().is_some_and(|n| !(1..=30).contains(&n)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&timeout, detail);
    }
    for field in ["namespaceSelector", "objectSelector"] {
        selector::label_selector(&hook.field(field), errors);
    }
    let again = hook.field("reinvocationPolicy");
    if again.is_set() {
        errors.one_of(&again, &["IfNeeded", "Never"]);
    }
    client::validate(&hook.field("clientConfig"), errors);
    rules::conditions(&hook.field("matchConditions"), errors);
    reviews(&hook.field("admissionReviewVersions"), errors);
}

/// A domain of at least three parts.
fn full_name(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    let wrong = names::dns1123_subdomain(at.str());
    if !wrong.is_empty() {
        errors.invalid(at, wrong.join(","));
    } else if at.str().split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.invalid(at, detail);
    }
}

fn reviews(list: &At<'_, '_>, errors: &mut Errors) {
    if list.is_empty() {
        errors.required(list, "must specify one of v1, v1beta1");
        return;
    }
    let mut seen = BTreeSet::new();
    for version in list.items() {
        if seen.insert(version.str()) {
            errors.invalid_all(&version, names::dns1035_label(version.str()));
        } else {
            errors.invalid(&version, "duplicate version");
        }
    }
    if !REVIEWS.iter().any(|known| seen.contains(known)) {
        errors.invalid(list, "must include at least one of v1, v1beta1");
    }
}

pub(super) fn row(configuration: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(configuration.name()),
        json!(At::of(configuration, "webhooks").len()),
        columns::age(configuration, now),
    ]
}
