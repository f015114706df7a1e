//! What this protected resource tells about itself (RFC 9728), always from configuration, never
//! from a request's own headers.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::json;
use url::Url;

use crate::{
    config::{Config, ProofOfPossession},
    token::PROOF_ALGORITHMS,
};

/// The metadata document, its two well-known paths, and the challenges that point to it.
#[derive(Debug)]
pub(crate) struct ResourceMetadata {
    resource: String,
    issuers: Vec<String>,
    takes_certificates: bool,
    /// Whether every issuer's tokens must be bound to a DPoP key.
    demands_dpop: bool,
    url: String,
    path: String,
    initial_scope: String,
}

impl ResourceMetadata {
    pub(crate) fn new(config: &Config) -> Self {
        let resource = &config.resource;
        let path = well_known_path(&resource.public_url);
        let mut url = resource.public_url.clone();
        url.set_path(&path);
        Self {
            resource: resource.identifier().to_owned(),
            issuers: config.issuers.iter().map(|issuer| issuer.identifier.clone()).collect(),
            takes_certificates: config.listener.client_ca.is_some(),
            demands_dpop: config
                .issuers
                .iter()
                .all(|issuer| issuer.rules.proof == ProofOfPossession::Dpop),
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
            "dpop_signing_alg_values_supported": PROOF_ALGORITHMS.map(|(name, _)| name),
            "dpop_bound_access_tokens_required": self.demands_dpop,
            "tls_client_certificate_bound_access_tokens": self.takes_certificates,
        });
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
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

    /// The same for callers that must prove possession (RFC 9449 section 7.1).
    pub(crate) fn proof_challenge(&self, error: &str) -> Option<HeaderValue> {
        let algorithms = PROOF_ALGORITHMS.map(|(name, _)| name).join(" ");
        let url = &self.url;
        let challenge =
            format!(r#"DPoP error="{error}", algs="{algorithms}", resource_metadata="{url}""#);
        HeaderValue::try_from(challenge).ok()
    }
}

fn well_known_path(public_url: &Url) -> String {
    match public_url.path() {
        "/" => WELL_KNOWN.to_owned(),
        path => format!("{WELL_KNOWN}{path}"),
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
