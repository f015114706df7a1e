//! Revocation calls: RFC 7009's form for who holds the token, and JSON for who knows its `jti` or
//! its subject.

use axum::{
    Form, Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Operator};
use crate::token::{NotRevoked, Revocation};

/// RFC 7009 section 2.1; `token_type_hint` and client credentials are passed over.
#[derive(Deserialize)]
pub(super) struct RevocationRequest {
    token: String,
}

/// `POST /revoke`: a token that its issuer has revoked. As RFC 7009 section 2.2 says, a token that
/// is not good anyway is no error.
pub(super) async fn token(
    _: Operator,
    State(admin): State<Admin>,
    Form(request): Form<RevocationRequest>,
) -> Response {
    match admin.enforcer.verifier.revocation_of(&request.token).await {
        Ok(Some(revocation)) => put_in_force(&admin, revocation).await,
        Ok(None) => StatusCode::OK.into_response(),
        // RFC 7009 section 2.2.1: the client must assume that the token still exists.
        Err(rejection) => {
            let error = format!("the token cannot be judged now: {}", rejection.reason());
            tracing::error!(error, "a revocation is NOT in force");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response()
        }
    }
}

/// `POST /revocations`: one by `jti`, by `sub`, or by digest.
pub(super) async fn add(
    _: Operator,
    State(admin): State<Admin>,
    body: Result<Json<Revocation>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(revocation)) => put_in_force(&admin, revocation).await,
        Err(rejection) => misunderstood(&rejection),
    }
}

/// `DELETE /revocations`: the same, taken back.
pub(super) async fn lift(
    _: Operator,
    State(admin): State<Admin>,
    body: Result<Json<Revocation>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(revocation)) => {
            tracing::warn!(?revocation, "revocation lifted");
            told(admin.enforcer.verifier.revocations().lift(revocation).await)
        }
        Err(rejection) => misunderstood(&rejection),
    }
}

async fn put_in_force(admin: &Admin, revocation: Revocation) -> Response {
    tracing::warn!(?revocation, "revoked");
    told(admin.enforcer.verifier.revocations().add(revocation).await)
}

fn told(outcome: Result<(), NotRevoked>) -> Response {
    let error = match outcome {
        Ok(()) => return StatusCode::OK.into_response(),
        Err(error) => error,
    };
    tracing::error!(%error, "a revocation is NOT in force");
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error.to_string() }))).into_response()
}

fn misunderstood(rejection: &JsonRejection) -> Response {
    let what = "send {\"issuer\", \"jti\", \"until\"?}, {\"issuer\", \"sub\", \"issued_before\"} or {\"sha256\", \"until\"?} as application/json";
    let body = json!({ "error": rejection.body_text(), "expected": what });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
