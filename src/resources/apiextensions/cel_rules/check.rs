//! Checks the rules of a schema when a CustomResourceDefinition is written: their form, whether
//! they compile, what they may cost. Must not run them.
//! Kubernetes: `ValidateCustomResourceDefinitionOpenAPISchema` as far as it is about rules.

use serde_json::Value as Json;

use super::compile::{Compiled, compile_all};
use super::{Rule, additional, field_path, kind};
use crate::meta::cel::{declared, embedded};
use crate::meta::{FieldError, FieldErrorKind};
use crate::resources::apiextensions::schema_check;

/// Most that one rule may cost by estimate. Kubernetes: `StaticEstimatedCostLimit`.
const RULE_LIMIT: u64 = 10_000_000;
/// Most that all rules of a schema may cost. Kubernetes: `StaticEstimatedCRDCostLimit`.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// How many of the most expensive rules are named.
const NAMED: usize = 4;
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// The errors of all rules of a version's schema, which stands at `path`. `sound` says that the
/// schema is structural: only then the rules are compiled, and only where nothing is `wrong` at
/// their place or below it.
pub fn check(schema: &Json, path: &str, sound: bool, wrong: &[&str]) -> Vec<FieldError> {
    let mut check = Check {
        sound,
        wrong,
        total: 0,
        expensive: Vec::new(),
    };
    let place = Place {
        root: true,
        structure: true,
        cardinality: Some(1),
        uncorrelatable: None,
    };
    let (form, rules) = check.node(schema, path, &place);
    let mut errors = form;
    errors.extend(rules);
    if check.total > SCHEMA_LIMIT {
        for (path, _) in &check.expensive {
            errors.push(FieldError::forbidden(
                path.as_str(),
                "contributed to estimated rule cost total exceeding cost limit for entire \
                 OpenAPIv3 schema",
            ));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(
            path,
            too_much(what, check.total, SCHEMA_LIMIT),
        ));
    }
    errors
}

struct Check<'a> {
    sound: bool,
    /// Paths of what else is wrong.
    wrong: &'a [&'a str],
    total: u64,
    expensive: Vec<(String, u64)>,
}

/// What is known of the place of a schema.
#[derive(Clone)]
struct Place {
    root: bool,
    /// Whether it is on the way of values, not below `not` or `allOf` and their like.
    structure: bool,
    /// How often its data can be in an object, if that is bounded.
    cardinality: Option<u64>,
    /// The first schema above whose data cannot be matched with the old.
    uncorrelatable: Option<String>,
}

/// Errors of form, and of rules that compile or cost badly.
type Errors = (Vec<FieldError>, Vec<FieldError>);

impl Check<'_> {
    /// Whether nothing else is wrong at a place or below it.
    fn is_right(&self, path: &str) -> bool {
        let below = |wrong: &&str| {
            let rest = wrong.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.sound && !self.wrong.iter().any(below)
    }

    fn node(&mut self, schema: &Json, path: &str, place: &Place) -> Errors {
        let mut all = self.below(schema, path, place);
        let rules = Rule::all(schema);
        for (at, rule) in rules.iter().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{at}]");
            form(rule, schema, &path, &mut all.0);
        }
        if rules.is_empty() || !all.0.is_empty() || !place.structure || !self.is_right(path) {
            return all;
        }
        let path = format!("{path}.x-kubernetes-validations");
        let Some(of) = declared(schema, place.root || embedded(schema)) else {
            all.1.push(FieldError::new(
                FieldErrorKind::InternalError,
                path,
                Json::Null,
                "internal error: failed to construct type information for \
                 x-kubernetes-validations rules: unable to convert structural schema to CEL \
                 declarations",
            ));
            return all;
        };
        for (at, compiled) in compile_all(rules, schema, &of).iter().enumerate() {
            self.compiled(compiled, &format!("{path}[{at}]"), place, &mut all.1);
        }
        all
    }

    fn below(&mut self, schema: &Json, path: &str, place: &Place) -> Errors {
        let mut all = (Vec::new(), Vec::new());
        let mut add = |(form, rules): Errors| {
            all.0.extend(form);
            all.1.extend(rules);
        };
        let inside = Place {
            root: false,
            cardinality: place
                .cardinality
                .zip(max_elements(schema))
                .map(|(a, b)| a.saturating_mul(b)),
            ..place.clone()
        };
        if let Some(values) = additional(schema) {
            add(self.node(values, &format!("{path}.additionalProperties"), &inside));
        }
        for (name, property) in schema
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            add(self.node(property, &format!("{path}.properties[{name}]"), &inside));
        }
        let aside = Place {
            structure: false,
            ..inside.clone()
        };
        if let Some(not) = schema.get("not") {
            add(self.node(not, &format!("{path}.not"), &aside));
        }
        for word in ["allOf", "oneOf", "anyOf"] {
            let parts = schema.get(word).and_then(Json::as_array);
            for (at, part) in parts.into_iter().flatten().enumerate() {
                add(self.node(part, &format!("{path}.{word}[{at}]"), &aside));
            }
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            let mut inside = inside;
            let by_keys =
                schema.get("x-kubernetes-list-type").and_then(Json::as_str) == Some("map");
            if !by_keys && inside.uncorrelatable.is_none() {
                inside.uncorrelatable = Some(path.to_owned());
            }
            add(self.node(items, &format!("{path}.items"), &inside));
        }
        all
    }

    /// Judges a rule that was compiled.
    fn compiled(
        &mut self,
        compiled: &Compiled,
        path: &str,
        place: &Place,
        errors: &mut Vec<FieldError>,
    ) {
        let rule = &compiled.rule;
        let rule_path = format!("{path}.rule");
        match &compiled.program {
            Err(why) => errors.push(with_rule(&rule_path, rule, why)),
            Ok(program) => {
                let times = place.cardinality.unwrap_or(compiled.cardinality);
                let cost = program.cost().max.saturating_mul(times);
                self.spend("estimated rule cost", &rule_path, cost, errors);
            }
        }
        let message_path = format!("{path}.messageExpression");
        match &compiled.message {
            Some(Err(why)) => errors.push(with_rule(&message_path, rule, why)),
            Some(Ok(program)) => {
                let cost = program.cost().max;
                self.spend(
                    "estimated messageExpression cost",
                    &message_path,
                    cost,
                    errors,
                );
            }
            None => {}
        }
        if compiled.uses_old_self {
            if let Some(above) = &place.uncorrelatable {
                errors.push(FieldError::invalid(
                    rule_path,
                    rule.rule.as_str(),
                    format!(
                        "oldSelf cannot be used on the uncorrelatable portion of the schema within \
                         {above}"
                    ),
                ));
            }
        } else if let Some(set) = rule.optional_old_self {
            errors.push(FieldError::invalid(
                format!("{path}.optionalOldSelf"),
                set,
                "may not be set if oldSelf is not used in rule",
            ));
        }
    }

    /// Counts a cost, and tells if it alone is too much.
    fn spend(&mut self, what: &str, path: &str, cost: u64, errors: &mut Vec<FieldError>) {
        if cost > RULE_LIMIT {
            errors.push(FieldError::forbidden(
                path,
                too_much(what, cost, RULE_LIMIT),
            ));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_LIMIT / 100 {
            self.expensive.push((path.to_owned(), cost));
            self.expensive
                .sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.expensive.truncate(NAMED);
        }
    }
}

fn with_rule(path: &str, rule: &Rule, why: &str) -> FieldError {
    let detail = format!("{}: {why}", rule.printed());
    FieldError::new(FieldErrorKind::InvalidOmitted, path, Json::Null, detail)
}

/// Most elements of data of a schema, if that is bounded.
fn max_elements(schema: &Json) -> Option<u64> {
    let limit = |name: &str| schema.get(name).map(|limit| limit.as_u64().unwrap_or(0));
    match kind(schema) {
        "object" if schema.get("additionalProperties").is_some() => limit("maxProperties"),
        "array" => limit("maxItems"),
        _ => Some(1),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a factor for people to read")]
fn too_much(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding \
         maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// Checks what a rule says of itself.
fn form(rule: &Rule, schema: &Json, path: &str, errors: &mut Vec<FieldError>) {
    let lines = |text: &str| text.contains(['\n', '\r']);
    let (trimmed, message) = (rule.rule.trim(), rule.message.trim());
    let at = |field: &str| format!("{path}.{field}");
    if trimmed.is_empty() {
        errors.push(FieldError::required(at("rule"), "rule is not specified"));
    } else if !rule.message.is_empty() && message.is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(FieldError::invalid(
            at("message"),
            rule.message.as_str(),
            detail,
        ));
    } else if lines(message) {
        let detail = "must not contain line breaks";
        errors.push(FieldError::invalid(
            at("message"),
            rule.message.as_str(),
            detail,
        ));
    } else if lines(trimmed) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(at("message"), detail));
    }
    if !rule.message_expression.is_empty() && rule.message_expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(at("messageExpression"), detail));
    }
    if let Some(reason) = rule
        .reason
        .as_deref()
        .filter(|reason| !REASONS.contains(reason))
    {
        errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
    }
    let field = rule.field_path.as_str();
    let mut bad = |detail: &str| {
        errors.push(FieldError::invalid(at("fieldPath"), field, detail));
    };
    if !field.is_empty() && field.trim().is_empty() {
        bad("must be non-empty if specified");
    }
    if lines(field) {
        bad("must not contain line breaks");
    }
    let readable = !schema_check::has_unsupported(schema);
    if !field.is_empty() && readable && field_path::valid(field, schema).is_err() {
        bad("must be a valid path");
    }
}
