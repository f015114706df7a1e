//! With which certificate the gate shows itself, and whose certificates it asks for. The files are
//! looked at while it serves: what is renewed in them holds for every connection from then on, and
//! those that are open stay so.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, server::WebPkiClientVerifier};

use crate::{config::ListenerConfig, pem};

/// The listener's certificate, and the files that it is from.
#[derive(Debug)]
pub(crate) struct ServerIdentity {
    listener: ListenerConfig,
    tls: RustlsConfig,
    first_fingerprint: u64,
}

impl ServerIdentity {
    /// Reads the listener's certificate and key.
    pub(crate) fn read(listener: &ListenerConfig) -> io::Result<Self> {
        // Taken before, so that what is renewed in between is seen as new.
        let first_fingerprint = fingerprint(listener);
        let tls = RustlsConfig::from_config(Arc::new(server_config(listener)?));
        Ok(Self { listener: listener.clone(), tls, first_fingerprint })
    }

    pub(crate) fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    /// Takes up what is renewed. Files that cannot be used change nothing, and that is said.
    pub(crate) async fn follow_files(&self) {
        let mut seen = self.first_fingerprint;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let listener = self.listener.clone();
            let read = tokio::task::spawn_blocking(move || {
                let now = fingerprint(&listener);
                (now != seen).then(|| (now, server_config(&listener)))
            });
            let Ok(Some((now, renewed))) = read.await else { continue };
            seen = now;
            match renewed {
                Ok(config) => {
                    self.tls.reload_from_config(Arc::new(config));
                    tracing::info!("the certificate was renewed");
                }
                Err(cause) => tracing::error!(
                    %cause,
                    "the renewed certificate cannot be used; the old one stays"
                ),
            }
        }
    }
}

/// What the gate offers. Where clients' certificates are to be vouched for, one is asked for and
/// may be left out: whether a token needs one is the token's to say (RFC 8705).
fn server_config(listener: &ListenerConfig) -> io::Result<ServerConfig> {
    let read = |e: pem::UnusablePem| io::Error::other(e);
    let chain = pem::certificates(&listener.certificate).map_err(read)?;
    let key = pem::key(&listener.key).map_err(read)?;
    let builder = ServerConfig::builder();
    let builder = match &listener.client_ca {
        None => builder.with_no_client_auth(),
        Some(client_ca) => {
            let roots = pem::roots(client_ca).map_err(read)?;
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .allow_unauthenticated()
                .build()
                .map_err(io::Error::other)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn fingerprint(listener: &ListenerConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let files = [&listener.certificate, &listener.key].into_iter().chain(&listener.client_ca);
    for file in files {
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// Certificates are renewed weeks before they end.
const LOOK_EVERY: Duration = Duration::from_secs(2);
