//! The authorization endpoint (RFC 6749 section 3.1): a person signs in, sees who asks for what,
//! and allows it or not.
//!
//! Nothing is kept for a request until the person decides. Every step reads the same query string
//! anew and looks at client and redirect URI again, so a form can be shown any number of times, by
//! a prefetch too, and no form can lead elsewhere than the query it was made for.

mod browser;
mod consent;
mod login;
mod pages;
mod request;
mod response;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::issuer::Issuer;
use browser::Browser;
use request::{AuthorizationRequest, Prompt};

/// What browsers see.
pub(crate) fn routes() -> Router<Arc<Issuer>> {
    Router::new()
        .route("/authorize", get(authorize))
        .route("/authorize/sign-in", post(login::sign_in))
        .route("/authorize/consent", post(consent::decide))
        .route(pages::STYLE_PATH, get(style))
}

/// Shows the page that comes next; changes nothing.
async fn authorize(
    State(issuer): State<Arc<Issuer>>,
    request: AuthorizationRequest,
    headers: HeaderMap,
) -> Response {
    let browser = match Browser::of(&headers) {
        Ok(browser) => browser,
        Err(error) => return crate::refusal::Refusal::from(error).into_response(),
    };
    match (browser.user(&issuer), request.prompt) {
        (_, Prompt::None) => {
            request.refused("interaction_required", "a person has to decide").answer(&issuer)
        }
        (Some(user), Prompt::Any) => consent::page(&issuer, &request, &browser, user),
        _ => login::page(&issuer, &request, &browser, login::Notice::None),
    }
}

async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, pages::STYLE)
}
