//! Parameters of a query or a form; only `resource` may stand more than once.

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

use crate::refusal::Refusal;

/// Names and values in order; a parameter without a value counts as left out (RFC 6749
/// section 3.1).
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// A parameter stands twice (RFC 6749 sections 3.1 and 3.2).
#[derive(Debug)]
pub(crate) struct Repeated;

impl Parameters {
    pub(crate) fn from_form(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let essence = media_type.and_then(|m| m.split(';').next()).map(str::trim);
        if !essence.is_some_and(|e| e.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            return Err(Refusal::InvalidRequest(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        Self::parse(body).map_err(|Repeated| Refusal::InvalidRequest("a parameter is repeated"))
    }

    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let parameters: Vec<(String, String)> =
            form_urlencoded::parse(encoded).into_owned().filter(|(_, v)| !v.is_empty()).collect();
        for (position, (name, _)) in parameters.iter().enumerate() {
            let again = parameters.iter().skip(position + 1).any(|(other, _)| other == name);
            if again && name != "resource" {
                return Err(Repeated);
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The parameters, encoded in the one way that browsers do not change.
    pub(crate) fn encoded(&self) -> String {
        self.without("")
    }

    /// The parameters but one.
    pub(crate) fn without(&self, name: &str) -> String {
        let kept = self.0.iter().filter(|(n, _)| n != name);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }
}
