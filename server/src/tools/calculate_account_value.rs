//! `calculate_account_value`: sums up a customer's purchases.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CustomerTool, Effect};
use crate::{
    caller::Caller,
    money::Money,
    store::{Store, StoreError},
};

pub(super) struct CalculateAccountValue;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Customer id: five to ten capital letters and digits.
    #[schemars(regex(pattern = "^[A-Z0-9]{5,10}$"))]
    customer_id: String,
    /// Purchase amounts, each with at most two decimals.
    #[schemars(length(min = 1, max = 100), inner(range(min = 0, max = 1_000_000)))]
    amounts: Vec<Money>,
}

/// The account's value and tier.
#[derive(Serialize, JsonSchema)]
pub(super) struct AccountValue {
    customer_id: String,
    calculation: Calculation,
    /// `bronze`, above 10,000 `silver`, above 50,000 `gold`.
    account_tier: &'static str,
    /// RFC 3339.
    calculated_at: String,
}

#[derive(Serialize, JsonSchema)]
struct Calculation {
    total: Money,
    /// Rounded half up.
    average: Money,
    count: usize,
    max_purchase: Money,
    min_purchase: Money,
    amounts: Vec<Money>,
}

impl CustomerTool for CalculateAccountValue {
    const NAME: &'static str = "calculate_account_value";
    const TITLE: &'static str = "Account value";
    const DESCRIPTION: &'static str =
        "Adds up a customer's purchases: total, average, largest, smallest, and the account tier.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Outcome = AccountValue;

    async fn call(
        store: &Store,
        _: &Caller,
        arguments: Arguments,
    ) -> Result<AccountValue, StoreError> {
        let customer = store.customer(&arguments.customer_id).await?;
        let nothing = Money::from_minor_units(0);
        let amounts = arguments.amounts;
        let (total, average) = Money::sum_and_average(&amounts).unwrap_or((nothing, nothing));
        Ok(AccountValue {
            customer_id: customer.customer_id,
            account_tier: tier(total),
            calculated_at: Timestamp::now().to_string(),
            calculation: Calculation {
                total,
                average,
                count: amounts.len(),
                max_purchase: amounts.iter().copied().max().unwrap_or(nothing),
                min_purchase: amounts.iter().copied().min().unwrap_or(nothing),
                amounts,
            },
        })
    }
}

fn tier(total: Money) -> &'static str {
    match total.minor_units() {
        5_000_001.. => "gold",
        1_000_001.. => "silver",
        _ => "bronze",
    }
}
