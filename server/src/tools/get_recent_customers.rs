//! `get_recent_customers`: the customers who were active last.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CustomerTool, Effect, get_customer_info::CustomerRecord};
use crate::{
    caller::Caller,
    store::{Store, StoreError},
};

pub(super) struct GetRecentCustomers;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// How many customers at most.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

fn ten() -> u32 {
    10
}

/// Customers, newest activity first.
#[derive(Serialize, JsonSchema)]
pub(super) struct RecentCustomers {
    customers: Vec<CustomerRecord>,
    count: usize,
}

impl CustomerTool for GetRecentCustomers {
    const NAME: &'static str = "get_recent_customers";
    const TITLE: &'static str = "Recent customers";
    const DESCRIPTION: &'static str = "Lists the customers who were active last, newest first.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Outcome = RecentCustomers;

    async fn call(
        store: &Store,
        _: &Caller,
        arguments: Arguments,
    ) -> Result<RecentCustomers, StoreError> {
        let customers: Vec<CustomerRecord> =
            store.recent_customers(arguments.limit).await?.into_iter().map(Into::into).collect();
        Ok(RecentCustomers { count: customers.len(), customers })
    }
}
