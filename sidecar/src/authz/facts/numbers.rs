//! Facts about numbers, in minor units.

use cedar_policy::RestrictedExpression;

use super::{count, select};
use crate::message::json::{Json, Number};

/// What many numbers come to. Exact while it is added up: a list has fewer numbers than 128 bits
/// have room for.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    count: usize,
    /// In ten-thousandths.
    min: i128,
    max: i128,
    sum: i128,
    overflow: bool,
}

impl Numbers {
    pub(super) fn of(items: &[Json]) -> Self {
        let mut numbers = Self::default();
        for item in items {
            let Json::Number(number) = item else { continue };
            let (value, within) = clamped(number);
            let first = numbers.count == 0;
            numbers.count += 1;
            numbers.min = if first { value } else { numbers.min.min(value) };
            numbers.max = if first { value } else { numbers.max.max(value) };
            numbers.sum = numbers.sum.saturating_add(value);
            numbers.overflow |= !within;
        }
        numbers
    }

    pub(super) fn facts(&self, wanted: &[&'static str]) -> RestrictedExpression {
        let up = |value: i128| minor(-((-value).div_euclid(PER_MINOR_UNIT)));
        let (min, max, sum) =
            (minor(self.min.div_euclid(PER_MINOR_UNIT)), up(self.max), up(self.sum));
        let overflow = self.overflow || [&min, &max, &sum].iter().any(|(_, within)| !within);
        select(wanted, |fact| match fact {
            "count" => count(self.count),
            "min" => RestrictedExpression::new_long(min.0),
            "max" => RestrictedExpression::new_long(max.0),
            "sum" => RestrictedExpression::new_long(sum.0),
            _ => RestrictedExpression::new_bool(overflow),
        })
    }
}

/// Facts about one number.
pub(super) fn about(number: &Number, wanted: &[&'static str]) -> RestrictedExpression {
    let (value, exact) = number.rounded(PLACES);
    let away = if value < 0 { -PER_MINOR_UNIT + 1 } else { PER_MINOR_UNIT - 1 };
    let (minor, within) = minor(value.saturating_add(away) / PER_MINOR_UNIT);
    let exact = exact && within && value % PER_MINOR_UNIT == 0;
    select(wanted, |fact| match fact {
        "minor" => RestrictedExpression::new_long(minor),
        _ => RestrictedExpression::new_bool(exact),
    })
}

/// In ten-thousandths, and whether that many fit where there are many such numbers.
fn clamped(number: &Number) -> (i128, bool) {
    let (value, _) = number.rounded(PLACES);
    let bound = i128::from(i64::MAX) * PER_MINOR_UNIT;
    (value.clamp(-bound, bound), value.abs() <= bound)
}

fn minor(value: i128) -> (i64, bool) {
    match i64::try_from(value) {
        Ok(value) => (value, true),
        Err(_) => (if value < 0 { i64::MIN } else { i64::MAX }, false),
    }
}

/// As many places as a Cedar decimal has.
const PLACES: u32 = 4;
/// Ten-thousandths in a hundredth.
const PER_MINOR_UNIT: i128 = 100;
