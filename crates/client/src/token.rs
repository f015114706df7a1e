//! Access tokens for the gate, whichever provider asks: found from the MCP URL alone, checked before
//! they are sent, held until shortly before they expire, fetched once when many ask at a time.
//!
//! A token is fetched in a task of its own, so that whoever stops waiting does not stop the others.

mod cache;
mod challenge;
mod clock;
mod discovery;
mod dpop;
mod error;
mod fetch;
mod flight;
mod inspection;
mod login;
mod oauth_client;
mod obtaining;
mod own_check;
#[cfg(test)]
mod tests;
mod token_endpoint;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use reqwest::{Client, Url};
use serde::Deserialize;

pub use crate::secret::Secret;
pub(crate) use challenge::Challenge;
pub use clock::Clock;
pub use error::TokenError;
pub(crate) use error::with_causes;
pub use inspection::{HeldToken, Inspection};
pub use oauth_client::{AssertionAudience, Browser, ClientKey, ClientProof, Login, OAuthClient};

use self::{
    dpop::PROOF,
    flight::{Hangar, Held},
    obtaining::Obtaining,
};

/// How tokens are got.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who asks for them.
    pub client: OAuthClient,
    /// What to ask for at first; if empty, what the resource asks for, and if that does not say, the
    /// issuer decides.
    pub scopes: Vec<String>,
    /// Whether to prove possession.
    pub proof: Proof,
    /// The only issuer to be trusted; without one, the first that the resource names.
    pub issuer: Option<String>,
    /// What a token's audience may be besides the resource itself, for issuers that do not know
    /// resource indicators.
    pub audiences: Vec<String>,
    /// A file that processes of the same user share tokens in.
    pub cache: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
}

/// Whether requests prove that their token is ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Bearer tokens, unless the resource takes bound ones alone.
    #[default]
    AsAsked,
    /// Tokens bound to a key of this process's, or of the cache's (DPoP, RFC 9449).
    Dpop,
}

/// Yields tokens for one resource.
#[derive(Debug)]
pub struct TokenSource {
    hangar: Arc<Hangar>,
}

/// What goes along with one request.
#[derive(Debug)]
pub struct Authorization {
    /// `Authorization`, and `DPoP` where the token is bound.
    pub headers: HeaderMap,
    /// The token in them, to be [discarded](TokenSource::discard) when it is refused.
    pub token: Secret,
}

impl Options {
    /// The usual way for this client.
    pub fn new(client: OAuthClient) -> Self {
        Self {
            client,
            scopes: Vec::new(),
            proof: Proof::default(),
            issuer: None,
            audiences: Vec::new(),
            cache: None,
            clock: Clock::default(),
        }
    }

    /// The same, asking for these scopes.
    pub fn with_scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self
    }
}

impl TokenSource {
    /// Finds out from the MCP endpoint at `mcp_url` what tokens it takes and who issues them. `http`
    /// must follow no redirect, as those of [`trust`](crate::trust) do not.
    pub async fn discover(
        http: Client,
        mcp_url: &str,
        options: Options,
    ) -> Result<Self, TokenError> {
        let obtaining = Obtaining::prepare(http, mcp_url, options).await?;
        Ok(Self { hangar: Arc::new(Hangar::new(obtaining)) })
    }

    /// What a request to the resource must carry; the token in it is good for a while yet. No other
    /// origin is sent it.
    pub async fn authorization(
        &self,
        method: &Method,
        url: &Url,
    ) -> Result<Authorization, TokenError> {
        let obtaining = &self.hangar.obtaining;
        if url.origin() != obtaining.found.resource_url.origin() {
            let resource = obtaining.found.resource.clone();
            return Err(TokenError::Elsewhere { resource, url: url.to_string() });
        }
        let token = self.token().await?;
        let mut headers = HeaderMap::new();
        let scheme = match &obtaining.key {
            None => "Bearer",
            Some(key) => {
                let nonce = obtaining.resource_nonce.latest();
                let proof = key.proof(method, url, Some(&token), nonce.as_deref())?;
                headers.insert(PROOF, proof);
                "DPoP"
            }
        };
        let value = HeaderValue::try_from(format!("{scheme} {}", token.expose()));
        let mut value =
            value.map_err(|_| TokenError::Unfit("it does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(Authorization { headers, token })
    }

    /// A token that is good for a while yet. Whoever sends it by other means than
    /// [`authorization`](Self::authorization) answers for where it goes.
    pub async fn token(&self) -> Result<Secret, TokenError> {
        Ok(self.hangar.held().await?.token.clone())
    }

    /// Drops a token that was refused, and no other that came after it.
    pub fn discard(&self, token: &Secret) {
        self.hangar.discard(token);
    }

    /// Keeps what an answer of the resource says about proofs to come (RFC 9449 section 9).
    pub(crate) fn hear(&self, headers: &HeaderMap) {
        self.hangar.obtaining.resource_nonce.hear(headers);
    }

    /// Sees to it that the token has these scopes, besides those it has. If the issuer refuses, the
    /// old token stays in use.
    pub async fn step_up(&self, scopes: &[String]) -> Result<(), TokenError> {
        self.hangar.step_up(&scopes.iter().cloned().collect()).await
    }

    /// What the token that is held was granted.
    pub fn scopes(&self) -> BTreeSet<String> {
        self.hangar.current().map(|held: Arc<Held>| held.granted.clone()).unwrap_or_default()
    }

    /// What is known so far; asks nobody.
    pub fn inspect(&self) -> Inspection {
        self.hangar.inspect()
    }
}
