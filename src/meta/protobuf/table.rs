//! The descriptors by which messages are read and written: for each message its fields by number and
//! by their name in JSON. Read from a text, so that adding a kind is adding lines. Must not know any
//! kind.

use std::collections::HashMap;

/// The messages of an API, and the kinds they are the wire form of.
#[derive(Debug, Default)]
pub struct Table {
    messages: Vec<Message>,
    by_name: HashMap<&'static str, usize>,
    /// For each `apiVersion` the packages of its kinds.
    packages: HashMap<&'static str, Vec<&'static str>>,
    /// Kinds that every group has.
    everywhere: Vec<&'static str>,
}

/// How a message stands in JSON.
#[derive(Debug)]
pub(super) enum Form {
    /// An object.
    Fields(Fields),
    /// `text`: the string that its only field is.
    Text,
    /// `json`: the JSON that its only field holds.
    Json,
    /// `raw`: an object of any kind, as JSON or in an envelope.
    Raw,
    /// `items`: the list of strings that its only field is.
    Items,
    /// `time`: seconds since 1970, as RFC 3339; zero is absent.
    Time,
    /// `micro-time`: the same with microseconds.
    MicroTime,
    /// `int-or-string`: a number or a string.
    IntOrString,
    /// `bool-or`, `list-or`, `texts-or`: a value of its own or the message.
    Or(Other, usize),
}

/// What stands in place of a message, and in which fields which of both is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// Field 1; the message is field 2.
    Bool,
    /// Several of the message: field 2; the one is field 1.
    List,
    /// Strings: field 2; the message is field 1.
    Texts,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) form: Form,
}

/// The fields of a message.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// In the order of their numbers.
    fields: Box<[Field]>,
    /// Positions, in the order of the names in JSON.
    by_name: Box<[u16]>,
    /// Numbers and messages of those whose fields stand in this object.
    pub(super) inlined: Box<[(u32, usize)]>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) many: Many,
    pub(super) zero: Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Int64,
    Double,
    String,
    Bytes,
    Message(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    Map,
}

/// What a zero that was sent means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    /// It was meant: absence is told apart from it.
    Meant,
    /// It stands in the JSON, whether meant or not.
    Kept,
    /// Nothing: whoever sends this form sends it always.
    Absent,
}

impl Table {
    /// Reads the text of the table. Lines that are none are left out; a test reads them all.
    pub fn parse(text: &'static str) -> Self {
        let mut table = Self::default();
        let heads = text
            .lines()
            .filter(|line| !line.starts_with([' ', '#', '@', '*']));
        for (position, head) in heads.enumerate() {
            let name = head.split(' ').next().unwrap_or_default();
            table.by_name.insert(name, position);
        }
        let mut open: Option<Block> = None;
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("#") | None => {}
                Some("@") => {
                    let version = words.next().unwrap_or_default();
                    table.packages.insert(version, words.collect());
                }
                Some("*") => table.everywhere = words.collect(),
                Some("") => {
                    if let Some(block) = &mut open {
                        block.add(table.field(block.name, words));
                    }
                }
                Some(name) => {
                    table.messages.extend(open.take().map(Block::message));
                    let form = words.nth(1);
                    open = Some(Block {
                        name,
                        form: form.map(|form| table.form(name, form, words.next())),
                        fields: Vec::new(),
                        inlined: Vec::new(),
                    });
                }
            }
        }
        table.messages.extend(open.map(Block::message));
        table
    }

    fn form(&self, of: &str, form: &str, inner: Option<&str>) -> Form {
        let inner = inner.and_then(|name| self.position(of, name));
        // Nothing is found there.
        let inner = inner.unwrap_or(usize::MAX);
        match form {
            "json" => Form::Json,
            "raw" => Form::Raw,
            "items" => Form::Items,
            "time" => Form::Time,
            "micro-time" => Form::MicroTime,
            "int-or-string" => Form::IntOrString,
            "bool-or" => Form::Or(Other::Bool, inner),
            "list-or" => Form::Or(Other::List, inner),
            "texts-or" => Form::Or(Other::Texts, inner),
            _ => Form::Text,
        }
    }

    fn field(&self, of: &str, mut words: impl Iterator<Item = &'static str>) -> Option<Field> {
        let number = words.next()?.parse().ok()?;
        let name = words.next()?;
        let word = words.next()?;
        let (word, zero) = match (word.strip_suffix('?'), word.strip_suffix('!')) {
            (Some(word), _) => (word, Zero::Meant),
            (_, Some(word)) => (word, Zero::Kept),
            _ => (word, Zero::Absent),
        };
        let (word, many) = match (word.strip_prefix("[]"), word.strip_prefix("{}")) {
            (Some(word), _) => (word, Many::List),
            (_, Some(word)) => (word, Many::Map),
            _ => (word, Many::One),
        };
        let kind = match word {
            "bool" => Kind::Bool,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "double" => Kind::Double,
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            name => Kind::Message(self.position(of, name)?),
        };
        Some(Field {
            number,
            name,
            kind,
            many,
            zero,
        })
    }

    /// A message by the name that it has in the package of `of`.
    fn position(&self, of: &str, name: &str) -> Option<usize> {
        if name.contains('.') {
            return self.by_name.get(name).copied();
        }
        let (package, _) = of.rsplit_once('.')?;
        self.by_name.get(&*format!("{package}.{name}")).copied()
    }

    pub(super) fn message(&self, position: usize) -> Option<&Message> {
        self.messages.get(position)
    }

    /// The message of a kind.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        // Discovery's first document says its kind only.
        let api_version = if api_version.is_empty() {
            "v1"
        } else {
            api_version
        };
        let packages = self.packages.get(api_version)?;
        let everywhere = self.everywhere.contains(&kind).then_some("meta.v1");
        packages
            .iter()
            .copied()
            .chain(everywhere)
            .find_map(|package| self.by_name.get(&*format!("{package}.{kind}")))
            .and_then(|position| self.message(*position))
    }

    /// How many fields are declared.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let fields = self.messages.iter().map(|message| match &message.form {
            Form::Fields(fields) => fields.fields.len() + fields.inlined.len(),
            _ => 0,
        });
        fields.sum()
    }

    /// Whether nothing is told of a field that is zero (`""`, 0, false): the same as if it were not
    /// sent. `message` is `core.v1.PodSpec`. Go: `omitempty` of a field that is no pointer.
    pub fn leaves_out_zero(&self, message: &str, field: &str) -> bool {
        let at = self.by_name.get(message).copied();
        let Some(Form::Fields(fields)) = at.and_then(|at| self.message(at)).map(|m| &m.form) else {
            return false;
        };
        let inlined = fields.inlined.iter().map(|(_, inner)| *inner);
        let inlined = inlined.filter_map(|inner| match &self.message(inner)?.form {
            Form::Fields(fields) => fields.named(field),
            _ => None,
        });
        let found = fields.named(field).into_iter().chain(inlined).next();
        found.is_some_and(|field| {
            field.zero == Zero::Absent
                && field.many == Many::One
                && !matches!(field.kind, Kind::Message(_))
        })
    }

    /// Whether the kinds of a group version have this form.
    pub fn has_group(&self, api_version: &str) -> bool {
        self.packages.contains_key(api_version)
    }
}

/// A message of which the lines are being read.
struct Block {
    name: &'static str,
    form: Option<Form>,
    fields: Vec<Field>,
    inlined: Vec<(u32, usize)>,
}

impl Block {
    fn add(&mut self, field: Option<Field>) {
        match field {
            Some(Field {
                number,
                name: ".",
                kind: Kind::Message(inner),
                ..
            }) => self.inlined.push((number, inner)),
            Some(field) => self.fields.push(field),
            None => {}
        }
    }

    fn message(self) -> Message {
        let fields = || Form::Fields(Fields::new(self.fields, self.inlined));
        Message {
            form: self.form.unwrap_or_else(fields),
        }
    }
}

impl Fields {
    fn new(mut fields: Vec<Field>, inlined: Vec<(u32, usize)>) -> Self {
        fields.sort_by_key(|field| field.number);
        let mut by_name: Vec<(&str, u16)> = fields
            .iter()
            .zip(0..)
            .map(|(field, at)| (field.name, at))
            .collect();
        by_name.sort_unstable();
        Self {
            fields: fields.into(),
            by_name: by_name.into_iter().map(|(_, at)| at).collect(),
            inlined: inlined.into(),
        }
    }

    /// A field by its name in JSON.
    pub(super) fn named(&self, name: &str) -> Option<&Field> {
        let found = self
            .by_name
            .binary_search_by(|at| self.at(*at).map_or("", |field| field.name).cmp(name));
        self.at(*self.by_name.get(found.ok()?)?)
    }

    /// A field by its number.
    pub(super) fn numbered(&self, number: u32) -> Option<&Field> {
        let found = self.fields.binary_search_by_key(&number, |f| f.number);
        self.fields.get(found.ok()?)
    }

    fn at(&self, position: u16) -> Option<&Field> {
        self.fields.get(usize::from(position))
    }
}
