//! From an MCP URL alone to whoever issues tokens for it (RFC 9728, RFC 8414).

use std::collections::BTreeSet;

use http::header;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use super::{
    challenge::{Challenge, scopes_of},
    error::TokenError,
    fetch::{TIME_LIMIT, document, secure, unreachable, wrong},
};

/// What an MCP URL leads to.
#[derive(Debug)]
pub(super) struct Found {
    /// The resource identifier: what tokens are for.
    pub(super) resource: String,
    /// The same, as a URL.
    pub(super) resource_url: Url,
    /// Where that was told.
    pub(super) told_at: Url,
    /// The scopes that the resource asks for at first.
    pub(super) challenged: BTreeSet<String>,
    /// The scopes that it says it knows.
    pub(super) known_scopes: BTreeSet<String>,
    /// Whether it takes tokens that are bound to a DPoP key alone.
    pub(super) demands_dpop: bool,
    /// Who issues tokens for it.
    pub(super) issuer: Issuer,
}

/// Authorization server metadata (RFC 8414 section 2), of which the endpoints are https or local.
#[derive(Debug, Deserialize)]
pub(super) struct Issuer {
    /// The identifier.
    #[serde(rename = "issuer")]
    pub(super) identifier: String,
    pub(super) token_endpoint: Url,
    pub(super) authorization_endpoint: Option<Url>,
    pub(super) registration_endpoint: Option<Url>,
    pub(super) jwks_uri: Option<Url>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    #[serde(default)]
    pub(super) code_challenge_methods_supported: Vec<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(super) dpop_signing_alg_values_supported: Vec<String>,
}

#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: BTreeSet<String>,
    #[serde(default)]
    dpop_bound_access_tokens_required: bool,
}

/// Asks the MCP endpoint, then its metadata, then its issuer's. With `pinned`, no other issuer is
/// asked.
pub(super) async fn discover(
    http: &Client,
    mcp_url: &str,
    pinned: Option<&str>,
) -> Result<Found, TokenError> {
    let asked = secure(mcp_url)?;
    let challenge = challenge(http, &asked).await?;
    let (told_at, metadata) = resource_metadata(http, &asked, &challenge).await?;
    let resource_url = covers(&metadata.resource, &asked).map_err(|what| wrong(&told_at, what))?;
    let mut issuers = metadata.authorization_servers.iter();
    let issuer = match pinned {
        Some(pinned) => issuers.find(|issuer| *issuer == pinned).ok_or_else(|| {
            wrong(&told_at, format!("`{pinned}` is not among its authorization servers"))
        })?,
        None => {
            issuers.next().ok_or_else(|| wrong(&told_at, "it names no authorization server"))?
        }
    };
    Ok(Found {
        resource: metadata.resource,
        resource_url,
        challenged: challenge.scopes,
        known_scopes: metadata.scopes_supported,
        demands_dpop: metadata.dpop_bound_access_tokens_required,
        issuer: issuer_metadata(http, issuer).await?,
        told_at,
    })
}

/// What the endpoint says to somebody without a token.
async fn challenge(http: &Client, url: &Url) -> Result<Challenge, TokenError> {
    let get = http.get(url.clone()).header(header::ACCEPT, "text/event-stream");
    let answer = send(get, url).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        return Ok(Challenge::of(answer.headers()));
    }
    // Servers without a stream to listen to may say so before they ask who it is.
    let ping = http
        .request(Method::POST, url.clone())
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header(header::CONTENT_TYPE, "application/json")
        .body(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#);
    let answer = send(ping, url).await?;
    Ok(match answer.status() {
        StatusCode::UNAUTHORIZED => Challenge::of(answer.headers()),
        _ => Challenge::default(),
    })
}

async fn send(request: RequestBuilder, url: &Url) -> Result<Response, TokenError> {
    request.timeout(TIME_LIMIT).send().await.map_err(|error| unreachable(url, &error))
}

/// Where the challenge says; without that, inserted before the path, then at the root.
async fn resource_metadata(
    http: &Client,
    asked: &Url,
    challenge: &Challenge,
) -> Result<(Url, ResourceMetadata), TokenError> {
    if let Some(told) = &challenge.resource_metadata {
        let url = secure(told)?;
        // Told over https, the document may be on another host, but not less protected.
        if url.origin() != asked.origin() && url.scheme() != "https" {
            return Err(TokenError::Insecure(told.clone()));
        }
        let metadata = document(http, &url).await?;
        let metadata = metadata.ok_or_else(|| wrong(&url, "there is no such document"))?;
        return Ok((url, metadata));
    }
    let mut candidates = vec![inserted(asked, "oauth-protected-resource")];
    if asked.path() != "/" {
        candidates.push(at_path(asked, "/.well-known/oauth-protected-resource"));
    }
    for url in candidates {
        if let Some(metadata) = document(http, &url).await? {
            return Ok((url, metadata));
        }
    }
    Err(TokenError::Unprotected(asked.to_string()))
}

/// RFC 9728 section 3.3: the metadata must be about what was asked. An endpoint may belong to a
/// resource of the same origin whose path leads to it, as MCP clients take it.
fn covers(resource: &str, asked: &Url) -> Result<Url, String> {
    let other = || format!("it is about `{resource}`");
    let url = Url::parse(resource).map_err(|_| other())?;
    let (prefix, path) = (url.path().trim_end_matches('/'), asked.path());
    let leads =
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let same_query = url.query().is_none_or(|query| asked.query() == Some(query));
    if url.origin() == asked.origin() && leads && plain && same_query {
        Ok(url)
    } else {
        Err(other())
    }
}

/// RFC 8414 section 3.1, then as OpenID Connect Discovery has it; the identifier is compared as it
/// is written (section 3.3).
async fn issuer_metadata(http: &Client, identifier: &str) -> Result<Issuer, TokenError> {
    let url = secure(identifier)?;
    let path = url.path().trim_end_matches('/');
    let mut candidates =
        vec![inserted(&url, "oauth-authorization-server"), inserted(&url, "openid-configuration")];
    if !path.is_empty() {
        candidates.push(at_path(&url, &format!("{path}/.well-known/openid-configuration")));
    }
    for url in candidates {
        let Some(issuer) = document::<Issuer>(http, &url).await? else { continue };
        if issuer.identifier != identifier {
            return Err(wrong(&url, format!("it is about `{}`", issuer.identifier)));
        }
        let endpoints = [
            Some(&issuer.token_endpoint),
            issuer.authorization_endpoint.as_ref(),
            issuer.registration_endpoint.as_ref(),
            issuer.jwks_uri.as_ref(),
        ];
        for endpoint in endpoints.into_iter().flatten() {
            secure(endpoint.as_str())?;
        }
        if issuer.scopes_supported.iter().any(|scope| scopes_of(scope).is_none()) {
            return Err(wrong(&url, "its scopes are malformed"));
        }
        return Ok(issuer);
    }
    Err(wrong(identifier, "it has no metadata (RFC 8414)"))
}

/// The well-known URL of `suffix`, inserted between host and path.
fn inserted(identifier: &Url, suffix: &str) -> Url {
    let path = identifier.path().trim_end_matches('/');
    at_path(identifier, &format!("/.well-known/{suffix}{path}"))
}

fn at_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_must_be_about_what_was_asked() {
        let asked = Url::parse("https://h.example/a/mcp").unwrap();
        for good in ["https://h.example/a/mcp", "https://h.example/a/", "https://h.example"] {
            assert!(covers(good, &asked).is_ok(), "{good}");
        }
        for foreign in [
            "https://h.example/a/mc",
            "https://h.example/a/mcp/deeper",
            "https://h.example/b",
            "http://h.example/a/mcp",
            "https://h.example:8443/a/mcp",
            "https://h.example.evil.example/a/mcp",
            "https://user@h.example/a/mcp",
            "https://h.example/a/mcp#x",
            "https://h.example/a/mcp?x=1",
            "h.example/a/mcp",
            "",
        ] {
            assert!(covers(foreign, &asked).is_err(), "{foreign}");
        }
    }

    #[test]
    fn only_this_machine_may_do_without_tls() {
        for good in
            ["https://h.example", "http://127.0.0.1:1/x", "http://[::1]/", "http://localhost/"]
        {
            assert!(secure(good).is_ok(), "{good}");
        }
        for bad in [
            "http://h.example",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https:",
            "x",
        ] {
            assert!(secure(bad).is_err(), "{bad}");
        }
    }
}
