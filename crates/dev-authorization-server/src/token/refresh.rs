//! A refresh token for a new one and an access token (RFC 6749 section 6, RFC 9700 section 4.14).

use serde_json::Value;

use super::{code::with_refresh_token, read_scopes};
use crate::{
    clients::Client,
    issuer::{AccessToken, Issuer, new_jti},
    parameters::Parameters,
    refusal::Refusal,
    token::BoundKey,
};

impl Issuer {
    /// Scope and resources can be narrowed for the one access token; the grant keeps its own.
    pub(super) fn refresh(
        &self,
        client: &Client,
        form: &Parameters,
        key: Option<&BoundKey>,
    ) -> Result<Value, Refusal> {
        let presented =
            form.one("refresh_token").ok_or(Refusal::InvalidRequest("refresh_token is missing"))?;
        let unknown = Refusal::InvalidGrant("the refresh token is unknown, expired or replaced");
        let (family, grant) =
            self.grants.of_refresh_token(presented, &client.id).ok_or(unknown.clone())?;
        // RFC 9449 section 5: a public client's refresh token is as bound as its access tokens.
        if grant.key.is_some() && grant.key.as_ref() != key {
            return Err(Refusal::InvalidProof("the refresh token is bound to another key"));
        }
        let user = self.users.find(&grant.user).ok_or(unknown)?;
        let scopes = match form.one("scope") {
            None => grant.scopes.clone(),
            Some(asked) => {
                let asked = read_scopes(asked)?;
                let (_, beyond) = asked.split(|scope| grant.scopes.contains(scope));
                match beyond.iter().next() {
                    None => asked,
                    Some(scope) => return Err(Refusal::InvalidScope(scope.to_owned())),
                }
            }
        };
        let resources = Self::resources(form, &grant.resources, &grant.resources)?;
        let jti = new_jti();
        self.grants.note_token(&family, &jti)?;
        let next = self.grants.rotate(&family, presented)?;
        let token = self.access_token(&AccessToken {
            client_id: &client.id,
            user: Some(user),
            scopes: &scopes,
            resources: &resources,
            jti,
            key,
        })?;
        Ok(with_refresh_token(token, &next))
    }
}
