//! The shape of a kind: types, descriptions, merge facts. Made at first use, because a server must
//! be ready in milliseconds and most kinds are never asked for.

use schemars::{JsonSchema, SchemaGenerator};
use std::sync::{Arc, OnceLock};

type Generate = fn(&mut SchemaGenerator) -> schemars::Schema;

/// Where a row's schema comes from.
#[derive(Clone)]
pub struct SchemaSource {
    generate: Option<Generate>,
    made: OnceLock<Arc<Schema>>,
}

impl SchemaSource {
    /// The schema of a Rust type of k8s-openapi.
    pub const fn of<T: JsonSchema>() -> Self {
        Self {
            generate: Some(generate::<T>),
            made: OnceLock::new(),
        }
    }

    /// A schema that is at hand, as of a custom resource.
    pub fn ready(schema: Arc<Schema>) -> Self {
        Self {
            generate: None,
            made: OnceLock::from(schema),
        }
    }

    /// The schema.
    pub fn get(&self) -> &Arc<Schema> {
        self.made.get_or_init(|| {
            let mut generator = SchemaGenerator::default();
            let root = self.generate.map(|generate| generate(&mut generator));
            Arc::new(Schema {
                root: root.map(Into::into).unwrap_or_default(),
            })
        })
    }
}

fn generate<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

/// A shape.
pub struct Schema {
    root: serde_json::Value,
}

impl Schema {
    /// As JSON schema.
    pub fn json(&self) -> &serde_json::Value {
        &self.root
    }
}
