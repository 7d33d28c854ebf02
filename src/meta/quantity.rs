//! Amounts of resources: `100m`, `1.5Gi`, `2e3`. Read, compared, added, and written in the one
//! canonical form. Must not know what is measured.
//! Kubernetes: apimachinery `api/resource.Quantity`; rounding, caps and words are its own.

use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// Longest quantity that is read (bytes); no number needs more.
pub const MAX_QUANTITY_BYTES: usize = 128;

const NANOS: i128 = 1_000_000_000;
/// Kubernetes caps binary amounts here.
const CAP: i128 = i64::MAX as i128 * NANOS;
/// Most digits of a number whose spelling Kubernetes may keep.
const KEPT_DIGITS: usize = 18;

/// Which notation a quantity was written in, and will be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `k`, `M`, `G` and `m`, `u`, `n`.
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`.
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// Why a text is no quantity; the words are Kubernetes'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The form is wrong.
    #[error(
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The number is wrong.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The unit is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount, exact to the billionth. Comparison ignores the notation.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self {
        nanos: 0,
        format: Format::DecimalSi,
    };

    /// A whole number.
    pub fn from_units(units: i64, format: Format) -> Self {
        Self {
            nanos: i128::from(units) * NANOS,
            format,
        }
    }

    /// Thousandths, as CPU is counted.
    pub fn from_millis(millis: i64) -> Self {
        Self {
            nanos: i128::from(millis) * (NANOS / 1000),
            format: Format::DecimalSi,
        }
    }

    /// Reads a quantity. Surrounding space is ignored, as in Kubernetes' JSON.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_QUANTITY_BYTES {
            return Err(QuantityError::Format);
        }
        let parts = split(text)?;
        let (base, exponent, format) = unit(parts.suffix).ok_or(QuantityError::Suffix)?;
        let digits = format!("{}{}", parts.number, parts.fraction);
        if digits.is_empty() {
            return Err(QuantityError::Numeric);
        }
        let places = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
        let nanos = scale(&digits, base, exponent, places);
        // Kubernetes caps binary amounts only.
        let nanos = if format == Format::BinarySi {
            nanos.min(CAP)
        } else {
            nanos
        };
        let format = if format == Format::BinarySi && nanos > 0 && nanos < NANOS {
            Format::DecimalSi
        } else {
            format
        };
        Ok(Self {
            nanos: if parts.negative { -nanos } else { nanos },
            format,
        })
    }

    /// Reads a quantity as it stands in JSON: a string or a number.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::Null => Ok(Self::ZERO),
            _ => Err(QuantityError::Format),
        }
    }

    /// How an object shows the quantity once a server has read it. Kubernetes keeps a spelling
    /// that is nearly canonical (`+1Gi`, `12E6`, `1.001`) and rewrites the rest (`1000m` to `1`).
    pub fn canonical(value: &Value) -> Result<String, QuantityError> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return Self::from_value(value).map(|q| q.to_string()),
        };
        let read = Self::parse(&text)?;
        if !read.is_zero() && keeps_spelling(&text)? {
            return Ok(text);
        }
        Ok(read.to_string())
    }

    /// Whole units, rounded up (away from zero); the ends of `i64` for what lies beyond.
    /// Kubernetes: `Quantity.Value`.
    pub fn value(&self) -> i64 {
        self.rounded_up(NANOS)
    }

    /// Thousandths, rounded up (away from zero). Kubernetes: `Quantity.MilliValue`.
    pub fn millis(&self) -> i64 {
        self.rounded_up(NANOS / 1000)
    }

    /// The nearest floating point number.
    #[allow(clippy::cast_precision_loss, reason = "it is approximate by name")]
    pub fn approximate(&self) -> f64 {
        if self.is_integer() {
            return (self.nanos / NANOS) as f64;
        }
        self.nanos as f64 / NANOS as f64
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANOS == 0
    }

    /// The notation.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sum, in this one's notation (the other's where this is zero).
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            format: if self.is_zero() {
                other.format
            } else {
                self.format
            },
        }
    }

    /// The difference, in this one's notation (the other's where this is zero).
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let negated = Self {
            nanos: other.nanos.saturating_neg(),
            format: other.format,
        };
        self.plus(&negated)
    }

    fn rounded_up(&self, unit: i128) -> i64 {
        let whole = self.nanos / unit;
        let up = match self.nanos % unit {
            0 => whole,
            rest => whole + rest.signum(),
        };
        i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no precision lost, no fraction, the largest unit that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANOS;
        if self.format == Format::BinarySi && !small && self.is_integer() {
            let (amount, power) = shift_out(self.nanos / NANOS, 1024, BINARY.len() - 1);
            return write!(f, "{amount}{}", BINARY.get(power).unwrap_or(&""));
        }
        let (amount, power) = shift_out(self.nanos, 1000, DECIMAL.len() - 1);
        if self.format != Format::DecimalExponent {
            return write!(f, "{amount}{}", DECIMAL.get(power).unwrap_or(&""));
        }
        let (amount, power) = shift_out(self.nanos, 1000, usize::MAX);
        match i64::try_from(power).unwrap_or(0) * 3 - 9 {
            0 => write!(f, "{amount}"),
            exponent => write!(f, "{amount}e{exponent}"),
        }
    }
}

/// Divides by `base` as often as it goes without rest, at most `most` times.
fn shift_out(mut amount: i128, base: i128, most: usize) -> (i128, usize) {
    let mut power = 0;
    while power < most && amount != 0 && amount % base == 0 {
        amount /= base;
        power += 1;
    }
    (amount, power)
}

struct Parts<'a> {
    negative: bool,
    number: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let rest = rest.trim_start_matches('0');
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", rest),
    };
    let after = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let after = after.strip_prefix(['-', '+']).unwrap_or(after);
    if digits(after) != after.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts {
        negative,
        number: if number.is_empty() { "0" } else { number },
        fraction,
        suffix,
    })
}

/// Whether Kubernetes takes the spelling of a number for canonical.
fn keeps_spelling(text: &str) -> Result<bool, QuantityError> {
    let parts = split(text)?;
    let (base, exponent, _) = unit(parts.suffix).ok_or(QuantityError::Suffix)?;
    let digits = format!("{}{}", parts.number, parts.fraction);
    if base == 2 {
        let amount: Option<u64> = digits.parse().ok();
        let short = digits.len() <= KEPT_DIGITS - 6;
        return Ok(short && parts.fraction.is_empty() && amount.is_some_and(|n| n % 8 != 0));
    }
    let places = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
    let scale = exponent.saturating_sub(places);
    Ok(digits.len() <= KEPT_DIGITS
        && scale >= -9
        && scale % 3 == 0
        && !digits.ends_with("000")
        && !digits.starts_with('0'))
}

fn unit(suffix: &str) -> Option<(i32, i32, Format)> {
    let decimal = |exponent| Some((10, exponent, Format::DecimalSi));
    let binary = |exponent| Some((2, exponent, Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((10, exponent.parse().ok()?, Format::DecimalExponent))
        }
    }
}

/// `digits * base^exponent / 10^places` in billionths, rounded up, saturating.
fn scale(digits: &str, base: i32, exponent: i32, places: i32) -> i128 {
    let mut nanos: i128 = 0;
    let mut inexact = false;
    // Zeros at the end of a fraction are nothing; what is left decides how far to shift.
    let trimmed = digits.trim_end_matches('0');
    let dropped = i32::try_from(digits.len() - trimmed.len()).unwrap_or(0);
    for digit in trimmed.bytes() {
        nanos = nanos
            .saturating_mul(10)
            .saturating_add(i128::from(digit - b'0'));
    }
    if nanos == 0 {
        return 0;
    }
    let mut tens = dropped.saturating_sub(places).saturating_add(9);
    if base == 2 {
        nanos = nanos.saturating_mul(1_i128 << exponent.clamp(0, 60));
    } else {
        tens = tens.saturating_add(exponent);
    }
    while tens > 0 && nanos < i128::MAX {
        nanos = nanos.saturating_mul(10);
        tens -= 1;
    }
    while tens < 0 && nanos > 0 {
        inexact |= nanos % 10 != 0;
        nanos /= 10;
        tens += 1;
    }
    nanos.saturating_add(i128::from(inexact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        Quantity::parse(text).unwrap().to_string()
    }

    #[test]
    fn canonical_forms_are_kubernetes() {
        for (text, wanted) in [
            ("0", "0"),
            ("0Ki", "0"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Mi", "512Ki"),
            ("1000Ki", "1000Ki"),
            ("1023", "1023"),
            ("1000Mi", "1000Mi"),
            ("12e6", "12e6"),
            ("12E6", "12e6"),
            ("1e0", "1"),
            ("120e5", "12e6"),
            ("1.1e5", "110e3"),
            ("1000000", "1M"),
            ("1000", "1k"),
            ("1E", "1E"),
            ("+1", "1"),
            ("-1.5Ki", "-1536"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("00012", "12"),
            (".5", "500m"),
            ("1.", "1"),
            ("100E", "100E"),
            ("100Ei", "9223372036854775807"),
        ] {
            assert_eq!(canonical(text), wanted, "{text}");
        }
    }

    #[test]
    fn spellings_that_kubernetes_keeps() {
        let shown = |value: Value| Quantity::canonical(&value).unwrap();
        for kept in [
            "12E6", "00012", "1.", "1e0", "+1Gi", "1.001", "1.100k", "1e21", "-12",
        ] {
            assert_eq!(shown(Value::from(kept)), kept);
        }
        for (text, wanted) in [
            ("1000m", "1"),
            ("1.0Gi", "1Gi"),
            ("1.0010", "1001m"),
            ("2048Ki", "2Mi"),
            ("1e1", "10"),
            ("100000", "100k"),
            ("0.100Mi", "104857600m"),
            ("-0", "0"),
            ("1234567890.123456789", "1234567890123456789n"),
        ] {
            assert_eq!(shown(Value::from(text)), wanted);
        }
        assert_eq!(shown(Value::from(1000)), "1k");
        assert_eq!(shown(Value::from(1.5)), "1500m");
    }

    #[test]
    fn refusals_and_values() {
        for (text, wanted) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1 Mi", QuantityError::Format),
            ("1.2.3", QuantityError::Format),
            ("1Kii", QuantityError::Suffix),
            ("1KiB", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
        ] {
            assert_eq!(Quantity::parse(text).unwrap_err(), wanted, "{text}");
        }
        let value = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((value("1.1").value(), value("-1.1").value()), (2, -2));
        assert_eq!(value("1500u").millis(), 2);
        assert!(value("1Gi") > value("1G"));
        assert_eq!(value("1").cmp(&value("1000m")), Ordering::Equal);
        assert_eq!(value("1Gi").minus(&value("512Mi")).to_string(), "512Mi");
        assert_eq!(Quantity::ZERO.plus(&value("1Ki")).to_string(), "1Ki");
        assert_eq!(Quantity::from_millis(2500).to_string(), "2500m");
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(text in "[+-]?[0-9.]{0,25}([eE][-+]?[0-9]{0,4}|[numkMGTPE]|[KMGTPE]i|)") {
            let read = Quantity::parse(&text).ok();
            if let Some(quantity) = read.filter(|q| q.nanos.abs() <= CAP) {
                let again = Quantity::parse(&quantity.to_string()).unwrap();
                prop_assert_eq!(again, quantity);
                prop_assert_eq!(again.to_string(), quantity.to_string());
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = Quantity::parse(&text).map(|q| (q.to_string(), q.value(), q.millis()));
        }
    }
}
