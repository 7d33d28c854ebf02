//! The schedule of a CronJob: five fields, or a word such as `@daily`. Must not read the clock.
//! Kubernetes: the standard parser of `robfig/cron` 3, whose words these are.

use crate::meta::go_duration;
use crate::resources::validate::{At, Errors};

/// Nanoseconds of a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that all fields allow.
    Fields(Fields),
    /// Once in so many seconds, at least one.
    Every(u64),
}

/// The minutes, hours, days and months that a schedule allows, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Bits 0 to 59.
    pub minutes: u64,
    /// Bits 0 to 23.
    pub hours: u64,
    /// Bits 1 to 31.
    pub days: u64,
    /// Bits 1 to 12.
    pub months: u64,
    /// Bits 0 (Sunday) to 6.
    pub weekdays: u64,
    /// Whether all days of the month were asked for by `*`: then the weekdays alone decide, as the
    /// days do if the weekdays were; otherwise either of them is enough.
    pub any_day: bool,
    /// Whether all weekdays were asked for by `*`.
    pub any_weekday: bool,
}

/// What a field may hold: smallest, largest, names.
struct Bounds(u32, u32, &'static [(&'static str, u32)]);

const MINUTES: Bounds = Bounds(0, 59, &[]);
const HOURS: Bounds = Bounds(0, 23, &[]);
const DAYS: Bounds = Bounds(1, 31, &[]);
const MONTHS: Bounds = Bounds(
    1,
    12,
    &[
        ("jan", 1),
        ("feb", 2),
        ("mar", 3),
        ("apr", 4),
        ("may", 5),
        ("jun", 6),
        ("jul", 7),
        ("aug", 8),
        ("sep", 9),
        ("oct", 10),
        ("nov", 11),
        ("dec", 12),
    ],
);
const WEEKDAYS: Bounds = Bounds(
    0,
    6,
    &[
        ("sun", 0),
        ("mon", 1),
        ("tue", 2),
        ("wed", 3),
        ("thu", 4),
        ("fri", 5),
        ("sat", 6),
    ],
);

/// Names of the time zones of the IANA database, sorted.
const ZONES: &str = include_str!("zones.txt");
/// Longest part of a zone's name (bytes).
const ZONE_PART_MAX_BYTES: usize = 14;

/// Reads a schedule; the error is the parser's sentence. A time zone before it (`TZ=UTC * * * * *`)
/// is read over.
pub fn parse(text: &str) -> Result<Schedule, String> {
    if text.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let mut rest = text;
    if let Some(zoned) = text
        .strip_prefix("TZ=")
        .or_else(|| text.strip_prefix("CRON_TZ="))
    {
        let (zone, after) = zoned.split_once(' ').unwrap_or((zoned, ""));
        if !is_zone(zone) {
            return Err(format!(
                "provided bad location {zone}: unknown time zone {zone}"
            ));
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = words.as_slice() else {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            words.len(),
            words.join(" ")
        ));
    };
    let (minutes, _) = field(minutes, &MINUTES)?;
    let (hours, _) = field(hours, &HOURS)?;
    let (days, any_day) = field(days, &DAYS)?;
    let (months, _) = field(months, &MONTHS)?;
    let (weekdays, any_weekday) = field(weekdays, &WEEKDAYS)?;
    Ok(Schedule::Fields(Fields {
        minutes,
        hours,
        days,
        months,
        weekdays,
        any_day,
        any_weekday,
    }))
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    let equal = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(every) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let seconds = duration(every)
                .map_err(|error| format!("failed to parse duration {text}: {error}"))?;
            return Ok(Schedule::Every(seconds.max(1)));
        }
    };
    parse(equal)
}

/// The bits of a field, and whether a `*` stands in it.
fn field(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let mut found = (0, false);
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (bits, any) = range(part, bounds)?;
        found = (found.0 | bits, found.1 || any);
    }
    Ok(found)
}

fn range(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let Bounds(min, max, names) = bounds;
    let (span, step_text) = match text.split_once('/') {
        Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {text}")),
        Some((span, step)) => (span, Some(step)),
        None => (text, None),
    };
    let ends: Vec<&str> = span.split('-').collect();
    let mut any = false;
    let (start, mut end) = match ends.as_slice() {
        ["*" | "?", ..] => {
            any = true;
            (*min, *max)
        }
        [one] => (value(one, names, text)?, value(one, names, text)?),
        [first, last] => (value(first, names, text)?, value(last, names, text)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let mut step = 1;
    if let Some(word) = step_text {
        step = value(word, &[], text)?;
        // `N/step` goes on to the end.
        if ends.len() == 1 {
            end = *max;
        }
        any &= step <= 1;
    }
    if start < *min {
        return Err(format!(
            "beginning of range ({start}) below minimum ({min}): {text}"
        ));
    }
    if end > *max {
        return Err(format!(
            "end of range ({end}) above maximum ({max}): {text}"
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    let stride = usize::try_from(step).unwrap_or(usize::MAX);
    if stride == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let bits = (start..=end)
        .step_by(stride)
        .fold(0, |bits, at| bits | 1_u64.checked_shl(at).unwrap_or(0));
    Ok((bits, any))
}

fn value(word: &str, names: &[(&str, u32)], text: &str) -> Result<u32, String> {
    let lower = word.to_lowercase();
    if let Some((_, number)) = names.iter().find(|(name, _)| *name == lower) {
        return Ok(*number);
    }
    let failed = |why: &str| {
        format!("failed to parse int from {word}: strconv.Atoi: parsing {word:?}: {why}")
    };
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let Ok(number) = word.parse::<i64>() else {
        return Err(failed("value out of range"));
    };
    if number < 0 {
        return Err(format!("negative number ({number}) not allowed: {text}"));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Whole seconds of a duration as Go writes it (`1h30m`); none of a negative one.
fn duration(text: &str) -> Result<u64, String> {
    let nanoseconds = go_duration::nanoseconds(text)?;
    Ok(u64::try_from(nanoseconds).unwrap_or(0) / NANOSECONDS)
}

/// Checks a schedule. `was_zoned`: the stored one has a time zone in it, which is kept.
pub(super) fn validate(at: &At<'_, '_>, zone: &At<'_, '_>, was_zoned: bool, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if let Err(why) = parse(at.str()) {
        errors.invalid(at, why);
    }
    if at.str().contains("TZ") {
        if !was_zoned {
            let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            errors.invalid(at, detail);
        } else if zone.is_set() {
            let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            errors.invalid(at, detail);
        }
    }
}

/// Checks a time zone.
pub(super) fn validate_zone(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let name = at.str();
    if name.is_empty() {
        errors.invalid(at, "timeZone must be nil or non-empty string");
        return;
    }
    let of_zones = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    let wrong = |part: &str| {
        matches!(part, "" | "." | "..")
            || part.starts_with('-')
            || part.len() > ZONE_PART_MAX_BYTES
            || !part.bytes().all(of_zones)
    };
    let unknown = format!("unknown time zone {name}");
    if name.split('/').any(wrong) {
        errors.invalid(at, unknown);
        return;
    }
    if name.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in \
                      https://www.iana.org/time-zones";
        errors.invalid(at, detail);
    }
    if name != "Local" && !is_zone(name) {
        errors.invalid(at, unknown);
    }
}

fn is_zone(name: &str) -> bool {
    ZONES.lines().any(|zone| zone == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read() {
        let fields = |text: &str| match parse(text) {
            Ok(Schedule::Fields(fields)) => fields,
            other => panic!("{other:?}"),
        };
        let five = fields("*/20 1-3,5 ? jan-mar,DEC MON-fri");
        assert_eq!(five.minutes, 1 | 1 << 20 | 1 << 40);
        assert_eq!(five.hours, 0b10_1110);
        assert!(five.any_day && !five.any_weekday);
        assert_eq!(five.months, 0b1_0000_0000_1110);
        assert_eq!(five.weekdays, 0b11_1110);
        assert_eq!(fields("@daily"), fields("0 0 * * *"));
        assert_eq!(fields("5/30 * * * *").minutes, 1 << 5 | 1 << 35);
        assert_eq!(fields("TZ=UTC @weekly"), fields("0 0 * * 0"));
        assert_eq!(parse("@every 1h30m10.5s"), Ok(Schedule::Every(5410)));
    }

    #[test]
    fn wrong_schedules_are_told_as_the_parser_does() {
        for (text, words) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-3 * * * *",
                "beginning of range (5) beyond end of range (3): 5-3",
            ),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            (
                "a * * * *",
                "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax",
            ),
            ("@sometimes", "unrecognized descriptor: @sometimes"),
            (
                "@every x",
                "failed to parse duration @every x: time: invalid duration \"x\"",
            ),
        ] {
            assert_eq!(parse(text), Err(words.to_owned()), "{text}");
        }
    }
}
