//! What is wrong with the literals of an expression whose types agree: text that the function it is
//! given to cannot read, lists of several types, clauses of `format` that do not fit their arguments.
//! Must not run anything but constants.
//!
//! Kubernetes: cel-go `cel/validator.go`, `ext/formatting.go`.

use super::ast::{Expr, ExprKind, Literal};
use super::check::Checked;
use super::eval::Machine;
use super::functions;
use super::issue::Issue;
use super::parser::issue;
use super::plan::literal;
use super::types::Type;
use crate::meta::go_regex;

/// All that is wrong.
pub(super) fn wrong(checked: &Checked) -> Vec<Issue> {
    let mut issues = Vec::new();
    bad_literals(&checked.expr, &mut issues);
    one_type_only(checked, &checked.expr, false, &mut issues);
    bad_formats(checked, &checked.expr, &mut issues);
    issues
}

/// Literals that the function they are given to cannot read.
/// Kubernetes: the validators of durations, timestamps and patterns.
fn bad_literals(expr: &Expr, issues: &mut Vec<Issue>) {
    if let ExprKind::Call { function, args, .. } = &expr.kind
        && matches!(function.as_str(), "duration" | "timestamp" | "matches")
        && let Some(arg) = args.first()
        && let ExprKind::Literal(value) = &arg.kind
        && !readable(function, value)
    {
        issues.push(issue(arg.pos, format!("invalid {function} argument")));
    }
    for child in expr.children() {
        bad_literals(child, issues);
    }
}

fn readable(function: &str, value: &Literal) -> bool {
    if function == "matches" {
        return match value {
            Literal::String(pattern) => go_regex::compile(pattern).is_ok(),
            _ => true,
        };
    }
    match functions::find(function) {
        Some((_, run)) => run(&mut Machine::constant(), &[literal(value)]).is_ok(),
        None => true,
    }
}

/// Kubernetes: `ValidateHomogeneousAggregateLiterals`; the arguments of `format` may mix types.
fn one_type_only(checked: &Checked, expr: &Expr, exempt: bool, issues: &mut Vec<Issue>) {
    let exempt =
        exempt || matches!(&expr.kind, ExprKind::Call { function, .. } if function == "format");
    let mut compare = |parts: Vec<(&Expr, bool)>, all: bool| {
        let mut first: Option<&Type> = None;
        for (part, optional) in parts {
            let of = checked.type_of(part);
            let of = if optional {
                of.unwrap_optional().unwrap_or(of)
            } else {
                of
            };
            match first {
                None => first = Some(of),
                Some(first) if first != of => {
                    issues.push(issue(
                        part.pos,
                        format!("expected type '{first}' but found '{of}'"),
                    ));
                    if !all {
                        return;
                    }
                }
                Some(_) => {}
            }
        }
    };
    match &expr.kind {
        ExprKind::List(items) if !exempt => {
            compare(
                items
                    .iter()
                    .map(|(item, optional)| (item, *optional))
                    .collect(),
                false,
            );
        }
        ExprKind::Map(entries) if !exempt => {
            compare(entries.iter().map(|e| (&e.key, false)).collect(), true);
            compare(
                entries.iter().map(|e| (&e.value, e.optional)).collect(),
                true,
            );
        }
        _ => {}
    }
    for child in expr.children() {
        one_type_only(checked, child, exempt, issues);
    }
}

/// Patterns of `format` that are literals, against the types of the list they are given.
fn bad_formats(checked: &Checked, expr: &Expr, issues: &mut Vec<Issue>) {
    if let ExprKind::Call {
        function,
        target: Some(target),
        args,
    } = &expr.kind
        && function == "format"
        && let ExprKind::Literal(Literal::String(pattern)) = &target.kind
        && let [list] = args.as_slice()
        && let ExprKind::List(items) = &list.kind
    {
        let items: Vec<&Expr> = items.iter().map(|(item, _)| item).collect();
        if let Err((at, why)) = check_format(checked, pattern, &items) {
            issues.push(issue(at.unwrap_or(expr.pos), why));
        }
    }
    for child in expr.children() {
        bad_formats(checked, child, issues);
    }
}

/// What does not fit, and at which argument if it is one.
fn check_format(
    checked: &Checked,
    pattern: &str,
    items: &[&Expr],
) -> Result<(), (Option<u32>, String)> {
    let mut used = 0;
    let mut rest = pattern;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(after) = after.strip_prefix('%') {
            rest = after;
            continue;
        }
        if after.is_empty() {
            return Err((None, "unexpected end of string".to_owned()));
        }
        let Some(item) = items.get(used) else {
            return Err((None, format!("index {used} out of range")));
        };
        let (verb, _, after) = functions::parse_clause(after).map_err(|why| (None, why))?;
        if let Err((at, why)) = clause_fits(checked, verb, item) {
            return Err((Some(at), format!("error during formatting: {why}")));
        }
        used += 1;
        rest = after;
    }
    if items.len() > used {
        let got = items.len();
        let why =
            format!("too many arguments supplied to string.format (expected {used}, got {got})");
        return Err((None, why));
    }
    Ok(())
}

fn clause_fits(checked: &Checked, verb: char, item: &Expr) -> Result<(), (u32, String)> {
    let of = checked.type_of(item);
    let given = |at: &Expr, what: &str| {
        let name = checked.type_of(at).runtime_name();
        (at.pos, format!("{what}, was given {name}"))
    };
    let (fits, what) = match verb {
        's' => {
            return string_fits(checked, item).map_err(|at| given(at, functions::STRING_CLAUSE));
        }
        'd' => (
            matches!(of, Type::Int | Type::Uint),
            "decimal clause can only be used on integers",
        ),
        'f' => (
            matches!(of, Type::Double | Type::String),
            "fixed-point clause can only be used on doubles",
        ),
        'e' => (
            matches!(of, Type::Double | Type::String),
            "scientific clause can only be used on doubles",
        ),
        'b' => (
            matches!(of, Type::Int | Type::Uint | Type::Bool),
            "only integers and bools can be formatted as binary",
        ),
        'x' | 'X' => (
            matches!(of, Type::Int | Type::Uint | Type::String | Type::Bytes),
            "only integers, byte buffers, and strings can be formatted as hex",
        ),
        _ => (
            matches!(of, Type::Int | Type::Uint),
            "octal clause can only be used on integers",
        ),
    };
    if fits || *of == Type::Dyn {
        return Ok(());
    }
    Err(given(item, what))
}

/// Whether a value can be written as text; what of it cannot.
fn string_fits<'e>(checked: &Checked, item: &'e Expr) -> Result<(), &'e Expr> {
    let fits = matches!(
        checked.type_of(item),
        Type::Dyn
            | Type::List(_)
            | Type::Map(_)
            | Type::Int
            | Type::Uint
            | Type::Double
            | Type::Bool
            | Type::String
            | Type::Timestamp
            | Type::Bytes
            | Type::Duration
            | Type::Type(_)
            | Type::Null
    );
    if !fits {
        return Err(item);
    }
    match &item.kind {
        ExprKind::List(items) => items
            .iter()
            .try_for_each(|(item, _)| string_fits(checked, item)),
        ExprKind::Map(entries) => entries
            .iter()
            .flat_map(|entry| [&entry.key, &entry.value])
            .try_for_each(|part| string_fits(checked, part)),
        _ => Ok(()),
    }
}
