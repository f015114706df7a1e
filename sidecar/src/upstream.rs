//! The only way to the upstream: [`Upstream::forward`], which takes an `Authorized<Message>`.
//!
//! A request is built from nothing: the message's own serialization, headers derived from it, and
//! an identity of the gate's making. Of the caller's request nothing is copied.

mod http_server;
mod identity;
mod stdio;
mod stdio_server;
mod survey;
mod wire;

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    authz::Authorized,
    config::{Config, UpstreamTransport},
    message::{Era, Message, RequestId, Route},
    pem::UnusablePem,
    rejection::Rejection,
    token::Claims,
};
use http_server::HttpServer;
pub use identity::UnusableKey;
use stdio_server::StdioServer;
pub(crate) use survey::survey;

/// The protected MCP server, as the gate reaches it.
#[derive(Debug)]
pub(crate) enum Upstream {
    Http(Arc<HttpServer>),
    Stdio(StdioServer),
}

/// The upstream cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableUpstream {
    /// A certificate or a key cannot be read.
    #[error("cannot use the upstream's {0}")]
    Pem(#[from] UnusablePem),
    /// The key that signs assertions cannot be read.
    #[error(transparent)]
    Key(#[from] UnusableKey),
    /// Its URL cannot be requested.
    #[error("`upstream.url` cannot be requested: {0}")]
    Url(#[from] http::uri::InvalidUri),
    /// TLS cannot be set up.
    #[error("cannot set up TLS towards the upstream: {0}")]
    Tls(String),
}

impl Upstream {
    pub(crate) fn new(config: &Config) -> Result<Self, UnusableUpstream> {
        Ok(match &config.upstream.transport {
            UpstreamTransport::Http(http) => Self::Http(Arc::new(HttpServer::new(http, config)?)),
            UpstreamTransport::Stdio(stdio) => Self::Stdio(StdioServer::new(stdio, &config.limits)),
        })
    }

    /// The public half of the key with which the gate names itself, as a JWK set.
    pub(crate) fn assertion_jwks(&self) -> Option<Bytes> {
        match self {
            Self::Http(server) => server.assertion_jwks(),
            Self::Stdio(_) => None,
        }
    }

    /// Starts what has to be started, so that the first caller need not wait for it.
    pub(crate) fn start(&self) {
        if let Self::Stdio(server) = self {
            server.start();
        }
    }

    /// Ends what was started.
    pub(crate) async fn stop(&self) {
        if let Self::Stdio(server) = self {
            server.stop().await;
        }
    }

    /// Sends a permitted message and waits for the head of the answer.
    pub(crate) async fn forward(
        &self,
        authorized: Authorized<Message>,
        claims: &Claims,
    ) -> Result<Response<Body>, Rejection> {
        match self {
            Self::Http(server) => server.forward(authorized, claims).await,
            Self::Stdio(server) => server.forward(authorized, claims).await,
        }
    }

    /// Answers a request of the upstream's in the place of a client that it may not reach. Nothing
    /// of any caller's is in it.
    pub(crate) fn decline(
        &self,
        id: &RequestId,
        place: (&Route, Era),
        claims: &Claims,
        declining: OwnedSemaphorePermit,
    ) {
        match self {
            Self::Http(server) => server.decline(id, place, claims, declining),
            // What a child asks never gets this far.
            Self::Stdio(_) => {}
        }
    }
}
