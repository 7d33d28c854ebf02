//! StorageClasses. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, capital, list, or_none, pairs};
use serde_json::Value;

/// What makes a class the default one, of old and today.
const DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    let annotations = object.pointer("/metadata/annotations");
    let mut flags = DEFAULT.iter().filter_map(|key| annotations?.get(*key));
    let is_default = flags.any(|flag| flag.as_str() == Some("true"));
    out.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    // Kubernetes: all annotations on one line.
    let annotations = pairs(annotations).join(",");
    out.field(0, "Annotations", or_none(&annotations));
    out.field(0, "Provisioner", at(object, "/provisioner"));
    let parameters = pairs(object.get("parameters")).join(",");
    out.field(0, "Parameters", or_none(&parameters));
    let grows = object.get("allowVolumeExpansion").and_then(Value::as_bool);
    let grows = grows.map_or("<unset>", capital);
    out.field(0, "AllowVolumeExpansion", grows);
    let options = list(object, "/mountOptions");
    if options.is_empty() {
        out.field(0, "MountOptions", "<none>");
    } else {
        out.line(0, "MountOptions:");
    }
    for option in options.iter().filter_map(Value::as_str) {
        out.line(1, option);
    }
    out.field_if(0, "ReclaimPolicy", at(object, "/reclaimPolicy"));
    out.field_if(0, "VolumeBindingMode", at(object, "/volumeBindingMode"));
    let terms = list(object, "/allowedTopologies");
    if !terms.is_empty() {
        out.line(0, "AllowedTopologies:\t");
    }
    for (number, term) in terms.iter().enumerate() {
        let expressions = list(term, "/matchLabelExpressions").iter();
        let lines = expressions.map(|expression| {
            let values = list(expression, "/values").iter().filter_map(Value::as_str);
            let values: Vec<&str> = values.collect();
            format!("{} in [{}]", at(expression, "/key"), values.join(", "))
        });
        let lines: Vec<String> = lines.collect();
        out.column(&format!("  Term {number}"), &lines);
    }
}
