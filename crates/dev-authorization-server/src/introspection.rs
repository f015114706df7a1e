//! Token introspection (RFC 7662), for clients that prove who they are.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    clients::Client,
    grants::Grants,
    issuer::Issuer,
    parameters::Parameters,
    refusal::{NO_STORE, Refusal},
};

pub(crate) async fn introspect(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match issuer.introspect(&headers, &body).await {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Issuer {
    /// Section 2.1 demands authentication against token scanning. A configured client, which may be
    /// a resource server, learns about any access token; others about their own alone. What one may
    /// not know is inactive, like what does not exist (section 2.2).
    async fn introspect(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let form = Parameters::from_form(headers, body)?;
        let client = self.proven_client(headers, &form).await?;
        if !client.is_confidential() {
            return Err(Refusal::InvalidClient);
        }
        let token = form.one("token").ok_or(Refusal::InvalidRequest("token is missing"))?;
        let about = self.about_access_token(&client, token);
        Ok(about.or_else(|| self.about_refresh_token(&client, token)).unwrap_or(INACTIVE()))
    }

    fn about_access_token(&self, client: &Client, token: &str) -> Option<Value> {
        let mut claims = self.live_claims(token)?;
        if client.is_stranger() && claims.get("client_id") != Some(&json!(client.id)) {
            return None;
        }
        let members = claims.as_object_mut()?;
        let bound = members.contains_key("cnf");
        members.insert("active".to_owned(), json!(true));
        members.insert("token_type".to_owned(), json!(if bound { "DPoP" } else { "Bearer" }));
        Some(claims)
    }

    fn about_refresh_token(&self, client: &Client, token: &str) -> Option<Value> {
        let (_, grant) = self.grants.find(token)?;
        if grant.client_id != client.id || !Grants::is_latest(&grant, token) {
            return None;
        }
        Some(json!({
            "active": true,
            "client_id": grant.client_id,
            "sub": grant.user,
            "scope": grant.scopes.to_string(),
            "iss": self.identifier,
        }))
    }
}

const INACTIVE: fn() -> Value = || json!({ "active": false });
