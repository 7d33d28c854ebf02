//! Whether a value is what its schema wants, in Kubernetes' paths, kinds of errors and words. What an
//! update has left as it was is not held against it. Must not know the shape of metadata.
//! Kubernetes: kube-openapi `validation/validate`, apiextensions-apiserver `validation/ratcheting`.

mod numbers;
mod told;

use self::told::Outcome;
use super::{Additional, ListType, Structural, Type, formats};
use crate::meta::{FieldError, go_regex};
use serde_json::{Map, Value};

/// What the same place held before an update.
#[derive(Clone, Copy)]
pub enum Seen<'a> {
    /// It cannot be told, or there was none: everything is checked.
    Unknown,
    /// This value.
    Was(&'a Value),
}

/// What is wrong with a value. `path` is empty for a whole object.
pub fn validate(schema: &Structural, value: &Value, path: &str) -> Vec<FieldError> {
    check(schema, value, Seen::Unknown, "").into_errors(path)
}

/// What is wrong with a value that an update has made of another.
pub fn validate_update(
    schema: &Structural,
    value: &Value,
    old: &Value,
    path: &str,
) -> Vec<FieldError> {
    check(schema, value, Seen::Was(old), "").into_errors(path)
}

/// A value against a schema; what has not changed is right.
fn check(schema: &Structural, value: &Value, before: Seen<'_>, path: &str) -> Outcome {
    let outcome = check_anew(schema, value, before, path);
    match before {
        Seen::Was(old) if !outcome.is_valid() && is_same(schema, value, old) => outcome.forgiven(),
        _ => outcome,
    }
}

/// Every kind of check that applies, in Kubernetes' order.
fn check_anew(schema: &Structural, value: &Value, before: Seen<'_>, path: &str) -> Outcome {
    let mut all = Outcome::default();
    if has_types(schema) || value.is_null() {
        all.part(types(schema, value, path));
    }
    if !value.is_null() {
        all.part(junctors(schema, value, path));
        match value {
            Value::String(text) => {
                all.part(string(schema, text, path));
                let format = &schema.rules.format;
                if !format.is_empty() && is_known(schema) {
                    all.part(format_of(format, text, path));
                }
            }
            Value::Number(number) => all.part(numbers::check(schema, number, path)),
            Value::Array(items) => all.part(list(schema, items, before, path)),
            _ => {}
        }
    }
    all.part(enumeration(schema, value, path));
    if let Value::Object(fields) = value {
        all.part(object(schema, fields, before, path));
    }
    all.matched += 1;
    all
}

/// A format of strings, not of numbers.
fn is_known(schema: &Structural) -> bool {
    matches!(schema.kind, Type::Any | Type::String)
}

fn has_types(schema: &Structural) -> bool {
    schema.int_or_string || schema.kind != Type::Any || !schema.rules.format.is_empty()
}

/// The types that may stand, as they are told.
fn wanted(schema: &Structural) -> &'static str {
    if schema.int_or_string {
        "integer,string"
    } else {
        schema.kind.as_str()
    }
}

fn types(schema: &Structural, value: &Value, path: &str) -> Outcome {
    let wanted = wanted(schema);
    if value.is_null() {
        let allowed = wanted.is_empty() || schema.nullable;
        return match allowed {
            true => Outcome::right(),
            false => Outcome::of(told::wrong_type(path, wanted, "null")),
        };
    }
    let (found, found_format) = type_of(value);
    let is = |name: &str| wanted.split(',').any(|own| own == name);
    let whole = matches!(value, Value::Number(n) if numbers::is_whole(n));
    let number = found == "integer" && is("number") || found == "number" && whole && is("integer");
    let fits = is(found) || number;
    let format = schema.rules.format.as_ref();
    let is_text = value.is_string() || value.is_array();
    if !is_text && !format.is_empty() && !fits && format != found_format {
        return Outcome::of(told::wrong_type(path, format, found_format));
    }
    // Texts with a format are looked at by the format alone.
    let by_format = is_text && !format.is_empty() && !is("number") && !is("integer");
    if by_format || fits {
        return Outcome::right();
    }
    Outcome::of(told::wrong_type(path, wanted, found))
}

/// Type and format of a value, in the words of schemas.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
    }
}

fn junctors(schema: &Structural, value: &Value, path: &str) -> Outcome {
    let rules = &schema.rules;
    let mut all = Outcome::default();
    let run = |schema: &Structural| check(schema, value, Seen::Unknown, path);
    if !rules.any_of.is_empty() {
        let mut best: Option<Outcome> = None;
        for one in &rules.any_of {
            let outcome = run(one);
            let valid = outcome.is_valid();
            if valid || best.as_ref().is_none_or(|b| outcome.matched > b.matched) {
                best = Some(outcome);
            }
            if valid {
                break;
            }
        }
        if best.as_ref().is_some_and(|best| !best.is_valid()) {
            all.plain(format!(
                "{path:?} must validate at least one schema (anyOf)"
            ));
        }
        all.merge(best);
    }
    if !rules.one_of.is_empty() {
        one_of(&rules.one_of, run, path, &mut all);
    }
    if !rules.all_of.is_empty() {
        let mut valid = 0;
        for one in &rules.all_of {
            let outcome = run(one);
            valid += usize::from(outcome.is_valid());
            all.merge(Some(outcome));
        }
        if valid != rules.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            all.plain(format!(
                "{path:?} must validate all the schemas (allOf){none}"
            ));
        }
    }
    if rules.not.as_deref().is_some_and(|not| run(not).is_valid()) {
        all.plain(format!("{path:?} must not validate the schema (not)"));
    }
    all.matched += 1;
    all
}

fn one_of(
    schemas: &[Structural],
    run: impl Fn(&Structural) -> Outcome,
    path: &str,
    all: &mut Outcome,
) {
    let mut valid = 0;
    let (mut best, mut first): (Option<Outcome>, Option<Outcome>) = (None, None);
    for one in schemas {
        let outcome = run(one);
        if outcome.is_valid() {
            valid += 1;
            best = None;
            first.get_or_insert(outcome);
        } else if valid == 0 && best.as_ref().is_none_or(|b| outcome.matched > b.matched) {
            best = Some(outcome);
        }
    }
    if valid == 1 {
        all.merge(first);
        return;
    }
    let found = match valid {
        0 => "Found none valid".to_owned(),
        several => format!("Found {several} valid alternatives"),
    };
    all.plain(format!(
        "{path:?} must validate one and only one schema (oneOf). {found}"
    ));
    all.merge(best);
}

fn string(schema: &Structural, text: &str, path: &str) -> Outcome {
    let rules = &schema.rules;
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(max) = rules.max_length.filter(|max| length > *max) {
        return Outcome::of(told::too_long(path, max));
    }
    if let Some(min) = rules.min_length.filter(|min| length < *min) {
        let why = format!("{path} in body should be at least {min} chars long");
        return Outcome::of(told::invalid(path, text, why));
    }
    if rules.pattern.is_empty() {
        return Outcome::default();
    }
    let compiled = rules
        .expression
        .get_or_init(|| go_regex::compile(&rules.pattern));
    let pattern = match compiled {
        Ok(expression) if expression.is_match(text) => return Outcome::default(),
        Ok(_) => rules.pattern.to_string(),
        Err(error) => format!("{}, but pattern is invalid: {error}", rules.pattern),
    };
    let why = format!("{path} in body should match '{pattern}'");
    Outcome::of(told::invalid(path, text, why))
}

fn format_of(format: &str, text: &str, path: &str) -> Outcome {
    if formats::has(format, text) {
        Outcome::default()
    } else {
        Outcome::of(told::wrong_type(path, format, text))
    }
}

fn enumeration(schema: &Structural, value: &Value, path: &str) -> Outcome {
    let allowed = &schema.rules.enumeration;
    if allowed.is_empty() || allowed.iter().any(|one| numbers::is_equal(one, value)) {
        return Outcome::default();
    }
    Outcome::of(told::not_allowed(path, value, allowed))
}

fn list(schema: &Structural, items: &[Value], before: Seen<'_>, path: &str) -> Outcome {
    let mut all = Outcome::default();
    if let Some(below) = schema.items.as_deref() {
        for (index, item) in items.iter().enumerate() {
            let old = item_before(schema, item, before);
            all.merge(Some(check(below, item, old, &format!("{path}[{index}]"))));
        }
    }
    let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let rules = &schema.rules;
    if let Some(min) = rules.min_items.filter(|min| size < *min) {
        let why = format!("{path} in body should have at least {min} items");
        all.error(told::invalid(path, size, why));
    }
    if let Some(max) = rules.max_items.filter(|max| size > *max) {
        all.error(told::too_many(path, size, max, "items"));
    }
    let twice = |(index, item): (usize, &Value)| items.iter().take(index).any(|one| one == item);
    if rules.unique_items && items.iter().enumerate().any(twice) {
        let why = format!("{path} in body shouldn't contain duplicates");
        all.error(told::invalid(path, "", why));
    }
    all.matched += 1;
    all
}

fn object(
    schema: &Structural,
    fields: &Map<String, Value>,
    before: Seen<'_>,
    path: &str,
) -> Outcome {
    let mut all = Outcome::default();
    let rules = &schema.rules;
    let size = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    if let Some(min) = rules.min_properties.filter(|min| size < *min) {
        let why = format!("{path} in body should have at least {min} properties");
        all.error(told::invalid(path, size, why));
    }
    if let Some(max) = rules.max_properties.filter(|max| size > *max) {
        all.error(told::too_many(path, size, max, "properties"));
    }
    for (name, value) in fields {
        if schema.properties.contains_key(name.as_str()) {
            continue;
        }
        match &schema.additional {
            Additional::Allowed(false) => {
                let why = format!("{path}.{name} in body is a forbidden property");
                all.error(told::invalid(path, name.as_str(), why));
            }
            Additional::Of(other) => {
                let old = field_before(name, before, path);
                all.merge(Some(check(other, value, old, &format!("{path}.{name}"))));
            }
            _ => {}
        }
    }
    for (name, property) in &schema.properties {
        let Some(value) = fields.get(&**name) else {
            continue;
        };
        let dot = if path.is_empty() { "" } else { "." };
        let old = field_before(name, before, path);
        all.merge(Some(check(
            property,
            value,
            old,
            &format!("{path}{dot}{name}"),
        )));
    }
    for name in &rules.required {
        if !fields.contains_key(&**name) {
            all.error(told::required(&format!("{path}.{name}")));
        }
    }
    all
}

/// What a field held. Kind and version of an object are never taken as unchanged.
fn field_before<'a>(name: &str, before: Seen<'a>, path: &str) -> Seen<'a> {
    let typed = path.is_empty() && matches!(name, "kind" | "apiVersion");
    match before {
        Seen::Was(old) if !typed => old.get(name).map_or(Seen::Unknown, Seen::Was),
        _ => Seen::Unknown,
    }
}

/// What an item was: items are found again by their keys alone.
fn item_before<'a>(schema: &Structural, item: &Value, before: Seen<'a>) -> Seen<'a> {
    let (ListType::Map, Seen::Was(Value::Array(old))) = (schema.list_type, before) else {
        return Seen::Unknown;
    };
    let same = |one: &&Value| {
        schema
            .list_keys
            .iter()
            .all(|key| one.get(&**key) == item.get(&**key))
    };
    old.iter().find(same).map_or(Seen::Unknown, Seen::Was)
}

/// Whether a value is the old one; the order of lists with keys does not count, and what the schema
/// does not know is never taken as unchanged.
fn is_same(schema: &Structural, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) if new.len() == old.len() => {
            new.iter().all(|(name, value)| {
                let before = old.get(name);
                let below = schema.at_key(name);
                before
                    .zip(below)
                    .is_some_and(|(old, below)| is_same(below, value, old))
            })
        }
        (Value::Array(new), Value::Array(old))
            if new.len() == old.len() && schema.list_type == ListType::Map =>
        {
            let all = Value::Array(old.clone());
            new.iter().all(|item| {
                let below = schema.items.as_deref();
                match (item_before(schema, item, Seen::Was(&all)), below) {
                    (Seen::Was(before), Some(below)) => is_same(below, item, before),
                    _ => false,
                }
            })
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        _ => new == old,
    }
}
