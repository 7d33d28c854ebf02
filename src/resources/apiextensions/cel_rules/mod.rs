//! The validation rules of custom resources (`x-kubernetes-validations`): checked when a
//! CustomResourceDefinition is written, run when an object is. The language is `meta::cel`; here
//! is what belongs to schemas: where rules stand, what old value each sees, what may be kept as it
//! was, and the words of errors. Must not know requests, nor how schemas are checked otherwise.
//!
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/schema/cel`, and the parts of
//! `pkg/apis/apiextensions/validation` that are about rules.

mod check;
mod compile;
mod field_path;
mod ratchet;
mod run;
#[cfg(test)]
mod tests;

pub use check::check;
pub use compile::Validator;
pub(super) use field_path::field;
pub use run::Report;
pub(super) use run::of_default;

use serde_json::Value as Json;

/// One rule as the schema has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    rule: String,
    message: String,
    message_expression: String,
    reason: Option<String>,
    field_path: String,
    optional_old_self: Option<bool>,
}

impl Rule {
    /// The rules that stand at a schema.
    fn all(schema: &Json) -> Vec<Self> {
        let rules = schema
            .get("x-kubernetes-validations")
            .and_then(Json::as_array);
        rules.into_iter().flatten().map(Self::of).collect()
    }

    fn of(rule: &Json) -> Self {
        let text = |name: &str| {
            rule.get(name)
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: rule.get("reason").and_then(Json::as_str).map(str::to_owned),
            field_path: text("fieldPath"),
            optional_old_self: rule.get("optionalOldSelf").and_then(Json::as_bool),
        }
    }

    /// What names the rule in errors.
    fn shown(&self) -> &str {
        if self.message.is_empty() {
            self.rule.trim()
        } else {
            self.message.trim()
        }
    }

    /// As Kubernetes prints the whole rule.
    fn printed(&self) -> String {
        let text = |s: &str| {
            let json = Json::from(s).to_string();
            // So does Go's encoder.
            let json = json.replace('<', "\\u003c").replace('>', "\\u003e");
            json.replace('&', "\\u0026")
        };
        format!(
            "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\
             \"OptionalOldSelf\":{}}}",
            text(&self.rule),
            text(&self.message),
            text(&self.message_expression),
            self.reason
                .as_deref()
                .map_or_else(|| "null".to_owned(), text),
            text(&self.field_path),
            self.optional_old_self
                .map_or_else(|| "null".to_owned(), |b| b.to_string()),
        )
    }
}

/// The type that a schema says.
fn kind(schema: &Json) -> &str {
    schema
        .get("type")
        .and_then(Json::as_str)
        .unwrap_or_default()
}

/// The schema of the values at keys that are not named, if there is one.
fn additional(schema: &Json) -> Option<&Json> {
    schema
        .get("additionalProperties")
        .filter(|schema| schema.is_object())
}
