//! Amounts of money: minor units inside, two decimals outside.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

/// An amount between zero and the sum of a hundred purchases, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u64);

impl Money {
    /// An amount of `minor_units` hundredths.
    pub fn from_minor_units(minor_units: u64) -> Self {
        Self(minor_units)
    }

    /// The amount in hundredths.
    pub fn minor_units(self) -> u64 {
        self.0
    }

    /// Sum and average, the average rounded half up; `None` without amounts.
    pub fn sum_and_average(amounts: &[Self]) -> Option<(Self, Self)> {
        let count = u64::try_from(amounts.len()).ok().filter(|&count| count > 0)?;
        let sum = amounts.iter().try_fold(0_u64, |sum, amount| sum.checked_add(amount.0))?;
        let average = sum.checked_add(count / 2)? / count;
        Some((Self(sum), Self(average)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Money {
    /// A JSON number with exactly two decimals, where the format can carry one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = f64::deserialize(deserializer)?;
        if !amount.is_finite() || !(0.0..=MAX_AMOUNT).contains(&amount) {
            return Err(de::Error::custom("an amount is between 0 and 1000000"));
        }
        let minor_units = (amount * 100.0).round();
        // Within the range above a hundredth is far larger than the error of a double.
        if (amount * 100.0 - minor_units).abs() > 1e-4 {
            return Err(de::Error::custom("an amount has at most two decimals"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between zero and a hundred million"
        )]
        let minor_units = minor_units as u64;
        Ok(Self(minor_units))
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": 0,
            "description": "amount of money with at most two decimals",
        })
    }
}

/// The largest amount that a caller may name.
pub const MAX_AMOUNT: f64 = 1_000_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Money, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn two_decimals_go_in_and_come_out() {
        for (written, minor_units, shown) in [
            ("0", 0, "0.00"),
            ("0.01", 1, "0.01"),
            ("0.07", 7, "0.07"),
            ("89.5", 8_950, "89.50"),
            ("552", 55_200, "552.00"),
            ("999999.99", 99_999_999, "999999.99"),
            ("1000000", 100_000_000, "1000000.00"),
            ("1e3", 100_000, "1000.00"),
        ] {
            let money = read(written).unwrap();
            assert_eq!(money.minor_units(), minor_units, "{written}");
            assert_eq!(serde_json::to_string(&money).unwrap(), shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for written in
            ["-0.01", "1000000.01", "1e999", "NaN", "Infinity", "0.001", "12.345", "\"1\"", "null"]
        {
            assert!(read(written).is_err(), "{written}");
        }
    }

    #[test]
    fn every_hundredth_survives_the_double_between() {
        for minor_units in (0..=100_000_000_u64).step_by(997).chain(99_999_000..=100_000_000) {
            let text = Money(minor_units).to_string();
            assert_eq!(read(&text).unwrap().minor_units(), minor_units, "{text}");
        }
    }

    #[test]
    fn the_average_is_rounded_half_up() {
        let amounts = |list: &[u64]| list.iter().map(|&m| Money(m)).collect::<Vec<_>>();
        assert_eq!(Money::sum_and_average(&amounts(&[1, 2])), Some((Money(3), Money(2))));
        assert_eq!(Money::sum_and_average(&amounts(&[1, 1, 2])), Some((Money(4), Money(1))));
        assert_eq!(Money::sum_and_average(&[]), None);
    }
}
