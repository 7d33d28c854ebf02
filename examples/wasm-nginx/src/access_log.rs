//! One line a request on standard output, in nginx's combined format.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the line of one request says.
pub struct Access<'a> {
    pub remote: &'a str,
    pub request: &'a str,
    pub status: u16,
    pub body_bytes: u64,
    pub referer: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// Writes the line. A log that nobody reads must not stop the server.
pub fn write(access: &Access) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let _ = writeln!(
        io::stdout(),
        "{} - - [{}] \"{}\" {} {} \"{}\" \"{}\"",
        access.remote,
        local_time(seconds),
        escaped(access.request),
        access.status,
        access.body_bytes,
        escaped(access.referer.unwrap_or("-")),
        escaped(access.user_agent.unwrap_or("-")),
    );
}

/// nginx's `$time_local`, in UTC: `22/Nov/2026:16:10:37 +0000`.
fn local_time(seconds: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{:02}/{}/{year}:{hour:02}:{minute:02}:{second:02} +0000", days + 1, MONTHS[month])
}

/// Quotes and control characters as `\xHH`, so that a client cannot forge a line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '"' || c == '\\' || !(' '..='~').contains(&c) {
            out.push_str(&format!("\\x{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_escapes() {
        assert_eq!(local_time(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(local_time(951_782_400), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(local_time(1_795_363_837), "22/Nov/2026:16:10:37 +0000");
        assert_eq!(escaped("a\"\n\\\u{e9}"), "a\\x22\\x0A\\x5C\\xE9");
    }
}
