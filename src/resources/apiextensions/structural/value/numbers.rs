//! Numbers against their bounds. Whole numbers are compared as such. Must not know other types.

use super::told::{self, Outcome};
use crate::resources::apiextensions::structural::{Structural, Type};
use serde_json::{Number, Value};

/// Whether a number has no fraction.
pub(super) fn is_whole(number: &Number) -> bool {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.is_finite() && float.fract() == 0.0,
        _ => true,
    }
}

/// Whether a value is an allowed one: 1 and 1.0 are the same.
pub(super) fn is_equal(allowed: &Value, value: &Value) -> bool {
    match (allowed, value) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() != other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        _ => allowed == value,
    }
}

/// Checks a number.
pub(super) fn check(schema: &Structural, number: &Number, path: &str) -> Outcome {
    let mut all = Outcome::default();
    in_range(schema, number, "Checked", path, &mut all);
    let rules = &schema.rules;
    if let Some(factor) = rules.multiple_of {
        let plain = limit_fits(schema, factor, "MultipleOf", path, &mut all);
        if factor <= 0.0 {
            let factor = Number::from_f64(factor).map_or(Value::Null, |n| whole(&n).into());
            let why = format!("factor MultipleOf declared for {path} must be positive: {factor}");
            all.error(told::invalid(path, factor, why));
        } else if !is_multiple(number, factor, plain) {
            let factor = shown(number, factor);
            let why = format!("{path} in body should be a multiple of {factor}");
            all.error(told::invalid(path, whole(number), why));
        }
    }
    let bound = |limit: f64, broken: bool, words: &str, all: &mut Outcome| {
        if broken {
            let why = format!("{path} in body should be {words} {}", shown(number, limit));
            all.error(told::invalid(path, whole(number), why));
        }
    };
    if let Some(min) = rules.minimum {
        let plain = limit_fits(schema, min, "Minimum boundary", path, &mut all);
        let order = compare(number, min, plain);
        if rules.exclusive_minimum {
            bound(min, order.is_le(), "greater than", &mut all);
        } else {
            bound(min, order.is_lt(), "greater than or equal to", &mut all);
        }
    }
    if let Some(max) = rules.maximum {
        let plain = limit_fits(schema, max, "Maximum boundary", path, &mut all);
        let order = compare(number, max, plain);
        if rules.exclusive_maximum {
            bound(max, order.is_ge(), "less than", &mut all);
        } else {
            bound(max, order.is_gt(), "less than or equal to", &mut all);
        }
    }
    all.matched += 1;
    all
}

/// A number as Go prints it: without a fraction that is nothing.
#[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
fn whole(number: &Number) -> Number {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9.0e15 => {
            Number::from(float as i64)
        }
        _ => number.clone(),
    }
}

/// Whether a limit is a number of the type that it limits; if not, that is told.
fn limit_fits(schema: &Structural, limit: f64, what: &str, path: &str, all: &mut Outcome) -> bool {
    Number::from_f64(limit).is_some_and(|limit| in_range(schema, &limit, what, path, all))
}

/// A whole number must fit its format.
fn in_range(
    schema: &Structural,
    number: &Number,
    what: &str,
    path: &str,
    all: &mut Outcome,
) -> bool {
    if schema.int_or_string || schema.kind != Type::Integer {
        return true;
    }
    let value = match number.as_i64() {
        Some(value) => Some(value),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "within the range that is asked for"
        )]
        None => number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 9.2e18)
            .map(|float| float as i64),
    };
    let format = schema.rules.format.as_ref();
    let fits = match (value, format) {
        (None, _) => false,
        (Some(value), "int32") => i32::try_from(value).is_ok(),
        _ => true,
    };
    if fits {
        return true;
    }
    let of = match format {
        "" => "(default format)".to_owned(),
        format => format!("with format {format}"),
    };
    all.plain(format!(
        "{what} value must be of type integer {of} in {path}"
    ));
    false
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "Kubernetes compares whole numbers so"
)]
fn compare(number: &Number, limit: f64, plain: bool) -> std::cmp::Ordering {
    if let Some(whole) = number.as_i64().filter(|_| plain) {
        return whole.cmp(&(limit as i64));
    }
    let float = number.as_f64().unwrap_or_default();
    float.total_cmp(&limit)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "Kubernetes divides whole numbers so"
)]
fn is_multiple(number: &Number, factor: f64, plain: bool) -> bool {
    if let (Some(whole), true) = (number.as_i64(), plain && factor.fract() == 0.0) {
        return whole.checked_rem(factor as i64) == Some(0);
    }
    let float = number.as_f64().unwrap_or_default();
    let times = if factor < 1.0 {
        float * (1.0 / factor)
    } else {
        float / factor
    };
    (times - times.round()).abs() < 1e-9 * times.abs().max(1.0)
}

/// A limit as it is told beside a number: whole beside whole numbers.
fn shown(number: &Number, limit: f64) -> String {
    if number.is_f64() || limit.fract() != 0.0 {
        go_float(limit)
    } else {
        format!("{limit:.0}")
    }
}

/// As Go prints a float: in full below a million, else with an exponent of two digits.
fn go_float(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
