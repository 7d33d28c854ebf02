//! Takes out what the schema does not name, and tells where it stood.
//! Kubernetes: apiextensions-apiserver `schema/pruning`.

use super::{Additional, Structural};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Fields that every object has, embedded ones too.
const OF_OBJECTS: &[&str] = &["apiVersion", "kind", "metadata"];
/// Most unknown fields that are told in one answer; the rest is taken out in silence.
const UNKNOWN_MAX: usize = 100;

impl Structural {
    /// Prunes an object of the kind; answers the paths of what was taken out, sorted.
    pub fn prune(&self, object: &mut Map<String, Value>) -> Vec<String> {
        let mut walk = Walk::default();
        walk.fields(object, self, self.preserve_unknown, true);
        walk.unknown.sort();
        walk.unknown
    }
}

#[derive(Default)]
struct Walk {
    path: String,
    unknown: Vec<String>,
}

impl Walk {
    fn value(&mut self, value: &mut Value, schema: Option<&Structural>, preserve: bool) {
        match value {
            Value::Object(fields) => match schema {
                Some(schema) => {
                    let preserve = preserve || schema.preserve_unknown;
                    self.fields(fields, schema, preserve, schema.embedded);
                }
                None if preserve => {}
                None => {
                    for name in fields.keys() {
                        self.tell(name);
                    }
                    fields.clear();
                }
            },
            Value::Array(items) => {
                // What keeps unknown fields keeps them through lists, and through nothing else.
                let kept = preserve || schema.is_some_and(|schema| schema.preserve_unknown);
                let below = schema.and_then(|schema| schema.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    let mark = self.path.len();
                    let _ = write!(self.path, "[{index}]");
                    if kept {
                        self.preserved(item, below);
                    } else {
                        self.value(item, below, false);
                    }
                    self.path.truncate(mark);
                }
            }
            _ => {}
        }
    }

    /// Below a list that keeps unknown fields.
    fn preserved(&mut self, value: &mut Value, schema: Option<&Structural>) {
        if schema.is_some() {
            self.value(value, schema, true);
        }
    }

    fn fields(
        &mut self,
        fields: &mut Map<String, Value>,
        schema: &Structural,
        preserve: bool,
        embedded: bool,
    ) {
        fields.retain(|name, value| {
            if embedded && OF_OBJECTS.contains(&name.as_str()) {
                return true;
            }
            let below = match (schema.properties.get(name.as_str()), &schema.additional) {
                (Some(property), _) => Some(property),
                (None, Additional::Of(schema)) => Some(&**schema),
                (None, Additional::Allowed(_)) => None,
                (None, Additional::Unsaid) if preserve => return true,
                (None, Additional::Unsaid) => {
                    let top = self.path.is_empty() && OF_OBJECTS.contains(&name.as_str());
                    if !top {
                        self.tell(name);
                    }
                    return false;
                }
            };
            let mark = self.path.len();
            self.step(name);
            self.value(value, below, false);
            self.path.truncate(mark);
            true
        });
    }

    fn step(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn tell(&mut self, name: &str) {
        if self.unknown.len() < UNKNOWN_MAX {
            let mark = self.path.len();
            self.step(name);
            self.unknown.push(self.path.clone());
            self.path.truncate(mark);
        }
    }
}
