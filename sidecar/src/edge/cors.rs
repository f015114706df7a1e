//! What pages may read (Fetch standard, CORS protocol): the metadata every page, since a browser's
//! client looks for it before it has a token; the endpoint those of the configured origins.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

/// For documents that hold nothing secret.
pub(super) fn for_documents() -> CorsLayer {
    // Clients send `MCP-Protocol-Version` along, which makes browsers ask first.
    CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).allow_headers(Any)
}

/// For the endpoint: nothing is allowed to whom nothing is configured. No credentials: a token is
/// in a header that the page itself sets.
pub(super) fn for_endpoint(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<_> = origins.iter().filter_map(|o| HeaderValue::try_from(o).ok()).collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::POST, Method::GET, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(TOLD.map(HeaderName::from_static))
            .vary([header::ORIGIN])
            .max_age(PREFLIGHT_COUNTS_FOR)
    })
}

/// What a client must read to find its issuer, to step up, and to wait.
const TOLD: [&str; 5] =
    ["www-authenticate", "dpop-nonce", "retry-after", "x-request-id", "mcp-session-id"];
const PREFLIGHT_COUNTS_FOR: Duration = Duration::from_secs(600);
