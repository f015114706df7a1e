//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::{
    issuer::Issuer,
    parameters::Parameters,
    refusal::{NO_STORE, Refusal},
};

pub(crate) async fn revoke(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match issuer.revoke(&headers, &body).await {
        Ok(()) => (StatusCode::OK, NO_STORE).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Issuer {
    /// A token that is unknown is as good as revoked (section 2.2). A refresh token takes its whole
    /// grant along, every access token made from it included (section 2.1).
    async fn revoke(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let form = Parameters::from_form(headers, body)?;
        let client = self.proven_client(headers, &form).await?;
        let token = form.one("token").ok_or(Refusal::InvalidRequest("token is missing"))?;
        let foreign = Refusal::UnauthorizedClient("the token is another client's");
        if let Some((family, grant)) = self.grants.find(token) {
            if grant.client_id != client.id {
                return Err(foreign);
            }
            self.grants.revoke(&family);
            tracing::info!(client_id = %client.id, "grant revoked");
            return Ok(());
        }
        let Some(claims) = self.live_claims(token) else { return Ok(()) };
        let claim = |name: &str| claims.get(name).and_then(Value::as_str);
        if claim("client_id") != Some(&client.id) {
            return Err(foreign);
        }
        if let Some(jti) = claim("jti") {
            self.grants.revoke_token(jti)?;
            tracing::info!(client_id = %client.id, jti, "access token revoked");
        }
        Ok(())
    }
}
