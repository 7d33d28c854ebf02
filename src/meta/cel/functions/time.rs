//! The parts of points in time and of durations.

use jiff::tz::TimeZone;

use super::duration::in_units;
use super::{Function, Machine, unfit};
use crate::meta::cel::instant::{Calendar, Instant};
use crate::meta::cel::value::{Failure, Outcome, Value};

/// Nanoseconds of an hour, a minute, a second and a millisecond.
const HOUR: i64 = 3_600_000_000_000;
const MINUTE: i64 = 60_000_000_000;
const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "getFullYear" => |_, args| part(args, |t| t.year, None),
        "getMonth" => |_, args| part(args, |t| t.month - 1, None),
        "getDayOfYear" => |_, args| part(args, |t| t.day_of_year, None),
        "getDayOfMonth" => |_, args| part(args, |t| t.day - 1, None),
        "getDate" => |_, args| part(args, |t| t.day, None),
        "getDayOfWeek" => |_, args| part(args, |t| t.weekday, None),
        "getHours" => |_, args| part(args, |t| t.second / 3600, Some(HOUR)),
        "getMinutes" => |_, args| part(args, |t| t.second / 60 % 60, Some(MINUTE)),
        "getSeconds" => |_, args| part(args, |t| t.second % 60, Some(SECOND)),
        "getMilliseconds" => get_milliseconds,
        _ => return None,
    })
}

fn get_milliseconds(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    part(args, |t| t.nanos / MILLISECOND, Some(MILLISECOND))
}

fn part(args: &[Value], read: impl Fn(&Calendar) -> i64, unit: Option<i64>) -> Outcome {
    match args {
        [Value::Timestamp(at)] => Ok(Value::Int(read(&at.clock(0)))),
        [Value::Timestamp(at), Value::String(zone)] => {
            Ok(Value::Int(read(&at.clock(ahead(*at, zone)?))))
        }
        [Value::Duration(nanos)] => match unit {
            Some(MILLISECOND) => Ok(Value::Int(nanos / MILLISECOND)),
            #[allow(clippy::cast_possible_truncation, reason = "in range: it was divided")]
            Some(unit) => Ok(Value::Int(in_units(*nanos, unit) as i64)),
            None => unfit(),
        },
        _ => unfit(),
    }
}

/// Seconds that clocks of a time zone, by its name or as an offset (`+02:00`), are ahead of UTC.
fn ahead(at: Instant, name: &str) -> Result<i64, Failure> {
    if let Some((hours, minutes)) = name.split_once(':') {
        let number = |part: &str| {
            part.parse::<i64>().map_err(|_| {
                Failure::new(format!("strconv.Atoi: parsing \"{part}\": invalid syntax"))
            })
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let minutes = if name.starts_with('-') {
            minutes.saturating_neg()
        } else {
            minutes
        };
        let minutes = hours.saturating_mul(60).saturating_add(minutes);
        return Ok(minutes.saturating_mul(60));
    }
    // The program's own clocks are those of UTC.
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(0);
    }
    if name.starts_with(['/', '\\']) || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(Failure::new("time: invalid location name"));
    }
    match TimeZone::get(name) {
        Ok(zone) if zone.iana_name() == Some(name) => Ok(i64::from(at.offset_in(&zone))),
        _ => Err(Failure::new(format!("unknown time zone {name}"))),
    }
}
