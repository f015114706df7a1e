//! What it costs to know who is asking: a token seen before, a token seen for the first time, and
//! the RSA operation that the latter cannot do without.
//!
//! `cargo bench -p tests --bench token`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run should fail loudly")]

use criterion::{Criterion, criterion_group, criterion_main};
use harness::{Forge, Signer};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::json;
use sidecar::testing::Verifier;

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "https://gate.example.com/mcp";

fn token(criterion: &mut Criterion) {
    let forge = Forge::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let verifier = runtime.block_on(Verifier::new(ISSUER, AUDIENCE, &forge.jwks_file())).unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let claims = json!({
        "iss": ISSUER, "sub": "a-subject-of-some-length", "aud": AUDIENCE, "client_id": "client",
        "scope": "customer:read ticket:create account:calculate", "iat": now, "exp": now + 3600,
        "jti": "9b2f6a52-0a37-4c3c-9d4e-0d8f2a1c7f11",
        "groups": ["engineering", "support", "on-call", "everyone"],
    });
    let header = r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#;
    let token = forge.sign(Signer::Rsa(Algorithm::RS256), header, &claims.to_string());
    let authorization = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let accepted = |anew| futures::executor::block_on(verifier.accepts(&authorization, anew));
    assert!(accepted(true) && accepted(false));

    let mut group = criterion.benchmark_group(format!("a token of {} bytes", token.len()));
    group.bench_function("seen before", |b| b.iter(|| assert!(accepted(false))));
    group.bench_function("seen for the first time", |b| b.iter(|| assert!(accepted(true))));

    let (input, signature) = token.rsplit_once('.').unwrap();
    let jwk = serde_json::from_value(forge.public("rsa")).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let verify = || {
        jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, Algorithm::RS256).unwrap()
    };
    group.bench_function("the RSA operation alone", |b| b.iter(|| assert!(verify())));
    group.finish();
}

criterion_group!(benches, token);
criterion_main!(benches);
