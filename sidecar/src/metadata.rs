//! What this protected resource tells about itself (RFC 9728), always from configuration, never
//! from a request's own headers.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::json;
use url::Url;

use crate::config::ResourceConfig;

/// The metadata document, its two well-known paths, and the challenges that point to it.
#[derive(Debug)]
pub(crate) struct ResourceMetadata {
    resource: String,
    issuers: Vec<String>,
    url: String,
    path: String,
    initial_scope: String,
}

impl ResourceMetadata {
    pub(crate) fn new(resource: &ResourceConfig, issuers: &[&str]) -> Self {
        let path = well_known_path(&resource.public_url);
        let mut url = resource.public_url.clone();
        url.set_path(&path);
        Self {
            resource: resource.identifier().to_owned(),
            issuers: issuers.iter().map(|&issuer| issuer.to_owned()).collect(),
            url: url.into(),
            path,
            initial_scope: resource.initial_scopes.join(" "),
        }
    }

    /// Where clients find the document: inserted before the resource's path, and at the root
    /// (RFC 9728 section 3.1).
    pub(crate) fn paths(&self) -> Vec<&str> {
        let mut paths = vec![WELL_KNOWN];
        if self.path != WELL_KNOWN {
            paths.push(&self.path);
        }
        paths
    }

    /// What a caller without a token is told to ask for.
    pub(crate) fn initial_scope(&self) -> &str {
        &self.initial_scope
    }

    /// The document; readable by any page, since it holds nothing secret and browsers' clients
    /// look for it before they have a token.
    pub(crate) fn answer(&self, scopes: &[String]) -> Response {
        let document = json!({
            "resource": self.resource,
            "authorization_servers": self.issuers,
            "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
        });
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        (headers, document.to_string()).into_response()
    }

    /// One `Bearer` challenge: `error` first, quoted values, nothing that clients could misread
    /// (RFC 6750 section 3).
    pub(crate) fn challenge(&self, error: Option<&str>, scope: &str) -> Option<HeaderValue> {
        let mut parameters = Vec::with_capacity(3);
        if let Some(error) = error {
            parameters.push(format!("error=\"{error}\""));
        }
        if !scope.is_empty() {
            parameters.push(format!("scope=\"{scope}\""));
        }
        parameters.push(format!("resource_metadata=\"{}\"", self.url));
        HeaderValue::try_from(format!("Bearer {}", parameters.join(", "))).ok()
    }
}

fn well_known_path(public_url: &Url) -> String {
    match public_url.path() {
        "/" => WELL_KNOWN.to_owned(),
        path => format!("{WELL_KNOWN}{path}"),
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
