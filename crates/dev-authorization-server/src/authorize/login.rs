//! Signing in.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    browser::{Browser, Form},
    pages,
    request::AuthorizationRequest,
    response::see_other,
};
use crate::{issuer::Issuer, parameters::Parameters, refusal::Refusal, users::SignInRefused};

/// What the page says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    None,
    Wrong,
    TooMany,
    Expired,
}

pub(super) fn page(
    issuer: &Issuer,
    request: &AuthorizationRequest,
    browser: &Browser,
    notice: Notice,
) -> Response {
    let seal = browser.seal(issuer, Form::SignIn, &request.query);
    let status = match notice {
        Notice::None => StatusCode::OK,
        Notice::Wrong | Notice::Expired => StatusCode::FORBIDDEN,
        Notice::TooMany => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = (status, pages::login(request, &seal, notice)).into_response();
    response.headers_mut().extend(browser.set_cookie());
    response
}

/// `POST /authorize/sign-in`: 303 to the next page, or the same page with a word on why not.
pub(super) async fn sign_in(
    State(issuer): State<Arc<Issuer>>,
    request: AuthorizationRequest,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match attempt(&issuer, &request, &headers, &body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn attempt(
    issuer: &Arc<Issuer>,
    request: &AuthorizationRequest,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let form = Parameters::from_form(headers, body)?;
    let browser = Browser::of(headers)?;
    let seal = form.one("seal").unwrap_or_default();
    if !browser.sealed(issuer, Form::SignIn, &request.query, seal) {
        return Ok(page(issuer, request, &browser, Notice::Expired));
    }
    let name = form.one("username").unwrap_or_default().to_owned();
    let password = form.one("password").unwrap_or_default().to_owned();
    match verify(issuer, name, password).await? {
        Ok(user) => {
            tracing::info!(user, "signed in");
            let browser = browser.sign_in(issuer, &user)?;
            let mut response = see_other(&format!("/authorize?{}", request.query_after_sign_in()));
            response.headers_mut().extend(browser.set_cookie());
            Ok(response)
        }
        Err(SignInRefused::Wrong) => Ok(page(issuer, request, &browser, Notice::Wrong)),
        Err(SignInRefused::TooMany(wait)) => {
            let mut response = page(issuer, request, &browser, Notice::TooMany);
            let seconds = wait.as_secs().saturating_add(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            Ok(response)
        }
    }
}

/// Hashes on a thread of its own, and only so many at a time.
async fn verify(
    issuer: &Arc<Issuer>,
    name: String,
    password: String,
) -> Result<Result<String, SignInRefused>, Refusal> {
    let slot = Arc::clone(&issuer.hashing).acquire_owned().await.map_err(|_| Refusal::Internal)?;
    let users = Arc::clone(&issuer.users);
    tokio::task::spawn_blocking(move || {
        // Held to the end of the hash: whoever hangs up does not stop it.
        let _slot = slot;
        users.sign_in(&name, &password).map(|user| user.name.clone())
    })
    .await
    .map_err(|error| {
        tracing::error!(%error, "cannot look at a password");
        Refusal::Internal
    })
}
