//! An MCP session through the gate, in either protocol era.

use std::{collections::HashMap, sync::Arc};

use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use reqwest::Client;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceError,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig,
        ClientJsonRpcMessage, Implementation, JsonObject, ProtocolVersion, Tool,
    },
    service::RunningService,
    transport::{
        StreamableHttpClientTransport,
        streamable_http_client::{
            SseError, StreamableHttpClient, StreamableHttpClientTransportConfig,
            StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};
use serde_json::Value;

use crate::token::{TokenError, TokenSource};

/// In which protocol era to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28 when the server knows it, else 2025-11-25.
    Newest,
    /// 2025-11-25: `initialize` first.
    Legacy,
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    service: RunningService<RoleClient, ClientConfig>,
    tokens: Arc<TokenSource>,
}

/// Why a session or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session could not be opened.
    #[error("cannot open a session: {0}")]
    Open(String),
    /// More scopes would permit the call.
    #[error("the call needs more scope: `{}`", required.join(" "))]
    StepUp {
        /// All that the call needs.
        required: Vec<String>,
    },
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The gate or the server refused, or the connection failed.
    #[error("{0}")]
    Call(String),
}

impl Session {
    /// Opens a session with the MCP endpoint at `url`.
    pub async fn open(
        http: Client,
        url: &str,
        tokens: Arc<TokenSource>,
        era: Era,
    ) -> Result<Self, SessionError> {
        let transport = StreamableHttpClientTransport::with_client(
            AuthorizedHttp { http, tokens: Arc::clone(&tokens) },
            StreamableHttpClientTransportConfig::with_uri(url),
        );
        let us = Implementation::new("cedargate-chat", env!("CARGO_PKG_VERSION"));
        let lifecycle = match era {
            Era::Newest => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
            Era::Legacy => ClientLifecycleMode::Initialize,
        };
        let service = ClientConfig::new(ClientCapabilities::default(), us)
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .map_err(|error| SessionError::Open(error.to_string()))?;
        Ok(Self { service, tokens })
    }

    /// The tools that this token may use.
    pub async fn tools(&self) -> Result<Vec<Tool>, SessionError> {
        self.service.list_all_tools().await.map_err(refused)
    }

    /// Calls a tool once.
    pub async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, SessionError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.service.call_tool(params).await.map_err(refused)
    }

    /// Calls a tool; when that needs more scope, asks for it and calls once more.
    pub async fn call_stepping_up(
        &self,
        tool: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, SessionError> {
        match self.call(tool, arguments.clone()).await {
            Err(SessionError::StepUp { required }) => {
                self.step_up(&required).await?;
                self.call(tool, arguments).await
            }
            outcome => outcome,
        }
    }

    /// Gets a token that has these scopes too.
    pub async fn step_up(&self, scopes: &[String]) -> Result<(), SessionError> {
        Ok(self.tokens.widen(scopes).await?)
    }

    /// Ends the session.
    pub async fn close(self) {
        if let Err(error) = self.service.cancel().await {
            tracing::debug!(%error, "the session did not end well");
        }
    }
}

/// The text of a result for a model: structured content when there is any, else the text parts.
pub fn text_of(result: &CallToolResult) -> String {
    if let Some(structured) = &result.structured_content {
        return structured.to_string();
    }
    let parts: Vec<String> = result
        .content
        .iter()
        .map(|part| match part.as_text() {
            Some(text) => text.text.clone(),
            None => serde_json::to_value(part).unwrap_or(Value::Null).to_string(),
        })
        .collect();
    if parts.is_empty() { "the tool returned nothing".to_owned() } else { parts.join("\n") }
}

/// RFC 6750 section 3.1: the scopes that a challenge names.
fn refused(error: ServiceError) -> SessionError {
    if let Some(challenge) = error.auth_challenge()
        && challenge.contains("insufficient_scope")
        && let Some((_, rest)) = challenge.split_once("scope=\"")
        && let Some((scopes, _)) = rest.split_once('"')
    {
        return SessionError::StepUp { required: scopes.split(' ').map(str::to_owned).collect() };
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    SessionError::Call(text)
}

/// The HTTP client with the current token on every request: rmcp itself would keep the first.
#[derive(Clone)]
struct AuthorizedHttp {
    http: Client,
    tokens: Arc<TokenSource>,
}

type TransportError = StreamableHttpError<reqwest::Error>;

impl AuthorizedHttp {
    async fn token(&self) -> Result<Option<String>, TransportError> {
        self.tokens
            .bearer()
            .await
            .map(Some)
            .map_err(|error| StreamableHttpError::Io(std::io::Error::other(error)))
    }
}

impl StreamableHttpClient for AuthorizedHttp {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
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
        headers: HashMap<HeaderName, HeaderValue>,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, TransportError> {
        let token = self.token().await?;
        let outcome = self
            .http
            .post_message_with_response_limits(
                Arc::clone(&uri),
                message.clone(),
                session_id.clone(),
                token,
                headers.clone(),
                limits,
            )
            .await;
        if !matches!(outcome, Err(StreamableHttpError::AuthRequired(_))) {
            return outcome;
        }
        // Revoked, or the gate's clock is ahead of ours; a second token settles which.
        self.tokens.discard().await;
        let token = self.token().await?;
        self.http
            .post_message_with_response_limits(uri, message, session_id, token, headers, limits)
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), TransportError> {
        let token = self.token().await?;
        self.http.delete_session(uri, session_id, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<sse_stream::Sse, SseError>>, TransportError> {
        let token = self.token().await?;
        self.http.get_stream(uri, session_id, last_event_id, token, headers).await
    }
}
