//! The text of a description as it grows: lines with tabs between cells, padded at the end. Must
//! not know kinds. Kubernetes: kubectl's `PrefixWriter`.

use crate::cli::printers::tab_writer::DESCRIBE;
use crate::meta::Quantity;
use serde_json::Value;

/// The annotation that is not shown: it is the manifest once more.
const HIDDEN: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest annotation that stands on its key's line.
const ANNOTATION_LENGTH_MAX: usize = 140;

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Text {
    done: String,
    growing: String,
}

impl Text {
    /// A line, two spaces in for each level.
    pub(super) fn line(&mut self, level: usize, line: impl AsRef<str>) {
        self.growing.extend(std::iter::repeat_n("  ", level));
        self.growing.push_str(line.as_ref());
        self.growing.push('\n');
    }

    /// `Name:` and what it is, in the next column.
    pub(super) fn field(&mut self, level: usize, name: &str, value: impl AsRef<str>) {
        self.line(level, format!("{name}:\t{}", value.as_ref()));
    }

    /// Like `field`, but nothing where there is nothing to say.
    pub(super) fn field_if(&mut self, level: usize, name: &str, value: impl AsRef<str>) {
        if !value.as_ref().is_empty() {
            self.field(level, name, value);
        }
    }

    /// Lines below each other in the second column, of which the first has the title.
    pub(super) fn column(&mut self, title: &str, lines: &[String]) {
        if lines.is_empty() {
            self.field(0, title, "<none>");
        }
        for (number, line) in lines.iter().enumerate() {
            let title = if number == 0 {
                format!("{title}:")
            } else {
                String::new()
            };
            self.line(0, format!("{title}\t{line}"));
        }
    }

    /// Like `column`, inside what stands two levels in. Kubernetes: there each part of a line is
    /// indented, and there are `more` levels of that before what follows the first line.
    pub(super) fn column_inside(&mut self, title: &str, lines: &[String], more: usize) {
        if lines.is_empty() {
            self.field(2, title, "<none>");
        }
        for (number, line) in lines.iter().enumerate() {
            let title = if number == 0 {
                format!("{title}:")
            } else {
                "  ".repeat(more)
            };
            self.line(2, format!("{title}\t    {line}"));
        }
    }

    /// Name, namespace if there is one, labels, annotations.
    pub(super) fn metadata(&mut self, object: &Value) {
        self.field(0, "Name", at(object, "/metadata/name"));
        self.field_if(0, "Namespace", at(object, "/metadata/namespace"));
        self.labels_and_annotations(object);
    }

    /// Labels and annotations.
    pub(super) fn labels_and_annotations(&mut self, object: &Value) {
        self.column("Labels", &pairs(object.pointer("/metadata/labels")));
        self.annotations("Annotations", object.pointer("/metadata/annotations"));
    }

    /// Annotations under a title.
    pub(super) fn annotations(&mut self, title: &str, map: Option<&Value>) {
        self.column(title, &annotation_lines(map));
    }

    /// Amounts of resources, one a line.
    pub(super) fn amounts(&mut self, level: usize, title: &str, map: Option<&Value>) {
        let amounts = map.and_then(Value::as_object).into_iter().flatten();
        for (number, (name, amount)) in amounts.enumerate() {
            if number == 0 {
                self.line(level, format!("{title}:"));
            }
            self.field(level + 1, name, quantity(amount));
        }
    }

    /// What has been said so far is padded by itself.
    pub(super) fn flush(&mut self) {
        let text = std::mem::take(&mut self.growing);
        self.done.push_str(&DESCRIBE.pad(&text));
    }

    /// The text with its tabs, as it stands inside the words of another verb.
    pub(super) fn raw(self) -> String {
        self.growing
    }

    /// The text.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.done
    }
}

/// Annotations, one a line and long ones on several.
pub(super) fn annotation_lines(map: Option<&Value>) -> Vec<String> {
    let mut lines = Vec::new();
    let all = map.and_then(Value::as_object).into_iter().flatten();
    for (key, value) in all.filter(|(key, _)| *key != HIDDEN) {
        let value = value.as_str().unwrap_or_default();
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.contains('\n') || key.len() + value.len() + 2 > ANNOTATION_LENGTH_MAX {
            lines.push(format!("{key}:"));
            let most = ANNOTATION_LENGTH_MAX - 2;
            lines.extend(
                value
                    .split('\n')
                    .map(|line| match line.char_indices().nth(most) {
                        Some((end, _)) => {
                            format!("  {}...", line.get(..end).unwrap_or_default())
                        }
                        None => format!("  {line}"),
                    }),
            );
        } else {
            lines.push(format!("{key}: {value}"));
        }
    }
    lines
}

/// The text at a pointer; empty if there is none.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The list at a pointer; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

/// The number at a pointer, as text.
pub(super) fn number(value: &Value, pointer: &str) -> Option<String> {
    let found = value.pointer(pointer)?;
    found.is_number().then(|| found.to_string())
}

/// The texts of a list, with commas between them.
pub(super) fn joined(value: &Value, pointer: &str) -> String {
    let texts = list(value, pointer).iter().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(",")
}

/// The texts of a list, as Go prints a list of them.
pub(super) fn go_list(value: &Value, pointer: &str) -> String {
    let texts = list(value, pointer).iter().filter_map(Value::as_str);
    format!("[{}]", texts.collect::<Vec<_>>().join(" "))
}

/// Whether the value at a pointer is true.
pub(super) fn is_true(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// `True` or `False`.
pub(super) fn capital(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

/// `<none>` where there is nothing.
pub(super) fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// `key=value`, sorted.
pub(super) fn pairs(map: Option<&Value>) -> Vec<String> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect()
}

/// An amount in its canonical form.
pub(super) fn quantity(amount: &Value) -> String {
    let text = amount
        .as_str()
        .map_or_else(|| amount.to_string(), str::to_owned);
    Quantity::parse(&text).map_or(text, |quantity| quantity.to_string())
}

/// A time as kubectl shows it in descriptions.
pub(super) fn time(text: &str) -> String {
    let found = crate::meta::time::parse(text);
    found.map_or_else(String::new, |time| {
        time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    })
}
