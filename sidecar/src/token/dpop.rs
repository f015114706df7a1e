//! DPoP proofs (RFC 9449): a fresh signature over this request by the key the token is bound to.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{
    algorithms::{PROOF_ALGORITHMS, named},
    claims::{Seconds, now},
    jws::Jws,
    key_table::VerifyingKey,
    known::{TokenDigest, digest_of},
    proof::{is_same, thumbprint_of},
};
use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// Checks proofs for one resource, each once.
pub(super) struct ProofChecker {
    /// What `htu` must name; never taken from the request.
    resource: Url,
    seen: SeenProofs,
    nonces: Option<Nonces>,
}

impl std::fmt::Debug for ProofChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofChecker").field("resource", &self.resource).finish_non_exhaustive()
    }
}

impl ProofChecker {
    pub(super) fn new(resource: &Url, nonces: Option<Nonces>) -> Self {
        Self { resource: resource.clone(), seen: SeenProofs::new(), nonces }
    }

    /// RFC 9449 section 4.3, in its order.
    pub(super) fn require(&self, head: &Parts, token: &str, jkt: &str) -> Result<(), Rejection> {
        let mut proofs = head.headers.get_all("dpop").iter();
        let proof = proofs.next().ok_or(Rejection::NoProof)?;
        if proofs.next().is_some() || proof.len() > MAX_PROOF_BYTES {
            return Err(Rejection::InvalidProof);
        }
        let proof = proof.to_str().map_err(|_| Rejection::InvalidProof)?;
        let jws = Jws::read(proof).map_err(|_| Rejection::InvalidProof)?;
        if jws.header.typ.as_deref() != Some("dpop+jwt") {
            return Err(Rejection::InvalidProof);
        }
        let signer = Signer::of(&jws.header.alg, &jws.header.members)?;
        if !is_same(&signer.thumbprint, jkt) || !jws.is_signed_by(&signer.key, signer.algorithm) {
            return Err(Rejection::InvalidProof);
        }
        let claims = jws.claimed().map_err(|_| Rejection::InvalidProof)?;
        self.fits(head, token, &claims)?;
        self.has_nonce(&claims)?;
        let jti = text(&claims, "jti").filter(|jti| !jti.is_empty());
        let jti = jti.ok_or(Rejection::InvalidProof)?;
        self.seen.admit(digest_of(&format!("{jkt} {jti}")))
    }

    /// Whether the proof is about this request, with this token, now.
    fn fits(&self, head: &Parts, token: &str, claims: &Object) -> Result<(), Rejection> {
        let method = text(claims, "htm") == Some(head.method.as_str());
        let target = text(claims, "htu").and_then(|htu| Url::parse(htu).ok());
        let target = target.is_some_and(|mut htu| {
            htu.set_query(None);
            htu.set_fragment(None);
            htu == self.resource
        });
        let hash = text(claims, "ath");
        let hash = hash.is_some_and(|ath| is_same(ath, &thumbprint_of(token.as_bytes())));
        let made = match claims.get("iat") {
            Some(Json::Number(number)) => number.scaled(3).map(|ms| ms / 1000),
            _ => None,
        };
        let recent = made.is_some_and(|made| now().abs_diff(made) <= WINDOW_SECONDS);
        if method && target && hash && recent { Ok(()) } else { Err(Rejection::InvalidProof) }
    }

    fn has_nonce(&self, claims: &Object) -> Result<(), Rejection> {
        let nonce = text(claims, "nonce");
        match &self.nonces {
            Some(nonces) if !nonce.is_some_and(|nonce| nonces.accepts(nonce)) => {
                Err(Rejection::UseNonce { nonce: nonces.current() })
            }
            _ => Ok(()),
        }
    }
}

/// The key that a proof brings along; what matters is that the token is bound to it.
struct Signer {
    key: VerifyingKey,
    algorithm: Algorithm,
    thumbprint: String,
}

impl Signer {
    fn of(alg: &str, header: &Object) -> Result<Self, Rejection> {
        let Some(Json::Object(jwk)) = header.get("jwk") else {
            return Err(Rejection::InvalidProof);
        };
        // Somebody's private key in a header would prove nothing any more.
        if PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some()) {
            return Err(Rejection::InvalidProof);
        }
        let algorithm = named(&PROOF_ALGORITHMS, alg).ok_or(Rejection::InvalidProof)?;
        let thumbprint = thumbprint(jwk).ok_or(Rejection::InvalidProof)?;
        let mut text = Vec::new();
        jwk.write(&mut text);
        let jwk: Value = serde_json::from_slice(&text).map_err(|_| Rejection::InvalidProof)?;
        let key = VerifyingKey::new(&jwk, &[algorithm]).ok_or(Rejection::InvalidProof)?;
        Ok(Self { key, algorithm, thumbprint })
    }
}

/// RFC 7638 section 3: the required members in the order of their names.
fn thumbprint(jwk: &Object) -> Option<String> {
    let names: &[&str] = match text(jwk, "kty")? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut canonical = Object::default();
    for name in names {
        canonical.set(name, Json::from(text(jwk, name)?));
    }
    let mut text = Vec::new();
    canonical.write(&mut text);
    Some(thumbprint_of(&text))
}

fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Proofs seen within the window in which they could be sent again.
struct SeenProofs(Mutex<Generations>);

struct Generations {
    began: Instant,
    current: HashSet<TokenDigest>,
    before: HashSet<TokenDigest>,
}

impl SeenProofs {
    fn new() -> Self {
        let (current, before) = (HashSet::new(), HashSet::new());
        Self(Mutex::new(Generations { began: Instant::now(), current, before }))
    }

    /// Admits a proof once. What was seen is remembered for as long as a proof is good at least;
    /// when there is no room left to remember, nothing is admitted.
    fn admit(&self, proof: TokenDigest) -> Result<(), Rejection> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.began.elapsed() >= GENERATION {
            seen.before = std::mem::take(&mut seen.current);
            seen.began = Instant::now();
        }
        if seen.before.contains(&proof) || seen.current.contains(&proof) {
            return Err(Rejection::ReplayedProof);
        }
        if seen.current.len() >= MAX_PROOFS {
            return Err(Rejection::Overloaded);
        }
        seen.current.insert(proof);
        Ok(())
    }
}

/// Nonces of our own making, so that a proof cannot have been made before it was asked for. None
/// is stored: each is a keyed hash of the time.
pub(super) struct Nonces(hmac::Key);

impl Nonces {
    /// Under a key that nobody knows, made anew at each start.
    pub(super) fn new() -> Option<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        hmac::Key::generate(hmac::HMAC_SHA256, &random).ok().map(Self)
    }

    fn current(&self) -> String {
        self.of(now() / NONCE_SECONDS)
    }

    fn accepts(&self, nonce: &str) -> bool {
        let period = now() / NONCE_SECONDS;
        [period, period - 1].into_iter().any(|period| is_same(nonce, &self.of(period)))
    }

    fn of(&self, period: Seconds) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &period.to_be_bytes()))
    }
}

const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// An RSA key and its signature take less than two kilobytes.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// How far a proof's time may be from ours, before or after (MCP's DPoP extension: five minutes).
const WINDOW_SECONDS: u64 = 300;
/// A proof is good for twice the window: from the earliest time to the latest.
const GENERATION: Duration = Duration::from_secs(2 * WINDOW_SECONDS + 1);
/// Thirty-two bytes each, in two generations.
const MAX_PROOFS: usize = 500_000;
const NONCE_SECONDS: Seconds = 120;
