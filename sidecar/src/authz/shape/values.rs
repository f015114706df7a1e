//! Single values: numbers, times, and what has no one type.

use cedar_policy::RestrictedExpression;
use jiff::{Timestamp, civil::Date};

use super::record;
use crate::message::json::{Json, Number};

/// A whole number that is exact in a double.
pub(super) fn whole(number: &Number) -> Option<i64> {
    number.scaled(0).filter(|value| value.unsigned_abs() <= MAX_SAFE_INTEGER)
}

/// A Cedar decimal has four places in 64 bits. Where a double has fewer than these places, the
/// number may also be read as the double next to it; the larger of the two counts.
pub(super) fn decimal_text(number: &Number) -> String {
    let (mut scaled, _) = number.rounded(4);
    if scaled.unsigned_abs() >= MAX_SAFE_DECIMAL
        && let Some((double, _)) = number.as_double().map(|double| double.rounded(4))
        && double.unsigned_abs() > scaled.unsigned_abs()
    {
        scaled = double;
    }
    let scaled = scaled.clamp(i64::MIN.into(), i64::MAX.into());
    let sign = if scaled < 0 { "-" } else { "" };
    let magnitude = scaled.unsigned_abs();
    format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000)
}

/// A date or a time of RFC 3339 as Cedar writes it, cut to milliseconds. An offset has to be there.
pub(super) fn datetime_text(text: &str) -> Option<String> {
    if text.len() == FULL_DATE_LENGTH {
        return text.parse::<Date>().ok().map(|date| date.to_string());
    }
    let instant = text.parse::<Timestamp>().ok()?;
    Some(instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// The kind and the text of what has no one type.
pub(super) fn described(value: &Json) -> RestrictedExpression {
    let text = match value {
        Json::String(text) => text.clone(),
        other => {
            let mut out = Vec::new();
            other.write(&mut out);
            // What was read as text is written as text.
            String::from_utf8_lossy(&out).into_owned()
        }
    };
    let string = RestrictedExpression::new_string;
    record(vec![
        ("kind".to_owned(), string(value.kind().to_owned())),
        ("text".to_owned(), string(text)),
    ])
}

/// Up to here every whole number is a double (RFC 8259 section 6).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// Fifteen digits come back from a double as they went in.
const MAX_SAFE_DECIMAL: u128 = 1_000_000_000_000_000;
/// `2026-11-23` (RFC 3339 section 5.6).
const FULL_DATE_LENGTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_never_understated() {
        for (written, text) in [
            ("0", "0.0000"),
            ("-0.05", "-0.0500"),
            ("99999999999.9999", "99999999999.9999"),
            // A double has these digits no more: what is larger counts, the text or the double.
            ("100000000000.0001", "100000000000.0002"),
            ("999999999999.00001", "999999999999.0001"),
            ("1.23456", "1.2346"),
            ("-1.23451", "-1.2346"),
            ("0.00001", "0.0001"),
            ("1e-400", "0.0001"),
            ("1e300", "922337203685477.5807"),
            ("-1e999999999999", "-922337203685477.5808"),
            ("0e999999999999", "0.0000"),
        ] {
            let Ok(Json::Number(number)) = Json::read(written.as_bytes()) else { panic!() };
            assert_eq!(decimal_text(&number), text, "{written}");
        }
    }
}
