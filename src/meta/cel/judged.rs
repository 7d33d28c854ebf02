//! Expressions of every function with odd arguments, against what Kubernetes' own code makes of
//! them: what they may cost, what they give, what that costs, or the words of the error.

use super::*;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Judged {
    expr: String,
    /// Why it does not compile.
    compile: String,
    /// What it costs at least and at most.
    min: u64,
    max: u64,
    /// What it gives.
    value: String,
    /// Why it gives nothing.
    err: String,
    /// What the run cost.
    cost: u64,
}

/// Text of which only plain ASCII stands as it is.
fn plain(text: &str) -> String {
    let show = |c: char| match c {
        '"' | '\\' => format!("\\u{{{:x}}}", u32::from(c)),
        ' '..='~' => c.to_string(),
        _ => format!("\\u{{{:x}}}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(show).collect::<String>())
}

/// A value with its type and all its bits.
fn show(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>().join(",");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => format!("{u}u"),
        Value::Double(d) if d.is_nan() => "dNaN".to_owned(),
        Value::Double(d) => format!("d{:016x}", d.to_bits()),
        Value::String(s) => plain(s),
        Value::Bytes(b) => b
            .iter()
            .fold("b".to_owned(), |all, b| format!("{all}{b:02x}")),
        Value::Duration(d) => format!("{d}ns"),
        Value::Timestamp(t) => {
            let nanos = t.nanos().rem_euclid(1_000_000_000);
            format!("t{}.{nanos:09}", t.second())
        }
        Value::Optional(None) => "none".to_owned(),
        Value::Optional(Some(inner)) => format!("some({})", show(inner)),
        Value::Type(name) => format!("type {name}"),
        Value::List(list) => format!("[{}]", all(&list.items)),
        Value::Map(map) => {
            let entry = |(key, value): &(Value, Value)| format!("{}:{}", show(key), show(value));
            let mut entries: Vec<String> = map.0.values().map(entry).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        Value::Quantity(q) => format!("q{q}"),
        Value::Url(url) => format!("u{}", url.text()),
        Value::Ip(ip) => format!("ip{ip}"),
        Value::Cidr(ip, bits) => format!("cidr{ip}/{bits}"),
        Value::Semver(version) => format!("semver{version}"),
        Value::Format(format) => format!("format {}", format.name),
        Value::Invalid(why) => format!("ERR {why}"),
    }
}

fn judge(expr: &str) -> Judged {
    let expr = expr.to_owned();
    let program = match Env::new().compile(&expr) {
        Ok(program) => program,
        Err(why) => {
            let compile = why.to_string();
            return Judged {
                expr,
                compile,
                ..Judged::default()
            };
        }
    };
    let run = program.run(&[], PER_CALL_LIMIT);
    let (value, err) = match run.result {
        Ok(value) => (show(&value), String::new()),
        Err(why) => (String::new(), why.to_string()),
    };
    Judged {
        expr,
        compile: String::new(),
        min: program.cost().min,
        max: program.cost().max,
        value,
        err,
        cost: run.cost,
    }
}

#[test]
fn expressions_are_what_kubernetes_makes_of_them() {
    let table = include_str!("../../../tests/golden/cel/judged.jsonl");
    let mut failures = Vec::new();
    for line in table.lines() {
        let wanted: Judged = serde_json::from_str(line).unwrap();
        let found = judge(&wanted.expr);
        if found != wanted {
            failures.push(format!("{found:?}\n    {wanted:?}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
