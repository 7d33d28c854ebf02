//! YAML as kubectl's parser reads it: YAML 1.1 scalars (`0644` is 420, `yes` is true), merge
//! keys, JSON values out. Bounded in size, depth and what aliases may multiply; errors name the
//! document and the line. Must not know files or kinds: callers add the file's name.
//! Kubernetes: sigs.k8s.io/yaml over go-yaml v2; apimachinery `util/yaml` splits documents.
//!
//! A key that stands twice in a map is an error, as it is for a server that validates strictly;
//! `lenient_value` tells it beside the value.

mod build;
mod lines;
mod scalar;
mod write;

pub use write::text;

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Longest text that is read (bytes).
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Deepest nesting; a server's JSON reader takes no more.
pub const MAX_DEPTH: usize = 100;
/// Most values in one document, what aliases repeat included.
pub const MAX_NODES: usize = 2_000_000;
/// Most bytes of text in one document that come from aliases.
pub const MAX_ALIASED_BYTES: usize = 10 * 1024 * 1024;

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its place in the text, from 1, empty documents counted.
    pub index: usize,
    /// The line it starts on, from 1.
    pub line: usize,
    /// What it says; never null.
    pub value: Value,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// Which document of the text, from 1.
    pub document: usize,
    /// The line in the text, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for YamlError {
    /// `error converting YAML to JSON: yaml: line 3: ...`, with the document where it is not the
    /// first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.document > 1 {
            write!(f, "document {}: ", self.document)?;
        }
        f.write_str("error converting YAML to JSON: yaml: ")?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Reads all documents of a text; each is right or wrong by itself. Empty ones are left out.
/// A text that cannot be split is one wrong document.
pub fn documents(bytes: &[u8]) -> Vec<Result<Document, YamlError>> {
    read(bytes, None)
}

fn read(
    bytes: &[u8],
    mut doubles: Option<&mut build::Doubles>,
) -> Vec<Result<Document, YamlError>> {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(error) => return vec![Err(error)],
    };
    if let Some(documents) = json_documents(&text) {
        return documents.into_iter().map(Ok).collect();
    }
    let mut found = Vec::new();
    for (index, chunk) in split(&text).into_iter().enumerate() {
        let document = index + 1;
        let value = match chunk.wrong_separator {
            Some(rest) => Err(YamlError {
                document,
                line: Some(chunk.line),
                message: format!("invalid Yaml document separator: {rest}"),
            }),
            None => build::value(chunk.text, doubles.as_deref_mut()).map_err(|problem| YamlError {
                document,
                line: problem.line.map(|l| l + chunk.line - 1),
                message: problem.message,
            }),
        };
        match value {
            Ok(Value::Null) => {}
            Ok(value) => found.push(Ok(Document {
                index: document,
                line: chunk.line,
                value,
            })),
            Err(error) => found.push(Err(error)),
        }
    }
    found
}

/// Reads a text of one document; null if it is empty. Further documents are an error.
pub fn value(bytes: &[u8]) -> Result<Value, YamlError> {
    only(documents(bytes))
}

/// Likewise, where of keys that stand twice in a map the last one counts. What a strict reader says
/// of each of them is told beside the value: `line 4: key "a" already set in map`.
pub fn lenient_value(bytes: &[u8]) -> Result<(Value, Vec<String>), YamlError> {
    let mut doubles = Vec::new();
    let value = only(read(bytes, Some(&mut doubles)))?;
    let words = |double: build::Problem| match double.line {
        Some(line) => format!("line {line}: {}", double.message),
        None => double.message,
    };
    Ok((value, doubles.into_iter().map(words).collect()))
}

fn only(documents: Vec<Result<Document, YamlError>>) -> Result<Value, YamlError> {
    let mut documents = documents.into_iter();
    let first = documents.next().transpose()?.map(|d| d.value);
    match documents.next() {
        None => Ok(first.unwrap_or(Value::Null)),
        Some(next) => Err(YamlError {
            document: next.map_or_else(|e| e.document, |d| d.index),
            line: None,
            message: "there is more than one document".to_owned(),
        }),
    }
}

/// The line of the text (from 1) on which a field of one of its documents (from 1) stands, or the
/// nearest field that holds it. `path` is written as errors name fields: `spec.containers[0].image`.
pub fn line_of(bytes: &[u8], document: usize, path: &str) -> Option<usize> {
    let text = decode(bytes).ok()?;
    let chunks = split(&text);
    // Of several JSON values in one text none has a chunk of its own.
    let chunk = chunks.get(document.checked_sub(1)?)?;
    let line = lines::line_of(chunk.text, path)?;
    Some(line + chunk.line - 1)
}

/// Whether `text`, written without quotes, is read as this very text (if nothing else in it must
/// be quoted): it is no number, boolean, null, time or merge key of YAML 1.1.
pub fn is_plain_text(text: &str) -> bool {
    scalar::is_text(text)
}

/// Bytes to text: UTF-8, or UTF-16 that says so by its mark.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    let wrong = |line: Option<usize>, message: &str| YamlError {
        document: 1,
        line,
        message: message.to_owned(),
    };
    if bytes.len() > MAX_BYTES {
        return Err(wrong(None, "the text is longer than 64 MiB"));
    }
    let wide = |from: fn([u8; 2]) -> u16| {
        let units = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        let units = units.map(|c| {
            from([
                c.first().copied().unwrap_or(0),
                c.last().copied().unwrap_or(0),
            ])
        });
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map_err(|_| wrong(None, "unexpected low surrogate area"))
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => Cow::Owned(wide(u16::from_le_bytes)?),
        [0xfe, 0xff, ..] => Cow::Owned(wide(u16::from_be_bytes)?),
        _ => {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            Cow::Borrowed(std::str::from_utf8(text).map_err(|e| {
                let before = text.get(..e.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|b| **b == b'\n').count() + 1;
                wrong(Some(line), "invalid leading UTF-8 octet")
            })?)
        }
    };
    let control = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}'))
            || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    match text.find(control) {
        None => Ok(text),
        Some(at) => {
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Err(wrong(Some(line), "control characters are not allowed"))
        }
    }
}

/// A text that is JSON, one value after another, is not read as YAML.
fn json_documents(text: &str) -> Option<Vec<Document>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut found = Vec::new();
    loop {
        let start = stream.byte_offset();
        let value = match stream.next() {
            None => return Some(found),
            Some(value) => value.ok()?,
        };
        let before = text.get(..start)?;
        let space = text.get(start..)?;
        let space = space.len() - space.trim_start().len();
        let before = before.len() + space;
        found.push(Document {
            index: found.len() + 1,
            line: text.get(..before)?.matches('\n').count() + 1,
            value,
        });
    }
}

struct Chunk<'a> {
    line: usize,
    text: &'a str,
    wrong_separator: Option<&'a str>,
}

/// Splits at lines that begin with `---`, as kubectl does before it parses.
fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    let mut wrong = None;
    let mut directives = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let next = at + line.len();
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            // A directive belongs to the document after the line.
            if !directives {
                let chunk = text.get(start..at).unwrap_or_default();
                if wrong.is_some() || !is_blank(chunk) {
                    chunks.push(Chunk {
                        line: start_line,
                        text: chunk,
                        wrong_separator: wrong,
                    });
                }
                (start, start_line) = (next, index + 2);
                wrong = (!rest.is_empty() && !rest.starts_with('#')).then_some(rest);
            }
            directives = false;
        } else if line.starts_with('%') && is_blank(text.get(start..at).unwrap_or_default()) {
            directives = true;
        }
        at = next;
    }
    chunks.push(Chunk {
        line: start_line,
        text: text.get(start..).unwrap_or_default(),
        wrong_separator: wrong,
    });
    chunks
}

fn is_blank(text: &str) -> bool {
    text.lines()
        .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests;
