//! A code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use serde_json::{Value, json};

use crate::{
    clients::Client,
    issuer::{AccessToken, Issuer, new_jti},
    parameters::Parameters,
    refusal::Refusal,
    secret::{Digest, Secret},
    token::BoundKey,
};

impl Issuer {
    pub(super) fn exchange_code(
        &self,
        client: &Client,
        form: &Parameters,
        key: Option<&BoundKey>,
    ) -> Result<Value, Refusal> {
        let code = form.one("code").ok_or(Refusal::InvalidRequest("code is missing"))?;
        let verifier =
            form.one("code_verifier").ok_or(Refusal::InvalidRequest("code_verifier is missing"))?;
        let redirect_uri =
            form.one("redirect_uri").ok_or(Refusal::InvalidRequest("redirect_uri is missing"))?;
        // From here on the code is spent, whatever is wrong with the rest.
        let code = self
            .grants
            .take_code(code, &client.id)
            .ok_or(Refusal::InvalidGrant("the code is unknown, expired or spent"))?;
        if code.redirect_uri != redirect_uri {
            return Err(Refusal::InvalidGrant("redirect_uri is not the one that got the code"));
        }
        if !verifies(verifier, &code.challenge) {
            return Err(Refusal::InvalidGrant("code_verifier does not fit"));
        }
        let revoked = Refusal::InvalidGrant("the grant was revoked");
        let grant = self.grants.grant(&code.family).ok_or(revoked.clone())?;
        let resources = Self::resources(form, &grant.resources, &grant.resources)?;
        let user = self.users.find(&grant.user).ok_or(revoked)?;
        if !client.is_confidential() {
            self.grants.bind(&code.family, key);
        }
        let refresh = self.grants.first_refresh_token(&code.family)?;
        let jti = new_jti();
        self.grants.note_token(&code.family, &jti)?;
        let token = self.access_token(&AccessToken {
            client_id: &client.id,
            user: Some(user),
            scopes: &grant.scopes,
            resources: &resources,
            jti,
            key,
        })?;
        Ok(with_refresh_token(token, &refresh))
    }
}

pub(super) fn with_refresh_token(mut answer: Value, refresh: &Secret) -> Value {
    if let Some(members) = answer.as_object_mut() {
        members.insert("refresh_token".to_owned(), json!(refresh.expose()));
    }
    answer
}

/// RFC 7636 sections 4.1 and 4.6, S256.
fn verifies(verifier: &str, challenge: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let computed = Digest::of(verifier).base64url();
    well_formed && Digest::of(&computed).is(&Digest::of(challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_verifies_and_nothing_near_it() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies(verifier, challenge));
        assert!(!verifies(challenge, challenge), "plain is not S256");
        assert!(!verifies("", challenge));
        assert!(!verifies(&verifier.to_lowercase(), challenge));
        assert!(!verifies("short", &Digest::of("short").base64url()), "too short to be random");
    }
}
