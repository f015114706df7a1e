//! The authorization response (RFC 6749 section 4.1.2), with its issuer (RFC 9207 section 2).

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::pages;
use crate::{issuer::Issuer, redirect_uri::RedirectUri};

/// Where the answer goes: a registered redirect URI of the client that asks.
#[derive(Debug, Clone)]
pub(super) struct ReturnAddress {
    pub(super) redirect_uri: RedirectUri,
    pub(super) state: Option<String>,
    /// Whether a browser may be sent there without its person having decided anything.
    pub(super) trusted: bool,
}

/// Why nobody is asked for consent.
#[derive(Debug)]
pub(super) enum Refused {
    /// Only the person before the browser is told: there is no address to trust.
    ToPerson(&'static str),
    /// The client is told.
    ToClient { to: Box<ReturnAddress>, error: &'static str, description: &'static str },
}

impl ReturnAddress {
    fn url(&self, issuer: &Issuer, parameters: &[(&str, &str)]) -> String {
        let mut all = parameters.to_vec();
        if let Some(state) = &self.state {
            all.push(("state", state));
        }
        all.push(("iss", &issuer.identifier));
        self.redirect_uri.with_parameters(&all)
    }

    /// Sends the browser back after its person decided.
    pub(super) fn send(&self, issuer: &Issuer, parameters: &[(&str, &str)]) -> Response {
        see_other(&self.url(issuer, parameters))
    }
}

impl Refused {
    /// A stranger could register any address and use this server to send browsers there, so a
    /// stranger's browser has to be told where it would go (RFC 9700 section 4.11.2).
    pub(super) fn answer(&self, issuer: &Issuer) -> Response {
        match self {
            Self::ToPerson(why) => {
                (StatusCode::BAD_REQUEST, pages::refused(why, None)).into_response()
            }
            Self::ToClient { to, error, description } => {
                let parameters = [("error", *error), ("error_description", *description)];
                if to.trusted {
                    return to.send(issuer, &parameters);
                }
                let url = to.url(issuer, &parameters);
                (StatusCode::BAD_REQUEST, pages::refused(description, Some(&url))).into_response()
            }
        }
    }
}

/// 303: a browser follows with GET and without what it posted here (RFC 9700 section 2.1.1 and
/// 4.12), which 307 would have it send along, password and all.
pub(super) fn see_other(location: &str) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
