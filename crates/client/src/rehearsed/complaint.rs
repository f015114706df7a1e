//! Why a request is not answered, in words that each wire puts into its own form.

use axum::http::StatusCode;

/// A refusal as the provider would make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) status: StatusCode,
    /// Which part of the request: `messages[0].role` to OpenAI, `messages.0.role` to Anthropic.
    pub(super) about: Option<String>,
    pub(super) what: String,
    /// OpenAI's word for it.
    pub(super) code: Option<&'static str>,
}

impl Complaint {
    /// A 400 about one part of the request.
    pub(super) fn about(part: impl Into<String>, what: impl Into<String>) -> Self {
        let about = Some(part.into());
        Self { status: StatusCode::BAD_REQUEST, about, what: what.into(), code: None }
    }

    /// About the request as a whole.
    pub(super) fn of(status: StatusCode, what: impl Into<String>) -> Self {
        Self { status, about: None, what: what.into(), code: None }
    }

    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}
