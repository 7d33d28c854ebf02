//! Durations in Go's notation: `5s`, `1h30m`. Must not know what they are for.

use crate::cli::context::CliError;

/// Whole seconds, rounded up.
pub(crate) fn seconds(text: &str) -> Result<u64, CliError> {
    let wrong = || CliError::new(format!("invalid duration {text:?}"));
    let (mut total, mut number) = (0.0, String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() || c == '.' {
            number.push(c);
            continue;
        }
        let unit = match (c, chars.peek()) {
            ('m', Some('s')) => {
                chars.next();
                0.001
            }
            ('h', _) => 3_600.0,
            ('m', _) => 60.0,
            ('s', _) => 1.0,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * unit;
        number.clear();
    }
    if (!number.is_empty() && text != "0") || text.is_empty() {
        return Err(wrong());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer there is, and no digit is negative"
    )]
    let whole = f64::ceil(total) as u64;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_go_notation() {
        assert_eq!(seconds("1h30m").unwrap(), 5400);
        assert_eq!(seconds("1500ms").unwrap(), 2);
        assert_eq!(seconds("0").unwrap(), 0);
        assert!(seconds("5").is_err() && seconds("x").is_err() && seconds("").is_err());
    }
}
