//! The edge: TLS, framing, time, which paths there are, and draining. It knows nothing of policy.

pub(crate) mod connections;
mod cors;
mod identity;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use http::{StatusCode, header};
use hyper_util::rt::TokioTimer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::enforce::{Enforcer, enforce};
pub(crate) use identity::ServerIdentity;

/// Serves until `shutdown` resolves, then stops accepting and lets open requests finish for the
/// configured time.
pub(crate) async fn serve(
    enforcer: Arc<Enforcer>,
    endpoint: &str,
    listener: TcpListener,
    tls: RustlsConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let limits = enforcer.limits.clone();
    let drain = limits.drain_timeout;
    let handle = Handle::new();
    let stop = handle.clone();
    let closing = enforcer.closing.clone();
    tokio::spawn(async move {
        shutdown.await;
        tracing::info!(seconds = drain.as_secs(), "draining");
        // Who merely listens would keep the others waiting.
        closing.send_replace(true);
        stop.graceful_shutdown(Some(drain));
    });
    let app = router(enforcer, endpoint).into_make_service_with_connect_info::<SocketAddr>();
    let bounded = connections::Bounded::to(limits.max_connections, limits.max_connections_per_peer);
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(HANDSHAKE_TIMEOUT).acceptor(bounded);
    let mut server = axum_server::from_tcp(listener)?
        .handle(handle)
        .acceptor(acceptor)
        // From the handshake to the first head, the protocol's detection included.
        .first_request_timeout(HEADER_TIMEOUT)
        .accept_error_handler(|peer, error| tracing::debug!(?peer, %error, "connection refused"));
    let http = server.http_builder();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADER_BYTES);
    server.serve(app).await
}

fn router(enforcer: Arc<Enforcer>, endpoint: &str) -> Router {
    let mut served = any(mcp_endpoint);
    if let Some(cors) = cors::for_endpoint(enforcer.neighbours.origins()) {
        served = served.layer(cors);
    }
    let mut router = Router::new().route(endpoint, served);
    for path in enforcer.metadata.paths() {
        router = router.route(path, get(resource_metadata).layer(cors::for_documents()));
    }
    if let Some(jwks) = enforcer.upstream.assertion_jwks() {
        router =
            router.route(ASSERTION_JWKS_PATH, get(move || std::future::ready(json(jwks.clone()))));
    }
    router.fallback(nothing_here).layer(CatchPanicLayer::new()).with_state(enforcer)
}

async fn mcp_endpoint(
    State(enforcer): State<Arc<Enforcer>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    enforce(&enforcer, request, peer).await
}

async fn resource_metadata(State(enforcer): State<Arc<Enforcer>>) -> Response {
    enforcer.metadata.answer(enforcer.policies.current().advertised_scopes())
}

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}

fn json(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Where the upstream finds the public half of the assertion key.
const ASSERTION_JWKS_PATH: &str = "/.well-known/cedargate-assertion-jwks.json";
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a head to arrive whole, and for a kept-alive connection to send another.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// A token of eight kilobytes and what goes with it.
const HEADER_BYTES: usize = 64 * 1024;
const HTTP2_HEADER_BYTES: u32 = 64 * 1024;
/// The least that RFC 9113 section 6.5.2 recommends.
const HTTP2_STREAMS: u32 = 100;
const HTTP2_PING: Duration = Duration::from_secs(20);
