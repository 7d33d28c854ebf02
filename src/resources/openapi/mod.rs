//! What the table says of itself to clients: OpenAPI v2 and v3, and v2 as protobuf. Scheme in,
//! document out. Must not know HTTP: who serves the documents keeps and compresses them.

mod custom;
mod definitions;
mod enums;
mod paths;
pub mod v2;
pub mod v2_proto;
pub mod v3;

#[cfg(test)]
mod tests;

use crate::resources::def::ResourceDef;

/// Which OpenAPI a fragment is for; they differ in where references point and in parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V2,
    V3,
}

impl Form {
    fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

/// The name of a kind's definition: `io.k8s.api.core.v1.Pod`, `com.example.v1.Foo`.
fn definition_name(def: &ResourceDef) -> String {
    use crate::resources::schema::Shape;
    if def.schema.is_typed()
        && let Shape::Struct(named) = &def.schema.get().root().shape
        && !named.name.is_empty()
    {
        return named.name.clone();
    }
    let mut parts: Vec<&str> = def.group.rsplit('.').collect();
    parts.push(&def.version);
    parts.push(&def.kind);
    parts.join(".")
}
