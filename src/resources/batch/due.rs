//! When a schedule is due next. Must not read the clock, nor look for time zones.
//! Kubernetes: `robfig/cron` 3, SpecSchedule.Next.

use super::schedule::{Fields, Schedule};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// A day that no year of these has, never comes. Kubernetes: yearLimit.
const YEARS_MAX: i16 = 5;

impl Schedule {
    /// The first time after `after`; none if there is none in five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match self {
            Self::Every(seconds) => {
                let wait = SignedDuration::from_secs(i64::try_from(*seconds).ok()?);
                whole.checked_add(wait).ok()
            }
            Self::Fields(fields) => {
                let from = whole.checked_add(SignedDuration::from_secs(1)).ok()?;
                fields.next(from.to_zoned(zone.clone()))
            }
        }
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value)
        .ok()
        .and_then(|value| bits.checked_shr(value))
        .is_some_and(|bits| bits & 1 == 1)
}

fn later(at: &Zoned, seconds: i64) -> Option<Zoned> {
    at.checked_add(SignedDuration::from_secs(seconds)).ok()
}

impl Fields {
    fn allows_day(&self, at: &Zoned) -> bool {
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        }
    }

    /// The first time that is not before `at`. What does not fit is left for the start of the next
    /// month, day, hour or minute; what is over its end is looked at anew from the month on.
    fn next(&self, mut at: Zoned) -> Option<Timestamp> {
        let last_year = at.year().checked_add(YEARS_MAX)?;
        'anew: while at.year() <= last_year {
            while !has(self.months, at.month()) {
                let next = at.date().last_of_month().tomorrow().ok()?;
                at = next.to_zoned(at.time_zone().clone()).ok()?;
                if at.month() == 1 {
                    continue 'anew;
                }
            }
            while !self.allows_day(&at) {
                let next = at.date().tomorrow().ok()?;
                at = next.to_zoned(at.time_zone().clone()).ok()?;
                if at.day() == 1 {
                    continue 'anew;
                }
            }
            while !has(self.hours, at.hour()) {
                let into = i64::from(at.minute()) * 60 + i64::from(at.second());
                at = later(&at, 3600 - into)?;
                if at.hour() == 0 {
                    continue 'anew;
                }
            }
            while !has(self.minutes, at.minute()) {
                at = later(&at, 60 - i64::from(at.second()))?;
                if at.minute() == 0 {
                    continue 'anew;
                }
            }
            if at.second() == 0 {
                return Some(at.timestamp());
            }
            at = later(&at, 60 - i64::from(at.second()))?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::parse;
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let after: Timestamp = after.parse().unwrap();
        let next = parse(schedule).unwrap().next(after, &zone);
        next.map_or("never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn a_schedule_is_due_when_all_its_fields_agree() {
        // Times: `date -u` of the first minute after the second column that crontab(5) would take.
        for (schedule, after, due) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            (
                "* * * * *",
                "2026-01-01T00:00:59.9Z",
                "2026-01-01T00:01:00Z",
            ),
            (
                "*/15 * * * *",
                "2026-01-01T00:44:59Z",
                "2026-01-01T00:45:00Z",
            ),
            (
                "*/15 * * * *",
                "2026-01-01T00:45:00Z",
                "2026-01-01T01:00:00Z",
            ),
            (
                "20-35/15 * * * *",
                "2026-01-01T00:36:00Z",
                "2026-01-01T01:20:00Z",
            ),
            (
                "0 22 * * 1-5",
                "2026-01-02T22:00:00Z",
                "2026-01-05T22:00:00Z",
            ),
            ("0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 30 feb *", "2026-01-01T00:00:00Z", "never"),
            // A day of the month or a day of the week, whichever is first.
            (
                "0 0 13 * fri",
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
            ),
            (
                "0 0 13 * fri",
                "2026-01-09T00:00:00Z",
                "2026-01-13T00:00:00Z",
            ),
            // A star leaves it to the other.
            (
                "0 0 */1 * fri",
                "2026-01-03T00:00:00Z",
                "2026-01-09T00:00:00Z",
            ),
            ("0 0 13 * ?", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
            ("@hourly", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            (
                "@every 1h30m",
                "2026-01-01T00:00:07.5Z",
                "2026-01-01T01:30:07Z",
            ),
        ] {
            assert_eq!(
                next(schedule, "UTC", after),
                due,
                "{schedule} after {after}"
            );
        }
    }

    #[test]
    fn clocks_that_are_set_forward_or_back() {
        // In Berlin 02:00 to 03:00 does not exist on 29 March 2026, and is twice on 25 October.
        for (schedule, after, due) in [
            ("30 8 * * *", "2026-01-01T00:00:00Z", "2026-01-01T07:30:00Z"),
            ("30 8 * * *", "2026-07-01T00:00:00Z", "2026-07-01T06:30:00Z"),
            ("30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-30T00:30:00Z"),
            ("0 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
            ("30 2 * * *", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ] {
            assert_eq!(
                next(schedule, "Europe/Berlin", after),
                due,
                "{schedule} after {after}"
            );
        }
    }
}
