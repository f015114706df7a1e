//! The two wires side by side: what each is asked, and where its own words are.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{MODEL, anthropic, asked::Asked, complaint::Complaint, openai, turn::Turn};

/// A wire format that is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wire {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

impl Wire {
    /// Whose list of models is asked for: only clients of Anthropic name a version.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.contains_key(anthropic::VERSION) {
            true => Self::Anthropic,
            false => Self::OpenAi,
        }
    }

    pub(super) async fn read(self, headers: &HeaderMap, body: Body) -> Result<Asked, Complaint> {
        let body = axum::body::to_bytes(body, LARGEST_REQUEST).await.map_err(|_| {
            Complaint::of(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than 8 MiB")
        })?;
        match self {
            Self::OpenAi => openai::read(&body),
            Self::Anthropic => anthropic::read(headers, &body),
        }
    }

    pub(super) fn whole(self, asked: &Asked, turn: &Turn) -> String {
        match self {
            Self::OpenAi => openai::whole(asked, turn),
            Self::Anthropic => anthropic::whole(asked, turn),
        }
    }

    /// The answer as events, each as it stands on the wire.
    pub(super) fn events(self, asked: &Asked, turn: &Turn) -> Vec<String> {
        match self {
            Self::OpenAi => openai::events(asked, turn),
            Self::Anthropic => anthropic::events(asked, turn),
        }
    }

    pub(super) fn models(self) -> String {
        match self {
            Self::OpenAi => openai::models(),
            Self::Anthropic => anthropic::models(),
        }
    }

    pub(super) fn model(self) -> String {
        match self {
            Self::OpenAi => openai::model().to_string(),
            Self::Anthropic => anthropic::model().to_string(),
        }
    }

    /// The body of a refusal.
    pub(super) fn error(self, complaint: &Complaint) -> String {
        match self {
            Self::OpenAi => openai::error(complaint),
            Self::Anthropic => anthropic::error(complaint),
        }
    }

    /// A failure in the middle of a stream.
    pub(super) fn error_event(self) -> String {
        let failed = Complaint::of(status_of(self), "the rehearsed model was told to fail here");
        self.event("error", &self.error(&failed))
    }

    /// One event as it stands on the wire; only Anthropic names events.
    pub(super) fn event(self, name: &str, data: &str) -> String {
        match self {
            Self::OpenAi => format!("data: {data}\n\n"),
            Self::Anthropic => format!("event: {name}\ndata: {data}\n\n"),
        }
    }

    pub(super) fn refuse(self, complaint: &Complaint) -> Response {
        let headers =
            [(header::CONTENT_TYPE.as_str(), "application/json"), (self.request_id(), REQUEST_ID)];
        (complaint.status, headers, self.error(complaint)).into_response()
    }

    /// The header in which the provider names the request.
    pub(super) fn request_id(self) -> &'static str {
        match self {
            Self::OpenAi => "x-request-id",
            Self::Anthropic => "request-id",
        }
    }

    pub(super) fn unauthorized(self) -> Complaint {
        // The key that was shown is repeated to nobody.
        match self {
            Self::OpenAi => Complaint::of(StatusCode::UNAUTHORIZED, "this API key is not known")
                .coded("invalid_api_key"),
            Self::Anthropic => Complaint::of(StatusCode::UNAUTHORIZED, "invalid x-api-key"),
        }
    }

    pub(super) fn no_model(self, name: &str) -> Complaint {
        let name: String = name.chars().take(64).collect();
        let what = format!("there is no model `{name}` here; the rehearsed one is `{MODEL}`");
        let complaint = Complaint::of(StatusCode::NOT_FOUND, what);
        let about = (self == Self::OpenAi).then(|| "model".to_owned());
        Complaint { about, ..complaint }.coded("model_not_found")
    }
}

/// Whether a request may ask for this model.
pub(super) fn model_is_known(name: &str) -> bool {
    name == MODEL || MODEL.split_once('/').is_some_and(|(_, model)| name == model)
}

/// With which a provider fails in the middle of a stream.
fn status_of(wire: Wire) -> StatusCode {
    match wire {
        Wire::OpenAi => StatusCode::INTERNAL_SERVER_ERROR,
        Wire::Anthropic => StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The same for every request: same script, same bytes.
pub(super) const REQUEST_ID: &str = "req_rehearsed";
/// Anthropic takes 32 MiB; no rehearsal needs as much.
const LARGEST_REQUEST: usize = 8 * 1024 * 1024;
