//! Times as they stand in objects (`2006-01-02T15:04:05Z`, with microseconds in Leases and
//! Events) and ages as kubectl prints them. Must not read a clock: callers bring the time.
//! Kubernetes: `apis/meta/v1` Time and MicroTime, apimachinery `util/duration`.

use jiff::{SignedDuration, Timestamp};

/// `2006-01-02T15:04:05Z`: whole seconds, UTC.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2006-01-02T15:04:05.000000Z`: always six digits, UTC.
pub fn rfc3339_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads any RFC 3339 time, with any offset and fraction. `None` for what is no time.
pub fn parse(text: &str) -> Option<Timestamp> {
    // The two characters that separate date and time, and the zone, tell RFC 3339 from the
    // looser forms that jiff would read.
    let strict = text.as_bytes().get(10) == Some(&b'T')
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-:.TZ+".contains(&b));
    strict.then(|| text.parse().ok()).flatten()
}

/// An age as kubectl prints it: `5m23s`, `3d4h`; `<invalid>` for the future.
/// Kubernetes: `duration.HumanDuration`.
pub fn human_duration(age: SignedDuration) -> String {
    let seconds = age.as_secs();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

/// The age of something made at `created` (as it stands in an object); `<unknown>` without one.
pub fn age(created: &str, now: Timestamp) -> String {
    match parse(created) {
        Some(time) => human_duration(now.duration_since(time)),
        None => "<unknown>".to_owned(),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_reads() {
        let time: Timestamp = "2024-02-29T23:59:59.123456789Z".parse().unwrap();
        assert_eq!(rfc3339(time), "2024-02-29T23:59:59Z");
        assert_eq!(rfc3339_micro(time), "2024-02-29T23:59:59.123456Z");
        assert_eq!(parse("2024-02-29T23:59:59.123456789Z"), Some(time));
        assert_eq!(
            parse("2024-03-01T01:59:59+02:00").map(rfc3339).as_deref(),
            Some("2024-02-29T23:59:59Z")
        );
        for wrong in ["", "2024", "2024-02-30T00:00:00Z", "2024-02-29 00:00:00Z"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages_are_kubectls() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, wanted) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (2 * MINUTE, "2m"),
            (5 * MINUTE + 23, "5m23s"),
            (10 * MINUTE + 23, "10m"),
            (179 * MINUTE, "179m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 30 * MINUTE, "7h30m"),
            (8 * HOUR + 30 * MINUTE, "8h"),
            (47 * HOUR, "47h"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (8 * DAY + HOUR, "8d"),
            (729 * DAY, "729d"),
            (730 * DAY, "2y"),
            (3 * 365 * DAY + 5 * DAY, "3y5d"),
            (9 * 365 * DAY + 5 * DAY, "9y"),
        ] {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), wanted);
        }
    }
}
