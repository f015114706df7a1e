//! Reading customers.

use super::{Store, StoreError};

/// A customer as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Customer {
    /// Five to ten capital letters and digits.
    pub customer_id: String,
    /// Display name.
    pub name: String,
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `standard` or `premium`.
    pub account_type: String,
    /// E-mail address.
    pub email: String,
    /// Telephone number.
    pub phone: String,
    /// Milliseconds since the epoch.
    pub last_activity_ms: i64,
}

impl Store {
    /// The customer with this id.
    pub async fn customer(&self, customer_id: &str) -> Result<Customer, StoreError> {
        sqlx::query_as(
            "select customer_id, name, status, account_type, email, phone, last_activity_ms
             from customer where customer_id = ?",
        )
        .bind(customer_id)
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::NoSuchCustomer(customer_id.to_owned()))
    }

    /// At most `limit` customers, newest activity first.
    pub async fn recent_customers(&self, limit: u32) -> Result<Vec<Customer>, StoreError> {
        Ok(sqlx::query_as(
            "select customer_id, name, status, account_type, email, phone, last_activity_ms
             from customer order by last_activity_ms desc, customer_id limit ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?)
    }
}
