//! Whom to trust on the wire.

use std::{path::Path, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::{Host, Url};

/// The certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot trust `{path}`: {cause}")]
pub struct Untrustworthy {
    path: String,
    cause: String,
}

/// An HTTP client that trusts the authority in `ca` and no other; without one, the system's, or
/// `SSL_CERT_FILE` where that is set. It follows no redirect: credentials go where they are sent.
pub fn http_client(ca: Option<&Path>) -> Result<Client, Untrustworthy> {
    build(ca, Client::builder())
}

fn build(ca: Option<&Path>, builder: ClientBuilder) -> Result<Client, Untrustworthy> {
    let failed = |cause: String| Untrustworthy {
        path: ca
            .map_or_else(|| "the system's certificates".to_owned(), |p| p.display().to_string()),
        cause,
    };
    let mut builder = builder.redirect(redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT);
    if let Some(path) = ca {
        let pem = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let authority = Certificate::from_pem_bundle(&pem).map_err(|e| failed(e.to_string()))?;
        if authority.is_empty() {
            return Err(failed("it holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_only(authority);
    }
    builder.build().map_err(|e| failed(e.to_string()))
}

/// The same for who is at `url`: what is meant for this machine goes through no proxy of the
/// environment's, which would read it.
pub fn http_client_to(url: &str, ca: Option<&Path>) -> Result<Client, Untrustworthy> {
    build(ca, if is_here(url) { Client::builder().no_proxy() } else { Client::builder() })
}

fn is_here(url: &str) -> bool {
    match Url::parse(url).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
