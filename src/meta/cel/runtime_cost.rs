//! What the calls of functions cost when they run. Must not know how they are planned.
//!
//! Kubernetes: apiserver `pkg/cel/library/cost.go` (`CallCost`), cel-go `runtimecost.go`,
//! `ext/lists.go`, `ext/sets.go`.

use super::value::{Outcome, Value};

/// Cost of a character that is walked over.
pub(super) const TRAVERSE: f64 = 0.1;
/// Cost of a character of a pattern, for each character it is matched with.
pub(super) const PATTERN: f64 = 0.25;
/// Most steps of walking a value for its cost.
const MAX_STEPS: u64 = 4_000_000;
/// What allocating a list adds.
const ALLOCATE: u64 = 10;

/// The size times a factor, rounded up.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are bounded and never negative"
)]
fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are bounded and never negative"
)]
fn floored(size: u64, factor: f64) -> u64 {
    (size as f64 * factor) as u64
}

/// Cost of `==` and `!=`.
pub(super) fn of_equality(left: &Outcome, right: &Outcome) -> u64 {
    let size = |side: &Outcome| side.as_ref().map_or(1, Value::size);
    match left {
        Ok(
            Value::Quantity(_)
            | Value::Ip(_)
            | Value::Cidr(..)
            | Value::Format(_)
            | Value::Url(_)
            | Value::Semver(_),
        ) => 1,
        _ => scaled(size(left).min(size(right)), TRAVERSE),
    }
}

/// Cost of a call that was made.
pub(super) fn of_call(name: &str, overload: &str, args: &[Value], result: &Outcome) -> u64 {
    let size = |at: usize| args.get(at).map_or(1, Value::size);
    let walk = |at: usize| scaled(size(at), TRAVERSE);
    if let Some(cost) = of_library(overload, args, result) {
        return cost;
    }
    match name {
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            let mut steps = MAX_STEPS;
            args.first().map_or(0, |value| traversal(value, &mut steps))
        }
        "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR"
        | "quantity" | "isQuantity" | "semver" | "isSemver" => walk(0),
        "ip" if overload == "cidr_ip" => 1,
        "ip" => walk(0),
        "replace" | "split" | "ip.isCanonical" => scaled(size(0) * 2, TRAVERSE),
        "join" => scaled(result.as_ref().map_or(1, Value::size) * 2, TRAVERSE),
        "find" | "findAll" => {
            scaled(size(0) + 1, TRAVERSE).saturating_mul(scaled(size(1), PATTERN))
        }
        "containsIP" => {
            let parse = if overload == "cidr_contains_ip_string" {
                walk(1)
            } else {
                0
            };
            scaled(size(0) * 2, TRAVERSE) + parse
        }
        "containsCIDR" => {
            let parse = if overload == "cidr_contains_cidr_string" {
                walk(1)
            } else {
                0
            };
            scaled(size(0) * 2, TRAVERSE) + walk(0) + 1 + parse
        }
        "validate" => match args.first() {
            Some(Value::Format(format)) => {
                scaled(size(1) + 1, TRAVERSE).saturating_mul(scaled(format.regex_size, PATTERN))
            }
            _ => 1,
        },
        _ => of_standard(name, overload, &size),
    }
}

fn of_standard(name: &str, overload: &str, size: &dyn Fn(usize) -> u64) -> u64 {
    let walk = |at: usize| scaled(size(at), TRAVERSE);
    match overload {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string"
        | "strings_quote" | "string_format" => walk(0),
        "in_list" => size(1),
        "add_string" | "add_bytes" => scaled(size(0) + size(1), TRAVERSE),
        "matches_string" => scaled(size(0) + 1, TRAVERSE).saturating_mul(scaled(size(1), PATTERN)),
        "contains_string" => walk(0).saturating_mul(walk(1)),
        _ if matches!(name, "_<_" | "_<=_" | "_>_" | "_>=_")
            && (overload.ends_with("_string") || overload.ends_with("_bytes")) =>
        {
            scaled(size(0).min(size(1)), TRAVERSE)
        }
        _ => 1,
    }
}

/// The libraries that count by overload.
fn of_library(overload: &str, args: &[Value], result: &Outcome) -> Option<u64> {
    let size = |at: usize| args.get(at).map_or(1, Value::size);
    let allocating = |size: u64, factor: f64| floored(size, factor).saturating_add(1 + ALLOCATE);
    let self_compare = |at: usize| {
        let count = size(at);
        let first = match args.get(at) {
            Some(Value::List(list)) => list.items.first(),
            _ => None,
        };
        let text = matches!(first, Some(Value::String(_) | Value::Bytes(_)));
        let factor = if text { 2.0 + TRAVERSE } else { 2.0 };
        allocating(count.saturating_mul(count), factor)
    };
    Some(match overload {
        "list_sets_contains_list" | "list_sets_intersects_list" => {
            size(0).saturating_mul(size(1)) + 1
        }
        "list_sets_equivalent_list" => size(0).saturating_mul(size(1)) * 2 + 1,
        "list_slice" | "lists_range" | "list_reverse" => {
            allocating(result.as_ref().map_or(1, Value::size), 1.0)
        }
        "list_flatten" => allocating(size(0), 1.0),
        "list_flatten_int" => match args.get(1) {
            Some(Value::Int(depth)) => allocating(
                size(0).saturating_mul(u64::try_from(*depth).unwrap_or(0)),
                1.0,
            ),
            _ => allocating(size(0), 1.0),
        },
        "list_distinct" => self_compare(0),
        _ if overload.ends_with("_sort") => self_compare(0),
        _ if overload.ends_with("_sortByAssociatedKeys") => self_compare(1),
        _ => return None,
    })
}

/// Cost of walking a whole value. Nested values share their parts, so the steps are limited; what
/// takes more costs more than any limit.
fn traversal(value: &Value, steps: &mut u64) -> u64 {
    let Some(left) = steps.checked_sub(1) else {
        return u64::MAX;
    };
    *steps = left;
    match value {
        Value::String(s) => floored(s.len() as u64, TRAVERSE),
        Value::Bytes(b) => floored(b.len() as u64, TRAVERSE),
        Value::List(list) => list
            .items
            .iter()
            .map(|item| traversal(item, steps))
            .fold(0, u64::saturating_add),
        Value::Map(map) => map
            .0
            .values()
            .map(|(key, value)| traversal(key, steps).saturating_add(traversal(value, steps)))
            .fold(0, u64::saturating_add),
        _ => 1,
    }
}
