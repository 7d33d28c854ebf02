//! Kinds of the group `storage.k8s.io`: classes of volumes, drivers, and what they report.

pub mod csi_driver;
pub mod csi_node;
pub mod csi_storage_capacity;
pub mod storage_class;
pub mod volume_attachment;
pub mod volume_attributes_class;

use crate::meta::names;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// Most parameters of a class.
const PARAMETERS_MAX: usize = 512;
/// All parameters of a class together (bytes).
const PARAMETERS_MAX_BYTES: usize = 256 * 1024;

/// Checks the name of a provisioner or a driver.
fn provisioner(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    let lower = at.str().to_lowercase();
    for detail in names::qualified_name(&lower) {
        errors.invalid_as(at, lower.as_str(), detail);
    }
}

/// Checks the parameters of a class.
fn parameters(at: &At<'_, '_>, may_be_empty: bool, errors: &mut Errors) {
    if at.len() > PARAMETERS_MAX {
        errors.too_long(at, PARAMETERS_MAX);
        return;
    }
    let mut bytes = 0;
    for (key, value) in at.entries() {
        if key.is_empty() {
            errors.invalid_as(at, key, "field can not be empty.");
        }
        bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if bytes > PARAMETERS_MAX_BYTES {
        errors.too_long(at, PARAMETERS_MAX_BYTES);
    }
    if !may_be_empty && at.is_empty() {
        errors.required(at, "must contain at least one key/value pair");
    }
}

/// Checks that a field stays what it was: `updates to parameters are forbidden.`
fn kept(at: &At<'_, '_>, before: Option<&Value>, errors: &mut Errors) {
    if at.value != before.unwrap_or(&Value::Null) {
        let detail = format!("updates to {} are forbidden.", at.path());
        errors.forbidden(at, detail);
    }
}
