//! An OAuth 2.1 authorization server for one machine: client credentials, RS256 access tokens
//! (RFC 9068), discovery (RFC 8414 and OpenID), resource indicators (RFC 8707).
//!
//! - [`clients`]: who may ask, with which secret, for which scopes.
//! - [`signing`]: the RSA key, made anew at every start.
//! - [`metadata`](mod@metadata): the discovery documents and the JWK set.
//! - [`token`](mod@token): the token endpoint.
//!
//! It is for development and tests. It refuses to listen on anything but loopback, and whoever
//! knows a client's secret gets a token.

pub mod clients;
mod metadata;
pub mod signing;
mod token;

use std::{future::Future, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
pub use axum_server::tls_rustls::RustlsConfig;
use clients::Clients;
use signing::SigningKey;

/// What the server needs to know.
#[derive(Debug)]
pub struct Config {
    /// The issuer identifier (RFC 8414 section 2), without a slash at its end: what `iss` will
    /// say, and where the server is reached.
    pub issuer: String,
    /// Protected resources it issues tokens for (RFC 8707). The first is the default for a
    /// request that names none.
    pub resources: Vec<String>,
    /// Registered clients.
    pub clients: Clients,
    /// Signs every access token.
    pub signing_key: SigningKey,
    /// How long an access token is good.
    pub token_lifetime: Duration,
}

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is reachable from other machines.
    #[error(
        "`{0}` is not a loopback address: this authorization server is for development and serves only the machine it runs on"
    )]
    NotLoopback(std::net::SocketAddr),
    /// The socket failed.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

struct Issuer {
    config: Config,
}

/// Serves on `listener` until `shutdown` resolves, then lets open requests finish for a second.
pub async fn run(
    config: Config,
    listener: TcpListener,
    tls: RustlsConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    listener.set_nonblocking(true)?;
    let handle = axum_server::Handle::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        shutdown.await;
        stop.graceful_shutdown(Some(Duration::from_secs(1)));
    });
    axum_server::from_tcp_rustls(listener, tls)?
        .handle(handle)
        .serve(router(config).into_make_service())
        .await?;
    Ok(())
}

fn router(config: Config) -> Router {
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata::document))
        .route("/.well-known/openid-configuration", get(metadata::document))
        .route("/jwks.json", get(metadata::jwks))
        .route("/authorize", get(metadata::no_authorization))
        .route("/token", post(token::grant))
        .route("/health", get(metadata::health))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(Arc::new(Issuer { config }))
}

/// A token request is a handful of short parameters.
const MAX_FORM_BYTES: usize = 16 * 1024;
