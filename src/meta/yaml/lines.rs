//! On which line of a text a field stands, for messages about it. Must not know what is wrong.

use super::MAX_DEPTH;
use granit_parser::{Event, Parser, StrInput};

/// A node with the line it begins on, from 1.
struct Node {
    line: usize,
    shape: Shape,
}

enum Shape {
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    Other,
}

/// A step of a path such as `spec.containers[0].image` or `metadata.annotations[a.b/c]`.
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

/// The line of the only document in `text` on which the field of `path` stands, or the nearest
/// that holds it. A list without an index means the first item that has the rest of the path.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        bom_inside_document_as_content: true,
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    loop {
        let (event, span) = events.next_event()?.ok()?;
        match event {
            Event::DocumentStart(..) => {
                let (event, span) = events.next_event()?.ok()?;
                let root = node(&mut events, event, span.start.line(), 0)?;
                return Some(find(&root, &steps(path)).0);
            }
            Event::StreamEnd => return Some(span.start.line()),
            _ => {}
        }
    }
}

fn node<'t>(
    events: &mut Parser<'t, StrInput<'t>>,
    event: Event<'t>,
    line: usize,
    depth: usize,
) -> Option<Node> {
    if depth > MAX_DEPTH {
        return None;
    }
    let shape = match event {
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                let (event, span) = events.next_event()?.ok()?;
                if matches!(event, Event::SequenceEnd) {
                    break;
                }
                items.push(node(events, event, span.start.line(), depth + 1)?);
            }
            Shape::List(items)
        }
        Event::MappingStart(..) => {
            let mut fields = Vec::new();
            loop {
                let (event, span) = events.next_event()?.ok()?;
                if matches!(event, Event::MappingEnd) {
                    break;
                }
                let line = span.start.line();
                let name = match &event {
                    Event::Scalar(text, ..) => text.to_string(),
                    _ => String::new(),
                };
                node(events, event, line, depth + 1)?;
                let (event, span) = events.next_event()?.ok()?;
                let mut value = node(events, event, span.start.line(), depth + 1)?;
                // A field is looked for where its name stands.
                value.line = line;
                fields.push((name, value));
            }
            Shape::Map(fields)
        }
        _ => Shape::Other,
    };
    Some(Node { line, shape })
}

/// The line that was found, and how many steps led there.
fn find(node: &Node, path: &[Step<'_>]) -> (usize, usize) {
    let here = (node.line, 0);
    let deeper = |node: &Node, rest: &[Step<'_>]| {
        let (line, steps) = find(node, rest);
        (line, steps + 1)
    };
    match (&node.shape, path) {
        (Shape::Map(fields), [Step::Field(name), rest @ ..]) => {
            let field = fields.iter().rev().find(|(field, _)| field == name);
            field.map_or(here, |(_, value)| deeper(value, rest))
        }
        (Shape::List(items), [Step::Index(index), rest @ ..]) => {
            items.get(*index).map_or(here, |item| deeper(item, rest))
        }
        (Shape::List(items), [Step::Field(_), ..]) => {
            let found = items.iter().map(|item| find(item, path));
            found.fold(here, |best, next| if next.1 > best.1 { next } else { best })
        }
        _ => here,
    }
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            steps.push(match inside.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Field(inside.trim_matches('"')),
            });
            rest = after;
        } else {
            let trimmed = rest.trim_start_matches('.');
            let end = trimmed.find(['.', '[']).unwrap_or(trimmed.len());
            let (name, after) = trimmed.split_at_checked(end).unwrap_or((trimmed, ""));
            if name.is_empty() {
                break;
            }
            steps.push(Step::Field(name));
            rest = after;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_on_their_lines() {
        let text = "a: 1\nb:\n  c:\n  - d: 1\n  - e: 2\n    f.g/h: 3\n";
        let line = |path: &str| line_of(text, path).unwrap();
        assert_eq!((line("a"), line("b.c"), line("b.c[1].e")), (1, 3, 5));
        assert_eq!((line("b.c.e"), line("b.c[1][f.g/h]")), (5, 6));
        assert_eq!((line("b.c[1].none"), line("b.c[7]"), line("x")), (5, 3, 1));
        assert_eq!(line_of("{\n\"a\": {\n\"b\": 1}}", "a.b"), Some(3));
        assert_eq!(line_of("a: [", "a"), None);
    }
}
