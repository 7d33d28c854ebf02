//! kubectl's JSONPath templates: text with `{.spec.containers[*].name}`, `{range}`..`{end}`,
//! filters, slices, unions, wildcards, recursive descent. Must not know kinds.
//! Kubernetes: client-go `util/jsonpath`; results and words are its own.

use crate::meta::go_json::type_of;
use serde_json::{Number, Value};
use std::cmp::Ordering;

mod parse;

/// Longest template that is read (bytes).
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// Most values that one expression may find.
pub const MAX_RESULTS: usize = 1_000_000;
/// Most bytes of output.
pub const MAX_OUTPUT_BYTES: usize = 256 * 1024 * 1024;

/// Why a template cannot be read or evaluated; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonPathError(String);

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
enum Block {
    Text(String),
    Show(Vec<Step>),
    Range(Vec<Step>, Vec<Block>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter(Box<Filter>),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    /// One index: `end` follows from it.
    single: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    comparison: Option<(Comparison, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    Greater,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
}

fn fail<T>(words: impl Into<String>) -> Result<T, JsonPathError> {
    Err(JsonPathError(words.into()))
}

impl JsonPath {
    /// Reads a template such as `{.metadata.name}{"\n"}`.
    pub fn parse(template: &str) -> Result<Self, JsonPathError> {
        if template.len() > MAX_TEMPLATE_BYTES {
            return fail(format!(
                "template is longer than {MAX_TEMPLATE_BYTES} bytes"
            ));
        }
        parse::blocks(template).map(|blocks| Self { blocks })
    }

    /// Reads one path as custom columns take it: `x.y`, `.x.y`, `{x.y}`, `{.x.y}`.
    /// Kubernetes: `RelaxedJSONPathExpression`.
    pub fn parse_relaxed(path: &str) -> Result<Self, JsonPathError> {
        if path.is_empty() {
            return Self::parse("");
        }
        let inner = match path.strip_prefix('{') {
            Some(inner) => inner.strip_suffix('}'),
            None => (!path.ends_with('}')).then_some(path),
        };
        let Some(inner) = inner.filter(|i| !i.contains(['{', '}'])) else {
            return fail(
                "unexpected path string, expected a 'name1.name2' or '.name1.name2' or \
                 '{name1.name2}' or '{.name1.name2}'",
            );
        };
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        Self::parse(&format!("{{.{inner}}}"))
    }

    /// The text that the template makes of `data`. A field that is missing shows nothing if
    /// `allow_missing`, else it is an error.
    pub fn render(&self, data: &Value, allow_missing: bool) -> Result<String, JsonPathError> {
        let mut out = String::new();
        render(&self.blocks, data, allow_missing, &mut out)?;
        Ok(out)
    }

    /// What the template's expressions find, one after another.
    pub fn find<'v>(
        &self,
        data: &'v Value,
        allow_missing: bool,
    ) -> Result<Vec<&'v Value>, JsonPathError> {
        let mut found = Vec::new();
        for block in &self.blocks {
            if let Block::Show(steps) = block {
                let values = walk(vec![Found::Part(data)], steps, allow_missing)?;
                found.extend(values.into_iter().filter_map(|f| match f {
                    Found::Part(value) => Some(value),
                    Found::Own(_) => None,
                }));
            }
        }
        Ok(found)
    }
}

/// A part of the data, or a value of the template's own.
#[derive(Clone)]
enum Found<'v> {
    Part(&'v Value),
    Own(Value),
}

impl Found<'_> {
    fn value(&self) -> &Value {
        match self {
            Self::Part(value) => value,
            Self::Own(value) => value,
        }
    }
}

fn render(
    blocks: &[Block],
    data: &Value,
    allow_missing: bool,
    out: &mut String,
) -> Result<(), JsonPathError> {
    for block in blocks {
        match block {
            Block::Text(text) => out.push_str(text),
            Block::Show(steps) => {
                let found = walk(vec![Found::Part(data)], steps, allow_missing)?;
                let texts: Vec<String> = found.iter().map(|f| shown(f.value())).collect();
                out.push_str(&texts.join(" "));
            }
            Block::Range(steps, body) => {
                for found in walk(vec![Found::Part(data)], steps, allow_missing)? {
                    render(body, found.value(), allow_missing, out)?;
                }
            }
        }
        if out.len() > MAX_OUTPUT_BYTES {
            return fail(format!("output is longer than {MAX_OUTPUT_BYTES} bytes"));
        }
    }
    Ok(())
}

/// Text as it is, numbers and booleans as Go prints them, the rest as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

/// Go's `%v` of an integer or a double.
fn number_text(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn walk<'v>(
    mut input: Vec<Found<'v>>,
    steps: &[Step],
    allow_missing: bool,
) -> Result<Vec<Found<'v>>, JsonPathError> {
    for step in steps {
        input = advance(&input, step, allow_missing)?;
        if input.len() > MAX_RESULTS {
            return fail(format!("more than {MAX_RESULTS} results"));
        }
    }
    Ok(input)
}

fn advance<'v>(
    input: &[Found<'v>],
    step: &Step,
    allow_missing: bool,
) -> Result<Vec<Found<'v>>, JsonPathError> {
    let mut out = Vec::new();
    match step {
        Step::Literal(value) => out.push(Found::Own(value.clone())),
        Step::Union(paths) => {
            for path in paths {
                out.extend(walk(input.to_vec(), path, allow_missing)?);
            }
        }
        Step::Field(name) => {
            for found in input {
                let field = match found {
                    Found::Part(value) => value.get(name).map(Found::Part),
                    Found::Own(value) => value.get(name).cloned().map(Found::Own),
                };
                // A null is a value that is there, but holds nothing.
                out.extend(field);
            }
            if out.is_empty() && !allow_missing {
                return fail(format!("{name} is not found"));
            }
        }
        Step::Wildcard | Step::Recursive => {
            for found in input {
                if let Found::Part(value) = found {
                    if *step == Step::Recursive {
                        descend(value, &mut out)?;
                    } else {
                        out.extend(children(value).map(Found::Part));
                    }
                }
            }
        }
        Step::Slice(slice) => {
            for found in input {
                if let Found::Part(value) = found
                    && !value.is_null()
                {
                    out.extend(cut(value, *slice)?.into_iter().map(Found::Part));
                }
            }
        }
        Step::Filter(filter) => {
            for found in input {
                let Found::Part(value) = found else { continue };
                let Value::Array(items) = value else {
                    if value.is_null() {
                        continue;
                    }
                    return fail(format!(
                        "{value} is not array or slice and cannot be filtered"
                    ));
                };
                for item in items {
                    if passes(item, filter, allow_missing)? {
                        out.push(Found::Part(item));
                    }
                }
            }
        }
    }
    Ok(out)
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn descend<'v>(value: &'v Value, out: &mut Vec<Found<'v>>) -> Result<(), JsonPathError> {
    if out.len() > MAX_RESULTS {
        return fail(format!("more than {MAX_RESULTS} results"));
    }
    out.push(Found::Part(value));
    for child in children(value) {
        descend(child, out)?;
    }
    Ok(())
}

fn cut(value: &Value, slice: Slice) -> Result<Vec<&Value>, JsonPathError> {
    let Value::Array(items) = value else {
        return fail(format!("{} is not array or slice", type_of(value)));
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from_end = |n: i64| if n < 0 { n.saturating_add(length) } else { n };
    let start = from_end(slice.start.unwrap_or(0));
    let end = match slice.end {
        None => length,
        Some(0) if slice.single => length,
        Some(end) => from_end(end),
    };
    if start == end {
        return Ok(Vec::new());
    }
    let outside = |index: i64| {
        fail(format!(
            "array index out of bounds: index {index}, length {length}"
        ))
    };
    if !(0..length).contains(&start) {
        return outside(start);
    }
    if !(0..=length).contains(&end) {
        return outside(end - 1);
    }
    if start > end {
        return fail(format!(
            "starting index {start} is greater than ending index {end}"
        ));
    }
    let step = slice.step.unwrap_or(1);
    let Some(step) = usize::try_from(step).ok().filter(|s| *s > 0) else {
        return fail("step must be > 0");
    };
    let bounds = (usize::try_from(start), usize::try_from(end));
    let (Ok(start), Ok(end)) = bounds else {
        return Ok(Vec::new());
    };
    let part = items.get(start..end).unwrap_or_default();
    Ok(part.iter().step_by(step).collect())
}

fn passes(item: &Value, filter: &Filter, allow_missing: bool) -> Result<bool, JsonPathError> {
    let left = walk(vec![Found::Part(item)], &filter.left, allow_missing);
    let Some((comparison, right)) = &filter.comparison else {
        return Ok(left.is_ok_and(|found| !found.is_empty()));
    };
    let left = left?;
    let right = walk(vec![Found::Part(item)], right, allow_missing)?;
    match (left.as_slice(), right.as_slice()) {
        ([], _) | (_, []) => Ok(false),
        ([left], [right]) => compare(left.value(), right.value(), *comparison),
        _ => fail("can only compare one element at a time"),
    }
}

fn compare(left: &Value, right: &Value, how: Comparison) -> Result<bool, JsonPathError> {
    let order = match (left, right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            (None, None) => a.as_f64().partial_cmp(&b.as_f64()),
            _ => return fail("incompatible types for comparison"),
        },
        (Value::Bool(a), Value::Bool(b)) => match how {
            Comparison::Equal => return Ok(a == b),
            Comparison::NotEqual => return Ok(a != b),
            _ => return fail("invalid type for comparison"),
        },
        (Value::Null, _) | (_, Value::Null) => return Ok(how == Comparison::NotEqual),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            return fail("invalid type for comparison");
        }
        _ => return fail("incompatible types for comparison"),
    };
    Ok(match how {
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

#[cfg(test)]
mod tests;
