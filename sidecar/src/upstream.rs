//! The only way to the upstream: [`Upstream::forward`], which takes an `Authorized<Message>`.
//!
//! A request is built from nothing: the message's own serialization, headers derived from it, and
//! an identity of the gate's making. Of the caller's request nothing is copied.

mod identity;
#[cfg_attr(not(test), expect(dead_code, reason = "wired next"))]
mod stdio;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    authz::Authorized,
    config::{Config, UpstreamConfig},
    message::{Message, mirrored},
    rejection::Rejection,
    token::Claims,
};
use identity::Identity;
pub use identity::UnusableKey;

/// The protected MCP server, as the gate reaches it.
pub(crate) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    identity: Identity,
    response_timeout: Duration,
}

/// The upstream cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableUpstream {
    /// Its certificate authority cannot be read.
    #[error("cannot read the upstream's certificate authority `{path}`: {cause}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// The key that signs assertions cannot be read.
    #[error(transparent)]
    Key(#[from] UnusableKey),
    /// Its URL cannot be requested.
    #[error("`upstream.url` cannot be requested: {0}")]
    Url(#[from] http::uri::InvalidUri),
    /// TLS cannot be set up.
    #[error("cannot set up TLS towards the upstream: {0}")]
    Tls(String),
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Upstream {
    pub(crate) fn new(config: &Config) -> Result<Self, UnusableUpstream> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.limits.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&config.upstream)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(https);
        Ok(Self {
            client,
            uri: config.upstream.url.as_str().parse()?,
            identity: Identity::new(&config.upstream.identity, config.resource.identifier())?,
            response_timeout: config.limits.response_timeout,
        })
    }

    /// The public half of the key with which the gate names itself, as a JWK set.
    pub(crate) fn assertion_jwks(&self) -> Option<Bytes> {
        self.identity.jwks()
    }

    /// Sends a permitted message and waits for the head of the answer.
    pub(crate) async fn forward(
        &self,
        authorized: Authorized<Message>,
        claims: &Claims,
    ) -> Result<Response<Incoming>, Rejection> {
        let request = self.request(authorized.get(), claims)?;
        // Written; its tree is of no more use while the upstream takes its time.
        drop(authorized);
        match tokio::time::timeout(self.response_timeout, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "the upstream cannot be reached");
                Err(Rejection::UpstreamUnreachable)
            }
            Err(_) => Err(Rejection::UpstreamTooSlow),
        }
    }

    fn request(
        &self,
        message: &Message,
        claims: &Claims,
    ) -> Result<Request<Full<Bytes>>, Rejection> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            // A compressed list could not be narrowed.
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::from(message.write()))
            .map_err(|_| Rejection::UpstreamUnreachable)?;
        let headers = request.headers_mut();
        if let Some(version) = message.era().version() {
            let version = HeaderValue::from_static(version.as_str());
            headers.insert(mirrored::PROTOCOL_VERSION, version);
        }
        if message.era().is_modern() {
            headers.insert(mirrored::METHOD, HeaderValue::from_static(message.method().name));
            if let Some(name) = message.target_name().and_then(mirrored::encoded) {
                headers.insert(mirrored::NAME, name);
            }
        }
        if let Some(identity) = self.identity.header(claims)? {
            headers.insert(header::AUTHORIZATION, identity);
        }
        Ok(request)
    }
}

fn tls(config: &UpstreamConfig) -> Result<ClientConfig, UnusableUpstream> {
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|e| UnusableUpstream::Tls(e.to_string()))?;
    let Some(path) = &config.ca else {
        use hyper_rustls::ConfigBuilderExt as _;
        let builder =
            builder.with_native_roots().map_err(|e| UnusableUpstream::Tls(e.to_string()))?;
        return Ok(builder.with_no_client_auth());
    };
    let unreadable = |cause: String| UnusableUpstream::Authority { path: path.clone(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))? {
        let certificate = certificate.map_err(|e| unreadable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unreadable(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("it holds no certificate".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its causes, joined by colons.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

const USER_AGENT: &str = concat!("cedargate/", env!("CARGO_PKG_VERSION"));
/// Below the keep-alive of common servers (five seconds), so that we rarely write into a
/// connection that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);
