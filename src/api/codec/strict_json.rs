//! JSON into a value, with the names that stood twice. serde_json's own value forgets them, and
//! `fieldValidation` has to tell. Depth is bounded by serde_json's own limit of 128.
//! Kubernetes: sigs.k8s.io/json, strict mode.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt::{self, Write as _};

/// Duplicates that are told; a client mends the first ones anyway.
const DUPLICATES_MAX: usize = 100;

/// A value, and what a strict reader objects to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strict {
    pub(crate) value: Value,
    /// Paths of names that stood twice in one object; the last one counted.
    pub(crate) duplicates: Vec<String>,
    /// What was said of them in YAML, with their lines.
    pub(crate) lines: Vec<String>,
}

/// Reads one JSON document; anything after it is an error.
pub(crate) fn parse(bytes: &[u8]) -> Result<Strict, serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let path = RefCell::new(String::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed {
        duplicates: &duplicates,
        path: &path,
    };
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Strict {
        value,
        duplicates: duplicates.into_inner(),
        lines: Vec::new(),
    })
}

/// One step of a path.
enum Step<'a> {
    Name(&'a str),
    Item(usize),
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    duplicates: &'a RefCell<Vec<String>>,
    path: &'a RefCell<String>,
}

impl Seed<'_> {
    /// Reads one value below the current path.
    fn below<'de, E, R>(
        self,
        step: Step<'_>,
        read: impl FnOnce(Self) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: Error + 'de,
    {
        let before = {
            let mut path = self.path.borrow_mut();
            let before = path.len();
            match step {
                Step::Name(name) => {
                    if before > 0 {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                // A String takes whatever is written to it.
                Step::Item(index) => drop(write!(path, "[{index}]")),
            }
            before
        };
        let result = read(self);
        self.path.borrow_mut().truncate(before);
        result
    }

    fn duplicate(self, name: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < DUPLICATES_MAX {
            let path = self.path.borrow();
            let dot = if path.is_empty() { "" } else { "." };
            duplicates.push(format!("{path}{dot}{name}"));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let step = Step::Item(items.len());
            let next = self.below::<A::Error, _>(step, |seed| access.next_element_seed(seed))?;
            match next {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value =
                self.below::<A::Error, _>(Step::Name(&name), |seed| access.next_value_seed(seed))?;
            if map.contains_key(&name) {
                self.duplicate(&name);
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tells_duplicates_by_path() {
        let text = br#"{"a":1,"spec":{"c":[{"n":1},{"n":1,"n":2}],"x":{},"x":{"y":null}},"a":3}"#;
        let strict = parse(text).unwrap();
        let expected = json!({"a":3,"spec":{"c":[{"n":1},{"n":2}],"x":{"y":null}}});
        assert_eq!(strict.value, expected);
        assert_eq!(strict.duplicates, ["spec.c[1].n", "spec.x", "a"]);
    }

    #[test]
    fn refuses_depth_rubbish_and_what_follows() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for wrong in [
            deep.as_str(),
            "{} {}",
            "{\"a\":}",
            "",
            "\u{0}",
            "{\"a\":1,}",
        ] {
            assert!(parse(wrong.as_bytes()).is_err());
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_json(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let ours = parse(&bytes).ok().map(|strict| strict.value);
            let theirs = serde_json::from_slice::<Value>(&bytes).ok();
            proptest::prop_assert_eq!(ours, theirs);
        }
    }
}
