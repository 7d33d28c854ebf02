//! Who owns which field: the seam to `meta::apply`. Must not know verbs.

use super::write::Change;
use crate::meta::Object;

/// Notes what a create, update or patch has changed as owned by its manager.
pub(super) fn track(_change: &Change<'_>, _new: &mut Object, _old: Option<&Object>) {}
