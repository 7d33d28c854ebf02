//! `wkube create configmap`. Must not know servers.

use super::sources::Sources;
use crate::cli::context::CliError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name.
    name: String,
    #[command(flatten)]
    sources: Sources,
}

impl Args {
    pub(super) fn object(&self) -> Result<Value, CliError> {
        let (mut text, mut binary) = (Map::new(), Map::new());
        for (key, value) in self.sources.read("ConfigMap")? {
            match String::from_utf8(value) {
                Ok(value) => text.insert(key, json!(value)),
                Err(error) => binary.insert(key, json!(STANDARD.encode(error.as_bytes()))),
            };
        }
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": self.name },
        });
        if let Value::Object(map) = &mut object {
            for (field, data) in [("data", text), ("binaryData", binary)] {
                if !data.is_empty() {
                    map.insert(field.to_owned(), Value::Object(data));
                }
            }
        }
        Ok(object)
    }
}
