//! Who calls the token endpoint and those like it (RFC 6749 section 2.3).

pub(crate) mod assertion;

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use crate::{
    clients::{Client, ClientAuthentication, secret_fits},
    issuer::Issuer,
    parameters::Parameters,
    refusal::Refusal,
};

/// What a request offers as proof.
enum Proof {
    Secret {
        id: String,
        secret: String,
    },
    Assertion {
        id: String,
        assertion: String,
    },
    /// The name alone, which is enough for a public client.
    Name {
        id: String,
    },
}

impl Client {
    /// Whether it can prove itself at all (RFC 6749 section 2.1).
    pub(crate) fn is_confidential(&self) -> bool {
        !matches!(self.authentication, ClientAuthentication::None)
    }
}

impl Issuer {
    /// The client that a request proves to be from; a public client proves nothing and is taken by
    /// its name.
    pub(crate) async fn proven_client(
        &self,
        headers: &HeaderMap,
        form: &Parameters,
    ) -> Result<Arc<Client>, Refusal> {
        match read_proof(headers, form)? {
            Proof::Secret { id, secret } => {
                let client = self.client(&id).await;
                let fits = secret_fits(client.as_deref(), &secret);
                client.filter(|_| fits).ok_or(Refusal::InvalidClient)
            }
            Proof::Assertion { id, assertion } => {
                let client = self.client(&id).await.ok_or(Refusal::InvalidClient)?;
                self.verify_assertion(&client, &assertion)?;
                Ok(client)
            }
            Proof::Name { id } => {
                let client = self.client(&id).await;
                client.filter(|client| !client.is_confidential()).ok_or(Refusal::InvalidClient)
            }
        }
    }
}

/// RFC 6749 section 2.3: one method of authentication, never two.
fn read_proof(headers: &HeaderMap, form: &Parameters) -> Result<Proof, Refusal> {
    let mut basic = headers.get_all(header::AUTHORIZATION).iter();
    let (basic, again) = (basic.next(), basic.next().is_some());
    let (secret, assertion) = (form.one("client_secret"), form.one("client_assertion"));
    if again
        || [basic.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|&&m| m).count()
            > 1
    {
        return Err(Refusal::InvalidRequest("two ways of client authentication"));
    }
    let named = form.one("client_id");
    if let Some(value) = basic {
        let (id, secret) = basic_credentials(value.as_bytes()).ok_or(Refusal::InvalidClient)?;
        if named.is_some_and(|named| named != id) {
            return Err(Refusal::InvalidClient);
        }
        return Ok(Proof::Secret { id, secret });
    }
    if let Some(assertion) = assertion {
        if form.one("client_assertion_type") != Some(assertion::TYPE) {
            return Err(Refusal::InvalidRequest("client_assertion_type is not jwt-bearer"));
        }
        // The name inside is believed only once the signature of that client verified.
        let id = assertion::claimed_subject(assertion).ok_or(Refusal::InvalidClient)?;
        if named.is_some_and(|named| named != id) {
            return Err(Refusal::InvalidClient);
        }
        return Ok(Proof::Assertion { id, assertion: assertion.to_owned() });
    }
    let id = named.ok_or(Refusal::InvalidClient)?.to_owned();
    Ok(match secret {
        Some(secret) => Proof::Secret { id, secret: secret.to_owned() },
        None => Proof::Name { id },
    })
}

/// RFC 6749 section 2.3.1: identifier and secret are form-encoded before the Basic scheme joins
/// and encodes them.
fn basic_credentials(value: &[u8]) -> Option<(String, String)> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // With its separators escaped the whole text is one name in a form, and comes back decoded.
    form_urlencoded::parse(text.replace('=', "%3D").replace('&', "%26").as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}
