//! Secrets: sizes only. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    let kind = at(object, "/type");
    out.line(0, "");
    out.field(0, "Type", kind);
    out.line(0, "\nData\n====");
    let data = object.get("data").and_then(Value::as_object);
    for (key, value) in data.into_iter().flatten() {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default());
        let bytes = bytes.unwrap_or_default();
        if key == "token" && kind == "kubernetes.io/service-account-token" {
            out.field(0, key, String::from_utf8_lossy(&bytes));
        } else {
            out.field(0, key, format!("{} bytes", bytes.len()));
        }
    }
}
