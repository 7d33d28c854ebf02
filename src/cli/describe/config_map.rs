//! ConfigMaps. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::Text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    out.line(0, "\nData\n====");
    let map = |field: &str| object.get(field).and_then(Value::as_object);
    for (key, value) in map("data").into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        out.line(0, format!("{key}:\n----\n{value}\n"));
    }
    out.line(0, "\nBinaryData\n====");
    for (key, value) in map("binaryData").into_iter().flatten() {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default());
        let length = bytes.map_or(0, |bytes| bytes.len());
        out.line(0, format!("{key}: {length} bytes"));
    }
    out.line(0, "");
}
