//! An MCP server that offers what the official conformance suite asks for by name: tools, prompts,
//! resources and every behaviour around them, in both protocol eras on one endpoint, with sessions
//! for the legacy one. It serves anyone.

mod asking;
mod changes;
mod content;
mod handler;
mod prompts;
mod resources;
mod rounds;
mod sessions;
mod tools;
mod work;

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::task::JoinHandle;

use self::{handler::Fixture as Handler, sessions::Sessions};

/// The fixture over plain HTTP on a free loopback port; stopped when dropped.
#[derive(Debug)]
pub struct Fixture {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Fixture {
    /// Brings it up.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            axum::serve(listener, Self::router()).await.unwrap();
        });
        Self { address, serving }
    }

    /// The same for who serves it otherwise.
    pub fn router() -> Router {
        let handler = Handler::new();
        let config = StreamableHttpServerConfig::default()
            .with_allowed_origins(LOOPBACK.map(|host| format!("http://{host}:*")))
            .enforce_origin_validation();
        let service = StreamableHttpService::new(
            move || Ok(handler.for_one_peer()),
            Arc::new(Sessions::default()),
            config,
        );
        Router::new().route_service("/mcp", service)
    }

    /// Its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Its prompts, as it lists them.
    pub fn prompts() -> Vec<serde_json::Value> {
        prompts::all().iter().map(|prompt| serde_json::to_value(prompt).unwrap()).collect()
    }

    /// Its tools, as it lists them.
    pub fn tools() -> Vec<serde_json::Value> {
        tools::all().iter().map(|tool| serde_json::to_value(tool).unwrap()).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
