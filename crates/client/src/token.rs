//! One access token for the gate, whichever provider asks: fetched by client credentials, kept
//! until a minute before it expires, fetched once when many ask at a time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    RequestTokenError, Scope, TokenResponse, TokenUrl, basic::BasicClient,
};
use reqwest::{Client, Url};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

/// An OAuth client's identifier and secret (RFC 6749 section 2.3.1).
#[derive(Clone)]
pub struct Credentials {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Yields a token that is good for another minute.
pub struct TokenSource {
    http: Client,
    oauth: ConfiguredClient,
    resource: String,
    // Held across the fetch on purpose: whoever else needs a token waits for that one.
    state: Mutex<State>,
}

type ConfiguredClient =
    BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

#[derive(Default)]
struct State {
    /// What to ask for; empty asks for the client's default.
    wanted: BTreeSet<String>,
    held: Option<Held>,
}

struct Held {
    token: String,
    granted: Option<BTreeSet<String>>,
    renew_at: Instant,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Something on the way to the token endpoint does not answer.
    #[error("cannot reach `{url}`: {cause}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why it failed.
        cause: String,
    },
    /// A metadata document is not what it should be.
    #[error("`{url}` does not describe what it should: {what}")]
    Metadata {
        /// Where it is.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The authorization server refused.
    #[error("the authorization server refused: {0}")]
    Refused(String),
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("resource", &self.resource).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    authorization_servers: Vec<String>,
}

#[derive(Deserialize)]
struct ServerMetadata {
    issuer: String,
    token_endpoint: String,
}

impl TokenSource {
    /// Finds the token endpoint as the gate at `resource` tells it (RFC 9728, RFC 8414).
    ///
    /// `scopes` are asked for from the start; none asks for the client's default.
    pub async fn discover(
        http: Client,
        resource: &str,
        credentials: &Credentials,
        scopes: &[&str],
    ) -> Result<Self, TokenError> {
        let url = inserted(resource, "oauth-protected-resource")?;
        let metadata: ResourceMetadata = document(&http, &url).await?;
        let foreign = |url: &Url, what: String| TokenError::Metadata { url: url.to_string(), what };
        if metadata.resource != resource {
            return Err(foreign(&url, format!("it is about `{}`", metadata.resource)));
        }
        let issuer = metadata.authorization_servers.first();
        let issuer = issuer.ok_or_else(|| foreign(&url, "no authorization server".to_owned()))?;
        let url = inserted(issuer, "oauth-authorization-server")?;
        let server: ServerMetadata = document(&http, &url).await?;
        if server.issuer != *issuer {
            return Err(foreign(&url, format!("it is about `{}`", server.issuer)));
        }
        let endpoint = TokenUrl::new(server.token_endpoint)
            .map_err(|cause| foreign(&url, format!("token_endpoint: {cause}")))?;
        Ok(Self {
            http,
            oauth: BasicClient::new(ClientId::new(credentials.client_id.clone()))
                .set_client_secret(ClientSecret::new(credentials.client_secret.clone()))
                .set_auth_type(AuthType::BasicAuth)
                .set_token_uri(endpoint),
            resource: resource.to_owned(),
            state: Mutex::new(State {
                wanted: scopes.iter().map(|&scope| scope.to_owned()).collect(),
                held: None,
            }),
        })
    }

    /// A token that is good for another minute at least.
    pub async fn bearer(&self) -> Result<String, TokenError> {
        let mut state = self.state.lock().await;
        if let Some(held) = state.held.as_ref().filter(|held| Instant::now() < held.renew_at) {
            return Ok(held.token.clone());
        }
        let held = self.fetch(&state.wanted).await?;
        let token = held.token.clone();
        state.held = Some(held);
        Ok(token)
    }

    /// Drops the token, so that the next one is fetched anew.
    pub async fn discard(&self) {
        self.state.lock().await.held = None;
    }

    /// Steps up: from now on asks for these scopes as well as those it holds.
    pub async fn widen(&self, scopes: &[String]) -> Result<(), TokenError> {
        let mut state = self.state.lock().await;
        let granted = state.held.as_ref().and_then(|held| held.granted.clone()).unwrap_or_default();
        let wanted: BTreeSet<String> =
            state.wanted.iter().cloned().chain(granted).chain(scopes.iter().cloned()).collect();
        // The old token stays in use if the authorization server refuses.
        state.held = Some(self.fetch(&wanted).await?);
        state.wanted = wanted;
        Ok(())
    }

    async fn fetch(&self, wanted: &BTreeSet<String>) -> Result<Held, TokenError> {
        let asked = Instant::now();
        let send = |request| send(self.http.clone(), request);
        let answer = self
            .oauth
            .exchange_client_credentials()
            .add_scopes(wanted.iter().cloned().map(Scope::new))
            .add_extra_param("resource", self.resource.clone())
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(refusal) => {
                    TokenError::Refused(refusal.to_string())
                }
                other => TokenError::Unreachable {
                    url: self.oauth.token_uri().to_string(),
                    cause: other.to_string(),
                },
            })?;
        let lifetime = answer.expires_in().unwrap_or(DEFAULT_LIFETIME);
        let scopes = answer
            .scopes()
            .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect::<BTreeSet<_>>());
        Ok(Held {
            token: answer.access_token().secret().clone(),
            granted: scopes,
            renew_at: asked + lifetime.saturating_sub(MARGIN),
        })
    }
}

/// The well-known URL of `suffix` for an identifier: inserted between host and path
/// (RFC 8414 section 3.1, RFC 9728 section 3.1).
fn inserted(identifier: &str, suffix: &str) -> Result<Url, TokenError> {
    let mut url = Url::parse(identifier).map_err(|cause| TokenError::Metadata {
        url: identifier.to_owned(),
        what: cause.to_string(),
    })?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/{suffix}{path}"));
    Ok(url)
}

async fn document<T: DeserializeOwned>(http: &Client, url: &Url) -> Result<T, TokenError> {
    let unreachable = |cause: reqwest::Error| TokenError::Unreachable {
        url: url.to_string(),
        cause: causes(&cause),
    };
    let response = http
        .get(url.clone())
        .timeout(REQUEST_TIMEOUT)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(unreachable)?;
    let body = response.bytes().await.map_err(unreachable)?;
    serde_json::from_slice(&body)
        .map_err(|cause| TokenError::Metadata { url: url.to_string(), what: cause.to_string() })
}

async fn send(http: Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let mut request = reqwest::Request::try_from(request)?;
    *request.timeout_mut() = Some(REQUEST_TIMEOUT);
    let response = http.execute(request).await?;
    let mut answer = HttpResponse::default();
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    *answer.body_mut() = response.bytes().await?.to_vec();
    Ok(answer)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A token is not used in its last minute, in which it may expire on the way.
const MARGIN: Duration = Duration::from_secs(60);
/// When the authorization server does not say (RFC 6749 section 5.1 only recommends it).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
