//! The pages: plain HTML that works without scripts, cannot be framed, and leaks nothing. Whatever
//! comes from outside passes through maud, which escapes it.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{login::Notice, request::AuthorizationRequest};
use crate::{scopes::Scopes, users::User};

/// A page with the headers that all pages have.
#[derive(Debug)]
pub(super) struct Page {
    body: Markup,
    /// Where its forms may lead besides this server. Browsers apply the policy to redirects after
    /// a form too, and the consent form leads to the client.
    form_target: Option<String>,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let target = self.form_target.map(|target| format!(" {target}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action 'self'{target}; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_FRAME_OPTIONS, "DENY".to_owned()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        (headers, self.body.into_string()).into_response()
    }
}

fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href=(STYLE_PATH);
            }
            body {
                main {
                    h1 { (title) }
                    (content)
                }
                footer { "Development authorization server. Not for production." }
            }
        }
    }
}

pub(super) fn login(request: &AuthorizationRequest, seal: &str, notice: Notice) -> Page {
    let problem = match notice {
        Notice::None => None,
        Notice::Wrong => Some("That name and password do not go together."),
        Notice::TooMany => Some("Too many attempts. Wait a few minutes and try again."),
        Notice::Expired => {
            Some("That form was not made for this browser or has expired. Sign in again.")
        }
    };
    let content = html! {
        @if let Some(problem) = problem {
            p role="alert" { (problem) }
        }
        p { "To go on to " strong { (request.client.name) } "." }
        form method="post" action={ "/authorize/sign-in?" (request.query) } {
            input type="hidden" name="seal" value=(seal);
            label for="username" { "User name" }
            input id="username" name="username" type="text" autocomplete="username"
                autocapitalize="none" spellcheck="false" required autofocus;
            label for="password" { "Password" }
            input id="password" name="password" type="password"
                autocomplete="current-password" required;
            button type="submit" { "Sign in" }
        }
    };
    Page { body: document("Sign in", &content), form_target: Some(target(request)) }
}

pub(super) fn consent(
    request: &AuthorizationRequest,
    user: &User,
    granted: &Scopes,
    withheld: &Scopes,
    seal: &str,
) -> Page {
    let client = &request.client;
    let content = html! {
        p { "You are signed in as " strong { (user.display_name) } " (" (user.name) ")." }
        p { strong { (client.name) } " asks to act for you." }
        @if client.is_stranger() {
            p role="note" {
                "It introduced itself under this name; nobody here has vouched for it. "
                "Allow it only if you started this yourself."
            }
        }
        dl {
            dt { "Client" }
            dd { code { (client.id) } }
            dt { "You will be sent to" }
            dd { code { (request.return_address.redirect_uri.as_str()) } }
            dt { "At" }
            @for resource in &request.resources { dd { code { (resource) } } }
            dt { "It may" }
            @for scope in granted.iter() { dd { code { (scope) } } }
            @if granted.is_empty() { dd { "nothing that you can grant" } }
            @if !withheld.is_empty() {
                dt { "It also asks for what you cannot grant" }
                @for scope in withheld.iter() { dd { code { (scope) } } }
            }
        }
        form method="post" action={ "/authorize/consent?" (request.query) } {
            input type="hidden" name="seal" value=(seal);
            button type="submit" name="decision" value="deny" { "Do not allow" }
            @if !granted.is_empty() {
                button type="submit" name="decision" value="allow" { "Allow" }
            }
            button type="submit" name="decision" value="somebody-else" class="quiet" {
                "Sign in as somebody else"
            }
        }
    };
    Page { body: document("Allow access?", &content), form_target: Some(target(request)) }
}

/// A refusal; with a link for whoever wants to go where the client would have them.
pub(super) fn refused(why: &str, link: Option<&str>) -> Page {
    let content = html! {
        p role="alert" { (why) }
        @if let Some(link) = link {
            p { "You can " a href=(link) rel="noreferrer" { "return to the client" } ":" }
            p { code { (link) } }
        } @else {
            p { "Close this page and start again from the program that sent you here." }
        }
    };
    Page { body: document("This cannot go on", &content), form_target: None }
}

fn target(request: &AuthorizationRequest) -> String {
    request.return_address.redirect_uri.source_expression()
}

pub(super) const STYLE_PATH: &str = "/authorize/style.css";
pub(super) const STYLE: &str = include_str!("style.css");
