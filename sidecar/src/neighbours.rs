//! Is it for us? The hosts that this gate answers to and the origins whose pages may call it.

use std::collections::HashSet;

use http::{header, request::Parts};
use url::Url;

use crate::{config::ResourceConfig, rejection::Rejection};

/// Under which names this gate is called, and from which pages.
#[derive(Debug)]
pub(crate) struct Neighbours {
    hosts: HashSet<String>,
    origins: Vec<String>,
}

impl Neighbours {
    pub(crate) fn new(resource: &ResourceConfig) -> Self {
        let mut hosts: HashSet<String> =
            resource.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.extend(authorities(&resource.public_url));
        Self { hosts, origins: resource.allowed_origins.clone() }
    }

    /// The origins whose pages may call.
    pub(crate) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Refuses a page of another origin, and a name that some other server's DNS points at us
    /// (MCP 2026-07-28, streamable HTTP, DNS rebinding).
    pub(crate) fn require_ours(&self, head: &Parts) -> Result<(), Rejection> {
        let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        let in_headers = head.headers.get_all(header::HOST).iter().map(|host| host.as_bytes());
        let mut hosts = authority.into_iter().chain(in_headers).peekable();
        let ours = |host: &[u8]| {
            std::str::from_utf8(host).is_ok_and(|h| self.hosts.contains(&h.to_ascii_lowercase()))
        };
        if hosts.peek().is_none() || !hosts.all(ours) {
            return Err(Rejection::WrongHost);
        }
        let mut origins = head.headers.get_all(header::ORIGIN).iter();
        let known = |origin: &http::HeaderValue| {
            origin.to_str().is_ok_and(|origin| self.origins.iter().any(|own| own == origin))
        };
        if origins.all(known) { Ok(()) } else { Err(Rejection::ForeignOrigin) }
    }
}

/// How a client writes the host of a URL, with and without the default port.
fn authorities(url: &Url) -> Vec<String> {
    let Some(host) = url.host_str() else {
        return Vec::new();
    };
    match url.port() {
        Some(port) => vec![format!("{host}:{port}")],
        None => vec![host.to_owned(), format!("{host}:443")],
    }
}
