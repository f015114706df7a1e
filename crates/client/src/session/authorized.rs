//! The HTTP side of a session: the right token on every request, its proof where it is bound, and
//! what a refusal says kept whole.

mod answer;
mod refusal;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode, header::ACCEPT};
use reqwest::{Client, RequestBuilder, Response};
use rmcp::{
    ServiceError,
    model::ClientJsonRpcMessage,
    service::ClientInitializeError,
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
        StreamableHttpResponseLimits,
    },
};
use sse_stream::Sse;

pub use self::refusal::Refusal;
use crate::token::{Challenge, TokenError, TokenSource, with_causes};

/// Sends requests with tokens of one source.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizedHttp {
    pub(crate) http: Client,
    pub(crate) tokens: Arc<TokenSource>,
}

/// Why a request brought no answer of the server's.
#[derive(Debug, thiserror::Error)]
pub enum HttpFailure {
    /// The connection failed.
    #[error("the gate cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing came back in time.
    #[error("nothing came back within {} s", ANSWER_LIMIT.as_secs())]
    TimedOut,
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The gate, or who answers in its place, refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

type TransportError = StreamableHttpError<HttpFailure>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl AuthorizedHttp {
    /// Sends a request: once more with the nonce that its proof lacked, and once more with another
    /// token when the first was refused. It may be revoked, or the gate's clock ahead of ours.
    async fn send(&self, request: RequestBuilder) -> Result<Response, HttpFailure> {
        let request = request.build().map_err(unreachable)?;
        let (mut nonce_heard, mut token_renewed) = (false, false);
        loop {
            let mut again = request.try_clone().ok_or(HttpFailure::TimedOut)?;
            let authorization = self.tokens.authorization(again.method(), again.url()).await?;
            for (name, value) in &authorization.headers {
                again.headers_mut().insert(name, value.clone());
            }
            let answered = tokio::time::timeout(ANSWER_LIMIT, self.http.execute(again)).await;
            let answer = answered.map_err(|_| HttpFailure::TimedOut)?;
            let answer = answer.map_err(unreachable)?;
            self.tokens.hear(answer.headers());
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let wants_nonce = Challenge::of(answer.headers()).wants_nonce();
            match (wants_nonce, nonce_heard, token_renewed) {
                (true, false, _) => nonce_heard = true,
                (false, _, false) => {
                    token_renewed = true;
                    self.tokens.discard(&authorization.token);
                }
                _ => return Ok(answer),
            }
        }
    }
}

impl StreamableHttpClient for AuthorizedHttp {
    type Error = HttpFailure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, TransportError> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, None, headers, limits)
            .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, TransportError> {
        let in_session = session_id.is_some();
        let request =
            self.http.post(uri.as_ref()).header(ACCEPT, "text/event-stream, application/json");
        let request = with_headers(request, session_id, headers).json(&message);
        let answer = self.send(request).await.map_err(StreamableHttpError::Client)?;
        answer::to_post(&message, in_session, answer, limits).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        headers: Headers,
    ) -> Result<(), TransportError> {
        let request = with_headers(self.http.delete(uri.as_ref()), Some(session_id), headers);
        let answer = self.send(request).await.map_err(StreamableHttpError::Client)?;
        match answer.status() {
            // A server may keep its sessions until they expire.
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(answer::refused(answer).await),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, TransportError> {
        let max_event = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            None,
            headers,
            max_event,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        headers: Headers,
        max_event: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, TransportError> {
        let request = self.http.get(uri.as_ref()).header(ACCEPT, "text/event-stream");
        let mut request = with_headers(request, session_id, headers);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = self.send(request).await.map_err(StreamableHttpError::Client)?;
        answer::to_stream(answer, max_event).await
    }
}

/// What failed on the way, if that is why a request failed.
pub(super) fn failure_of(error: &ServiceError) -> Option<&HttpFailure> {
    match error {
        ServiceError::TransportSend(error) => within(error.error.as_ref()),
        _ => None,
    }
}

/// What failed on the way, if that is why a session was not opened.
pub(super) fn failure_of_opening(error: &ClientInitializeError) -> Option<&HttpFailure> {
    match error {
        ClientInitializeError::TransportError { error, .. } => within(error.error.as_ref()),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => {
            failure_of_opening(fallback)
        }
        _ => None,
    }
}

fn within<'a>(
    error: &'a (dyn std::error::Error + Send + Sync + 'static),
) -> Option<&'a HttpFailure> {
    match error.downcast_ref::<TransportError>()? {
        StreamableHttpError::Client(failure) => Some(failure),
        _ => None,
    }
}

fn unreachable(error: reqwest::Error) -> HttpFailure {
    HttpFailure::Unreachable(with_causes(&error))
}

fn with_headers(
    request: RequestBuilder,
    session_id: Option<Arc<str>>,
    headers: Headers,
) -> RequestBuilder {
    let request =
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    match session_id {
        Some(id) => request.header("mcp-session-id", id.as_ref()),
        None => request,
    }
}

/// Until the head of an answer is here; what it then streams may take longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5 * 60);
