//! `create_support_ticket`: the one tool that writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CustomerTool, Effect};
use crate::{
    caller::Caller,
    store::{NewTicket, Priority, Store, StoreError},
};

pub(super) struct CreateSupportTicket;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Customer id: five to ten capital letters and digits.
    #[schemars(regex(pattern = "^[A-Z0-9]{5,10}$"))]
    customer_id: String,
    /// One line, not blank.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"\S"))]
    subject: String,
    /// The whole story, not blank; stored as given.
    #[schemars(length(min = 1, max = 2000), regex(pattern = r"\S"))]
    description: String,
    /// How soon it is to be looked at.
    priority: Priority,
}

/// The ticket as created.
#[derive(Serialize, JsonSchema)]
pub(super) struct CreatedTicket {
    ticket_id: String,
    customer_id: String,
    subject: String,
    description: String,
    priority: Priority,
    /// `open`.
    status: &'static str,
    /// RFC 3339.
    created: String,
    /// In words.
    estimated_resolution: &'static str,
}

impl CustomerTool for CreateSupportTicket {
    const NAME: &'static str = "create_support_ticket";
    const TITLE: &'static str = "Support ticket";
    const DESCRIPTION: &'static str = "Creates a support ticket for a customer.";
    const EFFECT: Effect = Effect::Adds;
    type Arguments = Arguments;
    type Outcome = CreatedTicket;

    async fn call(
        store: &Store,
        caller: &Caller,
        arguments: Arguments,
    ) -> Result<CreatedTicket, StoreError> {
        let Arguments { customer_id, subject, description, priority } = arguments;
        let ticket = store
            .create_ticket(NewTicket {
                customer_id: &customer_id,
                subject: &subject,
                description: &description,
                priority,
                created_by: &caller.sub,
                created_by_issuer: &caller.subject_issuer,
            })
            .await?;
        Ok(CreatedTicket {
            ticket_id: ticket.ticket_id,
            customer_id,
            subject,
            description,
            priority,
            status: "open",
            created: ticket.created.to_string(),
            estimated_resolution: match priority {
                Priority::High | Priority::Urgent => "24-48 hours",
                Priority::Low | Priority::Normal => "2-5 business days",
            },
        })
    }
}
