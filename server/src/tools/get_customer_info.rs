//! `get_customer_info`: one customer by id.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CustomerTool, Effect};
use crate::{
    caller::Caller,
    store::{Customer, Store, StoreError},
};

pub(super) struct GetCustomerInfo;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Customer id: five to ten capital letters and digits.
    #[schemars(regex(pattern = "^[A-Z0-9]{5,10}$"))]
    customer_id: String,
}

/// A customer's record.
#[derive(Serialize, JsonSchema)]
pub(super) struct CustomerRecord {
    customer_id: String,
    name: String,
    /// `active`, `suspended` or `closed`.
    status: String,
    /// `standard` or `premium`.
    account_type: String,
    /// RFC 3339.
    last_activity: String,
    contact_info: ContactInfo,
}

#[derive(Serialize, JsonSchema)]
struct ContactInfo {
    email: String,
    phone: String,
}

impl CustomerTool for GetCustomerInfo {
    const NAME: &'static str = "get_customer_info";
    const TITLE: &'static str = "Customer information";
    const DESCRIPTION: &'static str =
        "Looks up one customer: name, account status and type, last activity, contact details.";
    const EFFECT: Effect = Effect::Reads;
    type Arguments = Arguments;
    type Outcome = CustomerRecord;

    async fn call(
        store: &Store,
        _: &Caller,
        arguments: Arguments,
    ) -> Result<CustomerRecord, StoreError> {
        Ok(store.customer(&arguments.customer_id).await?.into())
    }
}

impl From<Customer> for CustomerRecord {
    fn from(customer: Customer) -> Self {
        Self {
            customer_id: customer.customer_id,
            name: customer.name,
            status: customer.status,
            account_type: customer.account_type,
            last_activity: Timestamp::from_millisecond(customer.last_activity_ms)
                .map_or_else(|_| "unknown".to_owned(), |at| at.to_string()),
            contact_info: ContactInfo { email: customer.email, phone: customer.phone },
        }
    }
}
