//! How issuers are asked: over a client that trusts one authority, follows no redirect, and gives
//! little time and room.

use std::{path::PathBuf, time::Duration};

use reqwest::{Certificate, Client, RequestBuilder, StatusCode, redirect};
use url::Url;

use crate::config::IssuerConfig;

/// A client for one issuer alone.
pub(super) struct IssuerHttp(Client);

/// An issuer cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableIssuer {
    /// Its certificate authority cannot be read.
    #[error("cannot read the certificate authority `{path}` of issuer `{issuer}`: {cause}")]
    Authority {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// Its keys are to come from a file that cannot be used.
    #[error("cannot use the key set `{path}` (`jwks_file`) of issuer `{issuer}`: {cause}")]
    KeyFile {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// The secret with which it is asked about tokens cannot be used.
    #[error(
        "cannot use the client secret `{path}` (`introspection.client_secret_file`) of issuer `{issuer}`: {cause}"
    )]
    Secret {
        /// The issuer.
        issuer: String,
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// The operating system gave no random bytes for nonces.
    #[error("the operating system gave no random bytes")]
    Randomness,
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client for issuer `{issuer}`: {cause}")]
    Client {
        /// The issuer.
        issuer: String,
        /// What was wrong.
        cause: reqwest::Error,
    },
}

/// Why an issuer gave no answer that could be read. It names the URL, never what was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFault {
    #[error("{0}")]
    Exchange(#[from] reqwest::Error),
    #[error("`{0}` answered {1}")]
    Status(Url, StatusCode),
    #[error("`{0}` answered more than {1} bytes")]
    TooLarge(Url, usize),
}

impl IssuerHttp {
    pub(super) fn new(issuer: &IssuerConfig) -> Result<Self, UnusableIssuer> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT);
        if let Some(path) = &issuer.ca {
            let unreadable = |cause: String| UnusableIssuer::Authority {
                issuer: issuer.identifier.clone(),
                path: path.clone(),
                cause,
            };
            let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|e| unreadable(e.to_string()))?;
            if certificates.is_empty() {
                return Err(unreadable("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        builder
            .build()
            .map(Self)
            .map_err(|cause| UnusableIssuer::Client { issuer: issuer.identifier.clone(), cause })
    }

    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        self.0.get(url.clone())
    }

    pub(super) fn post(&self, url: &Url) -> RequestBuilder {
        self.0.post(url.clone())
    }
}

/// The body of a successful answer, of at most so many bytes.
pub(super) async fn answer_to(request: RequestBuilder, most: usize) -> Result<Vec<u8>, HttpFault> {
    let mut response = request.send().await?;
    if response.status() != StatusCode::OK {
        return Err(HttpFault::Status(response.url().clone(), response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(HttpFault::TooLarge(response.url().clone(), most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// For a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);
