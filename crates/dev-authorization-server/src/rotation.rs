//! New keys: by the clock, and for tests by a request.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    issuer::Issuer,
    keys::{KeyRing, OldKey},
    parameters::Parameters,
    refusal::{NO_STORE, Refusal},
};

/// Rotates until the server is gone; the replaced key stays for the lifetime of a token.
pub(crate) async fn rotate_every(keys: KeyRing, period: Duration, token_lifetime: Duration) {
    loop {
        tokio::time::sleep(period).await;
        rotate(&keys, OldKey::StaysFor(token_lifetime)).await;
    }
}

/// `POST /test/rotate-keys`, there only where [`TestEndpoints`](crate::TestEndpoints) are;
/// `?withdraw=true` takes the old keys away at once.
pub(crate) async fn rotate_on_request(
    State(issuer): State<Arc<Issuer>>,
    RawQuery(query): RawQuery,
) -> Response {
    let withdraw = Parameters::parse(query.unwrap_or_default().as_bytes())
        .is_ok_and(|parameters| parameters.one("withdraw") == Some("true"));
    let old = match withdraw {
        true => OldKey::IsWithdrawn,
        false => OldKey::StaysFor(issuer.lifetimes.access_token),
    };
    match rotate(&issuer.keys, old).await {
        Some(kid) => (NO_STORE, Json(json!({ "kid": kid }))).into_response(),
        None => Refusal::Internal.into_response(),
    }
}

async fn rotate(keys: &KeyRing, old: OldKey) -> Option<String> {
    let keys = keys.clone();
    let rotated = tokio::task::spawn_blocking(move || keys.rotate(old)).await;
    match rotated {
        Ok(Ok(kid)) => {
            tracing::info!(kid, "signing key rotated");
            Some(kid)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "signing key not rotated");
            None
        }
        Err(error) => {
            tracing::error!(%error, "signing key not rotated");
            None
        }
    }
}
