//! What a write does, decided: pure, shared by every backend that decides by itself. Must not
//! know where the bytes go.

use super::{Event, KeyValue, Precondition, Revision, StoreError, Write};

/// The change that `write` makes as revision `revision` to a key that holds `present`.
/// Fails if the precondition does not hold, or if there is nothing to delete.
pub(super) fn plan(
    write: &Write,
    present: Option<&KeyValue>,
    revision: Revision,
) -> Result<Event, StoreError> {
    let actual = present.map_or(0, |kv| kv.mod_revision);
    let holds = match write.precondition {
        Precondition::Absent => present.is_none(),
        Precondition::Revision(wanted) => present.is_some() && wanted == actual,
        Precondition::None => true,
    };
    if !holds || (write.value.is_none() && present.is_none()) {
        return Err(StoreError::Precondition { actual });
    }
    // The key's own allocation is kept from write to write.
    let key = present.map_or_else(|| write.key.clone(), |kv| kv.key.clone());
    let current = write.value.as_ref().map(|value| KeyValue {
        key: key.clone(),
        value: value.clone(),
        create_revision: present.map_or(revision, |kv| kv.create_revision),
        mod_revision: revision,
        attachment: write.attachment.clone(),
    });
    Ok(Event {
        revision,
        key,
        current,
        previous: present.cloned(),
        attachment: write.attachment.clone(),
    })
}
