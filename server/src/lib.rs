//! A customer MCP server that serves nobody but Cedargate.
//!
//! - [`caller`]: the inbound contract; who a request is for, as Cedargate asserts it.
//! - [`store`]: customers and tickets in SQLite.
//! - [`tools`]: one file a tool; arguments are checked against the JSON Schema the tool publishes.
//! - [`resources`]: `health://status` and `security://events`.
//! - [`money`]: amounts in minor units.
//! - [`security_events`]: what the server refused or failed at, for operators.
//!
//! [`CustomerServer::prepare`] opens the store and reads the trusted keys; [`run`] serves.

pub mod caller;
pub mod cli;
mod handler;
pub mod money;
mod resources;
mod security_events;
pub mod store;
mod tools;

use std::{future::Future, net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, middleware};
pub use axum_server::tls_rustls::RustlsConfig;
use caller::{TrustedCallers, UntrustworthyKeys};
use handler::CustomerHandler;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use security_events::SecurityEvents;
use store::{DemoRows, Store, StoreError};

/// What the server needs to know.
#[derive(Debug)]
pub struct Config {
    /// SQLite file; made when it does not exist.
    pub database: PathBuf,
    /// Whether to put the demo customers into the store.
    pub demo_rows: DemoRows,
    /// Path of the JWK set whose keys sign the callers' assertions.
    pub assertion_jwks: PathBuf,
    /// `iss` that an assertion must bear: Cedargate's resource identifier.
    pub assertion_issuer: String,
    /// `aud` that an assertion must bear: this server.
    pub audience: String,
    /// Values of `Host` to answer to, beside the loopback names (DNS rebinding).
    pub allowed_hosts: Vec<String>,
}

/// A server ready to serve: its store is open and it knows whom to trust.
#[derive(Debug)]
pub struct CustomerServer {
    store: Store,
    callers: TrustedCallers,
    events: Arc<SecurityEvents>,
    allowed_hosts: Vec<String>,
}

/// Why the server cannot start. Nothing was changed then but migrations that succeeded.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without a key it would have to trust everyone or no one.
    #[error(transparent)]
    Keys(#[from] UntrustworthyKeys),
    /// The store could not be opened.
    #[error("cannot open the customer store `{path}`: {cause}")]
    Store {
        /// The SQLite file.
        path: PathBuf,
        /// What was wrong.
        cause: StoreError,
    },
}

impl CustomerServer {
    /// Reads the trusted keys, opens the store and brings its schema up to date.
    pub async fn prepare(config: Config) -> Result<Self, StartError> {
        let callers = TrustedCallers::read(
            &config.assertion_jwks,
            &config.assertion_issuer,
            &config.audience,
        )?;
        let store = Store::open(&config.database, config.demo_rows)
            .await
            .map_err(|cause| StartError::Store { path: config.database, cause })?;
        Ok(Self {
            store,
            callers,
            events: Arc::new(SecurityEvents::default()),
            allowed_hosts: config.allowed_hosts,
        })
    }
}

/// Serves `/mcp` on `listener` until `shutdown` resolves, then lets open requests finish.
pub async fn run(
    server: CustomerServer,
    listener: TcpListener,
    tls: RustlsConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let handle = axum_server::Handle::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        shutdown.await;
        stop.graceful_shutdown(Some(DRAIN));
    });
    axum_server::from_tcp_rustls(listener, tls)?
        .handle(handle)
        .first_request_timeout(FIRST_REQUEST)
        .serve(router(server).into_make_service())
        .await
}

fn router(server: CustomerServer) -> Router {
    let CustomerServer { store, callers, events, allowed_hosts } = server;
    let handler = CustomerHandler::new(store, Arc::clone(&events));
    // Sessions off: the handler keeps nothing between requests, so there is no session to steal.
    // Legacy clients get an `initialize` answer without a session id, which the protocol allows.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(LOOPBACK.into_iter().map(str::to_owned).chain(allowed_hosts))
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_BODY_BYTES);
    let service = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let gatehouse = Arc::new(caller::Gatehouse { callers, events });
    Router::new()
        .route_service("/mcp", service)
        .layer(middleware::from_fn_with_state(gatehouse, caller::require))
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// A ticket's description is the largest thing a caller sends: two thousand characters.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The gate sends a request as soon as it has a connection.
const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// Long enough for a store transaction, short enough for a restart.
const DRAIN: Duration = Duration::from_secs(5);
