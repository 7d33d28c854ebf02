//! Runs the rules for an object, under one budget. Must not compile.
//! Kubernetes: `Validator.validateExpressions` and what it calls.

use serde_json::Value as Json;

use super::compile::{Compiled, Validator, build_at, has_rules};
use super::ratchet::{Pair, Ratchet, with_same_keys};
use crate::meta::cel::{Failure, PER_CALL_LIMIT, Program, RUNTIME_BUDGET, Value};
use crate::meta::{FieldError, FieldErrorKind};

/// Longest message (bytes) that an expression may make.
const MAX_MESSAGE: usize = 5 * 1024;
const NO_BUDGET: &str = "validation failed due to running out of cost budget, no further \
                         validation rules will be run";

/// What the rules say of an object.
#[derive(Debug, Default)]
pub struct Report {
    /// Rules that do not hold, or that fail.
    pub errors: Vec<FieldError>,
    /// Rules that do not hold for what is as it was.
    pub warnings: Vec<String>,
    /// What the rules cost.
    pub cost: u64,
}

/// Nothing more is to be run.
struct Stop;

impl Validator {
    /// Runs all rules for an object of a version with this schema, and for one that replaces
    /// another.
    pub fn run(&self, schema: &Json, object: &Json, old: Option<&Json>) -> Report {
        let ratchet = match old {
            Some(old) => Ratchet::at(Pair::new(object, old, schema)),
            None => Ratchet::default(),
        };
        self.run_within(object, old, ratchet, RUNTIME_BUDGET, "")
    }

    pub(super) fn run_within(
        &self,
        object: &Json,
        old: Option<&Json>,
        ratchet: Ratchet<'_>,
        budget: u64,
        path: &str,
    ) -> Report {
        let mut run = Run {
            report: Report::default(),
            budget,
        };
        let _ = run.node(self, path, object, old, ratchet);
        run.report.cost = budget - run.budget;
        run.report
    }
}

/// What the rules say of a default at `path`: where it stays as it was, and where it comes anew.
/// `root` says that the schema is one of a whole object.
pub(in crate::resources::apiextensions) fn of_default(
    schema: &Json,
    root: bool,
    default: &Json,
    path: &str,
) -> Vec<FieldError> {
    let Some(validator) = Some(schema)
        .filter(|schema| has_rules(schema))
        .and_then(|schema| build_at(schema, root))
    else {
        return Vec::new();
    };
    let run = |old| {
        let ratchet = Ratchet::default();
        validator.run_within(default, old, ratchet, RUNTIME_BUDGET, path)
    };
    let kept = run(Some(default)).errors;
    if kept.is_empty() {
        return run(None).errors;
    }
    kept
}

struct Run {
    report: Report,
    /// What may still be spent.
    budget: u64,
}

/// What `messageExpression` gives.
enum Message {
    Text(String),
    /// Nothing of use: the rule's own message is told.
    None,
    /// An error that ends all.
    Stop(String),
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        return name.to_owned();
    }
    format!("{path}.{name}")
}

/// The path as errors tell it; the object itself has none.
fn shown(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}

impl Run {
    fn node(
        &mut self,
        node: &Validator,
        path: &str,
        object: &Json,
        old: Option<&Json>,
        ratchet: Ratchet<'_>,
    ) -> Result<(), Stop> {
        if object.is_null() {
            return Ok(());
        }
        let old = old.filter(|old| !old.is_null());
        self.rules(node, path, object, old, ratchet)?;
        for part in &node.all_of {
            self.node(part, path, object, old, ratchet.above())?;
        }
        match object {
            Json::Array(items) => {
                let Some(of_items) = &node.items else {
                    return Ok(());
                };
                let olds = old.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
                for (at, item) in items.iter().enumerate() {
                    let old = with_same_keys(olds, item, &node.list_keys);
                    let path = format!("{path}[{at}]");
                    self.node(of_items, &path, item, old, ratchet.index(at))?;
                }
                Ok(())
            }
            Json::Object(entries) => {
                for (name, value) in entries {
                    let old = old.and_then(|old| old.get(name));
                    if let Some(of_values) = &node.additional {
                        let path = format!("{path}[{name}]");
                        self.node(of_values, &path, value, old, ratchet.key(name))?;
                    }
                    if let Some(of_value) = node.properties.get(name) {
                        let path = child(path, name);
                        self.node(of_value, &path, value, old, ratchet.key(name))?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An error about a rule that could not be run to its end.
    fn invalid(&mut self, node: &Validator, path: &str, detail: impl Into<String>) {
        let error = FieldError::invalid(shown(path), node.kind.as_str(), detail);
        self.report.errors.push(error);
    }

    fn rules(
        &mut self,
        node: &Validator,
        path: &str,
        object: &Json,
        old: Option<&Json>,
        ratchet: Ratchet<'_>,
    ) -> Result<(), Stop> {
        if node.rules.is_empty() {
            return Ok(());
        }
        if self.budget == 0 {
            self.invalid(node, path, NO_BUDGET);
            return Err(Stop);
        }
        let value = node.of.value(object);
        let uses_old = node.rules.iter().any(|rule| rule.uses_old_self);
        let old_value = old.filter(|_| uses_old).map(|old| node.of.value(old));
        for compiled in &node.rules {
            self.rule(
                node,
                compiled,
                path,
                object,
                (&value, old_value.as_ref()),
                ratchet,
            )?;
        }
        Ok(())
    }

    fn rule(
        &mut self,
        node: &Validator,
        compiled: &Compiled,
        path: &str,
        object: &Json,
        (value, old): (&Value, Option<&Value>),
        ratchet: Ratchet<'_>,
    ) -> Result<(), Stop> {
        let rule = &compiled.rule;
        let program = match &compiled.program {
            Ok(program) => program,
            Err(_) if rule.rule.trim().is_empty() => return Ok(()),
            Err(why) => {
                self.invalid(node, path, format!("rule compile error: {why}"));
                return Ok(());
            }
        };
        let optional = rule.optional_old_self == Some(true);
        if compiled.uses_old_self && old.is_none() && !optional {
            // A transition is only judged where there is something to come from.
            return Ok(());
        }
        let mut variables = vec![("self", value.clone())];
        match old {
            Some(old) if optional => variables.push(("oldSelf", Value::some(old.clone()))),
            Some(old) => variables.push(("oldSelf", old.clone())),
            None if optional => variables.push(("oldSelf", Value::Optional(None))),
            None => {}
        }
        let run = program.run(&variables, PER_CALL_LIMIT);
        let Some(rest) = self.budget.checked_sub(run.cost) else {
            self.invalid(node, path, NO_BUDGET);
            return Err(Stop);
        };
        self.budget = rest;
        match run.result {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(_) => self.broken(node, compiled, path, object, &variables, ratchet),
            Err(why) => self.failed(node, compiled, path, &why),
        }
    }

    /// A rule that ended with an error.
    fn failed(
        &mut self,
        node: &Validator,
        compiled: &Compiled,
        path: &str,
        why: &Failure,
    ) -> Result<(), Stop> {
        let rule = compiled.rule.shown();
        if *why == Failure::Cancelled {
            let detail = format!(
                "'{why}': no further validation rules will be run due to call cost exceeds limit \
                 for rule: {rule}"
            );
            self.invalid(node, path, detail);
            return Err(Stop);
        }
        let why = why.to_string();
        let detail = if why.starts_with("no such overload") {
            format!(
                "'{why}': call arguments did not match a supported operator, function or macro \
                 signature for rule: {rule}"
            )
        } else {
            format!("{why} evaluating rule: {rule}")
        };
        self.invalid(node, path, detail);
        Ok(())
    }

    /// A rule that does not hold.
    fn broken(
        &mut self,
        node: &Validator,
        compiled: &Compiled,
        path: &str,
        object: &Json,
        variables: &[(&str, Value)],
        ratchet: Ratchet<'_>,
    ) -> Result<(), Stop> {
        let rule = &compiled.rule;
        let path = match compiled.field_path.as_str() {
            "" => path.to_owned(),
            below => child(path, below),
        };
        let only_warn = !compiled.uses_old_self && ratchet.unchanged();
        let detail = match &compiled.message {
            Some(Ok(program)) => match self.message(program, rule, variables) {
                Message::Text(text) => Some(text),
                Message::None => None,
                Message::Stop(why) => {
                    let error = FieldError::invalid(shown(&path), node.kind.as_str(), why);
                    self.tell(error, only_warn);
                    return Err(Stop);
                }
            },
            _ => None,
        };
        let detail = detail.unwrap_or_else(|| {
            if rule.message.is_empty() {
                format!("failed rule: {}", rule.shown())
            } else {
                rule.message.trim().to_owned()
            }
        });
        let omit = matches!(node.kind.as_str(), "object" | "array");
        let error = match rule.reason.as_deref() {
            Some("FieldValueForbidden") => FieldError::forbidden(shown(&path), detail),
            Some("FieldValueRequired") => FieldError::required(shown(&path), detail),
            Some("FieldValueDuplicate") if omit => FieldError::new(
                FieldErrorKind::DuplicateOmitted,
                shown(&path),
                Json::Null,
                "",
            ),
            Some("FieldValueDuplicate") => FieldError::duplicate(shown(&path), object.clone()),
            _ if omit => FieldError::new(
                FieldErrorKind::InvalidOmitted,
                shown(&path),
                Json::Null,
                detail,
            ),
            _ => FieldError::invalid(shown(&path), object.clone(), detail),
        };
        self.tell(error, only_warn);
        Ok(())
    }

    fn tell(&mut self, error: FieldError, only_warn: bool) {
        if only_warn {
            self.report.warnings.push(error.to_string());
        } else {
            self.report.errors.push(error);
        }
    }

    fn message(
        &mut self,
        program: &Program,
        rule: &super::Rule,
        variables: &[(&str, Value)],
    ) -> Message {
        let run = program.run(variables, PER_CALL_LIMIT);
        let Some(rest) = self.budget.checked_sub(run.cost) else {
            return Message::Stop(
                "messageExpression evaluation failed due to running out of cost budget, no \
                 further validation rules will be run"
                    .to_owned(),
            );
        };
        if let Err(Failure::Cancelled) = run.result {
            return Message::Stop(format!(
                "no further validation rules will be run due to call cost exceeds limit for \
                 messageExpression: {:?}",
                rule.message_expression
            ));
        }
        self.budget = rest;
        match run.result {
            Ok(Value::String(text)) => {
                let text = text.trim();
                if text.is_empty() || text.len() > MAX_MESSAGE || text.contains('\n') {
                    return Message::None;
                }
                Message::Text(text.to_owned())
            }
            _ => Message::None,
        }
    }
}
