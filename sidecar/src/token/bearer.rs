//! How an access token arrives: in the one `Authorization` header and nowhere else (RFC 6750
//! section 2.1, MCP 2026-07-28 authorization).

use std::fmt;

use http::{HeaderMap, Uri, header};

use crate::rejection::Rejection;

/// An access token as it came. It is consumed by verification, has no `Clone`, and shows nothing
/// of itself.
pub struct BearerToken {
    text: String,
    scheme: Scheme,
}

/// How the caller says that it holds the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 6750: whoever bears it.
    Bearer,
    /// RFC 9449 section 7.1: whoever proves possession of its key.
    Dpop,
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

impl BearerToken {
    /// Takes the token from the one `Authorization` header; nothing else may carry one
    /// (RFC 6750 section 2.1, MCP 2026-07-28 authorization).
    pub(crate) fn from_request(uri: &Uri, headers: &HeaderMap) -> Result<Self, Rejection> {
        let in_query = uri.query().unwrap_or_default().split('&').any(|pair| {
            pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("access_token"))
        });
        if in_query {
            return Err(Rejection::TokenInQuery);
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Rejection::NoToken)?;
        if values.next().is_some() {
            return Err(Rejection::SeveralCredentials);
        }
        let text = value.to_str().map_err(|_| Rejection::MalformedToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(Rejection::NoToken)?;
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
            s if s.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
            _ => return Err(Rejection::NoToken),
        };
        let token = token.trim_matches(' ');
        // RFC 6750 section 2.1, b64token.
        let of_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(of_token) {
            return Err(Rejection::MalformedToken);
        }
        Ok(Self { text: token.to_owned(), scheme })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }
}

/// Two hundred groups make twelve kilobytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn extract(uri: &'static str, values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        BearerToken::from_request(&Uri::from_static(uri), &headers)
            .map(|token| token.text)
            .map_err(|rejection| rejection.reason())
    }

    #[test]
    fn the_token_comes_from_one_bearer_header() {
        assert_eq!(extract("/mcp", &["Bearer a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(extract("/mcp", &["bEARER  a.b.c "]), Ok("a.b.c".to_owned()));
        for (uri, values, reason) in [
            ("/mcp", vec![], "no-token"),
            ("/mcp", vec!["Basic a.b.c"], "no-token"),
            ("/mcp", vec!["Bearer"], "no-token"),
            ("/mcp", vec!["Bearer "], "malformed-token"),
            ("/mcp", vec!["Bearer a b"], "malformed-token"),
            ("/mcp", vec!["Bearer a.b.c, Bearer d.e.f"], "malformed-token"),
            ("/mcp", vec!["Bearer a.b.c", "Bearer a.b.c"], "several-credentials"),
            ("/mcp?access_token=a.b.c", vec!["Bearer a.b.c"], "token-in-query"),
            ("/mcp?x=1&ACCESS_TOKEN=a", vec![], "token-in-query"),
        ] {
            assert_eq!(extract(uri, &values), Err(reason), "{uri} {values:?}");
        }
        assert_eq!(
            extract("/mcp", &[&format!("Bearer {}", "a".repeat(17_000))]),
            Err("malformed-token")
        );
    }

    #[test]
    fn a_token_shows_nothing_of_itself() {
        assert_eq!(
            format!("{:?}", BearerToken { text: "secret".to_owned(), scheme: Scheme::Bearer }),
            "BearerToken(redacted)"
        );
    }
}
