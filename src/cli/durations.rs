//! Durations in Go's notation: `5s`, `1h30m`. Must not know what they are for.

use crate::meta::go_duration;

/// Whole seconds, rounded up; the error is in Go's words.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let time = go_duration::positive(text)?;
    Ok(time.as_secs() + u64::from(time.subsec_nanos() > 0))
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
