//! The authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 8707 section 2).

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, RawQuery},
    http::request::Parts,
    response::Response,
};

use super::response::{Refused, ReturnAddress};
use crate::{clients::Client, issuer::Issuer, parameters::Parameters, scopes::Scopes};

/// A request whose client exists, whose redirect URI is that client's, and that can be granted if
/// somebody wants to.
#[derive(Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client: Arc<Client>,
    pub(super) return_address: ReturnAddress,
    /// What the client asks for, or is given when it names nothing.
    pub(super) scopes: Scopes,
    pub(super) resources: Vec<String>,
    pub(super) challenge: String,
    pub(super) prompt: Prompt,
    /// The request, encoded anew: whatever a browser makes of it, it is the same for every step.
    pub(super) query: String,
}

/// OpenID Connect Core section 3.1.2.1. Consent is always asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompt {
    Any,
    /// Sign in even if somebody is.
    Login,
    /// Show nothing.
    None,
}

impl FromRequestParts<Arc<Issuer>> for AuthorizationRequest {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, issuer: &Arc<Issuer>) -> Result<Self, Response> {
        let RawQuery(query) = match RawQuery::from_request_parts(head, issuer).await {
            Ok(query) => query,
            Err(never) => match never {},
        };
        Self::read(issuer, query).await.map_err(|refused| refused.answer(issuer))
    }
}

impl AuthorizationRequest {
    async fn read(issuer: &Issuer, query: Option<String>) -> Result<Self, Refused> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY_BYTES {
            return Err(Refused::ToPerson("The request is too long."));
        }
        let parameters = Parameters::parse(query.as_bytes())
            .map_err(|_| Refused::ToPerson("The request names something twice."))?;
        let (client, return_address) = addressee(issuer, &parameters).await?;
        let refused = |(error, description)| {
            Err(Refused::ToClient { to: Box::new(return_address.clone()), error, description })
        };
        if let Some(objection) = objection(&parameters) {
            return refused(objection);
        }
        let Some(challenge) = parameters.one("code_challenge").filter(|c| is_challenge(c)) else {
            return refused(("invalid_request", "code_challenge is missing or malformed"));
        };
        let Some(scopes) = wanted_scopes(issuer, &client, &parameters) else {
            return refused(("invalid_scope", "none of these scopes can be granted"));
        };
        let Ok(resources) =
            Issuer::resources(&parameters, &issuer.resources, issuer.default_resource())
        else {
            return refused(("invalid_target", "this resource is not served"));
        };
        let Some(prompt) = Prompt::read(parameters.one("prompt").unwrap_or_default()) else {
            return refused(("invalid_request", "prompt none stands alone"));
        };
        let (challenge, query) = (challenge.to_owned(), parameters.encoded());
        Ok(Self { client, return_address, scopes, resources, challenge, prompt, query })
    }

    /// The same request once somebody signed in for it.
    pub(super) fn query_after_sign_in(&self) -> String {
        match Parameters::parse(self.query.as_bytes()) {
            Ok(parameters) if self.prompt == Prompt::Login => parameters.without("prompt"),
            _ => self.query.clone(),
        }
    }

    /// A refusal that the client is told.
    pub(super) fn refused(&self, error: &'static str, description: &'static str) -> Refused {
        Refused::ToClient { to: Box::new(self.return_address.clone()), error, description }
    }
}

impl Prompt {
    fn read(text: &str) -> Option<Self> {
        let asked: Vec<&str> = text.split(' ').collect();
        match asked.as_slice() {
            ["none"] => Some(Self::None),
            several if several.contains(&"none") => None,
            several if several.iter().any(|p| ["login", "select_account"].contains(p)) => {
                Some(Self::Login)
            }
            _ => Some(Self::Any),
        }
    }
}

/// What this server does not do, and what it insists on.
fn objection(parameters: &Parameters) -> Option<(&'static str, &'static str)> {
    match parameters.one("response_type") {
        Some("code") => {}
        Some(_) => return Some(("unsupported_response_type", "only code is served")),
        None => return Some(("invalid_request", "response_type is missing")),
    }
    if parameters.one("request").is_some() {
        return Some(("request_not_supported", "request objects are not served"));
    }
    if parameters.one("request_uri").is_some() {
        return Some(("request_uri_not_supported", "request objects are not served"));
    }
    if parameters.one("response_mode").is_some_and(|mode| mode != "query") {
        return Some(("invalid_request", "only response_mode query is served"));
    }
    // Without a method RFC 7636 means plain, which is refused like any other.
    if parameters.one("code_challenge_method") != Some("S256") {
        return Some(("invalid_request", "code_challenge_method must be S256"));
    }
    None
}

/// Who asks, and where the answer may go. Whoever gets this wrong is told on a page: an answer to
/// an address that is not the client's would be an open redirect (RFC 6749 section 4.1.2.1).
async fn addressee(
    issuer: &Issuer,
    parameters: &Parameters,
) -> Result<(Arc<Client>, ReturnAddress), Refused> {
    let id =
        parameters.one("client_id").ok_or(Refused::ToPerson("The request names no client."))?;
    let client = issuer
        .client(id)
        .await
        .ok_or(Refused::ToPerson("No client of that name is known here."))?;
    let named = parameters
        .one("redirect_uri")
        .ok_or(Refused::ToPerson("The request does not say where to return to."))?;
    let redirect_uri = client.redirect_uri(named).ok_or(Refused::ToPerson(
        "The client has not registered the place it wants you sent to.",
    ))?;
    let state = parameters.one("state").map(str::to_owned);
    let trusted = !client.is_stranger() || redirect_uri.is_on_loopback();
    Ok((client, ReturnAddress { redirect_uri, state, trusted }))
}

/// Scopes that nobody knows and those that are not for this client are left out (RFC 6749
/// section 3.3); the token will say what it has.
fn wanted_scopes(issuer: &Issuer, client: &Client, parameters: &Parameters) -> Option<Scopes> {
    let asked = match parameters.one("scope") {
        Some(text) => Scopes::parse(text)?,
        None => client.default_scopes(),
    };
    let asked = match (asked.is_empty(), parameters.one("scope")) {
        (true, None) => issuer.default_scopes.clone(),
        _ => asked,
    };
    let for_every_user = |scope: &str| crate::issuer::EVERY_USERS_SCOPES.contains(&scope);
    let (wanted, _) = asked.split(|scope| {
        issuer.knows_scope(scope) && (client.may_ask_for(scope) || for_every_user(scope))
    });
    (!wanted.is_empty()).then_some(wanted)
}

/// A SHA-256 in base64url (RFC 7636 section 4.2).
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Room for a long state, several resources and a client id that is a URL.
const MAX_QUERY_BYTES: usize = 8 * 1024;
