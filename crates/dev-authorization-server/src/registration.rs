//! Dynamic client registration (RFC 7591 section 3), open to everyone: whoever registers can only
//! ask users for consent.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    client_metadata::{ClientMetadata, Method, Offer},
    clients::ClientAuthentication,
    issuer::{Issuer, REGISTRATION},
    refusal::{NO_STORE, Refusal},
    secret::{Digest, Secret},
};

pub(crate) async fn register(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match issuer.register(&headers, &body) {
        Ok(answer) => (StatusCode::CREATED, NO_STORE, Json(answer)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Issuer {
    fn register(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let essence = media_type.and_then(|m| m.split(';').next()).map(str::trim);
        if !essence.is_some_and(|e| e.eq_ignore_ascii_case("application/json")) {
            return Err(Refusal::InvalidClientMetadata("the body must be application/json"));
        }
        let metadata: ClientMetadata = serde_json::from_slice(body)
            .map_err(|_| Refusal::InvalidClientMetadata("the body is no client metadata"))?;
        let offer = metadata.read()?;
        // RFC 7591 section 2 has client_secret_basic for clients that name no method.
        let method = offer.method.unwrap_or(Method::SecretBasic);
        let (authentication, secret) = match offer.authentication_without_secret() {
            Some(authentication) if offer.method.is_some() => (authentication, None),
            _ => {
                let secret = Secret::generate()?;
                (ClientAuthentication::Secret(secret.clone()), Some(secret))
            }
        };
        self.enter(offer, method, authentication, secret)
    }

    fn enter(
        &self,
        offer: Offer,
        method: Method,
        authentication: ClientAuthentication,
        secret: Option<Secret>,
    ) -> Result<Value, Refusal> {
        let id = uuid::Uuid::new_v4().to_string();
        let scope = offer.scopes().to_string();
        let client = offer.into_client(id.clone(), authentication);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut answer = json!({
            "client_id": id,
            "client_id_issued_at": now,
            "client_name": client.name,
            "redirect_uris": client.redirect_uris.iter().map(|uri| uri.as_str()).collect::<Vec<_>>(),
            "token_endpoint_auth_method": method.name(),
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        if let Some(members) = answer.as_object_mut() {
            if !scope.is_empty() {
                members.insert("scope".to_owned(), json!(scope));
            }
            if let ClientAuthentication::PrivateKeyJwt(keys) = &client.authentication {
                members.insert("jwks".to_owned(), json!(keys));
            }
            if let Some(secret) = secret {
                members.insert("client_secret".to_owned(), json!(secret.expose()));
                let until = now.saturating_add(REGISTRATION.as_secs());
                members.insert("client_secret_expires_at".to_owned(), json!(until));
            }
        }
        self.registered.insert(Digest::of(&id), Arc::new(client), REGISTRATION)?;
        tracing::info!(client_id = id, "client registered itself");
        Ok(answer)
    }
}
