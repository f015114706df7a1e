//! What a client says about itself (RFC 7591 section 2), registering or in a document of its own.
//! All of it is a stranger's word.

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    client_proof::assertion,
    clients::{Client, ClientAuthentication, Standing},
    redirect_uri::RedirectUri,
    refusal::Refusal,
    scopes::Scopes,
};

/// As it was sent. Members that are not named here are ignored, as the RFC asks; none is fetched.
#[derive(Debug, Deserialize)]
pub(crate) struct ClientMetadata {
    redirect_uris: Option<Vec<String>>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
}

/// What is taken of it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) method: Option<Method>,
    name: String,
    redirect_uris: Vec<RedirectUri>,
    scopes: Scopes,
    keys: Option<JwkSet>,
}

/// `token_endpoint_auth_method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    None,
    SecretBasic,
    SecretPost,
    PrivateKeyJwt,
}

impl Refusal {
    /// The reason alone.
    pub(crate) fn why(&self) -> &'static str {
        match self {
            Self::InvalidRequest(why)
            | Self::InvalidRedirectUri(why)
            | Self::InvalidClientMetadata(why) => why,
            _ => "refused",
        }
    }
}

impl Method {
    pub(crate) const ALL: [Self; 4] =
        [Self::SecretBasic, Self::SecretPost, Self::PrivateKeyJwt, Self::None];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

impl ClientMetadata {
    pub(crate) fn read(self) -> Result<Offer, Refusal> {
        let refused = |why| Err(Refusal::InvalidClientMetadata(why));
        let offers = |list: &Option<Vec<String>>, one: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|member| member == one))
        };
        if !offers(&self.grant_types, "authorization_code") || !offers(&self.response_types, "code")
        {
            return refused("a client that registers itself acts for users: authorization_code");
        }
        let method = match self.token_endpoint_auth_method.as_deref() {
            None => None,
            Some(named) => match Method::ALL.into_iter().find(|method| method.name() == named) {
                Some(method) => Some(method),
                None => return refused("this token_endpoint_auth_method is not served"),
            },
        };
        if self.jwks_uri.is_some() {
            return refused("jwks_uri is not fetched; send jwks");
        }
        let keys = match self.jwks.map(serde_json::from_value::<JwkSet>) {
            None => None,
            Some(Ok(keys)) if assertion::is_acceptable(&keys) => Some(keys),
            Some(_) => return refused("jwks holds something else than a few RSA or P-256 keys"),
        };
        if method == Some(Method::PrivateKeyJwt) && keys.is_none() {
            return refused("private_key_jwt needs jwks");
        }
        let Some(scopes) = Scopes::parse(self.scope.as_deref().unwrap_or_default()) else {
            return refused("scope is malformed");
        };
        Ok(Offer {
            method,
            name: displayable(self.client_name.as_deref().unwrap_or_default()),
            redirect_uris: read_redirect_uris(&self.redirect_uris.unwrap_or_default())?,
            scopes,
            keys,
        })
    }
}

impl Offer {
    /// How the client proves itself when nobody can tell it a secret.
    pub(crate) fn authentication_without_secret(&self) -> Option<ClientAuthentication> {
        match (self.method, &self.keys) {
            (None | Some(Method::None), _) => Some(ClientAuthentication::None),
            (Some(Method::PrivateKeyJwt), Some(keys)) => {
                Some(ClientAuthentication::PrivateKeyJwt(keys.clone()))
            }
            _ => None,
        }
    }

    pub(crate) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    pub(crate) fn into_client(self, id: String, authentication: ClientAuthentication) -> Client {
        Client {
            name: if self.name.is_empty() {
                "a client without a name".to_owned()
            } else {
                self.name
            },
            id,
            authentication,
            redirect_uris: self.redirect_uris,
            standing: Standing::Stranger {
                default_scopes: self.scopes.iter().map(str::to_owned).collect(),
            },
        }
    }
}

fn read_redirect_uris(texts: &[String]) -> Result<Vec<RedirectUri>, Refusal> {
    if texts.is_empty() || texts.len() > MAX_REDIRECT_URIS {
        return Err(Refusal::InvalidRedirectUri("one to ten redirect_uris are needed"));
    }
    texts
        .iter()
        .map(|text| RedirectUri::parse(text).map_err(|why| Refusal::InvalidRedirectUri(why.0)))
        .collect()
}

/// A name without what could make a page show something else than it says: only letters, digits
/// and plain punctuation, and not much of it. Escaping is the page's.
fn displayable(name: &str) -> String {
    let kept: String = name
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| c.is_alphanumeric() || c == ' ' || c.is_ascii_punctuation())
        .take(MAX_NAME_CHARACTERS)
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

const MAX_REDIRECT_URIS: usize = 10;
const MAX_NAME_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value) -> Result<Offer, Refusal> {
        let mut json = json;
        let members = json.as_object_mut().unwrap();
        members.entry("redirect_uris").or_insert(serde_json::json!(["http://localhost/callback"]));
        serde_json::from_value::<ClientMetadata>(json).unwrap().read()
    }

    #[test]
    fn what_a_stranger_cannot_be_is_refused() {
        use serde_json::json;
        assert!(read(json!({})).is_ok());
        for metadata in [
            json!({ "grant_types": ["client_credentials"] }),
            json!({ "grant_types": [] }),
            json!({ "response_types": ["token"] }),
            json!({ "token_endpoint_auth_method": "tls_client_auth" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            json!({ "jwks_uri": "https://example.com/jwks.json" }),
            json!({ "jwks": { "keys": [] } }),
            json!({ "jwks": { "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] } }),
            json!({ "scope": "a\"b" }),
            json!({ "redirect_uris": [] }),
            json!({ "redirect_uris": ["http://localhost/callback", "javascript:alert(1)"] }),
            json!({ "redirect_uris": vec!["https://example.com/"; 11] }),
        ] {
            assert!(read(metadata.clone()).is_err(), "{metadata}");
        }
    }

    #[test]
    fn a_name_cannot_play_tricks() {
        assert_eq!(displayable("My\u{202e}App\u{0}\n\tx"), "MyApp x");
        assert_eq!(displayable(&"a".repeat(500)).len(), MAX_NAME_CHARACTERS);
        assert_eq!(displayable("Ünïcode Café"), "Ünïcode Café");
    }
}
