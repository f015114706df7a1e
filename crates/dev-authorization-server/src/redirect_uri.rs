//! Redirect URIs: which a client may register, and when one that it names is one it registered.

use std::net::IpAddr;

use url::{Host, Url};

/// A redirect URI as it was registered (RFC 6749 section 3.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    registered: String,
    url: Url,
}

/// Why a redirect URI cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot register this redirect URI: {0}")]
pub struct Unregistrable(pub(crate) &'static str);

impl RedirectUri {
    /// Takes `https` anywhere, `http` on loopback, and private-use schemes with a dot in them (RFC
    /// 8252 section 7); never a fragment, credentials, or a scheme that browsers run.
    pub fn parse(text: &str) -> Result<Self, Unregistrable> {
        if text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Unregistrable("it is too long or not printable ASCII"));
        }
        let url = Url::parse(text).map_err(|_| Unregistrable("it is not an absolute URI"))?;
        if text.contains('#') {
            return Err(Unregistrable("it has a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unregistrable("it holds credentials"));
        }
        match url.scheme() {
            "https" | "http" if !host_is_plain(&url) => {
                return Err(Unregistrable("its host is no plain name or address"));
            }
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(Unregistrable("`http` is for loopback alone")),
            scheme if scheme.contains('.') => {}
            _ => return Err(Unregistrable("its scheme is neither https nor private-use")),
        }
        Ok(Self { registered: text.to_owned(), url })
    }

    /// Whether `named` is this one: the same text, or the same but for the port on loopback (RFC
    /// 8252 section 7.3).
    pub(crate) fn admits(&self, named: &str) -> bool {
        if self.registered == named {
            return true;
        }
        let Ok(named) = Self::parse(named) else { return false };
        let same_but_for_the_port = |url: &Url| {
            let mut url = url.clone();
            // A URL with a host takes any port.
            url.set_port(None).is_ok().then_some(url)
        };
        // What is registered with `http` is on loopback: `parse` takes no other.
        self.url.scheme() == "http"
            && same_but_for_the_port(&self.url) == same_but_for_the_port(&named.url)
    }

    /// Whether it leads to this machine.
    pub(crate) fn is_on_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// What a content security policy calls the place it leads to; it has no word for an IPv6
    /// address but its scheme.
    pub(crate) fn source_expression(&self) -> String {
        match (self.url.scheme(), self.url.host()) {
            ("https" | "http", Some(Host::Domain(_) | Host::Ipv4(_))) => {
                self.url.origin().ascii_serialization()
            }
            (scheme, _) => format!("{scheme}:"),
        }
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.registered
    }

    /// Where a browser is sent: this, with more parameters in its query.
    pub(crate) fn with_parameters(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A parsed host may still hold characters that mean something in a header.
fn host_is_plain(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
    })
}

const MAX_BYTES: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_a_script_or_in_the_clear_is_not_registered() {
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "http://example.com/callback",
            "http://127.0.0.1.example.com/callback",
            "http://localhost.example.com/callback",
            "https://user:secret@example.com/",
            "https://example.com/#fragment",
            "https://example.com/#",
            "https://a;script-src.example.com/",
            "https://exa mple.com/",
            "//example.com/callback",
            "/callback",
            "myapp:/callback",
            "",
        ] {
            assert!(RedirectUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_takes_any_port_and_nothing_else_differs() {
        for (registered, named, same) in [
            ("http://127.0.0.1/callback", "http://127.0.0.1:4711/callback", true),
            ("http://localhost:1/callback", "http://localhost:2/callback", true),
            ("http://[::1]/callback", "http://[::1]:9/callback", true),
            ("http://127.0.0.1/callback", "http://localhost/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:1/other", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:1/callback?x=1", false),
            ("http://127.0.0.1/callback", "https://127.0.0.1:1/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:1@evil.example.com/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:1/x/../callback#", false),
            ("https://example.com/callback", "https://example.com/callback", true),
            ("https://example.com/callback", "https://example.com:444/callback", false),
            ("https://example.com/callback", "https://example.com/callback/", false),
            ("https://example.com/callback", "https://EXAMPLE.com/callback", false),
            ("https://example.com/callback", "https://example.com.evil.org/callback", false),
            ("com.example.app:/callback", "com.example.app:/callback", true),
            ("com.example.app:/callback", "com.example.app:/other", false),
        ] {
            let registered = RedirectUri::parse(registered).unwrap();
            assert_eq!(registered.admits(named), same, "{registered:?} {named}");
        }
    }
}
