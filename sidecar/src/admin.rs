//! For operators, on a listener of its own: is it alive, is it ready, how does it do, what has the
//! watch noticed, and which tokens are to be refused before their time.

mod findings;
mod metrics;
mod readiness;
mod revoke;

use std::{io, net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_server::Handle;
use http::{HeaderMap, StatusCode, header, request::Parts};

use crate::{config::AdminConfig, edge::connections::Bounded, enforce::Enforcer};

/// The listener for operators and what it serves.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    enforcer: Arc<Enforcer>,
    /// Who knows it may revoke and read findings; without one nobody may.
    secret: Option<Arc<Secret>>,
}

/// The operator's token.
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The operator's token cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the operator's token `{path}` (`admin.token_file`): {cause}")]
pub struct UnusableSecret {
    path: PathBuf,
    cause: String,
}

impl Secret {
    /// Reads the token from its file.
    pub(crate) fn read(path: &PathBuf) -> Result<Self, UnusableSecret> {
        let unusable = |cause: String| UnusableSecret { path: path.clone(), cause };
        let text = std::fs::read_to_string(path).map_err(|cause| unusable(cause.to_string()))?;
        let token = text.trim_end().to_owned();
        if token.len() < LEAST_SECRET_BYTES {
            return Err(unusable(format!("it must hold at least {LEAST_SECRET_BYTES} bytes")));
        }
        Ok(Self(token))
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, more) = (values.next(), values.next());
        let told = value.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let digest =
            |text: &str| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        // Digests of equal length, so that not even the length of the token is told by time.
        more.is_none()
            && told.is_some_and(|told| {
                let (told, own) = (digest(told), digest(&self.0));
                aws_lc_rs::constant_time::verify_slices_are_equal(told.as_ref(), own.as_ref())
                    .is_ok()
            })
    }
}

impl Admin {
    pub(crate) fn new(enforcer: &Arc<Enforcer>, secret: Option<Secret>) -> Self {
        Self { enforcer: Arc::clone(enforcer), secret: secret.map(Arc::new) }
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let bounded = Bounded::to(MAX_CONNECTIONS, MAX_CONNECTIONS);
        let mut server = axum_server::from_tcp(listener)?
            .handle(Handle::new())
            .acceptor(bounded)
            .first_request_timeout(HEADER_TIMEOUT);
        server
            .http_builder()
            .http1()
            .timer(hyper_util::rt::TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        server.serve(self.router().into_make_service()).await
    }

    fn router(self) -> Router {
        let mut router = Router::new()
            .route("/livez", get(alive))
            .route("/metrics", get(metrics::metrics))
            .route("/readyz", get(readiness::ready));
        if self.secret.is_some() {
            router = router
                .route("/findings", get(findings::open))
                .route("/revoke", post(revoke::token))
                .route("/revocations", post(revoke::add).delete(revoke::lift));
        }
        router.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(self)
    }
}

/// Proof that a request is the operator's; looked for before anything else of it is read.
pub(super) struct Operator;

impl FromRequestParts<Admin> for Operator {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, admin: &Admin) -> Result<Self, Response> {
        if admin.secret.as_ref().is_some_and(|secret| secret.is_in(&head.headers)) {
            return Ok(Self);
        }
        Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response())
    }
}

/// Whether the process turns around at all.
async fn alive() -> &'static str {
    "ok\n"
}

impl AdminConfig {
    /// Binds the listener.
    pub(crate) fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.address)
    }
}

/// As many as a random token of 128 bits has in hexadecimal.
const LEAST_SECRET_BYTES: usize = 32;
/// A token of sixteen kilobytes, form-encoded.
const MAX_BODY_BYTES: usize = 64 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Operators and their probes are few.
const MAX_CONNECTIONS: usize = 64;
