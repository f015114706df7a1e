//! The token endpoint (RFC 6749 section 3.2): a code, a refresh token or a client's own word in, a
//! signed access token out.

mod code;
mod proof;
mod refresh;

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::Value;

pub(crate) use self::proof::BoundKey;
use crate::{
    clients::{Client, Standing},
    issuer::{AccessToken, Issuer, new_jti},
    parameters::Parameters,
    refusal::{NO_STORE, Refusal},
    scopes::Scopes,
};

pub(crate) async fn grant(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match issuer.grant(&headers, &body).await {
        Ok(token) => (NO_STORE, Json(token)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Issuer {
    async fn grant(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let form = Parameters::from_form(headers, body)?;
        let client = self.proven_client(headers, &form).await?;
        let key = self.proven_key(headers)?;
        let key = key.as_ref();
        match form.one("grant_type") {
            Some("authorization_code") => self.exchange_code(&client, &form, key),
            Some("refresh_token") => self.refresh(&client, &form, key),
            Some("client_credentials") => self.client_credentials(&client, &form, key),
            Some(_) => Err(Refusal::UnsupportedGrantType),
            None => Err(Refusal::InvalidRequest("grant_type is missing")),
        }
    }

    /// RFC 6749 section 4.4, for clients that whoever runs the server has vouched for, and that
    /// proved themselves: registration is open, so a stranger's own word is nobody's.
    fn client_credentials(
        &self,
        client: &Client,
        form: &Parameters,
        key: Option<&BoundKey>,
    ) -> Result<Value, Refusal> {
        let (Standing::Configured { .. }, true) = (&client.standing, client.is_confidential())
        else {
            return Err(Refusal::UnauthorizedClient("this client acts for users alone"));
        };
        let scopes = match form.one("scope") {
            None => client.default_scopes(),
            Some(asked) => {
                let asked = read_scopes(asked)?;
                let (_, beyond) = asked.split(|scope| client.may_ask_for(scope));
                match beyond.iter().next() {
                    None => asked,
                    Some(scope) => return Err(Refusal::InvalidScope(scope.to_owned())),
                }
            }
        };
        let resources = Self::resources(form, &self.resources, self.default_resource())?;
        self.access_token(&AccessToken {
            client_id: &client.id,
            user: None,
            scopes: &scopes,
            resources: &resources,
            jti: new_jti(),
            key,
        })
    }
}

fn read_scopes(text: &str) -> Result<Scopes, Refusal> {
    Scopes::parse(text).ok_or(Refusal::InvalidRequest("scope is malformed"))
}
