//! With which certificate the gate shows itself, and whose certificates it asks for.

use std::{io, path::Path, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::config::ListenerConfig;

/// Reads the listener's certificate and key. Where clients' certificates are to be vouched for, one
/// is asked for and may be left out: whether a token needs one is the token's to say (RFC 8705).
pub(crate) async fn identity(listener: &ListenerConfig) -> io::Result<RustlsConfig> {
    let Some(client_ca) = &listener.client_ca else {
        return RustlsConfig::from_pem_file(&listener.certificate, &listener.key).await;
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(client_ca)? {
        roots.add(authority).map_err(|e| about(client_ca, e))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .allow_unauthenticated()
        .build()
        .map_err(|e| about(client_ca, e))?;
    let key = PrivateKeyDer::from_pem_file(&listener.key).map_err(|e| about(&listener.key, e))?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&listener.certificate)?, key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(about(path, "it holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(cause) => Err(about(path, cause)),
    }
}

fn about(path: &Path, cause: impl ToString) -> io::Error {
    io::Error::other(format!("`{}`: {}", path.display(), cause.to_string()))
}
