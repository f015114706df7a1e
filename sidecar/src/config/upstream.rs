//! Where the protected MCP server is, and how the gate names itself to it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::raw::{Problems, is_trusted_transport};

#[derive(Debug, Clone)]
pub(crate) struct UpstreamConfig {
    pub(crate) name: String,
    pub(crate) transport: UpstreamTransport,
    pub(crate) identity: UpstreamIdentity,
}

/// How the upstream is reached.
#[derive(Debug, Clone)]
pub(crate) enum UpstreamTransport {
    Http(HttpUpstream),
}

/// Streamable HTTP, over TCP or a Unix socket.
#[derive(Debug, Clone)]
pub(crate) struct HttpUpstream {
    pub(crate) url: Url,
    /// Instead of the host that the URL names.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client_identity: Option<ClientIdentity>,
}

/// The certificate that the gate shows its upstream.
#[derive(Debug, Clone)]
pub(crate) struct ClientIdentity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// How Cedargate names itself and the caller to the upstream (DESIGN section 8).
#[derive(Debug, Clone)]
pub(crate) enum UpstreamIdentity {
    Assertion { key: PathBuf, audience: String },
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    name: String,
    url: String,
    socket: Option<PathBuf>,
    ca: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    identity: RawIdentity,
    assertion_key: Option<PathBuf>,
    assertion_audience: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawIdentity {
    Assertion,
    None,
}

impl RawUpstream {
    pub(super) fn resolve(self, folder: &Path, problems: &mut Problems) -> Option<UpstreamConfig> {
        if self.name.is_empty() {
            problems.add("upstream.name", "must not be empty");
        }
        let identity = self.identity(folder, problems);
        let transport = self.http(folder, problems);
        Some(UpstreamConfig {
            transport: UpstreamTransport::Http(transport?),
            identity: identity?,
            name: self.name,
        })
    }

    fn http(&self, folder: &Path, problems: &mut Problems) -> Option<HttpUpstream> {
        let url = problems.url("upstream.url", &self.url)?;
        if !matches!(url.scheme(), "http" | "https") {
            problems.add("upstream.url", "must be http or https");
        }
        if self.socket.is_some() && url.scheme() != "http" {
            problems.add("upstream.url", "must be http where `upstream.socket` is given");
        }
        let signs = self.identity == RawIdentity::Assertion;
        if signs && self.socket.is_none() && !is_trusted_transport(&url) {
            problems
                .add("upstream.url", "must be https, or http on loopback, to be sent assertions");
        }
        let client_identity = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate: folder.join(certificate),
                key: folder.join(key),
            }),
            (None, None) => None,
            (Some(_), None) => {
                problems.add("upstream.client_key", "is needed for `client_certificate`");
                None
            }
            (None, Some(_)) => {
                problems.add("upstream.client_certificate", "is needed for `client_key`");
                None
            }
        };
        if client_identity.is_some() && url.scheme() != "https" {
            problems.add("upstream.url", "must be https to be shown a client certificate");
        }
        Some(HttpUpstream {
            url,
            socket: self.socket.as_ref().map(|socket| folder.join(socket)),
            ca: self.ca.as_ref().map(|ca| folder.join(ca)),
            client_identity,
        })
    }

    fn identity(&self, folder: &Path, problems: &mut Problems) -> Option<UpstreamIdentity> {
        match (self.identity, &self.assertion_key) {
            (RawIdentity::Assertion, Some(key)) => Some(UpstreamIdentity::Assertion {
                key: folder.join(key),
                audience: self.assertion_audience.clone().unwrap_or_else(|| self.url.clone()),
            }),
            (RawIdentity::Assertion, None) => {
                problems.add("upstream.assertion_key", "is needed for identity = \"assertion\"");
                None
            }
            (RawIdentity::None, None) => Some(UpstreamIdentity::None),
            (RawIdentity::None, Some(_)) => {
                problems.add("upstream.assertion_key", "has no use with identity = \"none\"");
                None
            }
        }
    }
}
