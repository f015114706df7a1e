//! Headers that repeat the body: read strictly on the way in, written from the body on the way out.
//!
//! A value is visible ASCII, or `=?base64?…?=` around the base64 of its UTF-8
//! (MCP 2026-07-28, streamable HTTP, value encoding).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::rejection::Rejection;

pub(crate) const PROTOCOL_VERSION: &str = "mcp-protocol-version";
pub(crate) const METHOD: &str = "mcp-method";
pub(crate) const NAME: &str = "mcp-name";
/// Legacy.
pub(crate) const SESSION: &str = "mcp-session-id";
/// Legacy: where a broken stream is taken up again (WHATWG HTML, section 9.2.4).
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";
pub(crate) const PARAM_PREFIX: &str = "mcp-param-";

/// The value of a header that may stand at most once.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    decoded_single(headers.get_all(name).iter(), name)
}

/// The same of a header whose name the caller chose.
pub(crate) fn single_of<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    decoded_single(headers.get_all(name).iter(), "mcp-param-*")
}

fn decoded_single<'a>(
    mut values: impl Iterator<Item = &'a HeaderValue>,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Rejection::RepeatedHeader(name));
    }
    let text = value.to_str().map_err(|_| Rejection::HeaderMismatch(name))?;
    decoded(text.trim_matches([' ', '\t'])).map(Some).ok_or(Rejection::HeaderMismatch(name))
}

/// The header value that carries `text`.
pub(crate) fn encoded(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
        && text.trim_matches([' ', '\t']).len() == text.len()
        && !text.starts_with(OPEN);
    if plain {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::try_from(format!("{OPEN}{}{CLOSE}", STANDARD.encode(text))).ok()
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Some(Cow::Borrowed(text));
    };
    String::from_utf8(STANDARD.decode(inner).ok()?).ok().map(Cow::Owned)
}

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(NAME, HeaderValue::from_str(value).unwrap());
        single(&headers, NAME).map(|v| v.map(Cow::into_owned)).map_err(|r| r.reason())
    }

    #[test]
    fn values_come_back_as_they_were() {
        for text in
            ["search", "Ünïcode tool/1", " leading", "=?base64?eA==?=", "", "a\tb", "\u{7f}"]
        {
            let header = encoded(text).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(NAME, header);
            assert_eq!(single(&headers, NAME).unwrap().unwrap(), text, "{text:?}");
        }
    }

    #[test]
    fn surrounding_space_is_no_part_of_the_value() {
        assert_eq!(read(" \tsearch\t ").unwrap().unwrap(), "search");
    }

    #[test]
    fn broken_or_sloppy_base64_is_no_value() {
        for value in ["=?base64?e?=", "=?base64?eB==?=", "=?base64?/w==?=", "=?base64?_w==?="] {
            assert_eq!(read(value), Err("header-mismatch"), "{value}");
        }
    }

    #[test]
    fn a_repeated_header_is_refused_also_when_equal() {
        let mut headers = HeaderMap::new();
        headers.append(NAME, HeaderValue::from_static("a"));
        headers.append(NAME, HeaderValue::from_static("a"));
        assert_eq!(single(&headers, NAME).unwrap_err().reason(), "repeated-header");
    }
}
