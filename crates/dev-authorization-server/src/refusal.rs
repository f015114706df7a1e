//! Refusals of the endpoints that programs talk to, in the words of RFC 6749 section 5.2.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{expiring::Full, secret::RandomnessFailed};

/// Why there is no token, no registration, no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient,
    UnauthorizedClient(&'static str),
    InvalidGrant(&'static str),
    UnsupportedGrantType,
    InvalidScope(String),
    InvalidTarget(String),
    /// RFC 9449 section 5.
    InvalidProof(&'static str),
    /// RFC 7591 section 3.2.2.
    InvalidRedirectUri(&'static str),
    /// RFC 7591 section 3.2.2.
    InvalidClientMetadata(&'static str),
    /// A store is full of what has not expired.
    Full,
    Internal,
}

impl Refusal {
    fn told(&self) -> (StatusCode, &'static str, String) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::InvalidRequest(why) => (BAD, "invalid_request", (*why).to_owned()),
            Self::InvalidClient => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "client authentication failed".to_owned(),
            ),
            Self::UnauthorizedClient(why) => (BAD, "unauthorized_client", (*why).to_owned()),
            Self::InvalidGrant(why) => (BAD, "invalid_grant", (*why).to_owned()),
            Self::UnsupportedGrantType => {
                (BAD, "unsupported_grant_type", "this grant type is not served".to_owned())
            }
            Self::InvalidScope(scope) => {
                (BAD, "invalid_scope", format!("scope `{scope}` is not this client's"))
            }
            Self::InvalidTarget(resource) => {
                (BAD, "invalid_target", format!("resource `{resource}` is not served"))
            }
            Self::InvalidProof(why) => (BAD, "invalid_dpop_proof", (*why).to_owned()),
            Self::InvalidRedirectUri(why) => (BAD, "invalid_redirect_uri", (*why).to_owned()),
            Self::InvalidClientMetadata(why) => (BAD, "invalid_client_metadata", (*why).to_owned()),
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "there is no room for more until something expires".to_owned(),
            ),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "see the log".to_owned())
            }
        }
    }
}

impl From<Full> for Refusal {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

impl From<RandomnessFailed> for Refusal {
    fn from(error: RandomnessFailed) -> Self {
        tracing::error!(%error, "cannot make a secret");
        Self::Internal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, description) = self.told();
        let body = Json(json!({ "error": error, "error_description": description }));
        let mut response = (status, NO_STORE, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// RFC 6749 section 5.1: neither tokens nor refusals are cached.
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
