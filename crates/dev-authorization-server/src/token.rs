//! The token endpoint (RFC 6749 section 3.2): client credentials in, a signed access token out.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{Issuer, clients::Client};

pub(crate) async fn grant(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match issuer.grant(&headers, &body) {
        Ok(token) => (NO_STORE, Json(token)).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Why no token is issued (RFC 6749 section 5.2, RFC 8707 section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient,
    UnsupportedGrantType,
    InvalidScope(String),
    InvalidTarget(String),
    Internal,
}

impl Issuer {
    fn grant(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let form = Form::read(headers, body)?;
        let client = self.client(headers, &form)?;
        match form.one("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(Refusal::UnsupportedGrantType),
            None => return Err(Refusal::InvalidRequest("grant_type is missing")),
        }
        let scope = granted_scope(client, form.one("scope"))?;
        let audience = self.audience(&form)?;
        let lifetime = self.config.token_lifetime.as_secs();
        let now = seconds_since_epoch();
        let claims = json!({
            "iss": self.config.issuer,
            "sub": client.id,
            "aud": audience,
            "client_id": client.id,
            "iat": now,
            "exp": now.saturating_add(lifetime),
            "jti": uuid::Uuid::new_v4().to_string(),
            "scope": scope,
        });
        let token = self.config.signing_key.sign(&claims).map_err(|error| {
            tracing::error!(%error, "cannot sign a token");
            Refusal::Internal
        })?;
        tracing::info!(client_id = %client.id, scope, "token issued");
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime,
            "scope": scope,
        }))
    }

    /// RFC 6749 section 2.3.1: one method of authentication, never two.
    fn client(&self, headers: &HeaderMap, form: &Form) -> Result<&Client, Refusal> {
        let basic = headers.get(header::AUTHORIZATION);
        let (id, secret) = match (basic, form.one("client_secret")) {
            (Some(_), Some(_)) => {
                return Err(Refusal::InvalidRequest("two ways of client authentication"));
            }
            (Some(value), None) => {
                basic_credentials(value.as_bytes()).ok_or(Refusal::InvalidClient)?
            }
            (None, Some(secret)) => {
                let id = form.one("client_id").ok_or(Refusal::InvalidClient)?;
                (id.to_owned(), secret.to_owned())
            }
            (None, None) => return Err(Refusal::InvalidClient),
        };
        self.config.clients.authenticate(&id, &secret).ok_or(Refusal::InvalidClient)
    }

    /// RFC 8707 section 2: the named resources, or the default one, as `aud`.
    fn audience(&self, form: &Form) -> Result<Value, Refusal> {
        let named: Vec<&str> = form.all("resource").collect();
        for resource in &named {
            let known = self.config.resources.iter().any(|r| r == resource);
            let absolute = Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
            if !known || !absolute {
                return Err(Refusal::InvalidTarget((*resource).to_owned()));
            }
        }
        match (named.as_slice(), self.config.resources.first()) {
            ([], Some(default)) => Ok(json!(default)),
            ([], None) => Err(Refusal::InvalidRequest("resource is missing")),
            ([one], _) => Ok(json!(one)),
            (several, _) => Ok(json!(several)),
        }
    }
}

/// The form parameters; RFC 6749 section 3.2 forbids repeating any but `resource`.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let essence = media_type.and_then(|m| m.split(';').next()).map(str::trim);
        if !essence.is_some_and(|e| e.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            return Err(Refusal::InvalidRequest(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        let parameters: Vec<(String, String)> =
            form_urlencoded::parse(body).into_owned().filter(|(_, v)| !v.is_empty()).collect();
        for (position, (name, _)) in parameters.iter().enumerate() {
            let again = parameters.iter().skip(position + 1).any(|(other, _)| other == name);
            if again && name != "resource" {
                return Err(Refusal::InvalidRequest("a parameter is repeated"));
            }
        }
        Ok(Self(parameters))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

fn granted_scope(client: &Client, asked: Option<&str>) -> Result<String, Refusal> {
    let Some(asked) = asked else {
        return Ok(client.default_scopes.join(" "));
    };
    for scope in asked.split(' ').filter(|s| !s.is_empty()) {
        if !client.allowed_scopes.iter().any(|allowed| allowed == scope) {
            return Err(Refusal::InvalidScope(scope.to_owned()));
        }
    }
    Ok(asked.split(' ').filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "))
}

/// RFC 6749 section 2.3.1: identifier and secret are form-encoded before the Basic scheme joins
/// and encodes them.
fn basic_credentials(value: &[u8]) -> Option<(String, String)> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // With its separators escaped the whole text is one name in a form, and comes back decoded.
    form_urlencoded::parse(text.replace('=', "%3D").replace('&', "%26").as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, description) = match &self {
            Self::InvalidRequest(why) => {
                (StatusCode::BAD_REQUEST, "invalid_request", (*why).to_owned())
            }
            Self::InvalidClient => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "client authentication failed".to_owned(),
            ),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "only client_credentials is served".to_owned(),
            ),
            Self::InvalidScope(scope) => (
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                format!("scope `{scope}` is not this client's"),
            ),
            Self::InvalidTarget(resource) => (
                StatusCode::BAD_REQUEST,
                "invalid_target",
                format!("resource `{resource}` is not served"),
            ),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "see the log".to_owned())
            }
        };
        let body = Json(json!({ "error": error, "error_description": description }));
        let mut response = (status, NO_STORE, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Basic realm=\"token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// RFC 6749 section 5.1: neither tokens nor refusals are cached.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
