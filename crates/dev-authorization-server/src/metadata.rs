//! Discovery documents, the JWK set, and a sign of life.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{client_metadata::Method, client_proof::assertion, issuer::Issuer};

/// Authorization server metadata (RFC 8414 section 2), with the members that OpenID Connect
/// Discovery section 3 requires, so that one document serves clients that look for either. No ID
/// tokens are issued: `openid` is not among the scopes.
pub(crate) async fn document(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    let identifier = &issuer.identifier;
    let at = |path: &str| format!("{identifier}/{path}");
    let methods = Method::ALL.map(Method::name);
    let confidential: Vec<&str> = methods.iter().copied().filter(|&m| m != "none").collect();
    let algorithms = assertion::ALGORITHMS.map(|algorithm| format!("{algorithm:?}"));
    Json(json!({
        "issuer": identifier,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "registration_endpoint": at("register"),
        "revocation_endpoint": at("revoke"),
        "introspection_endpoint": at("introspect"),
        "userinfo_endpoint": at("userinfo"),
        "jwks_uri": at("jwks.json"),
        "scopes_supported": issuer.scopes().collect::<Vec<_>>(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": algorithms,
        "client_id_metadata_document_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "claims_supported": ["sub", "name", "preferred_username", "groups"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

/// The public keys (RFC 7517).
pub(crate) async fn jwks(State(issuer): State<Arc<Issuer>>) -> Json<jsonwebtoken::jwk::JwkSet> {
    Json(issuer.keys.jwks())
}

/// A sign of life for scripts.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy", "service": "dev-authorization-server" }))
}
