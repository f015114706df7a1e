//! The token endpoint (RFC 6749 section 3.2), through the `oauth2` crate: every grant names the
//! resource, and proves what is to be proven.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::Method;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenResponse as _, TokenUrl,
    basic::{BasicClient, BasicTokenResponse},
};
use reqwest::{Client, Url};

use super::{
    discovery::Issuer,
    dpop::{Nonce, PROOF, ProofKey},
    error::TokenError,
    fetch::exchange,
    oauth_client::ClientProof,
};
use crate::secret::Secret;

/// Asks one issuer for tokens for one resource.
#[derive(Debug)]
pub(super) struct TokenEndpoint {
    pub(super) http: Client,
    pub(super) url: Url,
    pub(super) issuer: String,
    pub(super) resource: String,
    /// None for a public client.
    pub(super) proof: Option<ClientProof>,
    /// Where a secret goes.
    pub(super) in_header: bool,
    pub(super) key: Option<Arc<ProofKey>>,
    /// The issuer's own; the resource has another.
    pub(super) nonce: Nonce,
}

/// For what there is a token.
#[derive(Debug)]
pub(super) enum Grant {
    /// For the client's own name.
    OwnName,
    /// For what a browser brought back.
    Code { code: Secret, verifier: Secret, redirect_uri: String },
    /// For what came with the token before.
    Refresh(Secret),
}

/// What the issuer gives.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret,
    /// None where they are those asked for (RFC 6749 section 5.1).
    pub(super) scopes: Option<BTreeSet<String>>,
    /// None where the issuer does not say (RFC 6749 section 5.1 only recommends it).
    pub(super) lifetime: Option<Duration>,
    pub(super) refresh: Option<Secret>,
}

type Configured =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;
type Failure = RequestTokenError<
    TokenError,
    oauth2::StandardErrorResponse<oauth2::basic::BasicErrorResponseType>,
>;

impl TokenEndpoint {
    /// Decides how the client proves itself, as the issuer's metadata offers it (RFC 8414
    /// section 2).
    pub(super) fn secret_in_header(
        issuer: &Issuer,
        proof: Option<&ClientProof>,
    ) -> Result<bool, TokenError> {
        let basic = vec!["client_secret_basic".to_owned()];
        let offered = issuer.token_endpoint_auth_methods_supported.as_ref().unwrap_or(&basic);
        let offers = |method: &str| offered.iter().any(|one| one == method);
        let unsuitable =
            |what: String| Err(TokenError::Unsuitable { issuer: issuer.identifier.clone(), what });
        match proof {
            Some(ClientProof::Secret(_)) if offers("client_secret_basic") => Ok(true),
            Some(ClientProof::Secret(_)) if offers("client_secret_post") => Ok(false),
            Some(ClientProof::Secret(_)) => unsuitable(format!(
                "takes no client secret, but {}; configure a private key",
                offered.join(", ")
            )),
            Some(ClientProof::PrivateKey(key)) => {
                let algorithms = &issuer.token_endpoint_auth_signing_alg_values_supported;
                let algorithm = key.algorithm();
                if !offers("private_key_jwt") {
                    return unsuitable(
                        "takes no private key; configure a client secret".to_owned(),
                    );
                }
                match algorithms {
                    Some(taken) if !taken.contains(&algorithm) => unsuitable(format!(
                        "does not take {algorithm}, but {}; configure such a key",
                        taken.join(", ")
                    )),
                    _ => Ok(false),
                }
            }
            None => Ok(false),
        }
    }

    /// Asks for a token; once more where the issuer wants its nonce in the proof (RFC 9449
    /// section 8).
    pub(super) async fn ask(
        &self,
        client_id: &str,
        grant: &Grant,
        scopes: &BTreeSet<String>,
    ) -> Result<Granted, TokenError> {
        let first = match self.ask_once(client_id, grant, scopes).await {
            Err(RequestTokenError::ServerResponse(refusal))
                if self.key.is_some() && refusal.error().as_ref() == "use_dpop_nonce" =>
            {
                self.ask_once(client_id, grant, scopes).await
            }
            answered => answered,
        };
        let answer = first.map_err(|failure| self.told(failure))?;
        self.granted(&answer)
    }

    async fn ask_once(
        &self,
        client_id: &str,
        grant: &Grant,
        scopes: &BTreeSet<String>,
    ) -> Result<BasicTokenResponse, Failure> {
        let client = self.configured(client_id);
        let extra = self.extra(client_id).map_err(RequestTokenError::Request)?;
        let scopes = scopes.iter().cloned().map(Scope::new);
        match grant {
            Grant::OwnName => {
                let mut request = client.exchange_client_credentials().add_scopes(scopes);
                for (name, value) in extra {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(self).await
            }
            Grant::Code { code, verifier, redirect_uri } => {
                let redirect = RedirectUrl::new(redirect_uri.clone())
                    .map_err(|error| RequestTokenError::Other(error.to_string()))?;
                let client = client.set_redirect_uri(redirect);
                let mut request = client
                    .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                    .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
                for (name, value) in extra {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(self).await
            }
            Grant::Refresh(token) => {
                let token = RefreshToken::new(token.expose().to_owned());
                let mut request = client.exchange_refresh_token(&token);
                for (name, value) in extra {
                    request = request.add_extra_param(name, value);
                }
                request.request_async(self).await
            }
        }
    }

    fn configured(&self, client_id: &str) -> Configured {
        let client = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_token_uri(TokenUrl::from_url(self.url.clone()))
            .set_auth_type(if self.in_header {
                AuthType::BasicAuth
            } else {
                AuthType::RequestBody
            });
        match &self.proof {
            Some(ClientProof::Secret(secret)) => {
                client.set_client_secret(ClientSecret::new(secret.expose().to_owned()))
            }
            _ => client,
        }
    }

    /// The resource (RFC 8707 section 2.2), and an assertion where that is the client's proof.
    fn extra(&self, client_id: &str) -> Result<Vec<(&'static str, String)>, TokenError> {
        let mut extra = vec![("resource", self.resource.clone())];
        if let Some(ClientProof::PrivateKey(key)) = &self.proof {
            let assertion = key.assertion(client_id, &self.issuer, self.url.as_str())?;
            extra.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
            extra.push(("client_assertion", assertion));
        }
        Ok(extra)
    }

    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, TokenError> {
        if let Some(key) = &self.key {
            let nonce = self.nonce.latest();
            let proof = key.proof(&Method::POST, &self.url, None, nonce.as_deref())?;
            request.headers_mut().insert(PROOF, proof);
        }
        let answer = exchange(&self.http, request).await?;
        self.nonce.hear(answer.headers());
        Ok(answer)
    }

    fn told(&self, failure: Failure) -> TokenError {
        match failure {
            RequestTokenError::ServerResponse(refusal) => {
                let said = refusal.to_string();
                let said = said.chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect();
                TokenError::Refused { said }
            }
            RequestTokenError::Request(error) => error,
            // What it answered may hold a token, so it is not shown.
            _ => super::fetch::wrong(&self.url, "its answer is no token"),
        }
    }

    fn granted(&self, answer: &BasicTokenResponse) -> Result<Granted, TokenError> {
        let scheme = answer.token_type().as_ref();
        // RFC 9449 section 5: an issuer that does not bind the token must not go unnoticed.
        let wanted = if self.key.is_some() { "dpop" } else { "bearer" };
        if !scheme.eq_ignore_ascii_case(wanted) {
            return Err(TokenError::Unfit(format!("its type is `{scheme}` and not `{wanted}`")));
        }
        let scopes = answer
            .scopes()
            .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect::<BTreeSet<_>>());
        Ok(Granted {
            token: Secret::new(answer.access_token().secret()),
            scopes,
            lifetime: answer.expires_in(),
            refresh: answer.refresh_token().map(|token| Secret::new(token.secret())),
        })
    }
}

impl<'c> AsyncHttpClient<'c> for TokenEndpoint {
    type Error = TokenError;
    type Future = BoxFuture<'c, Result<HttpResponse, TokenError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Of what an issuer says, in characters.
const MAX_TOLD: usize = 300;
