//! Discovery documents, the JWK set, and a sign of life.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::Issuer;

/// Authorization server metadata (RFC 8414 section 2), with the members that OpenID Connect
/// Discovery section 3 requires, so that one document serves clients that look for either.
pub(crate) async fn document(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    let identifier = &issuer.config.issuer;
    Json(json!({
        "issuer": identifier,
        // RFC 8414 needs none without the grants that use it; the official MCP SDKs insist on one.
        "authorization_endpoint": format!("{identifier}/authorize"),
        "token_endpoint": format!("{identifier}/token"),
        "jwks_uri": format!("{identifier}/jwks.json"),
        "scopes_supported": issuer.config.clients.scopes(),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

/// The public key (RFC 7517).
pub(crate) async fn jwks(State(issuer): State<Arc<Issuer>>) -> Json<jsonwebtoken::jwk::JwkSet> {
    Json(issuer.config.signing_key.jwks())
}

/// Why a browser gets no further.
pub(crate) async fn no_authorization() -> (StatusCode, &'static str) {
    (StatusCode::BAD_REQUEST, "unsupported_response_type: only client credentials are served\n")
}

/// A sign of life for scripts.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy", "service": "dev-authorization-server" }))
}
