//! Fetching documents: bounded, timed, from where they should come and nowhere else.

use std::time::Duration;

use oauth2::{HttpRequest, HttpResponse};
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use url::Host;

use super::error::{TokenError, with_causes};

/// A URL that is https, or of this machine.
pub(super) fn secure(text: &str) -> Result<Url, TokenError> {
    let url = Url::parse(text).map_err(|_| TokenError::Insecure(text.to_owned()))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if here => Ok(url),
        _ => Err(TokenError::Insecure(text.to_owned())),
    }
}

/// The JSON document at `url`; none where there is none (a status of 4xx).
pub(super) async fn document<T: DeserializeOwned>(
    http: &Client,
    url: &Url,
) -> Result<Option<T>, TokenError> {
    let request = http.get(url.clone()).header(http::header::ACCEPT, "application/json");
    let response = request.timeout(TIME_LIMIT).send().await.map_err(|e| unreachable(url, &e))?;
    let status = response.status();
    if response.url() != url || status.is_redirection() {
        return Err(wrong(url, "it leads elsewhere"));
    }
    if status.is_client_error() && status != http::StatusCode::TOO_MANY_REQUESTS {
        return Ok(None);
    }
    if !status.is_success() {
        let (url, cause) = (url.to_string(), format!("it answered {status}"));
        return Err(TokenError::Unreachable { url, cause });
    }
    let body = bounded(url, response).await?;
    serde_json::from_slice(&body).map(Some).map_err(|error| wrong(url, error))
}

/// Sends a request of an OAuth library's.
pub(super) async fn exchange(
    http: &Client,
    request: HttpRequest,
) -> Result<HttpResponse, TokenError> {
    let mut request = reqwest::Request::try_from(request)
        .map_err(|_| TokenError::Interrupted("a request could not be made"))?;
    *request.timeout_mut() = Some(TIME_LIMIT);
    let url = request.url().clone();
    let response = http.execute(request).await.map_err(|e| unreachable(&url, &e))?;
    if response.url() != &url || response.status().is_redirection() {
        return Err(wrong(&url, "it leads elsewhere"));
    }
    let mut answer = HttpResponse::default();
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    *answer.body_mut() = bounded(&url, response).await?;
    Ok(answer)
}

async fn bounded(url: &Url, mut response: Response) -> Result<Vec<u8>, TokenError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(url, &e))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(wrong(url, format!("it is larger than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Something about what is at `url` is wrong.
pub(super) fn wrong(url: impl ToString, what: impl ToString) -> TokenError {
    TokenError::Metadata { url: url.to_string(), what: what.to_string() }
}

pub(super) fn unreachable(url: &Url, error: &dyn std::error::Error) -> TokenError {
    TokenError::Unreachable { url: url.to_string(), cause: with_causes(error) }
}

/// More than any metadata document or key set needs.
const MAX_BYTES: usize = 256 * 1024;
/// From the first byte sent to the last received.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
