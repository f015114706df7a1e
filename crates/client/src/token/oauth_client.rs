//! Who asks for tokens: a program in its own name, or a program for a person.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{clock, error::TokenError};
use crate::secret::Secret;

/// An OAuth client and the way it gets tokens.
#[derive(Debug, Clone)]
pub enum OAuthClient {
    /// Acts in its own name (client credentials, RFC 6749 section 4.4).
    Program {
        /// `client_id`.
        id: String,
        /// How it proves that it is that client.
        proof: ClientProof,
    },
    /// Acts for a person who signs in with a browser (authorization code with PKCE, RFC 8252).
    Person(Login),
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// By its secret: `client_secret_basic` or `client_secret_post`, as the issuer takes it.
    Secret(Secret),
    /// By its signature: `private_key_jwt` (RFC 7523).
    PrivateKey(ClientKey),
}

/// How a person signs in.
#[derive(Clone)]
pub struct Login {
    /// The `client_id` of a public client; without one, the client registers itself (RFC 7591).
    pub client_id: Option<String>,
    /// Whether to open the person's browser.
    pub browser: Browser,
    /// Is told the address to go to, for copying.
    pub show: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Who takes the person to the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// The system's browser is opened.
    Opened,
    /// The person goes there.
    LeftAlone,
}

/// A client's private key.
#[derive(Clone)]
pub struct ClientKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
    audience: AssertionAudience,
}

/// For whom a client's assertions are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer: no other can be talked into presenting it there.
    #[default]
    Issuer,
    /// The token endpoint, for issuers that take nothing else.
    TokenEndpoint,
}

impl OAuthClient {
    /// A program with a secret.
    pub fn with_secret(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::Program { id: id.into(), proof: ClientProof::Secret(Secret::new(secret)) }
    }

    /// A program with a private key.
    pub fn with_private_key(id: impl Into<String>, key: ClientKey) -> Self {
        Self::Program { id: id.into(), proof: ClientProof::PrivateKey(key) }
    }

    /// The `client_id` as far as it is known without asking.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Program { id, .. } => Some(id),
            Self::Person(login) => login.client_id.as_deref(),
        }
    }
}

impl ClientKey {
    /// An RSA key (RS256) or a P-256 key (ES256) in PEM, under the name by which the issuer knows
    /// it.
    pub fn from_pem(pem: &[u8], kid: Option<String>) -> Result<Self, TokenError> {
        let rsa = EncodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256));
        let (key, algorithm) = rsa
            .or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256)))
            .map_err(|error| TokenError::PrivateKey(error.to_string()))?;
        let key = Self { key, algorithm, kid, audience: AssertionAudience::default() };
        // A key of another curve is found out here and not when a token is needed.
        key.assertion("", "", "")?;
        Ok(key)
    }

    /// The same key for an issuer that wants its assertions addressed otherwise.
    pub fn addressed_to(mut self, audience: AssertionAudience) -> Self {
        self.audience = audience;
        self
    }

    /// The algorithm's name.
    pub(super) fn algorithm(&self) -> String {
        format!("{:?}", self.algorithm)
    }

    /// The client's own word, good once and for a minute (RFC 7523 section 3).
    pub(super) fn assertion(
        &self,
        client_id: &str,
        issuer: &str,
        token_endpoint: &str,
    ) -> Result<String, TokenError> {
        let now = clock::system();
        let audience = match self.audience {
            AssertionAudience::Issuer => issuer,
            AssertionAudience::TokenEndpoint => token_endpoint,
        };
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience, "jti": uuid::Uuid::new_v4(),
            "iat": now, "exp": now + ASSERTION_SECONDS,
        });
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|error| TokenError::PrivateKey(error.to_string()))
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("client_id", &self.client_id)
            .field("browser", &self.browser)
            .finish_non_exhaustive()
    }
}

const ASSERTION_SECONDS: u64 = 60;
