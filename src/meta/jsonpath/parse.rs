//! JSONPath templates: text to steps. Must not know data. Kubernetes: `jsonpath.Parser`.

use super::{Block, Comparison, Filter, JsonPathError, Slice, Step, fail};
use serde_json::Value;

/// How deep filters and unions may nest, and ranges within each other.
const MAX_NESTING: usize = 32;

struct Open {
    steps: Vec<Step>,
    body: Vec<Block>,
}

/// Reads a whole template.
pub(super) fn blocks(template: &str) -> Result<Vec<Block>, JsonPathError> {
    let mut done: Vec<Block> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (text, after) = rest.split_at(at);
        let block = |block, done: &mut Vec<Block>, open: &mut Vec<Open>| match open.last_mut() {
            Some(range) => range.body.push(block),
            None => done.push(block),
        };
        if !text.is_empty() {
            block(Block::Text(text.to_owned()), &mut done, &mut open);
        }
        let after = after.get(1..).unwrap_or_default();
        let mut reader = Reader { rest: after };
        let (word, steps) = reader.action(0)?;
        rest = reader.rest;
        match word {
            None => block(Block::Show(steps), &mut done, &mut open),
            Some("range") if open.len() >= MAX_NESTING => {
                return fail("ranges are nested too deeply");
            }
            Some("range") => open.push(Open {
                steps,
                body: Vec::new(),
            }),
            Some("end") => {
                let Some(range) = open.pop() else {
                    return fail("not in range, nothing to end");
                };
                let range = Block::Range(range.steps, range.body);
                block(range, &mut done, &mut open);
            }
            Some(other) => return fail(format!("unrecognized identifier {other}")),
        }
    }
    let last = (!rest.is_empty()).then(|| Block::Text(rest.to_owned()));
    match open.last_mut() {
        Some(range) => range.body.extend(last),
        None => done.extend(last),
    }
    // A range without an end goes to the end of the template.
    while let Some(range) = open.pop() {
        let range = Block::Range(range.steps, range.body);
        match open.last_mut() {
            Some(outer) => outer.body.push(range),
            None => done.push(range),
        }
    }
    Ok(done)
}

struct Reader<'t> {
    rest: &'t str,
}

fn ends(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

impl<'t> Reader<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Up to a character that ends a name; a backslash takes what follows it along.
    fn name(&mut self) -> &'t str {
        let mut escaped = false;
        let end = self.rest.find(|c: char| {
            let stop = !escaped && ends(c);
            escaped = !escaped && c == '\\';
            stop
        });
        self.take(end.unwrap_or(self.rest.len()))
    }

    /// Up to the closing brace: a keyword, if it begins with one, and the steps.
    fn action(&mut self, depth: usize) -> Result<(Option<&'t str>, Vec<Step>), JsonPathError> {
        if depth > MAX_NESTING {
            return fail("expression is nested too deeply");
        }
        let mut steps = Vec::new();
        let mut word = None;
        loop {
            let Some(c) = self.rest.chars().next() else {
                return fail("unclosed action");
            };
            match c {
                '}' => {
                    self.take(1);
                    return Ok((word, steps));
                }
                _ if c.is_whitespace() => {
                    self.take(c.len_utf8());
                }
                '@' | '$' => {
                    self.take(1);
                }
                '[' => steps.push(self.brackets(depth)?),
                '"' | '\'' => steps.push(Step::Literal(Value::String(self.quoted(c)?))),
                '.' if self.rest.starts_with("..") => {
                    self.take(2);
                    steps.push(Step::Recursive);
                    if self.rest.chars().next().is_some_and(|c| !ends(c)) {
                        let name = self.name();
                        steps.push(field(name));
                    }
                }
                '.' => {
                    self.take(1);
                    let name = self.name();
                    steps.push(field(name));
                }
                '+' | '-' | '0'..='9' => {
                    let end = self.rest.char_indices().skip(1);
                    let end = end
                        .map(|(at, c)| (at, c == '.' || !ends(c)))
                        .find(|(_, inside)| !inside);
                    let text = self.take(end.map_or(self.rest.len(), |(at, _)| at));
                    steps.push(Step::Literal(number(text)?));
                }
                '_' => word = Some(self.name()),
                _ if c.is_alphabetic() => match self.name() {
                    "true" => steps.push(Step::Literal(Value::Bool(true))),
                    "false" => steps.push(Step::Literal(Value::Bool(false))),
                    name => word = Some(name),
                },
                _ => {
                    return fail(format!(
                        "unrecognized character in action: U+{:04X} '{c}'",
                        u32::from(c)
                    ));
                }
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, JsonPathError> {
        self.take(1);
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.take(at + 1);
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                    Some(other) => return fail(format!("invalid syntax: \\{other}")),
                    None => break,
                },
                other => text.push(other),
            }
        }
        fail("unterminated quoted string")
    }

    /// `[...]`: a filter, or one or more of index, slice, quoted name, wildcard.
    fn brackets(&mut self, depth: usize) -> Result<Step, JsonPathError> {
        self.take(1);
        if self.rest.starts_with("?(") {
            self.take(2);
            return self.filter(depth);
        }
        let mut quote = None;
        let end = self.rest.find(|c: char| {
            match quote {
                Some(q) if q == c => quote = None,
                Some(_) => {}
                None if c == '\'' || c == '"' => quote = Some(c),
                None => return c == ']',
            }
            false
        });
        let Some(end) = end else {
            return fail("unterminated array");
        };
        let inside = self.take(end);
        self.take(1);
        let mut parts = Vec::new();
        for part in split_outside_quotes(inside) {
            parts.push(element(part.trim(), depth)?);
        }
        Ok(Step::Union(parts))
    }

    fn filter(&mut self, depth: usize) -> Result<Step, JsonPathError> {
        let mut nesting = 1_usize;
        let mut quote = None;
        let end = self.rest.find(|c: char| {
            match (quote, c) {
                (Some(q), _) if q == c => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '(') => nesting += 1,
                (None, ')') => nesting -= 1,
                _ => {}
            }
            nesting == 0
        });
        let Some(end) = end else {
            return fail("unterminated filter");
        };
        let inside = self.take(end);
        self.take(1);
        if !self.rest.starts_with(']') {
            return fail("unclosed array expect ]");
        }
        self.take(1);
        let side = |text: &str| -> Result<Vec<Step>, JsonPathError> {
            let text = format!("{text}}}");
            let mut reader = Reader { rest: &text };
            let (word, steps) = reader.action(depth + 1)?;
            match word {
                Some(word) => fail(format!("unrecognized identifier {word}")),
                None => Ok(steps),
            }
        };
        // An operator with nothing on either side is a part of a name.
        let operator = inside.find(['!', '<', '>', '=']).filter(|at| *at > 0);
        let parts = operator.and_then(|at| {
            let (left, rest) = inside.split_at(at);
            let right = rest.trim_start_matches(['!', '<', '>', '=']);
            let operator = rest.strip_suffix(right)?;
            (!right.is_empty()).then_some((left, operator, right))
        });
        let Some((left, operator, right)) = parts else {
            return Ok(Step::Filter(Box::new(Filter {
                left: side(inside)?,
                comparison: None,
            })));
        };
        let (left, right) = (side(left)?, side(right)?);
        let comparison = match operator {
            "<" => Comparison::Less,
            ">" => Comparison::Greater,
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<=" => Comparison::LessOrEqual,
            ">=" => Comparison::GreaterOrEqual,
            other => return fail(format!("unrecognized filter operator {other}")),
        };
        Ok(Step::Filter(Box::new(Filter {
            left,
            comparison: Some((comparison, right)),
        })))
    }
}

fn field(name: &str) -> Step {
    if name == "*" {
        Step::Wildcard
    } else {
        Step::Field(name.replace('\\', ""))
    }
}

fn number(text: &str) -> Result<Value, JsonPathError> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(Value::from(whole));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Value::from(value)),
        _ => fail(format!("cannot parse number {text}")),
    }
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quote = None;
    text.split(|c: char| {
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None => return c == ',',
        }
        false
    })
    .collect()
}

fn element(text: &str, depth: usize) -> Result<Vec<Step>, JsonPathError> {
    if text == "*" {
        return Ok(vec![Step::Wildcard]);
    }
    for quote in ['\'', '"'] {
        let inner = text.strip_prefix(quote);
        if let Some(name) = inner.and_then(|t| t.strip_suffix(quote)) {
            // Quotes do not keep dots together: kubectl reads the name as a path.
            let path = format!(".{name}}}");
            let mut reader = Reader { rest: &path };
            return reader.action(depth + 1).map(|(_, steps)| steps);
        }
    }
    let wrong = || fail(format!("invalid array index {text}"));
    let mut numbers = Vec::new();
    for part in text.split(':') {
        numbers.push(match part {
            "" => None,
            part => match part.parse::<i64>() {
                Ok(number) if !part.starts_with('+') => Some(number),
                _ => return wrong(),
            },
        });
    }
    let slice = match numbers.as_slice() {
        [Some(index)] => Slice {
            start: Some(*index),
            end: Some(index.saturating_add(1)),
            step: None,
            single: true,
        },
        [None] => return wrong(),
        [start, end] => Slice {
            start: *start,
            end: *end,
            ..Slice::default()
        },
        [start, end, step] => Slice {
            start: *start,
            end: *end,
            step: *step,
            single: false,
        },
        _ => return wrong(),
    };
    Ok(vec![Step::Slice(slice)])
}
