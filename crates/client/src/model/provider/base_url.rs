//! Where a provider is.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

/// A provider's base URL: https, or http to this machine; with exactly one slash at its end, and
/// otherwise as written: no version is added to it.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Where plain http will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// To this machine only.
    Loopback,
    /// Anywhere: whoever is on the way reads the key and everything that is said.
    DangerAnywhere,
}

/// No base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It cannot be read.
    #[error("this is no URL: {0}")]
    Malformed(#[from] url::ParseError),
    /// It is neither https nor http.
    #[error("`{0}:` is no way to a provider: write https, or http for one on this machine")]
    Scheme(String),
    /// http to another machine.
    #[error("the key would go to `{0}` in the clear: write https")]
    InTheClear(String),
    /// User and password have another place.
    #[error("a URL is shown in messages, so it may hold no user and no password")]
    Credentials,
    /// Paths are appended to it.
    #[error("it may have no query and no fragment, since paths are appended to it")]
    Query,
}

impl BaseUrl {
    /// Reads a base URL.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text.trim())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        match url.scheme() {
            "https" => {}
            "http" if plain_http == PlainHttp::DangerAnywhere || is_loopback(&url) => {}
            "http" => {
                let host = url.host_str().unwrap_or_default().to_owned();
                return Err(BaseUrlError::InTheClear(host));
            }
            other => return Err(BaseUrlError::Scheme(other.to_owned())),
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self(url))
    }

    /// As it is used.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL below it. What the segments hold is escaped: no segment leaves its place.
    pub(crate) fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_one_slash_and_is_otherwise_as_written() {
        for (written, used) in [
            ("https://api.example.com", "https://api.example.com/"),
            ("https://api.example.com/v1", "https://api.example.com/v1/"),
            ("https://api.example.com/v1///", "https://api.example.com/v1/"),
            (" http://localhost:11434/v1 ", "http://localhost:11434/v1/"),
            ("http://127.0.0.1:4010/", "http://127.0.0.1:4010/"),
            ("http://[::1]:4010/", "http://[::1]:4010/"),
        ] {
            let url = BaseUrl::parse(written, PlainHttp::Loopback).unwrap();
            assert_eq!(url.as_str(), used, "{written}");
        }
    }

    #[test]
    fn a_key_goes_to_no_other_machine_in_the_clear() {
        for written in ["http://10.0.0.5:8000/v1", "http://localhost.example.com/v1"] {
            let refused = BaseUrl::parse(written, PlainHttp::Loopback).unwrap_err();
            assert!(matches!(refused, BaseUrlError::InTheClear(_)), "{written}");
            assert!(BaseUrl::parse(written, PlainHttp::DangerAnywhere).is_ok(), "{written}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for written in [
            "",
            "api.example.com",
            "ftp://api.example.com",
            "https://user:secret@api.example.com/",
            "https://api.example.com/v1?key=secret",
            "https://api.example.com/v1#x",
        ] {
            let refused = BaseUrl::parse(written, PlainHttp::Loopback).unwrap_err();
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_segment_stays_a_segment() {
        let base = BaseUrl::parse("https://api.example.com/v1beta", PlainHttp::Loopback).unwrap();
        let url = base.below(&["models", "../../evil?x=y#z:streamGenerateContent"]);
        let expected =
            "https://api.example.com/v1beta/models/..%2F..%2Fevil%3Fx=y%23z:streamGenerateContent";
        assert_eq!(url.as_str(), expected);
        assert_eq!(base.below(&["models"]).as_str(), "https://api.example.com/v1beta/models");
    }
}
