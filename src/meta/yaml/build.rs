//! From the parser's events to a value: maps, lists, anchors, merge keys, limits. Must not know
//! documents beyond the one it is given.

use super::scalar::{Scalar, resolve};
use super::{MAX_ALIASED_BYTES, MAX_DEPTH, MAX_NODES};
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What is wrong, and on which line of the document's text.
pub(super) struct Problem {
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

/// Keys that stood twice in a map.
pub(super) type Doubles = Vec<Problem>;

/// Doubles that are told; a client mends the first ones anyway.
const DOUBLES_MAX: usize = 100;

type Found<T> = Result<T, Problem>;

/// The value of the only document in `text`; null if there is none. Keys that stand twice go to
/// `doubles`, with their lines, and the last one counts; without it they are an error.
pub(super) fn value(text: &str, doubles: Option<&mut Doubles>) -> Found<Value> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        bom_inside_document_as_content: true,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        aliased_bytes: 0,
        doubles,
    };
    let mut value = Value::Null;
    let mut documents = 0;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Ok(value),
            Event::DocumentStart(_, version) => {
                if version.is_some_and(|v| (v.major, v.minor) != (1, 1)) {
                    return Err(at(&span, "found incompatible YAML document"));
                }
                documents += 1;
                if documents > 1 {
                    return Err(at(&span, "did not find expected <document start>"));
                }
                let (event, span) = builder.next()?;
                value = builder.node(event, &span, 0)?.value;
            }
            _ => {}
        }
    }
}

struct Builder<'t, 'd> {
    events: Parser<'t, StrInput<'t>>,
    /// Finished anchors; `None` while the node is being built.
    anchors: HashMap<usize, Option<Anchored>>,
    nodes: usize,
    aliased_bytes: usize,
    doubles: Option<&'d mut Doubles>,
}

#[derive(Clone)]
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A value, and what it means if it is a scalar (a key is spelled by that).
#[derive(Clone)]
struct Node {
    value: Value,
    scalar: Option<Scalar>,
    merge_key: bool,
}

fn at(span: &Span, message: impl Into<String>) -> Problem {
    Problem {
        line: Some(span.start.line()),
        message: message.into(),
    }
}

impl<'t> Builder<'t, '_> {
    fn next(&mut self) -> Found<(Event<'t>, Span)> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Problem {
                line: Some(error.marker().line()),
                message: match error.info() {
                    // The parser has a limit of its own, beyond ours.
                    words if words.contains("recursion limit") => {
                        format!("exceeded max depth of {MAX_DEPTH}")
                    }
                    words => words,
                },
            }),
            None => Err(Problem {
                line: None,
                message: "found unexpected end of stream".to_owned(),
            }),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Found<Node> {
        if depth > MAX_DEPTH {
            return Err(at(span, format!("exceeded max depth of {MAX_DEPTH}")));
        }
        self.count(1, span)?;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(&text, style, tag.as_deref(), span)?;
                self.anchor(anchor, &node);
                Ok(node)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(anchor);
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, &span, depth + 1)?.value);
                }
                Ok(self.close(anchor, Value::Array(items)))
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(anchor);
                let map = self.map(depth)?;
                Ok(self.close(anchor, Value::Object(map)))
            }
            Event::Alias(id) => self.alias(id, span, depth),
            Event::UnresolvedAlias(name) => {
                Err(at(span, format!("unknown anchor '{name}' referenced")))
            }
            _ => Err(at(span, "did not find expected node content")),
        }
    }

    fn map(&mut self, depth: usize) -> Found<Map<String, Value>> {
        let mut map = Map::new();
        let mut given = HashSet::new();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(map);
            }
            let key = self.node(event, &key_span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?.value;
            if key.merge_key {
                merge(&mut map, value).map_err(|words| at(&span, words))?;
                continue;
            }
            let Some(scalar) = key.scalar else {
                return Err(at(&key_span, format!("invalid map key: {}", key.value)));
            };
            let key = scalar
                .into_key(&value)
                .map_err(|words| at(&key_span, words))?;
            if !given.insert(key.clone()) {
                let problem = at(&key_span, format!("key {key:?} already set in map"));
                match &mut self.doubles {
                    None => return Err(problem),
                    Some(doubles) if doubles.len() < DOUBLES_MAX => doubles.push(problem),
                    Some(_) => {}
                }
            }
            map.insert(key, value);
        }
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Found<Node> {
        let Some(Some(anchored)) = self.anchors.get(&id) else {
            return Err(at(span, "anchor value contains itself"));
        };
        let (nodes, bytes) = (anchored.nodes, anchored.bytes);
        if depth + anchored.depth > MAX_DEPTH {
            return Err(at(span, format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let node = anchored.node.clone();
        // Counted before it is kept, and what is cloned here was counted when it was built.
        self.count(nodes, span)?;
        self.aliased_bytes = self.aliased_bytes.saturating_add(bytes);
        if self.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(at(span, "document contains excessive aliasing"));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Found<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(at(span, "document contains excessive aliasing"));
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn close(&mut self, anchor: usize, value: Value) -> Node {
        let node = Node {
            value,
            scalar: None,
            merge_key: false,
        };
        self.anchor(anchor, &node);
        node
    }

    fn anchor(&mut self, anchor: usize, node: &Node) {
        if anchor == 0 {
            return;
        }
        let mut anchored = Anchored {
            node: node.clone(),
            nodes: 0,
            bytes: 0,
            depth: 0,
        };
        anchored.depth = measure(&node.value, &mut anchored.nodes, &mut anchored.bytes);
        self.anchors.insert(anchor, Some(anchored));
    }
}

/// Adds up values and bytes of text; answers with the depth.
fn measure(value: &Value, nodes: &mut usize, bytes: &mut usize) -> usize {
    *nodes += 1;
    match value {
        Value::Array(items) => {
            let inner = items.iter().map(|v| measure(v, nodes, bytes)).max();
            inner.unwrap_or(0) + 1
        }
        Value::Object(map) => {
            *bytes += map.keys().map(String::len).sum::<usize>();
            let inner = map.values().map(|v| measure(v, nodes, bytes)).max();
            inner.unwrap_or(0) + 1
        }
        Value::String(text) => {
            *bytes += text.len();
            0
        }
        _ => 0,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Found<Node> {
    let plain = style == ScalarStyle::Plain;
    let tag = tag.map(|t| format!("{}{}", t.handle(), t.suffix()));
    let merge_key = plain && tag.is_none() && text == "<<";
    let scalar = resolve(text, plain, tag.as_deref()).map_err(|words| at(span, words))?;
    let value = scalar
        .clone()
        .into_json()
        .map_err(|words| at(span, words))?;
    Ok(Node {
        value,
        scalar: Some(scalar),
        merge_key,
    })
}

/// `<<`: the fields of a map, or of several, of which earlier ones win.
fn merge(map: &mut Map<String, Value>, value: Value) -> Result<(), Cow<'static, str>> {
    const WORDS: &str = "map merge requires map or sequence of maps as the value";
    match value {
        Value::Object(fields) => map.extend(fields),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(fields) = item else {
                    return Err(WORDS.into());
                };
                map.extend(fields);
            }
        }
        _ => return Err(WORDS.into()),
    }
    Ok(())
}
