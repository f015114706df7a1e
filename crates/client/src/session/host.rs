//! Who sits in front of the client: is asked what the server wants to know (MCP elicitation) and is
//! shown how far it is. The model is neither: it cannot answer for a person.

use std::sync::Arc;

use async_trait::async_trait;
use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationCapability, FormElicitationCapability, Implementation,
        ProgressNotificationParam, UrlElicitationCapability,
    },
    service::{NotificationContext, RequestContext},
};
use serde_json::Value;

/// Whoever uses the client.
#[async_trait]
pub trait Host: std::fmt::Debug + Send + Sync {
    /// Whether anybody is there to be asked; the server is told.
    fn can_be_asked(&self) -> bool;

    /// The server asks something in the middle of a call. One question at a time.
    async fn asked(&self, question: Question) -> Answer;

    /// A call has come this far.
    fn progressed(&self, progress: Progress);
}

/// What a server wants to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Values for a form.
    Form {
        /// In the server's words.
        message: String,
        /// An object schema of plain members (MCP elicitation).
        schema: Value,
    },
    /// To be answered at a web page.
    Page {
        /// In the server's words.
        message: String,
        /// Where.
        url: String,
    },
}

/// What the person says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Here it is: the form's values; nothing for a page.
    Accept(Value),
    /// No.
    Decline,
    /// Never mind.
    Cancel,
}

/// How far a call is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// So far.
    pub done: f64,
    /// Of how much, when that is known.
    pub total: Option<f64>,
    /// In the server's words.
    pub message: Option<String>,
}

/// Nobody is there: every question is declined.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

#[async_trait]
impl Host for Nobody {
    fn can_be_asked(&self) -> bool {
        false
    }

    async fn asked(&self, _: Question) -> Answer {
        Answer::Decline
    }

    fn progressed(&self, _: Progress) {}
}

/// Answers the server's requests through a [`Host`].
#[derive(Debug)]
pub(super) struct Desk {
    host: Arc<dyn Host>,
    /// Held while a question is open: a person answers one after the other, also when calls run
    /// side by side.
    open: tokio::sync::Mutex<()>,
}

impl Desk {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, open: tokio::sync::Mutex::new(()) }
    }
}

impl ClientHandler for Desk {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.host.can_be_asked() {
            let mut elicitation = ElicitationCapability::default();
            elicitation.form = Some(FormElicitationCapability::default());
            elicitation.url = Some(UrlElicitationCapability::default());
            capabilities.elicitation = Some(elicitation);
        }
        let us = Implementation::new("cedargate-chat", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, us)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let question = match request {
            ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
                let schema = serde_json::to_value(requested_schema)
                    .map_err(|cause| ErrorData::invalid_params(cause.to_string(), None))?;
                Question::Form { message, schema }
            }
            ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
                Question::Page { message, url }
            }
            _ => return Ok(ElicitResult::new(ElicitationAction::Decline)),
        };
        let form = matches!(question, Question::Form { .. });
        let _one_at_a_time = self.open.lock().await;
        Ok(match self.host.asked(question).await {
            Answer::Accept(values) if form => {
                ElicitResult::new(ElicitationAction::Accept).with_content(values)
            }
            Answer::Accept(_) => ElicitResult::new(ElicitationAction::Accept),
            Answer::Decline => ElicitResult::new(ElicitationAction::Decline),
            Answer::Cancel => ElicitResult::new(ElicitationAction::Cancel),
        })
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let ProgressNotificationParam { progress: done, total, message, .. } = progress;
        self.host.progressed(Progress { done, total, message });
    }
}
