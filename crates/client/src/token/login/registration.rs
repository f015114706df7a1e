//! A client that nobody configured introduces itself (RFC 7591).

use http::Method;
use oauth2::HttpRequest;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::token::{
    discovery::Issuer,
    error::TokenError,
    fetch::{exchange, wrong},
};

#[derive(Deserialize)]
struct Registered {
    client_id: String,
}

/// Registers a public client; yields its id.
pub(super) async fn register(
    http: &Client,
    issuer: &Issuer,
    redirect_uri: &str,
) -> Result<String, TokenError> {
    let url = issuer.registration_endpoint.as_ref().ok_or_else(|| TokenError::Unsuitable {
        issuer: issuer.identifier.clone(),
        what: "lets no client register itself; configure a client id".to_owned(),
    })?;
    let metadata = json!({
        "client_name": "cedargate-chat",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let request: Result<HttpRequest, _> = http::Request::builder()
        .method(Method::POST)
        .uri(url.as_str())
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json")
        .body(metadata.to_string().into_bytes());
    let request =
        request.map_err(|_| TokenError::Interrupted("a registration could not be written"))?;
    let answer = exchange(http, request).await?;
    if !answer.status().is_success() {
        let what = format!("refused to register a client ({})", answer.status());
        let what = format!("{what}; configure a client id");
        return Err(TokenError::Unsuitable { issuer: issuer.identifier.clone(), what });
    }
    let registered: Registered =
        serde_json::from_slice(answer.body()).map_err(|error| wrong(url, error))?;
    Ok(registered.client_id)
}
