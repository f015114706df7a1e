//! The MCP side: capabilities, tools and resources over rmcp, both protocol eras.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::router::tool::ToolRouter,
    model::{
        Implementation, ListResourcesResult, PaginatedRequestParams, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    tool_handler,
};

use crate::{resources, security_events::SecurityEvents, store::Store, tools};

/// Serves one request or all of them; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct CustomerHandler {
    pub(crate) store: Store,
    pub(crate) events: Arc<SecurityEvents>,
    tools: ToolRouter<Self>,
}

impl CustomerHandler {
    pub(crate) fn new(store: Store, events: Arc<SecurityEvents>) -> Self {
        Self { store, events, tools: tools::router() }
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for CustomerHandler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("customer-mcp-server", env!("CARGO_PKG_VERSION")))
            .with_instructions("Customer look-up, support tickets and account calculations.")
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::all()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.store, &self.events, &request.uri).await
    }
}
