//! YAML as kubectl writes it: which scalars are quoted and how, where long lines are folded, the
//! order of keys. Must not know objects. Kubernetes: sigs.k8s.io/yaml over go-yaml v2.

use super::is_plain_text;
use crate::meta::go_json;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Columns after which a line is folded at its next space.
const WIDTH: usize = 80;
/// Most fields that are put in order one by one, as Go does; more are halved.
const INSERTED_MAX: usize = 12;
/// Longest key that stands on its value's line.
const SIMPLE_KEY_MAX: usize = 128;

/// The document, with its line end.
pub fn text(value: &Value) -> String {
    let mut writer = Writer::default();
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(items) if !items.is_empty() => writer.list(items, 0, true),
        // Further lines of a text that is all there is stand as they would in a list.
        other => writer.scalar(other, 2, false),
    }
    writer.out.push('\n');
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// A map at `indent`; `begun` if the line stands there already.
    fn map(&mut self, map: &Map<String, Value>, indent: usize, mut begun: bool) {
        for (key, value) in in_order(map.iter().collect()) {
            if !std::mem::take(&mut begun) {
                self.line(indent);
            }
            if key.len() > SIMPLE_KEY_MAX || key.contains(is_break) {
                self.put("? ");
                self.string(key, indent + 2, false);
                self.line(indent);
            } else {
                self.string(key, indent, true);
            }
            self.put(":");
            match value {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, false),
                Value::Array(items) if !items.is_empty() => self.list(items, indent, false),
                other => {
                    self.put(" ");
                    self.scalar(other, indent + 2, false);
                }
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize, mut begun: bool) {
        for item in items {
            if !std::mem::take(&mut begun) {
                self.line(indent);
            }
            self.put("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, true),
                Value::Array(items) if !items.is_empty() => self.list(items, indent + 2, true),
                other => self.scalar(other, indent + 2, false),
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, key: bool) {
        match value {
            Value::String(text) => self.string(text, indent, key),
            Value::Number(number) => self.put(&go_json::number(number)),
            Value::Object(_) => self.put("{}"),
            Value::Array(_) => self.put("[]"),
            other => self.put(&other.to_string()),
        }
    }

    /// A string; what it goes on with on further lines stands at `indent`.
    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let shape = Shape::of(text);
        if text.contains('\n') {
            if shape.block && !key {
                self.literal(text, indent);
            } else {
                self.double_quoted(text, indent, key);
            }
        } else if !is_plain_text(text) || !shape.single_quoted {
            self.double_quoted(text, indent, key);
        } else if shape.plain {
            self.folded(text, indent, key);
        } else {
            self.put("'");
            self.folded(&text.replace('\'', "''"), indent, key);
            self.put("'");
        }
    }

    /// Words, broken at single spaces where a line is long.
    fn folded(&mut self, text: &str, indent: usize, key: bool) {
        let mut before = None;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let inside = !first && next.is_some();
            let fold = c == ' '
                && !key
                && inside
                && before != Some(' ')
                && next != Some(' ')
                && self.column > WIDTH;
            if fold {
                self.line(indent);
            } else {
                self.out.push(c);
                self.column += 1;
            }
            before = Some(c);
            first = false;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, key: bool) {
        self.put("\"");
        let mut spaces = false;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            if !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.put(&escape(c));
                spaces = false;
            } else if c == ' ' {
                let inside = !first && chars.peek().is_some();
                if !key && !spaces && inside && self.column > WIDTH {
                    self.line(indent);
                    if chars.peek() == Some(&' ') {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.out.push(c);
                self.column += 1;
                spaces = false;
            }
            first = false;
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            self.put("2");
        }
        let mut back = text.chars().rev();
        if back.next().is_none_or(|last| !is_break(last)) {
            self.put("-");
        } else if back.next().is_none_or(is_break) {
            self.put("+");
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let (last, before) = lines.split_last().unwrap_or((&"", &[]));
        for line in before.iter().chain((!last.is_empty()).then_some(last)) {
            if line.is_empty() {
                self.out.push('\n');
            } else {
                self.line(indent);
                self.put(line);
            }
        }
    }
}

/// In which forms a text may be written.
struct Shape {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let at = |index: usize| chars.get(index).copied();
        let blank = |c: Option<char>| c.is_none_or(|c| c == ' ' || is_break(c));
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks) = (false, false);
        let (mut break_space, mut space_break) = (false, false);
        for (index, c) in chars.iter().copied().enumerate() {
            let before = index.checked_sub(1).and_then(at);
            let followed = blank(at(index + 1));
            indicators |= match c {
                '#' => index == 0 || blank(before),
                ':' => followed,
                '?' | '-' => index == 0 && followed,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`' => index == 0,
                _ => false,
            };
            special |= !is_printable(c);
            breaks |= is_break(c);
            break_space |= c == ' ' && before.is_some_and(is_break);
            space_break |= is_break(c) && before == Some(' ');
        }
        let edge = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        let last = chars.last().copied();
        let mut shape = Self {
            plain: !indicators && !breaks && !edge(at(0)) && !edge(last),
            single_quoted: true,
            block: last != Some(' '),
        };
        if break_space {
            shape.plain = false;
            shape.single_quoted = false;
        }
        if space_break || special {
            shape = Self {
                plain: false,
                single_quoted: false,
                block: false,
            };
        }
        shape
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What needs no escape. Kubernetes: go-yaml's `is_printable`, which leaves out the tab.
fn is_printable(c: char) -> bool {
    match c {
        '\n' | ' '..='~' => true,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        c => ('\u{a0}'..'\u{10000}').contains(&c),
    }
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => "0",
        '\u{7}' => "a",
        '\u{8}' => "b",
        '\t' => "t",
        '\n' => "n",
        '\u{b}' => "v",
        '\u{c}' => "f",
        '\r' => "r",
        '\u{1b}' => "e",
        '"' => "\"",
        '\\' => "\\",
        '\u{85}' => "N",
        '\u{2028}' => "L",
        '\u{2029}' => "P",
        c => {
            let code = u32::from(c);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

/// Fields by their keys. `natural` is no total order (`-01` < `-0a` < `-1` < `-01`), with which
/// std's sort may panic; like Go's, this one compares and asks no more.
fn in_order<'a>(mut fields: Vec<(&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
    if fields.len() <= INSERTED_MAX {
        for end in 1..fields.len() {
            for at in (1..=end).rev() {
                match (fields.get(at - 1), fields.get(at)) {
                    (Some((a, _)), Some((b, _))) if natural(b, a) == Ordering::Less => {
                        fields.swap(at - 1, at);
                    }
                    _ => break,
                }
            }
        }
        return fields;
    }
    let right = in_order(fields.split_off(fields.len() / 2));
    let mut left = in_order(fields).into_iter().peekable();
    let mut right = right.into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) if natural(b, a) == Ordering::Less => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        };
        match next {
            Some(field) => merged.push(field),
            None => return merged,
        }
    }
}

/// The order of keys: numbers within them by their size, letters after all else.
fn natural(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = (0..left.len().min(right.len())).find(|i| left.get(*i) != right.get(*i)) else {
        return left.len().cmp(&right.len());
    };
    let (Some(l), Some(r)) = (left.get(at), right.get(at)) else {
        return Ordering::Equal;
    };
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero within a number is one of its digits, not where another begins.
    let within = (*l == '0' || *r == '0')
        && left
            .get(..at)
            .unwrap_or_default()
            .iter()
            .rev()
            .take_while(|c| c.is_ascii_digit())
            .any(|c| *c != '0');
    let run = |of: &[char]| -> (u64, usize) {
        let digits = of.get(at..).unwrap_or_default().iter();
        let digits = digits.map_while(|c| c.to_digit(10));
        digits.fold((u64::from(within), 0), |(number, count), digit| {
            let number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            (number, count + 1)
        })
    };
    run(&left).cmp(&run(&right)).then(l.cmp(r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_quoted_as_kubectl_quotes_them() {
        let cases = [
            ("a", "a"),
            ("", "\"\""),
            ("1", "\"1\""),
            ("yes", "\"yes\""),
            ("2026-11-22T19:10:49Z", "\"2026-11-22T19:10:49Z\""),
            ("2026-11-22", "\"2026-11-22\""),
            ("1:30", "\"1:30\""),
            ("<<", "\"<<\""),
            ("a: b", "'a: b'"),
            ("it's: x", "'it''s: x'"),
            ("#x", "'#x'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("*", "'*'"),
            (" x", "' x'"),
            ("a\tb", "\"a\\tb\""),
            ("x\n", "|\n  x"),
            ("x\ny", "|-\n  x\n  y"),
            ("x\n\n", "|+\n  x\n"),
            ("é", "é"),
            ("😀", "\"\\U0001F600\""),
        ];
        for (value, wanted) in cases {
            assert_eq!(
                text(&json!({ "k": value })),
                format!("k: {wanted}\n"),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_text_alone_reads_back() {
        for alone in ["\n\na\n\n", " a\nb", "a\n", "\n", "a b", "1"] {
            let read = crate::meta::yaml::value(text(&json!(alone)).as_bytes());
            assert_eq!(read, Ok(json!(alone)), "{alone:?}");
        }
    }

    #[test]
    fn keys_whose_order_runs_in_a_circle_are_all_written() {
        let circle = ["-01", "-0a", "-1"];
        let less = |a: usize, b: usize| natural(circle[a], circle[b]) == Ordering::Less;
        assert!(less(0, 1) && less(1, 2) && less(2, 0));
        let keys = (0..500).map(|n| format!("{}{n}", circle[n % 3]));
        let map: Map<String, Value> = keys.map(|key| (key, json!(1))).collect();
        let value = Value::Object(map);
        let read = crate::meta::yaml::value(text(&value).as_bytes());
        assert_eq!(read, Ok(value));
    }

    #[test]
    fn lists_keys_and_long_lines() {
        let shown = text(&json!({"b": [{"x": 1, "y": [[]]}, "s"], "a10": {}, "a2": null}));
        assert_eq!(
            shown,
            "a2: null\na10: {}\nb:\n- x: 1\n  \"y\":\n  - []\n- s\n"
        );
        let long = "word ".repeat(30);
        let shown = text(&json!({ "k": long.trim_end() }));
        assert!(shown.lines().count() == 2 && shown.lines().nth(1).unwrap().starts_with("  word"));
    }
}
