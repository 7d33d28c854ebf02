//! The parts of points in time and of durations.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::{Function, Machine, unfit};
use crate::meta::cel::instant::Instant;
use crate::meta::cel::value::{Failure, Outcome, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "getFullYear" => |_, args| part(args, |t| i64::from(t.year()), None),
        "getMonth" => |_, args| part(args, |t| i64::from(t.month()) - 1, None),
        "getDayOfYear" => |_, args| part(args, |t| i64::from(t.day_of_year()) - 1, None),
        "getDayOfMonth" => |_, args| part(args, |t| i64::from(t.day()) - 1, None),
        "getDate" => |_, args| part(args, |t| i64::from(t.day()), None),
        "getDayOfWeek" => |_, args| {
            part(
                args,
                |t| i64::from(t.weekday().to_sunday_zero_offset()),
                None,
            )
        },
        "getHours" => |_, args| part(args, |t| i64::from(t.hour()), Some(3_600_000_000_000)),
        "getMinutes" => |_, args| part(args, |t| i64::from(t.minute()), Some(60_000_000_000)),
        "getSeconds" => |_, args| part(args, |t| i64::from(t.second()), Some(1_000_000_000)),
        "getMilliseconds" => get_milliseconds,
        _ => return None,
    })
}

fn get_milliseconds(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    part(args, |t| i64::from(t.millisecond()), Some(1_000_000))
}

fn part(args: &[Value], read: impl Fn(&DateTime) -> i64, unit: Option<i64>) -> Outcome {
    match args {
        [Value::Timestamp(at)] => local(*at, 0).map(|t| Value::Int(read(&t))),
        [Value::Timestamp(at), Value::String(zone)] => {
            let ahead = at.offset_in(&time_zone(zone)?);
            local(*at, ahead).map(|t| Value::Int(read(&t)))
        }
        [Value::Duration(nanos)] => match unit {
            Some(unit) => Ok(Value::Int(nanos / unit)),
            None => unfit(),
        },
        _ => unfit(),
    }
}

fn local(at: Instant, ahead: i32) -> Result<DateTime, Failure> {
    at.civil(ahead)
        .ok_or_else(|| Failure::new("timestamp overflow"))
}

/// A time zone by its name or as an offset (`+02:00`).
fn time_zone(name: &str) -> Result<TimeZone, Failure> {
    if let Some((hours, minutes)) = name.split_once(':') {
        let bad =
            |part: &str| Failure::new(format!("strconv.Atoi: parsing \"{part}\": invalid syntax"));
        let negative = hours.starts_with('-');
        let hours: i32 = hours.parse().map_err(|_| bad(hours))?;
        let minutes: i32 = minutes.parse().map_err(|_| bad(minutes))?;
        let seconds = hours
            .saturating_mul(60)
            .saturating_add(if negative {
                minutes.saturating_neg()
            } else {
                minutes
            })
            .saturating_mul(60);
        let offset = Offset::from_seconds(seconds)
            .map_err(|_| Failure::new(format!("unknown time zone {name}")))?;
        return Ok(TimeZone::fixed(offset));
    }
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| Failure::new(format!("unknown time zone {name}")))
}
