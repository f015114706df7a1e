//! Where the protected MCP server is, and how the gate names itself to it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

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
    Stdio(StdioUpstream),
}

/// A child process that speaks over its standard streams.
#[derive(Debug, Clone)]
pub(crate) struct StdioUpstream {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// All that it is given beside `PATH`, `HOME` and `LANG`.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) folder: Option<PathBuf>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    name: String,
    url: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    folder: Option<PathBuf>,
    socket: Option<PathBuf>,
    ca: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    identity: Option<RawIdentity>,
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
    /// A child process instead of what the file says of how to reach the server
    /// (`cedargate run --stdio`).
    pub(super) fn start_instead(&mut self, command: Vec<String>) {
        *self = Self {
            name: std::mem::take(&mut self.name),
            command: Some(command),
            environment: std::mem::take(&mut self.environment),
            folder: self.folder.take(),
            ..Self::default()
        };
    }

    pub(super) fn resolve(self, folder: &Path, problems: &mut Problems) -> Option<UpstreamConfig> {
        if self.name.is_empty() {
            problems.add("upstream.name", "must not be empty");
        }
        let transport = match (&self.url, &self.command) {
            (Some(url), None) => self.http(url, folder, problems).map(UpstreamTransport::Http),
            (None, Some(command)) => {
                self.stdio(command, folder, problems).map(UpstreamTransport::Stdio)
            }
            (None, None) => {
                problems.add("upstream.url", "or `upstream.command` must say where the server is");
                None
            }
            (Some(_), Some(_)) => {
                problems.add("upstream.command", "and `upstream.url` exclude each other");
                None
            }
        };
        let identity = self.identity(folder, problems);
        Some(UpstreamConfig { transport: transport?, identity: identity?, name: self.name })
    }

    fn stdio(
        &self,
        command: &[String],
        folder: &Path,
        problems: &mut Problems,
    ) -> Option<StdioUpstream> {
        for (key, given) in [
            ("upstream.socket", self.socket.is_some()),
            ("upstream.ca", self.ca.is_some()),
            ("upstream.client_certificate", self.client_certificate.is_some()),
            ("upstream.client_key", self.client_key.is_some()),
        ] {
            if given {
                problems.add(key, "has no use for a server over stdio");
            }
        }
        if self.identity == Some(RawIdentity::Assertion) {
            problems.add("upstream.identity", "must be \"none\" for a server over stdio");
        }
        let Some((program, arguments)) = command.split_first() else {
            problems.add("upstream.command", "must name a program");
            return None;
        };
        // A bare name is looked for in PATH, anything else beside the configuration.
        let program = match program.contains('/') {
            true => std::path::absolute(folder.join(program)).unwrap_or_else(|_| program.into()),
            false => program.into(),
        };
        Some(StdioUpstream {
            program,
            arguments: arguments.to_vec(),
            environment: self.environment.clone(),
            folder: self.folder.as_ref().map(|own| folder.join(own)),
        })
    }

    fn http(&self, url: &str, folder: &Path, problems: &mut Problems) -> Option<HttpUpstream> {
        for (key, given) in [
            ("upstream.environment", !self.environment.is_empty()),
            ("upstream.folder", self.folder.is_some()),
        ] {
            if given {
                problems.add(key, "is for a server over stdio, which `upstream.command` starts");
            }
        }
        let url = problems.url("upstream.url", url)?;
        if !matches!(url.scheme(), "http" | "https") {
            problems.add("upstream.url", "must be http or https");
        }
        if self.socket.is_some() && url.scheme() != "http" {
            problems.add("upstream.url", "must be http where `upstream.socket` is given");
        }
        let signs = self.identity == Some(RawIdentity::Assertion);
        if signs && self.socket.is_none() && !is_trusted_transport(&url) {
            problems
                .add("upstream.url", "must be https, or http on loopback, to be sent assertions");
        }
        let client_identity = self.client_identity(folder, problems);
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

    fn client_identity(&self, folder: &Path, problems: &mut Problems) -> Option<ClientIdentity> {
        match (&self.client_certificate, &self.client_key) {
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
        }
    }

    /// How the gate names itself has to be said wherever it could.
    fn identity(&self, folder: &Path, problems: &mut Problems) -> Option<UpstreamIdentity> {
        let own = self.command.as_ref().map(|_| RawIdentity::None);
        match (self.identity.or(own), &self.assertion_key) {
            (Some(RawIdentity::Assertion), Some(key)) => Some(UpstreamIdentity::Assertion {
                key: folder.join(key),
                audience: self.assertion_audience.clone().or_else(|| self.url.clone())?,
            }),
            (Some(RawIdentity::Assertion), None) => {
                problems.add("upstream.assertion_key", "is needed for identity = \"assertion\"");
                None
            }
            (Some(RawIdentity::None), None) => Some(UpstreamIdentity::None),
            (Some(RawIdentity::None), Some(_)) => {
                problems.add("upstream.assertion_key", "has no use with identity = \"none\"");
                None
            }
            (None, _) => {
                problems.add("upstream.identity", "must be \"assertion\" or \"none\"");
                None
            }
        }
    }
}
