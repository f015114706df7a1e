//! Allowing a client, or not.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{
    browser::{Browser, Form},
    login, pages,
    request::AuthorizationRequest,
    response::see_other,
};
use crate::{
    grants::Grant,
    issuer::{CONSENTED_REGISTRATION, EVERY_USERS_SCOPES, Issuer},
    parameters::Parameters,
    refusal::Refusal,
    scopes::Scopes,
    secret::Digest,
    users::User,
};

/// What this user can grant of what is asked for, and what not.
fn grantable(request: &AuthorizationRequest, user: &User) -> (Scopes, Scopes) {
    request.scopes.split(|scope| {
        user.scopes.iter().any(|own| own == scope) || EVERY_USERS_SCOPES.contains(&scope)
    })
}

pub(super) fn page(
    issuer: &Issuer,
    request: &AuthorizationRequest,
    browser: &Browser,
    user: &User,
) -> Response {
    let (granted, withheld) = grantable(request, user);
    let seal = browser.seal(issuer, Form::Consent, &request.query);
    pages::consent(request, user, &granted, &withheld, &seal).into_response()
}

/// `POST /authorize/consent`: 303 back to the client, with a code or without.
pub(super) async fn decide(
    State(issuer): State<Arc<Issuer>>,
    request: AuthorizationRequest,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match decided(&issuer, &request, &headers, &body) {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

fn decided(
    issuer: &Issuer,
    request: &AuthorizationRequest,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    let form = Parameters::from_form(headers, body)?;
    let browser = Browser::of(headers)?;
    let seal = form.one("seal").unwrap_or_default();
    let sealed = browser.sealed(issuer, Form::Consent, &request.query, seal);
    let (Some(user), true) = (browser.user(issuer), sealed) else {
        return Ok(login::page(issuer, request, &browser, login::Notice::Expired));
    };
    match form.one("decision") {
        Some("allow") => allow(issuer, request, user),
        Some("somebody-else") => {
            browser.sign_out(issuer);
            Ok(see_other(&format!("/authorize?{}", request.query)))
        }
        _ => Ok(request.return_address.send(issuer, &DENIED)),
    }
}

fn allow(
    issuer: &Issuer,
    request: &AuthorizationRequest,
    user: &User,
) -> Result<Response, Refusal> {
    let (granted, _) = grantable(request, user);
    if granted.is_empty() {
        return Ok(request.return_address.send(issuer, &DENIED));
    }
    let client_id = request.client.id.clone();
    tracing::info!(client_id, user = user.name, scope = %granted, "allowed");
    issuer.registered.prolong(&Digest::of(&client_id), CONSENTED_REGISTRATION);
    let grant = Grant::new(client_id, user.name.clone(), granted, request.resources.clone());
    let code = issuer.grants.issue_code(
        grant,
        request.return_address.redirect_uri.as_str().to_owned(),
        request.challenge.clone(),
        issuer.lifetimes.code,
    )?;
    Ok(request.return_address.send(issuer, &[("code", code.expose())]))
}

const DENIED: [(&str, &str); 2] =
    [("error", "access_denied"), ("error_description", "it was not allowed")];
