//! Cells that many kinds share: name, age, durations as Kubernetes prints them, cells by JSON path.
//! Must not read the clock: the time is passed in.

use crate::meta::{Object, time};
use crate::resources::def::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

const NAME: Column = {
    let mut column = Column::new(
        "Name",
        "Name must be unique within a namespace, and names the object in its resource.",
    );
    std::mem::forget(std::mem::replace(
        &mut column.format,
        std::borrow::Cow::Borrowed("name"),
    ));
    column
};

/// The column every Table starts with.
pub const fn name_column() -> Column {
    NAME
}

/// The age of the object since its creation.
pub const fn age_column() -> Column {
    Column::new("Age", "Time since the object was created.")
}

/// The containers of a template.
pub const CONTAINERS: Column = Column::wide("Containers", "Names of the template's containers.");
/// The images of a template.
pub const IMAGES: Column = Column::wide("Images", "Images of the template's containers.");
/// What selects pods.
pub const SELECTOR: Column = Column::wide("Selector", "The labels by which pods are found.");

/// Columns of a kind that has none of its own, as of a custom resource without printer columns.
pub const DEFAULT: &[Column] = &[name_column(), age_column()];

/// The cells of `DEFAULT`.
pub fn default_row(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![json!(object.name()), age(object, now)]
}

/// Columns of a kind for which Kubernetes has no printer: the name and when it was made.
pub const CREATED: &[Column] = &[
    name_column(),
    Column::of("date", "Created At", "When the object was created."),
];

/// The cells of `CREATED`.
pub fn created_row(object: &Object, _now: Timestamp) -> Vec<Value> {
    let created = object.str_at(&["metadata", "creationTimestamp"]);
    vec![json!(object.name()), json!(created)]
}

/// What a list of texts shows: the first three, and how many more there are.
pub fn some_of(texts: &[String], none: &str) -> String {
    const SHOWN: usize = 3;
    if texts.is_empty() {
        return none.to_owned();
    }
    let shown: Vec<&str> = texts.iter().take(SHOWN).map(String::as_str).collect();
    let shown = shown.join(",");
    match texts.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} + {more} more..."),
        _ => shown,
    }
}

/// The cell of an Age column.
pub fn age(object: &Object, now: Timestamp) -> Value {
    let created = object.str_at(&["metadata", "creationTimestamp"]);
    json!(time::age(created, now))
}
