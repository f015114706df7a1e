//! OAuth clients and how each proves itself.

use std::collections::HashMap;

use jsonwebtoken::jwk::JwkSet;

use crate::{
    redirect_uri::{RedirectUri, Unregistrable},
    scopes::Scopes,
    secret::{Digest, RandomnessFailed, Secret},
};

/// An OAuth client (RFC 6749 section 2).
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// What people are told it is called.
    pub name: String,
    /// How it proves itself.
    pub authentication: ClientAuthentication,
    /// Where codes for it may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whose word its entry is.
    pub standing: Standing,
}

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// `client_secret_basic` or `client_secret_post`, whichever it uses.
    Secret(Secret),
    /// `private_key_jwt` (RFC 7523 section 2.2), with these public keys.
    PrivateKeyJwt(JwkSet),
    /// `none`: a public client, for which PKCE has to do.
    None,
}

/// Whose word a client's entry is.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Whoever runs the server configured it: it may act on its own behalf.
    Configured {
        /// Every scope it may ask for.
        allowed_scopes: Vec<String>,
        /// What it gets when it names no scope.
        default_scopes: Vec<String>,
    },
    /// It registered itself or published a document: it acts for users alone, and may ask for
    /// whatever a user can grant. The scope it registered with is no ceiling, so that step-up
    /// works, only what it gets when it names none.
    Stranger {
        /// The scope it registered with.
        default_scopes: Vec<String>,
    },
}

impl Client {
    pub(crate) fn may_ask_for(&self, scope: &str) -> bool {
        self.is_stranger() || self.allowed_scopes().iter().any(|allowed| allowed == scope)
    }

    /// A configured client's ceiling.
    fn allowed_scopes(&self) -> &[String] {
        match &self.standing {
            Standing::Configured { allowed_scopes, .. } => allowed_scopes,
            Standing::Stranger { .. } => &[],
        }
    }

    pub(crate) fn default_scopes(&self) -> Scopes {
        let (Standing::Configured { default_scopes, .. } | Standing::Stranger { default_scopes }) =
            &self.standing;
        default_scopes.iter().map(String::as_str).collect()
    }

    pub(crate) fn is_stranger(&self) -> bool {
        matches!(self.standing, Standing::Stranger { .. })
    }

    /// The registered redirect URI that `named` is, as the client named it.
    pub(crate) fn redirect_uri(&self, named: &str) -> Option<RedirectUri> {
        self.redirect_uris.iter().find(|registered| registered.admits(named))?;
        RedirectUri::parse(named).ok()
    }
}

/// All configured clients of one authorization server.
#[derive(Debug, Default)]
pub struct Clients(Vec<Client>);

impl Clients {
    /// Registers `clients`.
    pub fn new(clients: Vec<Client>) -> Self {
        Self(clients)
    }

    /// The three clients of the demo, each with a secret of 256 random bits.
    ///
    /// All may read customers, create tickets and calculate; `mcp-secure-client` may also read
    /// security events, but gets that scope only when it asks for it. Their redirect URIs are on
    /// loopback, where any port will do.
    pub fn demo() -> Result<Self, DemoFailed> {
        let everyday = ["customer:read", "ticket:create", "account:calculate"];
        let owned = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
        let client = |id: &str, name: &str, more: &[&str]| {
            Ok::<_, DemoFailed>(Client {
                id: id.to_owned(),
                name: name.to_owned(),
                authentication: ClientAuthentication::Secret(Secret::generate()?),
                redirect_uris: loopback_redirect_uris()?,
                standing: Standing::Configured {
                    allowed_scopes: owned(&[&everyday, more].concat()),
                    default_scopes: owned(&everyday),
                },
            })
        };
        Ok(Self(vec![
            client("mcp-secure-client", "MCP secure client", &["security:read"])?,
            client("claude-desktop-client", "Claude Desktop", &[])?,
            client("openai-mcp-client", "OpenAI MCP client", &[])?,
        ]))
    }

    /// All clients, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.iter()
    }

    /// The clients that have a secret, and the secret.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().filter_map(|client| match &client.authentication {
            ClientAuthentication::Secret(secret) => Some((client.id.as_str(), secret)),
            _ => None,
        })
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|client| client.allowed_scopes()).map(String::as_str)
    }

    pub(crate) fn scopes_of(&self, id: &str) -> Vec<&str> {
        let of_it = self.0.iter().filter(|client| client.id == id);
        of_it.flat_map(|client| client.allowed_scopes()).map(String::as_str).collect()
    }

    pub(crate) fn into_table(self) -> HashMap<String, std::sync::Arc<Client>> {
        self.0.into_iter().map(|client| (client.id.clone(), client.into())).collect()
    }
}

/// The demo's clients could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoFailed {
    /// No random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
    /// A redirect URI is none.
    #[error(transparent)]
    RedirectUri(#[from] Unregistrable),
}

/// Redirect URIs that the common MCP clients use on this machine.
pub fn loopback_redirect_uris() -> Result<Vec<RedirectUri>, Unregistrable> {
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .flat_map(|host| {
            ["/callback", "/oauth/callback"].map(|path| format!("http://{host}{path}"))
        })
        .map(|uri| RedirectUri::parse(&uri))
        .collect()
}

/// Whether `presented` is the secret of `client`.
///
/// A secret is always required, and an unknown client takes as long as a wrong secret: digests of
/// equal length are compared in constant time either way.
pub(crate) fn secret_fits(client: Option<&Client>, presented: &str) -> bool {
    let expected = match client.map(|client| &client.authentication) {
        Some(ClientAuthentication::Secret(secret)) if !secret.expose().is_empty() => Some(secret),
        _ => None,
    };
    let digest = expected.map_or_else(|| Digest::of(""), Secret::digest);
    digest.is(&Digest::of(presented)) && expected.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(authentication: ClientAuthentication) -> Client {
        Client {
            id: "a".to_owned(),
            name: "A".to_owned(),
            authentication,
            redirect_uris: Vec::new(),
            standing: Standing::Stranger { default_scopes: Vec::new() },
        }
    }

    #[test]
    fn only_the_right_secret_fits() {
        let right = client(ClientAuthentication::Secret(Secret::new("right")));
        assert!(secret_fits(Some(&right), "right"));
        for wrong in ["wrong", "", "righ", "right "] {
            assert!(!secret_fits(Some(&right), wrong), "{wrong}");
            assert!(!secret_fits(None, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_client_without_a_secret_never_proves_itself_by_one() {
        for authentication in
            [ClientAuthentication::Secret(Secret::new("")), ClientAuthentication::None]
        {
            assert!(!secret_fits(Some(&client(authentication)), ""));
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let client = client(ClientAuthentication::Secret(Secret::new("hunter2")));
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
