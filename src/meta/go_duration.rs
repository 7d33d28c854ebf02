//! Lengths of time as Go writes them: `1h2m3.5s`. One reader for requests, CEL, schedules and the
//! command line. Must not know what a duration is for.
//! Go: `time.ParseDuration`.

use std::time::Duration;

/// Units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds of `text`; the error is in Go's words.
pub fn nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| !c.is_ascii_digit() && c != '.');
        if number.is_empty() {
            return Err(invalid());
        }
        // A second point ends the number, and no unit begins with one.
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) = split(after, |c| c.is_ascii_digit() || c == '.');
        if unit.is_empty() || fraction.contains('.') {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let Some((_, unit)) = known else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        let nanoseconds = scaled(whole, fraction, *unit);
        let sum = nanoseconds.and_then(|nanoseconds| total.checked_add(nanoseconds));
        total = sum.ok_or_else(invalid)?;
        rest = after;
    }
    let signed = if text.starts_with('-') {
        0_i64.checked_sub_unsigned(total)
    } else {
        i64::try_from(total).ok()
    };
    signed.ok_or_else(invalid)
}

/// A length of time that is not negative.
pub fn positive(text: &str) -> Result<Duration, String> {
    let nanoseconds = u64::try_from(nanoseconds(text)?);
    let nanoseconds = nanoseconds.map_err(|_| format!("time: negative duration {text:?}"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Splits before the first character that `ends`.
fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(ends).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `whole.fraction` times `unit`, cut to whole nanoseconds.
fn scaled(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let (mut share, mut left) = (unit, 0_u64);
    for digit in fraction.bytes().map(|byte| u64::from(byte - b'0')) {
        left += share % 10 * digit;
        nanoseconds = nanoseconds.checked_add(share / 10 * digit + left / 10)?;
        left %= 10;
        share /= 10;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("1m0s", Ok(60_000_000_000)),
            ("1h30m", Ok(5_400_000_000_000)),
            ("-1.5s", Ok(-1_500_000_000)),
            ("+.5ms", Ok(500_000)),
            ("1.s", Ok(1_000_000_000)),
            ("2µs3ns", Ok(2_003)),
            ("0.3333333333333333333h", Ok(1_199_999_999_999)),
            ("-9223372036854775808ns", Ok(i64::MIN)),
            ("", Err("time: invalid duration \"\"")),
            ("-", Err("time: invalid duration \"-\"")),
            (".s", Err("time: invalid duration \".s\"")),
            ("soon", Err("time: invalid duration \"soon\"")),
            ("3", Err("time: missing unit in duration \"3\"")),
            ("1.2.3s", Err("time: missing unit in duration \"1.2.3s\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            (
                "9223372036854775808ns",
                Err("time: invalid duration \"9223372036854775808ns\""),
            ),
            ("3000000h", Err("time: invalid duration \"3000000h\"")),
        ] {
            let found = super::nanoseconds(text);
            assert_eq!(found, nanoseconds.map_err(str::to_owned), "{text}");
        }
        assert!(positive("-1s").is_err());
        assert_eq!(positive("1m0s"), Ok(Duration::from_secs(60)));
    }
}
