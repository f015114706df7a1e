//! The connections to an upstream that speaks HTTP: TCP, TLS, or a Unix socket.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::ClientConfig;
use tokio::net::UnixStream;
use tower_service::Service;

use super::UnusableUpstream;
use crate::{config::HttpUpstream, pem};

/// A client with its pool of connections.
pub(super) enum Wire {
    Tcp(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Unix(Client<Socket, Full<Bytes>>),
}

/// Connects to one Unix socket, whatever the URL says.
#[derive(Debug, Clone)]
pub(super) struct Socket(Arc<Path>);

impl Wire {
    pub(super) fn new(
        config: &HttpUpstream,
        connect_timeout: Duration,
    ) -> Result<Self, UnusableUpstream> {
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE);
        if let Some(path) = &config.socket {
            return Ok(Self::Unix(pool.build(Socket(path.as_path().into()))));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(config)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self::Tcp(pool.build(https)))
    }

    /// Sends one request and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, hyper_util::client::legacy::Error> {
        let response = match self {
            Self::Tcp(client) => client.request(request).await?,
            Self::Unix(client) => client.request(request).await?,
        };
        Ok(response.map(Body::new))
    }
}

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = Arc::clone(&self.0);
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    }
}

fn tls(config: &HttpUpstream) -> Result<ClientConfig, UnusableUpstream> {
    let unusable = |e: rustls::Error| UnusableUpstream::Tls(e.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(unusable)?;
    let builder = match &config.ca {
        Some(path) => builder.with_root_certificates(pem::roots(path)?),
        None => {
            use hyper_rustls::ConfigBuilderExt as _;
            builder.with_native_roots().map_err(|e| UnusableUpstream::Tls(e.to_string()))?
        }
    };
    let Some(identity) = &config.client_identity else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = (pem::certificates(&identity.certificate)?, pem::key(&identity.key)?);
    builder.with_client_auth_cert(chain, key).map_err(unusable)
}

/// Below the keep-alive of common servers (five seconds), so that we rarely write into a
/// connection that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);
