//! Is it their token? Proof of possession for tokens that are bound to a key: by DPoP (RFC 9449) or
//! by a client certificate (RFC 8705).
//!
//! A bound token counts for nobody who cannot prove possession, whatever is configured; and an
//! issuer may be held to issue no other.

use std::sync::Arc;

use aws_lc_rs::{
    constant_time,
    digest::{SHA256, digest},
};
use axum_server::tls::TlsInfo;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;

use super::{bearer::Scheme, dpop::ProofChecker};
use crate::{
    config::ProofOfPossession,
    message::json::{Json, Object},
    rejection::Rejection,
};

/// To what a token is bound (RFC 7800 section 3): each that is named must be proven.
#[derive(Debug, Clone, Default)]
pub(super) struct Confirmation {
    /// Thumbprint of a DPoP key (RFC 9449 section 6.1).
    jkt: Option<String>,
    /// Thumbprint of a certificate (RFC 8705 section 3.1).
    certificate: Option<String>,
}

impl Confirmation {
    /// Reads `cnf`. A method that is not known here cannot be checked, so the token is refused.
    pub(super) fn read(claims: &Object) -> Result<Self, Rejection> {
        let mut confirmation = Self::default();
        let methods = match claims.get("cnf") {
            None => return Ok(confirmation),
            Some(Json::Object(methods)) => methods,
            Some(_) => return Err(Rejection::MalformedClaims),
        };
        for (method, value) in methods.iter() {
            let thumbprint = value.as_str().filter(|text| text.len() == THUMBPRINT_CHARACTERS);
            let thumbprint = thumbprint.ok_or(Rejection::MalformedClaims)?.to_owned();
            match method {
                "jkt" => confirmation.jkt = Some(thumbprint),
                "x5t#S256" => confirmation.certificate = Some(thumbprint),
                _ => return Err(Rejection::MalformedClaims),
            }
        }
        let names_one = confirmation.jkt.is_some() || confirmation.certificate.is_some();
        if names_one { Ok(confirmation) } else { Err(Rejection::MalformedClaims) }
    }

    /// Whether the token is bound as its issuer's configuration demands.
    pub(super) fn satisfies(&self, demanded: ProofOfPossession) -> Result<(), Rejection> {
        match demanded {
            ProofOfPossession::Dpop if self.jkt.is_none() => Err(Rejection::NoProof),
            ProofOfPossession::Certificate if self.certificate.is_none() => {
                Err(Rejection::WrongCertificate)
            }
            _ => Ok(()),
        }
    }

    /// Holds the request against what the token is bound to.
    pub(super) fn require(
        &self,
        head: &Parts,
        scheme: Scheme,
        token: &str,
        proofs: &ProofChecker,
    ) -> Result<(), Rejection> {
        if let Some(thumbprint) = &self.certificate {
            let tls = head.extensions.get::<Arc<TlsInfo>>();
            let certificate = tls.and_then(|tls| tls.peer_certificates.first());
            let certificate = certificate.ok_or(Rejection::WrongCertificate)?;
            if !is_same(&thumbprint_of(certificate), thumbprint) {
                return Err(Rejection::WrongCertificate);
            }
        }
        match (&self.jkt, scheme) {
            // RFC 9449 section 7.1: a bound token is no bearer token, and the reverse.
            (Some(_), Scheme::Bearer) => Err(Rejection::NoProof),
            (None, Scheme::Dpop) => Err(Rejection::InvalidProof),
            (None, Scheme::Bearer) => Ok(()),
            (Some(jkt), Scheme::Dpop) => proofs.require(head, token, jkt),
        }
    }
}

/// SHA-256 in base64url.
pub(super) fn thumbprint_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

pub(super) fn is_same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Thirty-two bytes in base64url.
const THUMBPRINT_CHARACTERS: usize = 43;
