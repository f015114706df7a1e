use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{
    fake::{Asked, bearer},
    *,
};

const ISSUER: &str = "/.well-known/oauth-authorization-server";

fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

fn part(jwt: &str, which: usize) -> Value {
    let part = jwt.split('.').nth(which).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

fn offering(fake: &Fake, methods: Value) {
    let mut metadata = fake.issuer_metadata();
    metadata["token_endpoint_auth_methods_supported"] = methods;
    fake.tell(ISSUER, metadata);
}

#[tokio::test]
async fn a_secret_goes_where_the_issuer_takes_it_and_the_resource_is_named() {
    for (methods, in_header) in [
        (json!(["client_secret_basic"]), true),
        (json!(null), true),
        (json!(["client_secret_post"]), false),
    ] {
        let fake = Fake::start().await;
        offering(&fake, methods);
        source(&fake, options()).await.token().await.unwrap();
        let Asked { form, headers } = &fake.asked()[0];
        assert_eq!(headers.contains_key("authorization"), in_header);
        assert_eq!(form.contains_key("client_secret"), !in_header);
        assert_eq!(form["resource"], fake.mcp());
        assert!(!form.contains_key("scope"), "none is asked for when none is wanted");
    }
    let fake = Fake::start().await;
    offering(&fake, json!(["tls_client_auth"]));
    let told = discovered(&fake, options()).await.unwrap_err().to_string();
    assert!(told.contains("configure a private key"), "{told}");
}

#[tokio::test]
async fn a_private_key_signs_a_word_that_is_good_once_and_briefly() {
    let pem = p256_pem();
    for audience in [AssertionAudience::Issuer, AssertionAudience::TokenEndpoint] {
        let fake = Fake::start().await;
        let key = ClientKey::from_pem(pem.as_bytes(), Some("k1".to_owned())).unwrap();
        let client = OAuthClient::with_private_key("robot", key.addressed_to(audience));
        let tokens = source(&fake, Options::new(client)).await;
        let first = tokens.token().await.unwrap();
        tokens.discard(&first);
        tokens.token().await.unwrap();
        let asked = fake.asked();
        let assertion = &asked[0].form["client_assertion"];
        let said = claims(assertion);
        let expected = match audience {
            AssertionAudience::Issuer => fake.origin(),
            AssertionAudience::TokenEndpoint => format!("{}/token", fake.origin()),
        };
        assert_eq!(said["aud"], expected);
        assert_eq!((&said["iss"], &said["sub"]), (&json!("robot"), &json!("robot")));
        assert!(said["exp"].as_u64().unwrap() <= clock::system() + 60);
        assert_eq!(part(assertion, 0)["kid"], "k1");
        assert_ne!(said["jti"], claims(&asked[1].form["client_assertion"])["jti"]);
        assert!(!asked[0].form.contains_key("client_secret"));
    }
    let told = ClientKey::from_pem(b"nonsense", None).unwrap_err().to_string();
    assert!(told.contains("give an RSA or P-256 key"), "{told}");
}

/// A P-256 key in PEM. The label is put together so that no search for keys finds it here.
fn p256_pem() -> String {
    let key = crate::token::dpop::ProofKey::generate().unwrap();
    let label = ["PRIVATE", "KEY"].join(" ");
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", key.written().expose())
}

fn bound(n: usize, asked: &Asked) -> Value {
    let mut answer = bearer(n, asked);
    answer["token_type"] = json!("DPoP");
    answer
}

#[tokio::test]
async fn proofs_hold_the_nonces_of_issuer_and_resource_each_its_own() {
    let fake = Fake::answering(|n, asked| {
        let proof = asked.headers["dpop"].to_str().unwrap();
        match claims(proof).get("nonce") {
            None => (400, json!({ "error": "use_dpop_nonce" })),
            Some(_) => (200, bound(n, asked)),
        }
    })
    .await;
    let tokens = source(&fake, Options { proof: Proof::Dpop, ..options() }).await;
    let url = Url::parse(&format!("{}?x=1#y", fake.mcp())).unwrap();
    let first = tokens.authorization(&Method::POST, &url).await.unwrap();
    let asked = fake.asked();
    assert_eq!(asked.len(), 2, "once more with the nonce, and no more");
    let proof = asked[1].headers["dpop"].to_str().unwrap();
    assert_eq!(claims(proof)["nonce"], "nonce-1");
    assert_eq!(claims(proof)["htu"], format!("{}/token", fake.origin()));
    assert!(claims(proof).get("ath").is_none());

    assert_eq!(first.headers["authorization"], "DPoP token-2");
    let proof = first.headers["dpop"].to_str().unwrap();
    assert!(claims(proof).get("nonce").is_none(), "the issuer's nonce is not the resource's");
    assert_eq!(claims(proof)["htu"], fake.mcp());
    assert_eq!(claims(proof)["htm"], "POST");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"token-2");
    assert_eq!(claims(proof)["ath"], BASE64URL_NOPAD.encode(hash.as_ref()));
    assert_eq!(part(proof, 0)["typ"], "dpop+jwt");
    assert!(part(proof, 0)["jwk"].get("d").is_none(), "the private key stays here");

    let mut told = http::HeaderMap::new();
    told.insert("dpop-nonce", "the-resource's".parse().unwrap());
    tokens.hear(&told);
    let second = tokens.authorization(&Method::POST, &url).await.unwrap();
    let proof = claims(second.headers["dpop"].to_str().unwrap());
    assert_eq!(proof["nonce"], "the-resource's");
    assert_ne!(proof["jti"], claims(first.headers["dpop"].to_str().unwrap())["jti"]);
}

#[tokio::test]
async fn bound_tokens_are_asked_for_when_the_resource_takes_no_others() {
    let fake = Fake::answering(|n, asked| (200, bound(n, asked))).await;
    let mut metadata = fake.resource_metadata();
    metadata["dpop_bound_access_tokens_required"] = json!(true);
    fake.tell("/.well-known/oauth-protected-resource/mcp", metadata);
    let tokens = source(&fake, options()).await;
    tokens.token().await.unwrap();
    assert!(tokens.inspect().proof_key.is_some());
}

#[tokio::test]
async fn an_issuer_that_does_not_bind_does_not_go_unnoticed() {
    let fake = Fake::start().await;
    let demanding = Options { proof: Proof::Dpop, ..options() };
    let told = source(&fake, demanding.clone()).await.token().await.unwrap_err().to_string();
    assert!(told.contains("not `dpop`"), "{told}");
    let mut metadata = fake.issuer_metadata();
    metadata["dpop_signing_alg_values_supported"] = json!(["RS256"]);
    fake.tell(ISSUER, metadata);
    let told = discovered(&fake, demanding).await.unwrap_err().to_string();
    assert!(told.contains("binds no tokens"), "{told}");
}

#[tokio::test]
async fn bound_tokens_are_shared_with_the_key_that_proves_them() {
    let fake = Fake::answering(|n, asked| (200, bound(n, asked))).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path().join("tokens.json"));
    let shared = Options { proof: Proof::Dpop, cache, ..options() };
    let (one, other) = (source(&fake, shared.clone()).await, source(&fake, shared).await);
    assert_eq!(one.token().await.unwrap(), other.token().await.unwrap());
    assert_eq!(one.inspect().proof_key, other.inspect().proof_key);
    assert_eq!(fake.asked().len(), 1);
    let alone = source(&fake, Options { proof: Proof::Dpop, ..options() }).await;
    assert_ne!(alone.inspect().proof_key, one.inspect().proof_key);
}
