//! The shape of a kind: types, descriptions, merge facts, and strict decoding against them. Made
//! at first use, because a server must be ready in milliseconds and most kinds are never asked
//! for. Must not know what the fields of a kind mean.

mod compact;
mod decode;
mod defined;
mod facts;
mod node;

pub use decode::{DecodeError, Decoded};
pub use defined::Defined;
pub(crate) use defined::refit;
pub use node::{Form, ListType, Merge, Node, Raw, Shape, Struct, StructRef};

use crate::resources::apiextensions::structural::Structural;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Where a row's schema comes from.
#[derive(Clone)]
pub struct SchemaSource {
    generate: Option<fn(&mut SchemaGenerator) -> schemars::Schema>,
    written: Option<Written>,
    defined: Option<Arc<Defined>>,
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
            defined: None,
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
            defined: None,
            made: OnceLock::new(),
        }
    }

    /// The schema of a custom kind, which stands in its definition.
    pub fn defined(defined: Arc<Defined>) -> Self {
        Self {
            generate: None,
            written: None,
            defined: Some(defined),
            made: OnceLock::new(),
        }
    }

    /// Where the schema of a custom kind stands; `None` for a built-in one.
    pub fn definition(&self) -> Option<&Arc<Defined>> {
        self.defined.as_ref()
    }

    /// Whether the kind's types are known to every client: protobuf and strategic merge need that.
    pub fn is_typed(&self) -> bool {
        self.defined.is_none()
    }

    /// The schema, made now if nobody has asked before.
    pub fn get(&self) -> &Arc<Schema> {
        if let Some(defined) = &self.defined {
            return defined.schema();
        }
        self.made.get_or_init(|| {
            Arc::new(match (self.generate, self.written) {
                (Some(generate), None) => Schema {
                    root: compact::builtin(generate),
                    structural: None,
                },
                (Some(base), Some(written)) => Schema {
                    root: compact::written(base, written.package, written.kind, written.text),
                    structural: None,
                },
                (None, _) => Schema::custom(&Value::Null),
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
    /// Of a custom kind.
    structural: Option<Structural>,
}

impl Schema {
    /// The shape of a custom resource, from the structural schema of its definition.
    pub fn custom(schema: &Value) -> Self {
        Self {
            root: compact::structural(schema),
            structural: Some(Structural::of(schema)),
        }
    }

    /// The shape of a type of k8s-openapi that is no row's kind (options, lists, Status).
    pub fn of<T: JsonSchema>() -> Self {
        Self {
            root: compact::builtin(generate::<T>),
            structural: None,
        }
    }

    /// The object itself.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// What a custom kind's definition says.
    pub fn structural(&self) -> Option<&Structural> {
        self.structural.as_ref()
    }

    /// Checks the types of `value`, brings scalars to the form they are stored in (times, amounts,
    /// base64), drops nulls and empty lists and maps as Kubernetes' encoder does, and takes out the
    /// fields that the schema does not know, naming them. The types of a custom kind, metadata apart,
    /// are a matter of validation.
    pub fn decode(&self, value: &mut Value) -> Result<Decoded, DecodeError> {
        match &self.structural {
            None => decode::decode(&self.root, value),
            Some(structural) => defined::decode(structural, value),
        }
    }
}
