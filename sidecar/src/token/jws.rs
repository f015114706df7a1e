//! A signed token in compact form (RFC 7515 section 3.1), read strictly: three segments of canonical
//! base64url, a header and a payload that are JSON objects without repeated names.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use super::key_table::VerifyingKey;
use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// A token whose parts could be read. Nothing of it is believed yet.
pub(super) struct Jws<'t> {
    pub(super) header: JoseHeader,
    signing_input: &'t str,
    signature: &'t str,
    payload: &'t str,
}

/// What the header of a token may say. Where a key could be had from (`jku`, `x5u`, `jwk`, `x5c`)
/// is not even read (RFC 8725 section 3.10).
pub(super) struct JoseHeader {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    /// All the others, for proofs that bring their own key.
    pub(super) members: Object,
}

impl<'t> Jws<'t> {
    pub(super) fn read(token: &'t str) -> Result<Self, Rejection> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Rejection::MalformedToken)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Rejection::MalformedToken)?;
        // Five segments are an encrypted token, which nobody but its issuer could have meant for us.
        if payload.contains('.') || decoded(signature).is_none() {
            return Err(Rejection::MalformedToken);
        }
        let header = JoseHeader::read(header)?;
        Ok(Self { header, signing_input, signature, payload })
    }

    /// The payload as claimed, for choosing whose keys to ask for.
    ///
    /// Reading it before the signature is verified costs a stranger as much as us, and nothing is
    /// decided by it: what verifies is this same text.
    pub(super) fn claimed(&self) -> Result<Object, Rejection> {
        let bytes = decoded(self.payload).ok_or(Rejection::MalformedToken)?;
        match Json::read_answer(&bytes) {
            Ok(Json::Object(claims)) => Ok(claims),
            _ => Err(Rejection::MalformedClaims),
        }
    }

    /// Whether `key` made the signature with `algorithm`, which the caller has chosen, not the
    /// token (RFC 8725 section 3.1).
    pub(super) fn is_signed_by(&self, key: &VerifyingKey, algorithm: Algorithm) -> bool {
        key.admits(algorithm)
            && jsonwebtoken::crypto::verify(
                self.signature,
                self.signing_input.as_bytes(),
                key.as_decoding_key(),
                algorithm,
            )
            .unwrap_or(false)
    }
}

impl JoseHeader {
    fn read(segment: &str) -> Result<Self, Rejection> {
        let bytes = decoded(segment).ok_or(Rejection::MalformedToken)?;
        let Ok(Json::Object(mut members)) = Json::read(&bytes) else {
            return Err(Rejection::MalformedToken);
        };
        // RFC 7515 section 4.1.11: what must be understood and is not must be refused. `b64` is
        // such an extension whether it is named as critical or not (RFC 7797 section 6).
        if members.get("crit").is_some() || members.get("b64").is_some() {
            return Err(Rejection::MalformedToken);
        }
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(Rejection::MalformedToken),
        };
        let (alg, typ, kid) = (text("alg")?, text("typ")?, text("kid")?);
        let alg = alg.ok_or(Rejection::MalformedToken)?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(Rejection::MalformedToken);
        }
        Ok(Self { alg, typ, kid, members })
    }
}

/// Canonical base64url only (RFC 7515 section 2): no padding, no stray bits at the end.
pub(super) fn decoded(segment: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(segment).ok()
}

/// Key ids are thumbprints and dates; this one ends up in a look-up.
const MAX_KID_BYTES: usize = 256;
