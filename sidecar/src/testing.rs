//! What benchmarks and fuzz targets reach of the inside; no part of the product (feature
//! `testing`).

use std::path::Path;

use http::{HeaderMap, HeaderValue, Uri, header};

use serde_json::Value;

pub use crate::telemetry::Measured;

use crate::{
    Gate, StartError,
    answer::EventReader,
    authz::{Asker, Circumstances, Lock, Policies, offer::Offer, schema::schema_of, tryout::Trial},
    config::{Config, IssuerConfig, ResourceConfig},
    message::{Envelope, Message, json::Json},
    token::{
        ALGORITHMS, BearerToken, Claims, Revocations, Supposed, TokenVerifier, read_key_set,
        read_token,
    },
};

/// Verifies tokens of one issuer whose keys are in a file.
#[derive(Debug)]
pub struct Verifier(TokenVerifier);

impl Verifier {
    /// A verifier for tokens of `issuer` that are meant for `audience`.
    pub async fn new(issuer: &str, audience: &str, jwks: &Path) -> Option<Self> {
        let issuer = IssuerConfig::usual(issuer, jwks.to_owned());
        let resource = ResourceConfig::at(audience)?;
        let revocations = Revocations::load(None).ok()?;
        let verifier = TokenVerifier::new(&[issuer], &resource, revocations).ok()?;
        for keys in verifier.key_sets() {
            keys.fetch_first().await.ok()?.ok()?;
        }
        Some(Self(verifier))
    }

    /// Whether the token in this `Authorization` header is good. Nothing is known of tokens seen
    /// before when `anew`.
    pub async fn accepts(&self, authorization: &HeaderValue, anew: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.clone());
        let Ok(token) = BearerToken::from_request(&Uri::from_static("/mcp"), &headers) else {
            return false;
        };
        if anew {
            self.0.forget_known();
        }
        let (head, ()) = http::Request::new(()).into_parts();
        self.0.verify(token, &head).await.is_ok()
    }
}

/// A gate ready to serve. Without a ledger it forwards what is on no record: for comparison alone.
pub async fn gate(config: &Config, with_ledger: bool) -> Result<Gate, StartError> {
    if with_ledger {
        return Gate::prepare(config).await;
    }
    let gate = Gate::assemble(config)?;
    gate.fetch_keys().await?;
    Ok(gate)
}

/// The Cedar schema and the lock of a server that offers this (a `tools/list`, or its list).
pub fn schema_and_lock(offered: &Value) -> Option<(String, String)> {
    let offer = Offer::read(offered).ok()?;
    let schema = schema_of(&offer);
    let lock = Lock::of("customers", offer).to_text().ok()?;
    Some((schema, lock))
}

/// Takes a token from an `Authorization` header and a request target.
pub fn bearer_header(target: &[u8], values: &[&[u8]]) {
    let Ok(uri) = Uri::try_from(target) else { return };
    let mut headers = HeaderMap::new();
    for value in values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    let several = headers.get_all(header::AUTHORIZATION).iter().count() > 1;
    if let Ok(token) = BearerToken::from_request(&uri, &headers) {
        assert!(!several, "two headers, one token");
        assert!(!format!("{token:?}").contains("eyJ"), "a token shows nothing of itself");
    }
}

/// Reads the header and claims of a token.
pub fn token(text: &str) {
    read_token(text);
}

/// Reads a key set, for every algorithm that can be configured.
pub fn key_set(text: &[u8]) {
    read_key_set(text, &ALGORITHMS.map(|(_, algorithm)| algorithm));
}

/// Reads JSON and writes it; what was written must be read as the same.
pub fn json(text: &[u8]) {
    let Ok(value) = Json::read(text) else { return };
    let mut written = Vec::new();
    value.write(&mut written);
    assert_eq!(Json::read(&written), Ok(value), "what was written is what was read");
}

/// Reads an event stream, whole and byte by byte, which must be the same; what is written must be
/// read as the same.
pub fn event_stream(text: &[u8]) {
    let relayed = |most: usize, chunks: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = EventReader::new(most);
        let mut out = Vec::new();
        for chunk in chunks {
            reader.read(chunk).ok()?.iter().for_each(|event| event.write(&mut out));
        }
        Some(out)
    };
    let whole = relayed(FUZZED_EVENT_BYTES, &mut std::iter::once(text));
    assert_eq!(
        whole,
        relayed(FUZZED_EVENT_BYTES, &mut text.chunks(1)),
        "chunks make no difference"
    );
    if let Some(whole) = whole {
        let again = relayed(usize::MAX, &mut std::iter::once(&whole[..]));
        assert_eq!(again, Some(whole), "written, then read");
    }
}

/// Small enough that inputs reach it.
const FUZZED_EVENT_BYTES: usize = 256;

/// Policies in a folder, asked about one call again and again.
pub struct Decider {
    policies: Policies,
    claims: Claims,
    circumstances: Circumstances,
}

impl std::fmt::Debug for Decider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decider").field("policies", &self.policies).finish_non_exhaustive()
    }
}

/// A message that is ready to be decided about.
#[derive(Debug)]
pub struct Call(Message);

impl Decider {
    /// Loads what the configuration names, for a caller with these scopes.
    pub fn new(config: &Config, scopes: &[&str]) -> Result<Self, String> {
        let policies = Policies::load(config).map_err(|error| error.for_people(false))?;
        let who = Supposed {
            iss: "https://issuer.example.com".to_owned(),
            sub: "a-subject-of-some-length".to_owned(),
            client_id: "client".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            groups: ["engineering", "support"].map(str::to_owned).into(),
            ..Supposed::default()
        };
        let trial = Trial { who: who.clone(), ..Trial::default() };
        let circumstances = trial.circumstances();
        Ok(Self { policies, claims: Claims::supposed(who), circumstances })
    }

    /// Reads a message as the gate would.
    pub fn call(body: &[u8]) -> Option<Call> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(Call(Envelope::read(&headers, body).ok()?.confirmed_by(&headers).ok()?))
    }

    /// Whether it is permitted.
    pub fn permits(&self, Call(message): Call) -> bool {
        let asker = Asker { claims: &self.claims, circumstances: &self.circumstances };
        self.policies.authorize(&asker, message).outcome.is_ok()
    }
}
