//! Cells that many kinds share: name, age, durations as Kubernetes prints them, cells by JSON path.
//! Must not read the clock: the time is passed in.

use crate::meta::Object;
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

/// Columns of a kind that has none of its own, as of a custom resource without printer columns.
pub const DEFAULT: &[Column] = &[name_column(), age_column()];

/// The cells of `DEFAULT`.
pub fn default_row(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![json!(object.name()), age(object, now)]
}

/// The cell of an Age column.
pub fn age(object: &Object, now: Timestamp) -> Value {
    json!(since(
        object.str_at(&["metadata", "creationTimestamp"]),
        now
    ))
}

/// How long ago an RFC 3339 time was, as `since` of kubectl prints it; `<unknown>` if there is none.
pub fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) => human_duration(now.as_second() - then.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// A duration in words of at most two units.
/// Kubernetes: apimachinery `util/duration` HumanDuration.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// The cells of a custom resource: the name, then each column's JSON path.
pub fn by_paths(columns: &[Column], object: &Object, now: Timestamp) -> Vec<Value> {
    columns
        .iter()
        .map(
            |column| match (column.json_path.as_ref(), column.format.as_ref()) {
                ("", "name") => json!(object.name()),
                ("", _) => age(object, now),
                (path, _) => by_path(column, path, object, now),
            },
        )
        .collect()
}

fn by_path(column: &Column, path: &str, object: &Object, now: Timestamp) -> Value {
    let parts: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    match object.get(&parts) {
        None => Value::Null,
        Some(Value::String(time)) if column.kind == "date" => json!(since(time, now)),
        Some(value) => value.clone(),
    }
}
