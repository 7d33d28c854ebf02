//! Numbers that may be given as a share: `3` or `25%`. Must not know what they count.
//! Kubernetes: `pkg/apis/apps/validation` ValidatePositiveIntOrPercent, IsNotMoreThan100Percent.

use super::at::{At, Errors};

const NO_PERCENT: &str = "a valid percent string must be a numeric string followed by an ending \
     '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// Checks that a number is not negative and that a text is a percentage.
pub fn not_negative(at: &At<'_, '_>, errors: &mut Errors) {
    match at.value.as_str() {
        None => errors.not_negative(at),
        Some(text) => {
            if percent_of(text).is_none() {
                errors.invalid(at, NO_PERCENT);
            }
        }
    }
}

/// The percentage that stands there, if one does.
pub fn percent(at: &At<'_, '_>) -> Option<u64> {
    percent_of(at.str())
}

fn percent_of(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // What does not fit is more than any limit.
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The number of a number or of a percentage; 0 for neither.
pub fn number(at: &At<'_, '_>) -> u64 {
    match at.value.as_str() {
        Some(_) => percent(at).unwrap_or(0),
        None => at.number().unsigned_abs(),
    }
}

/// Checks that a percentage is no more than all.
pub fn at_most_all(at: &At<'_, '_>, errors: &mut Errors) {
    if percent(at).is_some_and(|percent| percent > 100) {
        errors.invalid(at, "must not be greater than 100%");
    }
}
