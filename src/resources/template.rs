//! Pod templates: what the kinds that make pods share of defaults, checks, warnings and Table
//! cells. Must not know the kinds that have templates.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodTemplateSpec, `pkg/apis/apps/validation`.

use crate::meta::labels::Selector;
use crate::resources::core::pod::{self, defaults};
use crate::resources::validate::{At, Errors, metadata, selector};
use serde_json::{Map, Value};

/// Defaults of the template in the spec `of`.
pub fn default(of: &mut Map<String, Value>) {
    if let Some(template) = defaults::child(of, "template")
        && let Some(spec) = defaults::child(template, "spec")
    {
        defaults::default_spec(spec);
    }
}

/// Checks a template.
pub fn validate(template: &At<'_, '_>, errors: &mut Errors) {
    let (meta, spec) = (template.field("metadata"), template.field("spec"));
    metadata::labels(&meta.field("labels"), errors);
    metadata::annotations(&meta.field("annotations"), errors);
    pod::validate_spec(&spec, None, errors);
    let ephemeral = spec.field("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.forbidden(
            &ephemeral,
            "ephemeral containers not allowed in pod template",
        );
    }
}

/// Checks the selector and the template of a kind whose pods are always restarted. `owner` and
/// `kind` are how messages about the selector and about the template name it.
pub fn validate_selected(spec: &At<'_, '_>, owner: &str, kind: &str, errors: &mut Errors) {
    let (wanted, template) = (spec.field("selector"), spec.field("template"));
    if wanted.is_set() {
        selector::label_selector(&wanted, errors);
        if selector::is_empty(&wanted) {
            let detail = format!("empty selector is invalid for {owner}");
            errors.invalid(&wanted, detail);
        }
    } else {
        errors.required(&wanted, "");
    }
    match Selector::from_label_selector(Some(wanted.value)) {
        Ok(wanted) => validate_matched(&template, &wanted, kind, errors),
        Err(_) => errors.invalid(&wanted, "invalid label selector"),
    }
}

/// Checks the template of a `kind` whose pods are always restarted and found by `wanted`.
pub fn validate_matched(template: &At<'_, '_>, wanted: &Selector, kind: &str, errors: &mut Errors) {
    if !template.is_set() {
        errors.required(template, "");
        return;
    }
    let meta = template.field("metadata");
    let labels = meta.field("labels");
    if !wanted.is_everything() && !wanted.matches_map(labels.value) {
        let detail = "`selector` does not match template `labels`";
        errors.invalid(&labels, detail);
    }
    validate(template, errors);
    let spec = template.field("spec");
    let policy = spec.field("restartPolicy");
    errors.one_of(&policy, &["Always"]);
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline.is_set() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&deadline, detail);
    }
}

/// What is most likely a mistake in a template.
pub fn warnings(template: &At<'_, '_>) -> Vec<String> {
    pod::warnings_of(&template.field("spec"), &template.field("metadata"))
}

/// The cells `Containers` and `Images` of a template.
pub fn containers(template: &At<'_, '_>) -> (String, String) {
    let spec = template.field("spec");
    let list = spec.field("containers");
    let texts = |field: &str| {
        let texts: Vec<&str> = list.items().map(|c| c.field(field).str()).collect();
        texts.join(",")
    };
    (texts("name"), texts("image"))
}

/// A label selector as a cell.
pub fn selector_cell(wanted: &Value) -> String {
    match Selector::from_label_selector(Some(wanted)) {
        Ok(wanted) if wanted.requirements().is_empty() => "<none>".to_owned(),
        Ok(wanted) => wanted.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

/// A map of labels as a cell.
pub fn labels_cell(labels: &At<'_, '_>) -> String {
    let pairs: Vec<String> = labels
        .entries()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}
