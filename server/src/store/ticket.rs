//! Creating tickets.

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// How soon a ticket is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Priority {
    /// When there is time.
    Low,
    /// In its turn.
    Normal,
    /// Before others.
    High,
    /// At once.
    Urgent,
}

impl Priority {
    fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// A ticket to be created.
#[derive(Debug)]
pub struct NewTicket<'a> {
    /// Whose ticket.
    pub customer_id: &'a str,
    /// One line.
    pub subject: &'a str,
    /// The whole story, stored as given.
    pub description: &'a str,
    /// How soon.
    pub priority: Priority,
    /// Subject of the verified caller.
    pub created_by: &'a str,
    /// The issuer that knows it so.
    pub created_by_issuer: &'a str,
}

/// What the store added.
#[derive(Debug)]
pub struct Ticket {
    /// `TKT-<unix seconds>-<first three characters of the customer id>-<random>`.
    pub ticket_id: String,
    /// When it was created.
    pub created: Timestamp,
}

impl Store {
    /// Creates a ticket; when this returns, it is on disk.
    pub async fn create_ticket(&self, new: NewTicket<'_>) -> Result<Ticket, StoreError> {
        // As precise as it is stored.
        let created = Timestamp::now().round(Unit::Millisecond).unwrap_or_default();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let ticket_id = format!("TKT-{}-{:.3}-{random:.8}", created.as_second(), new.customer_id,);
        let written = sqlx::query(
            "insert into ticket
             (ticket_id, customer_id, subject, description, priority, status,
              created_by, created_by_issuer, created_ms)
             values (?, ?, ?, ?, ?, 'open', ?, ?, ?)",
        )
        .bind(&ticket_id)
        .bind(new.customer_id)
        .bind(new.subject)
        .bind(new.description)
        .bind(new.priority.as_str())
        .bind(new.created_by)
        .bind(new.created_by_issuer)
        .bind(created.as_millisecond())
        .execute(&self.pool)
        .await;
        match written {
            Ok(_) => Ok(Ticket { ticket_id, created }),
            // The only foreign key of the table.
            Err(sqlx::Error::Database(cause)) if cause.is_foreign_key_violation() => {
                Err(StoreError::NoSuchCustomer(new.customer_id.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
