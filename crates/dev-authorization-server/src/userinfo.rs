//! Who a token's user is, in the manner of OpenID Connect Core section 5.3; for tokens with the
//! scope `profile`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{issuer::Issuer, refusal::NO_STORE};

/// RFC 6750 section 3.
enum Refused {
    NoToken,
    InvalidToken,
    InsufficientScope,
}

pub(crate) async fn userinfo(State(issuer): State<Arc<Issuer>>, headers: HeaderMap) -> Response {
    match issuer.userinfo(&headers) {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(refused) => refused.into_response(),
    }
}

impl Issuer {
    fn userinfo(&self, headers: &HeaderMap) -> Result<Value, Refused> {
        let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
        let token = match (credentials.next(), credentials.next()) {
            (None, _) => return Err(Refused::NoToken),
            (Some(value), None) => bearer(value).ok_or(Refused::InvalidToken)?,
            _ => return Err(Refused::InvalidToken),
        };
        let claims = self.live_claims(token).ok_or(Refused::InvalidToken)?;
        // A bound token is no bearer token (RFC 9449 section 7.1), and no proof is asked for here.
        if claims.get("cnf").is_some() {
            return Err(Refused::InvalidToken);
        }
        let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        if !claim("scope").split(' ').any(|scope| scope == "profile") {
            return Err(Refused::InsufficientScope);
        }
        let user = self.users.find(claim("sub")).ok_or(Refused::InvalidToken)?;
        Ok(json!({
            "sub": user.name,
            "preferred_username": user.name,
            "name": user.display_name,
            "groups": user.groups,
        }))
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, challenge) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
            Self::InsufficientScope => {
                (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\", scope=\"profile\"")
            }
        };
        (status, NO_STORE, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    }
}
