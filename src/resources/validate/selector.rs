//! Label selectors in specs. Must not know what they select.
//! Kubernetes: apimachinery `apis/meta/v1/validation`.

use super::at::{At, Errors};
use super::metadata;
use crate::meta::names;

/// Checks a LabelSelector.
pub fn label_selector(at: &At<'_, '_>, errors: &mut Errors) {
    metadata::labels(&at.field("matchLabels"), errors);
    for expression in at.field("matchExpressions").items() {
        let (operator, values) = (expression.field("operator"), expression.field("values"));
        match operator.str() {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    errors.required(&values, detail);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail =
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    errors.forbidden(&values, detail);
                }
            }
            _ => errors.invalid_as(&operator, operator.str(), "not a valid selector operator"),
        }
        let key = expression.field("key");
        errors.invalid_all(&key, names::qualified_name(key.str()));
        for value in values.items() {
            errors.invalid_all(&value, names::label_value(value.str()));
        }
    }
}

/// `Invalid value` of a selector that matches nothing it should: empty ones where one is needed.
pub fn is_empty(at: &At<'_, '_>) -> bool {
    at.field("matchLabels").is_empty() && at.field("matchExpressions").is_empty()
}
