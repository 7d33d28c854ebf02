//! Points in time from year 1 to year 9999, exact to the nanosecond. Must not know CEL.

use std::fmt;

use jiff::civil::{Date, Time};

/// The first second of year 1.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// The last second of year 9999.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;
const NANOS: i128 = 1_000_000_000;
const DAY: i64 = 86_400;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// Days from the first of March of year 0 to 1970.
const MARCH_OF_YEAR_0: i64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;

/// What a clock and a calendar show.
#[derive(Debug)]
pub struct Calendar {
    /// The year.
    pub year: i64,
    /// The month, from 1.
    pub month: i64,
    /// The day of the month, from 1.
    pub day: i64,
    /// The day of the year, from 0.
    pub day_of_year: i64,
    /// The day of the week, from 0 for Sunday.
    pub weekday: i64,
    /// The second of the day.
    pub second: i64,
    /// Nanoseconds of the second.
    pub nanos: i64,
}

/// A point in time, and how far from UTC it was written (seconds), which only text shows.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    nanos: i128,
    offset: i32,
}

impl PartialEq for Instant {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Instant {
    /// A whole second since 1970, if it is in range.
    pub fn from_second(second: i64) -> Option<Self> {
        let nanos = i128::from(second) * NANOS;
        Self { nanos, offset: 0 }.in_range()
    }

    fn in_range(self) -> Option<Self> {
        (FIRST_SECOND..=LAST_SECOND)
            .contains(&self.second())
            .then_some(self)
    }

    /// The second since 1970 in which it is.
    pub fn second(&self) -> i64 {
        i64::try_from(self.nanos.div_euclid(NANOS)).unwrap_or(i64::MAX)
    }

    /// Nanoseconds since 1970.
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    /// Later by some nanoseconds, if that is in range.
    pub fn plus(self, nanos: i128) -> Option<Self> {
        Self {
            nanos: self.nanos.checked_add(nanos)?,
            ..self
        }
        .in_range()
    }

    /// What clocks show that are some seconds ahead of UTC.
    pub fn clock(&self, ahead: i64) -> Calendar {
        let local = self.second().saturating_add(ahead);
        let days = local.div_euclid(DAY);
        // Counted from the first of March of year 0, so that a leap day is the last of its year.
        let shifted = days.saturating_add(MARCH_OF_YEAR_0);
        let (era, day) = (
            shifted.div_euclid(DAYS_OF_ERA),
            shifted.rem_euclid(DAYS_OF_ERA),
        );
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_from_march = day - (365 * year + year / 4 - year / 100);
        let month_from_march = (5 * day_from_march + 2) / 153;
        let day = day_from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year + i64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = if month <= 2 {
            day_from_march - 306
        } else {
            day_from_march + 59 + i64::from(leap)
        };
        Calendar {
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4).rem_euclid(7),
            second: local.rem_euclid(DAY),
            nanos: i64::try_from(self.nanos.rem_euclid(NANOS)).unwrap_or_default(),
        }
    }

    /// How far ahead of UTC clocks of a time zone are, in seconds.
    pub fn offset_in(&self, zone: &jiff::tz::TimeZone) -> i32 {
        // The last two days of year 9999 are beyond what the crate can tell.
        let second = self.second().min(LAST_SECOND - 2 * DAY);
        let at = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        zone.to_offset(at).seconds()
    }

    /// Reads RFC 3339 as Go does: capital `T` and `Z`, an offset with a colon.
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text)?.in_range()
    }

    /// The same, also before year 1 and after year 9999.
    pub fn read(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let rest = rest.strip_prefix('T')?;
        // Go lets an hour have one digit.
        let padded = match rest.find(':') {
            Some(1) => format!("0{rest}"),
            _ => rest.to_owned(),
        };
        let (clock, rest) = padded.split_at_checked(8)?;
        let shape = |text: &str, separator: u8| {
            text.bytes().enumerate().all(|(at, b)| match at {
                2 | 5 if separator == b':' => b == b':',
                4 | 7 if separator == b'-' => b == b'-',
                _ => b.is_ascii_digit(),
            })
        };
        if !shape(date, b'-') || !shape(clock, b':') || clock.ends_with("60") {
            return None;
        }
        let date: Date = date.parse().ok()?;
        let time: Time = clock.parse().ok()?;
        let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit())?;
                rest.split_at_checked(end)
                    .filter(|(digits, _)| !digits.is_empty())?
            }
            None => ("", rest),
        };
        let fraction: String = fraction
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        let offset = zone_offset(rest)?;
        let days = i64::from(EPOCH.until(date).ok()?.get_days());
        let second = i64::from(time.hour()) * 3600
            + i64::from(time.minute()) * 60
            + i64::from(time.second());
        let second = days * DAY + second - i64::from(offset);
        let nanos = i128::from(second) * NANOS + fraction.parse::<i128>().ok()?;
        Some(Self { nanos, offset })
    }
}

/// Seconds of `Z` or `+01:30`.
fn zone_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, below: i32| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i32>().ok().filter(|n| digits && *n < below)
    };
    Some(sign * (number(hours, 25)? * 3600 + number(minutes, 61)? * 60))
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = self.clock(i64::from(self.offset));
        let (year, month, day) = (clock.year, clock.month, clock.day);
        let (hour, minute) = (clock.second / 3600, clock.second / 60 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}",
            clock.second % 60
        )?;
        if clock.nanos > 0 {
            let fraction = format!("{:09}", clock.nanos);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}
