//! An MCP session through the gate, in either protocol era.

pub mod authorized;
pub mod host;
mod refusal;
mod results;

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, JsonObject, PaginatedRequestParams, ProtocolVersion,
        RequestMetaObject, Tool,
    },
    service::RunningService,
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio::time::timeout;

use crate::{model::ModelName, token::TokenSource, tools::ReadyCall};
use authorized::AuthorizedHttp;
use host::{Desk, Host, Nobody};
pub use refusal::SessionError;
use refusal::{not_opened, told};
pub use results::text_of;

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
    service: RunningService<RoleClient, Desk>,
    tokens: Arc<TokenSource>,
}

impl Session {
    /// Opens a session with the MCP endpoint at `url`, with nobody there to be asked anything.
    pub async fn open(
        http: Client,
        url: &str,
        tokens: Arc<TokenSource>,
        era: Era,
    ) -> Result<Self, SessionError> {
        Self::open_for(Arc::new(Nobody), http, url, tokens, era).await
    }

    /// Opens a session with the MCP endpoint at `url`; what the server asks is asked of `host`.
    pub async fn open_for(
        host: Arc<dyn Host>,
        http: Client,
        url: &str,
        tokens: Arc<TokenSource>,
        era: Era,
    ) -> Result<Self, SessionError> {
        let transport = StreamableHttpClientTransport::with_client(
            AuthorizedHttp { http, tokens: Arc::clone(&tokens) },
            StreamableHttpClientTransportConfig::with_uri(url),
        );
        let lifecycle = match era {
            Era::Newest => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
            Era::Legacy => ClientLifecycleMode::Initialize,
        };
        let service = Desk::new(host).serve_with_lifecycle(transport, lifecycle);
        let service = timeout(OPENING_LIMIT, service)
            .await
            .map_err(|_| SessionError::Open("nothing came back in time".to_owned()))?
            .map_err(|error| not_opened(&error))?;
        Ok(Self { service, tokens })
    }

    /// The tools that this token may use.
    pub async fn tools(&self) -> Result<Vec<Tool>, SessionError> {
        let listed = timeout(LISTING_LIMIT, self.pages()).await;
        listed
            .unwrap_or_else(|_| Err(SessionError::Call("the list of tools has no end".to_owned())))
    }

    async fn pages(&self) -> Result<Vec<Tool>, SessionError> {
        let (mut tools, mut cursor) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let asked = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.service.list_tools(Some(asked)).await.map_err(told)?;
            tools.extend(page.tools);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(tools),
            }
        }
        Err(SessionError::Call(format!("the list of tools has more than {MOST_PAGES} pages")))
    }

    /// Calls a tool once.
    pub async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, SessionError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.service.call_tool(params).await.map_err(told)
    }

    /// Calls a tool once for a model, which the gate is told in `_meta`: a claim, by which policy
    /// may restrict and never permit.
    pub async fn call_for(
        &self,
        model: &ModelName,
        call: ReadyCall,
    ) -> Result<CallToolResult, SessionError> {
        let mut params = CallToolRequestParams::new(call.tool).with_arguments(call.arguments);
        let mut meta = RequestMetaObject::new();
        meta.insert(META_PROVIDER.to_owned(), model.provider().into());
        meta.insert(META_MODEL.to_owned(), model.model().into());
        params.meta = Some(meta);
        self.service.call_tool(params).await.map_err(told)
    }

    /// Gets a token that has these scopes too.
    pub async fn step_up(&self, scopes: &[String]) -> Result<(), SessionError> {
        Ok(self.tokens.step_up(scopes).await?)
    }

    /// Its tokens.
    pub fn token_source(&self) -> &TokenSource {
        &self.tokens
    }

    /// Ends the session.
    pub async fn close(self) {
        if let Err(error) = self.service.cancel().await {
            tracing::debug!(%error, "the session did not end well");
        }
    }
}

/// Far more than models can be offered.
const MOST_PAGES: usize = 100;
const LISTING_LIMIT: Duration = Duration::from_secs(60);
const OPENING_LIMIT: Duration = Duration::from_secs(60);
const META_PROVIDER: &str = "cedargate/provider";
const META_MODEL: &str = "cedargate/model";
