//! Clients whose id is the URL of a document that describes them
//! (draft-ietf-oauth-client-id-metadata-document).
//!
//! Whoever can send a browser to `/authorize` chooses what is fetched, so the fetch is narrow: https
//! only, no redirects, no proxy, public addresses only, five KiB, five seconds, a few at a time, and
//! whoever asked learns nothing but that there is no such client.

mod addresses;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::redirect;
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    client_metadata::{ClientMetadata, Offer},
    clients::Client,
    expiring::Expiring,
    secret::Digest,
};
use addresses::{Guard, Reach};

/// Which hosts client metadata documents are fetched from.
#[derive(Debug, Clone, Default)]
pub enum ClientDocumentHosts {
    /// Those on public addresses.
    #[default]
    Public,
    /// Those on loopback too; for tests, whose clients have nowhere else to be.
    AlsoLoopback {
        /// Certificate authority of hosts on loopback, PEM.
        authority_pem: String,
    },
}

/// Fetches documents, and remembers them for a while.
#[derive(Debug)]
pub(crate) struct ClientDocuments {
    reach: Reach,
    authority: Option<Vec<reqwest::Certificate>>,
    /// Built when first needed: it loads the system's certificates.
    http: OnceLock<Option<reqwest::Client>>,
    /// [`None`] for a document that could not be had.
    known: Expiring<Option<Arc<Client>>>,
    fetching: Semaphore,
}

/// The certificate authority for hosts on loopback is none.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authority for client metadata documents is not PEM")]
pub struct NotAnAuthority;

/// Why there is no document; for the log alone.
#[derive(Debug, thiserror::Error)]
enum Unfetched {
    #[error("the host is not on a public address")]
    NotPublic,
    #[error("cannot be fetched: {0}")]
    Http(#[from] reqwest::Error),
    #[error("answered with status {0}")]
    Status(reqwest::StatusCode),
    #[error("it is not JSON by its content type")]
    NotJson,
    #[error("it is larger than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    #[error("it is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("its client_id is not its URL")]
    OtherClientId,
    #[error("it does not describe a client of ours: {0}")]
    Unacceptable(&'static str),
    #[error("no HTTP client can be made, or too many fetches are under way")]
    Busy,
}

#[derive(Deserialize)]
struct Document {
    client_id: String,
    #[serde(flatten)]
    metadata: ClientMetadata,
}

impl ClientDocuments {
    pub(crate) fn new(hosts: ClientDocumentHosts) -> Result<Self, NotAnAuthority> {
        let (reach, authority) = match hosts {
            ClientDocumentHosts::Public => (Reach::Public, None),
            ClientDocumentHosts::AlsoLoopback { authority_pem } => {
                let read = reqwest::Certificate::from_pem_bundle(authority_pem.as_bytes());
                let authority = read.ok().filter(|certificates| !certificates.is_empty());
                (Reach::AlsoLoopback, Some(authority.ok_or(NotAnAuthority)?))
            }
        };
        Ok(Self {
            reach,
            authority,
            http: OnceLock::new(),
            known: Expiring::new(MAX_KNOWN),
            fetching: Semaphore::new(MAX_FETCHING),
        })
    }

    /// The client that the document at `id` describes.
    pub(crate) async fn client(&self, id: &str) -> Option<Arc<Client>> {
        let url = document_url(id)?;
        let key = Digest::of(id);
        if let Some(known) = self.known.get(&key) {
            return known;
        }
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch(id, url)).await;
        let client = match fetched.unwrap_or(Err(Unfetched::Busy)) {
            Ok(client) => Some(Arc::new(client)),
            Err(Unfetched::Busy) => return None,
            Err(error) => {
                tracing::warn!(client_id = id, %error, "no client metadata document");
                None
            }
        };
        let lifetime = if client.is_some() { KNOWN } else { KNOWN_TO_BE_WRONG };
        if self.known.insert(key, client.clone(), lifetime).is_err() {
            tracing::warn!("there is no room to remember a client metadata document");
        }
        client
    }

    async fn fetch(&self, id: &str, url: Url) -> Result<Client, Unfetched> {
        // A literal address never comes by the resolver.
        if !self.reach.admits_literal(&url) {
            return Err(Unfetched::NotPublic);
        }
        let _slot = self.fetching.acquire().await.map_err(|_| Unfetched::Busy)?;
        let http = self.http.get_or_init(|| self.http_client().ok()).as_ref();
        let request = http.ok_or(Unfetched::Busy)?.get(url).header("accept", "application/json");
        let mut response = request.send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Unfetched::Status(response.status()));
        }
        let media_type = response.headers().get("content-type").and_then(|v| v.to_str().ok());
        let essence = media_type.and_then(|m| m.split(';').next()).unwrap_or_default().trim();
        if essence != "application/json" && !essence.ends_with("+json") {
            return Err(Unfetched::NotJson);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(Unfetched::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let document: Document = serde_json::from_slice(&body)?;
        if document.client_id != id {
            return Err(Unfetched::OtherClientId);
        }
        let offer =
            document.metadata.read().map_err(|refusal| Unfetched::Unacceptable(refusal.why()))?;
        described(id, offer)
    }

    fn http_client(&self) -> Result<reqwest::Client, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(FETCH_TIMEOUT)
            .timeout(FETCH_TIMEOUT)
            .dns_resolver(Arc::new(Guard(self.reach)));
        match &self.authority {
            Some(authority) => builder.tls_certs_only(authority.clone()),
            None => builder,
        }
        .build()
        .inspect_err(|error| tracing::error!(%error, "cannot make an HTTP client"))
    }
}

/// The URL that a client id is, if it is one that may be fetched: https, with a path, without
/// fragment or credentials, and spelled in the one normal way.
fn document_url(id: &str) -> Option<Url> {
    if id.len() > MAX_URL_BYTES || !id.starts_with("https://") {
        return None;
    }
    let url = Url::parse(id).ok()?;
    let plain = url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() != "/"
        && url.as_str() == id;
    plain.then_some(url)
}

/// A document is public: it can hold keys, but no secret.
fn described(id: &str, offer: Offer) -> Result<Client, Unfetched> {
    let authentication = offer
        .authentication_without_secret()
        .ok_or(Unfetched::Unacceptable("a public document cannot go with a client secret"))?;
    Ok(offer.into_client(id.to_owned(), authentication))
}

const MAX_DOCUMENT_BYTES: usize = 5 * 1024;
const MAX_URL_BYTES: usize = 512;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const KNOWN: Duration = Duration::from_secs(300);
/// Long enough to end a loop of retries, short enough for whoever corrects a document.
const KNOWN_TO_BE_WRONG: Duration = Duration::from_secs(5);
const MAX_KNOWN: usize = 1000;
const MAX_FETCHING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_url_with_a_path_is_fetched() {
        assert!(document_url("https://example.com/client.json").is_some());
        for id in [
            "http://example.com/client.json",
            "https://example.com",
            "https://example.com/",
            "https://user@example.com/client.json",
            "https://example.com/client.json#x",
            "https://example.com/a/../client.json",
            "https://EXAMPLE.com/client.json",
            "https://example.com:443/client.json",
            "https://2130706433/client.json",
            "file:///etc/passwd",
            "mcp-secure-client",
        ] {
            assert!(document_url(id).is_none(), "{id}");
        }
    }

    #[tokio::test]
    async fn no_connection_is_made_to_what_is_not_public() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let documents = ClientDocuments::new(ClientDocumentHosts::Public).unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "0.0.0.0"] {
            let id = format!("https://{host}:{port}/client.json");
            assert!(document_url(&id).is_some(), "{id} is well-formed");
            let asked = documents.client(&id);
            tokio::select! {
                client = asked => assert!(client.is_none()),
                _ = listener.accept() => panic!("connected for {id}"),
            }
        }
    }
}
