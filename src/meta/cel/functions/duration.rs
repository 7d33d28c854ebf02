//! Durations as Go reads and writes them, and as OpenAPI's format `duration` reads them.

use crate::meta::go_duration;

/// Reads `1h2m3.5s`; nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    go_duration::nanoseconds(text).ok()
}

/// Reads a duration of the format `duration`: Go's, or numbers with units in words (`3 days`).
pub(crate) fn loose_duration(text: &str) -> Option<i64> {
    const WORDS: [(&[&str], i64); 8] = [
        (&["ns", "nano"], 1),
        (&["us", "µs", "micro"], 1_000),
        (&["ms", "milli"], 1_000_000),
        (&["s", "sec"], 1_000_000_000),
        (&["m", "min"], 60_000_000_000),
        (&["h", "hr", "hour"], 3_600_000_000_000),
        (&["d", "day"], 86_400_000_000_000),
        (&["w", "wk", "week"], 604_800_000_000_000),
    ];
    if let Some(nanos) = parse_duration(text) {
        return Some(nanos);
    }
    let mut rest = text.trim();
    let mut total: Option<i64> = None;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = rest.get(start..)?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(end)?;
        let number: i64 = number.parse().ok()?;
        let after = after.trim_start();
        let end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let unit = unit.to_lowercase();
        for (names, nanos) in WORDS {
            let Some((last, shorts)) = names.split_last() else {
                continue;
            };
            if shorts.contains(&unit.as_str()) || (!unit.is_empty() && unit.starts_with(last)) {
                total = Some(total.unwrap_or(0).checked_add(number.checked_mul(nanos)?)?);
            }
        }
        rest = after;
    }
    total
}

/// A duration as a number of some unit (nanoseconds), as inexact as Go's.
#[allow(clippy::cast_precision_loss, reason = "as the number is defined")]
pub(super) fn in_units(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

/// Writes a duration in seconds, as CEL does: `3600s`, `1.5s`.
pub(super) fn seconds(nanos: i64) -> String {
    format!("{}s", in_units(nanos, 1_000_000_000))
}
