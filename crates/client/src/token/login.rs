//! A person signs in with their browser (RFC 8252): the code comes back to this machine, to a port
//! that is open for that alone.

mod callback;
mod registration;

use std::{collections::BTreeSet, time::Duration};

use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope, basic::BasicClient,
};
use reqwest::Client;
use tokio::net::TcpListener;

use self::callback::{Callback, Expected};
use super::{
    discovery::Issuer,
    error::TokenError,
    oauth_client::{Browser, Login},
    token_endpoint::Grant,
};
use crate::secret::Secret;

/// Sends people to one issuer.
#[derive(Debug)]
pub(super) struct SignIn<'a> {
    pub(super) http: &'a Client,
    pub(super) issuer: &'a Issuer,
    pub(super) resource: &'a str,
    pub(super) login: &'a Login,
}

impl SignIn<'_> {
    /// Shows the person where to go and waits for them to come back. Yields who asked, and what
    /// for.
    pub(super) async fn code(
        &self,
        known: Option<String>,
        scopes: &BTreeSet<String>,
    ) -> Result<(String, Grant), TokenError> {
        let failed = |what: &str| TokenError::Login(what.to_owned());
        let endpoint = self.issuer.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| self.unsuitable(NO_LOGIN))?;
        if !self.issuer.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(self.unsuitable("offers no PKCE with S256; configure another client"));
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(|_| failed("no port of this machine is free"))?;
        let port = listener.local_addr().map_err(|_| failed("the port cannot be told"))?.port();
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let client_id = match known {
            Some(id) => id,
            None => registration::register(self.http, self.issuer, &redirect_uri).await?,
        };
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let redirect = RedirectUrl::new(redirect_uri.clone());
        let client = BasicClient::new(ClientId::new(client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoint.clone()))
            .set_redirect_uri(redirect.map_err(|_| failed("the port cannot be told"))?);
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .set_pkce_challenge(challenge)
            .add_extra_param("resource", self.resource)
            .add_scopes(scopes.iter().cloned().map(Scope::new));
        // For a refresh token; consent is asked for anew, or some issuers would not give one.
        if self.issuer.scopes_supported.iter().any(|scope| scope == OFFLINE) {
            request = request
                .add_scope(Scope::new(OFFLINE.to_owned()))
                .add_extra_param("prompt", "consent");
        }
        let (url, state) = request.url();
        let expected = Expected {
            state: Secret::new(state.into_secret()),
            issuer: self.issuer.identifier.clone(),
            names_issuer: self.issuer.authorization_response_iss_parameter_supported,
        };
        let callback = Callback::serve(listener, expected);
        self.show(url.as_str());
        let returned = tokio::time::timeout(TIME_LIMIT, callback.returned()).await;
        let code = returned.map_err(|_| failed("nobody came back within five minutes"))??;
        let verifier = Secret::new(verifier.into_secret());
        Ok((client_id, Grant::Code { code, verifier, redirect_uri }))
    }

    fn show(&self, url: &str) {
        (self.login.show)(url);
        if self.login.browser == Browser::Opened
            && let Err(error) = open::that_detached(url)
        {
            tracing::info!(%error, "the browser does not open; go to the address that is shown");
        }
    }

    fn unsuitable(&self, what: &str) -> TokenError {
        TokenError::Unsuitable { issuer: self.issuer.identifier.clone(), what: what.to_owned() }
    }
}

const NO_LOGIN: &str = "has no authorization endpoint; configure a client with a secret or a key";
const OFFLINE: &str = "offline_access";
/// Time to find a password and a second factor.
const TIME_LIMIT: Duration = Duration::from_secs(5 * 60);
