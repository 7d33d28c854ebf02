//! The shape of a kind: types, descriptions, merge facts, and strict decoding against them. Made
//! at first use, because a server must be ready in milliseconds and most kinds are never asked
//! for. Must not know what the fields of a kind mean.

mod compact;
mod decode;
mod facts;
mod node;

pub use decode::{DecodeError, Decoded};
pub use node::{Form, ListType, Merge, Node, Raw, Shape, Struct, StructRef};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Where a row's schema comes from.
#[derive(Clone)]
pub struct SchemaSource {
    generate: Option<fn(&mut SchemaGenerator) -> schemars::Schema>,
    written: Option<Written>,
    made: OnceLock<Arc<Schema>>,
}

/// A schema that is written down as JSON.
#[derive(Clone, Copy)]
struct Written {
    package: &'static str,
    kind: &'static str,
    text: &'static str,
}

impl SchemaSource {
    /// The schema of a type of k8s-openapi.
    pub const fn of<T: JsonSchema>() -> Self {
        Self {
            generate: Some(generate::<T>),
            written: None,
            made: OnceLock::new(),
        }
    }

    /// The schema of a kind that k8s-openapi does not have, written as JSON: an object of types by
    /// name, where `~.` stands for `package` (`io.k8s.api.extensions.v1beta1.`). What they refer to
    /// beside each other (`#/$defs/<full name>`) must be found in `Base`, a type of k8s-openapi.
    pub const fn written<Base: JsonSchema>(
        package: &'static str,
        kind: &'static str,
        text: &'static str,
    ) -> Self {
        Self {
            generate: Some(generate::<Base>),
            written: Some(Written {
                package,
                kind,
                text,
            }),
            made: OnceLock::new(),
        }
    }

    /// A schema that is at hand, as of a custom resource.
    pub fn ready(schema: Arc<Schema>) -> Self {
        Self {
            generate: None,
            written: None,
            made: OnceLock::from(schema),
        }
    }

    /// The schema, made now if nobody has asked before.
    pub fn get(&self) -> &Arc<Schema> {
        self.made.get_or_init(|| {
            Arc::new(match (self.generate, self.written) {
                (Some(generate), None) => Schema {
                    root: compact::builtin(generate),
                    builtin: true,
                },
                (Some(base), Some(written)) => Schema {
                    root: compact::written(base, written.package, written.kind, written.text),
                    builtin: true,
                },
                (None, _) => Schema::structural(&Value::Null),
            })
        })
    }
}

fn generate<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

/// The shape of a kind.
#[derive(Debug)]
pub struct Schema {
    root: Node,
    builtin: bool,
}

impl Schema {
    /// The shape of a custom resource, from the structural schema of its definition.
    pub fn structural(schema: &Value) -> Self {
        Self {
            root: compact::structural(schema),
            builtin: false,
        }
    }

    /// The shape of a type of k8s-openapi that is no row's kind (options, lists, Status).
    pub fn of<T: JsonSchema>() -> Self {
        Self {
            root: compact::builtin(generate::<T>),
            builtin: true,
        }
    }

    /// The object itself.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Checks the types of `value`, brings scalars to the form they are stored in (times, amounts,
    /// base64), drops nulls and empty lists and maps as Kubernetes' encoder does, and takes out the
    /// fields that the schema does not know, naming them.
    pub fn decode(&self, value: &mut Value) -> Result<Decoded, DecodeError> {
        decode::decode(&self.root, value, self.builtin)
    }
}
