//! An OAuth 2.1 authorization server for one machine: authorization code with PKCE, refresh tokens,
//! client credentials, RS256 access tokens (RFC 9068), registration, discovery.
//!
//! Who is known:
//! - [`clients`], and those who introduce themselves: `registration` (RFC 7591) and
//!   `client_documents`, both by way of `client_metadata`.
//! - [`users`], with their passwords as argon2id hashes.
//!
//! What is served:
//! - `authorize`: the pages on which people sign in and consent.
//! - [`token`](mod@token): codes, refresh tokens and client credentials for access tokens; callers
//!   prove themselves in `client_proof`.
//! - `revocation`, `introspection`, `userinfo`, [`metadata`](mod@metadata).
//!
//! What is kept, in memory alone and in so many places and no more:
//! - `grants`: codes, refresh tokens, revocations, each an entry in an `expiring` store.
//! - [`keys`] and [`signing`]: the RSA keys, made anew at every start, changed by `rotation`.
//!
//! [`cli`] is the program. It is for development and tests. It refuses to listen on anything but loopback.

mod authorize;
pub mod cli;
mod client_documents;
mod client_metadata;
mod client_proof;
pub mod clients;
mod expiring;
mod grants;
mod introspection;
mod issuer;
pub mod keys;
mod metadata;
mod parameters;
pub mod redirect_uri;
mod refusal;
mod registration;
mod revocation;
mod rotation;
mod scopes;
pub mod secret;
pub mod signing;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;
pub mod users;

use std::{future::Future, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, header},
    routing::{get, post},
};
pub use axum_server::tls_rustls::RustlsConfig;
pub use client_documents::{ClientDocumentHosts, NotAnAuthority};
use clients::Clients;
use issuer::Issuer;
use keys::KeyRing;
use secret::RandomnessFailed;
use tower_http::{
    cors::{AllowHeaders, Any, CorsLayer},
    timeout::TimeoutLayer,
};
use users::Users;

/// What the server needs to know.
#[derive(Debug)]
pub struct Config {
    /// The issuer identifier (RFC 8414 section 2), without a slash at its end: what `iss` will
    /// say, and where the server is reached.
    pub issuer: String,
    /// Protected resources it issues tokens for (RFC 8707). The first is the default for a
    /// request that names none.
    pub resources: Vec<String>,
    /// Configured clients.
    pub clients: Clients,
    /// People who can sign in.
    pub users: Users,
    /// What a client gets that neither asks for a scope nor has one of its own.
    pub default_scopes: Vec<String>,
    /// Sign every access token. Whoever keeps a clone can rotate them.
    pub keys: KeyRing,
    /// How often the signing key is replaced; never, when absent.
    pub rotate_every: Option<Duration>,
    /// How long things are good.
    pub lifetimes: Lifetimes,
    /// Where client metadata documents are fetched from.
    pub client_metadata: ClientDocumentHosts,
    /// Whether there are endpoints that only tests should have.
    pub test_endpoints: TestEndpoints,
}

/// How long things are good.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: Duration,
    /// A refresh token that is not used.
    pub refresh_token: Duration,
    /// A code.
    pub code: Duration,
    /// A browser's being signed in.
    pub session: Duration,
}

impl Default for Lifetimes {
    /// An hour for a token, a minute for a code (RFC 6749 section 4.1.2 allows ten).
    fn default() -> Self {
        Self {
            access_token: Duration::from_secs(3600),
            refresh_token: Duration::from_secs(7 * 24 * 3600),
            code: Duration::from_secs(60),
            session: Duration::from_secs(3600),
        }
    }
}

/// `POST /test/rotate-keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TestEndpoints {
    /// They do not exist.
    #[default]
    Absent,
    /// Anybody on this machine can rotate the keys.
    Present,
}

/// Why the server could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum NotPrepared {
    /// Tokens need an audience.
    #[error("no resource to issue tokens for")]
    NoResource,
    /// Old keys are needed for longer than so many new ones can wait.
    #[error(
        "keys that change every {period:?} do not go with tokens that last {lifetime:?}: at most {} old ones are published",
        keys::MAX_RETIRED
    )]
    RotatesTooOften {
        /// `rotate_every`.
        period: Duration,
        /// Of an access token.
        lifetime: Duration,
    },
    /// A client's own tokens would look like this user's.
    #[error("a client and a user are both called `{0}`")]
    Namesakes(String),
    /// No random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
    /// The certificate authority for client metadata documents is none.
    #[error(transparent)]
    Authority(#[from] NotAnAuthority),
}

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is reachable from other machines.
    #[error(
        "`{0}` is not a loopback address: this authorization server is for development and serves only the machine it runs on"
    )]
    NotLoopback(std::net::SocketAddr),
    /// The configuration contradicts itself.
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    /// The socket failed.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
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
    let (rotate_every, test_endpoints) = (config.rotate_every, config.test_endpoints);
    let issuer = Arc::new(Issuer::prepare(config)?);
    let rotation = rotate_every.map(|period| {
        let (keys, lifetime) = (issuer.keys.clone(), issuer.lifetimes.access_token);
        tokio::spawn(rotation::rotate_every(keys, period, lifetime))
    });
    let handle = axum_server::Handle::new();
    let stop = handle.clone();
    tokio::spawn(async move {
        shutdown.await;
        stop.graceful_shutdown(Some(Duration::from_secs(1)));
    });
    let served = axum_server::from_tcp_rustls(listener, tls)?
        .handle(handle)
        .first_request_timeout(REQUEST_TIMEOUT)
        .serve(router(issuer, test_endpoints).into_make_service())
        .await;
    if let Some(rotation) = rotation {
        rotation.abort();
    }
    Ok(served?)
}

fn router(issuer: Arc<Issuer>, test_endpoints: TestEndpoints) -> Router {
    // Browser clients call these from their own origins; nothing here looks at a cookie.
    let for_programs = Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata::document))
        .route("/.well-known/openid-configuration", get(metadata::document))
        .route("/jwks.json", get(metadata::jwks))
        .route("/token", post(token::grant))
        .route("/register", post(registration::register))
        .route("/revoke", post(revocation::revoke))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .layer(
            CorsLayer::new()
                .allow_origin(Any)
                .allow_methods([Method::GET, Method::POST])
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers([header::WWW_AUTHENTICATE]),
        );
    let mut router = for_programs
        .merge(authorize::routes())
        .route("/introspect", post(introspection::introspect))
        .route("/health", get(metadata::health));
    if test_endpoints == TestEndpoints::Present {
        router = router.route("/test/rotate-keys", post(rotation::rotate_on_request));
    }
    router
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .with_state(issuer)
}

/// A form is a handful of short parameters, a registration little more.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Longer than fetching a client's document and hashing a password together.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
