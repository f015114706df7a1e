use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet},
};
use serde_json::json;

use super::*;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    public: Jwk,
}

impl Signer {
    fn rs256() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        Self::new(EncodingKey::from_rsa_pem(pem(pkcs8.as_ref()).as_bytes()), Algorithm::RS256)
    }

    fn es256() -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let pem = pem(pkcs8.unwrap().as_ref());
        Self::new(EncodingKey::from_ec_pem(pem.as_bytes()), Algorithm::ES256)
    }

    fn new(key: jsonwebtoken::errors::Result<EncodingKey>, algorithm: Algorithm) -> Self {
        let key = key.unwrap();
        let public = Jwk::from_encoding_key(&key, algorithm).unwrap();
        Self { key, algorithm, public }
    }

    fn assertion(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": "signer", "sub": "signer", "aud": ISSUER,
            "iat": now, "exp": now + 60, "jti": uuid::Uuid::new_v4().to_string(),
        });
        change(&mut claims);
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key).unwrap()
    }
}

fn pem(pkcs8: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let label = ["PRIVATE", "KEY"].join(" ");
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(pkcs8))
}

fn bench_of(signer: &Signer) -> Bench {
    let mut clients = usual_clients();
    let mut client = clients[0].clone();
    client.id = "signer".to_owned();
    client.authentication =
        ClientAuthentication::PrivateKeyJwt(JwkSet { keys: vec![signer.public.clone()] });
    clients.push(client);
    Bench::with(clients, Lifetimes::default(), TestEndpoints::Absent)
}

async fn ask(bench: &Bench, assertion: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ];
    form.extend(more);
    bench.post("/token", None, &form).await
}

#[tokio::test]
async fn a_client_that_signs_its_name_gets_a_token_for_each_assertion_once() {
    for signer in [Signer::rs256(), Signer::es256()] {
        let bench = bench_of(&signer);
        let token_endpoint = json!(format!("{ISSUER}/token"));
        for audience in [json!(ISSUER), token_endpoint.clone(), json!([token_endpoint, "x"])] {
            let assertion = signer.assertion(|c| c["aud"] = audience.clone());
            assert_eq!(ask(&bench, &assertion, &[]).await.status, 200, "{audience}");
            let again = ask(&bench, &assertion, &[]).await;
            assert_eq!(again.error(), "invalid_client", "replayed");
        }
        let assertion = signer.assertion(|_| {});
        assert_eq!(ask(&bench, &assertion, &[("client_id", "signer")]).await.status, 200);
    }
}

#[tokio::test]
async fn an_assertion_that_is_wrong_in_one_way_proves_nothing() {
    let signer = Signer::es256();
    let bench = bench_of(&signer);
    let now = jsonwebtoken::get_current_timestamp();
    let without = |name: &'static str| {
        signer.assertion(move |c| drop(c.as_object_mut().unwrap().remove(name)))
    };
    let with = |name: &'static str, value: Value| signer.assertion(move |c| c[name] = value);
    for (what, assertion) in [
        ("another issuer", with("iss", json!("confidential"))),
        ("another subject", with("sub", json!("confidential"))),
        ("nobody", with("sub", json!("nobody"))),
        ("another audience", with("aud", json!("https://evil.example.com"))),
        ("a longer audience", with("aud", json!(format!("{ISSUER}/token/")))),
        ("no audience", without("aud")),
        ("no end", without("exp")),
        ("no id", without("jti")),
        ("no issuer", without("iss")),
        ("no subject", without("sub")),
        ("expired", with("exp", json!(now - 60))),
        ("too long-lived", with("exp", json!(now + 3600))),
        ("end as text", with("exp", json!("9999999999"))),
        ("from the future", with("iat", json!(now + 300))),
        ("not yet", with("nbf", json!(now + 300))),
        ("another key", Signer::es256().assertion(|_| {})),
        ("another kind of key", Signer::rs256().assertion(|_| {})),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        let reply = ask(&bench, &assertion, &[]).await;
        assert_eq!(reply.error(), "invalid_client", "{what}");
    }
    let none = signer.assertion(|_| {});
    let (_, rest) = none.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    assert_eq!(ask(&bench, &unsigned, &[]).await.error(), "invalid_client", "alg none");
    let jwk = serde_json::to_string(&signer.public).unwrap();
    let hmac = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &json!({ "iss": "signer", "sub": "signer", "aud": ISSUER, "exp": now + 60, "jti": "h" }),
        &EncodingKey::from_secret(jwk.as_bytes()),
    );
    assert_eq!(ask(&bench, &hmac.unwrap(), &[]).await.error(), "invalid_client", "key confusion");
}

#[tokio::test]
async fn one_proof_and_no_other_than_the_clients_own() {
    let signer = Signer::es256();
    let bench = bench_of(&signer);
    let credentials = ("grant_type", "client_credentials");
    let assertion = signer.assertion(|_| {});
    let two = ask(&bench, &assertion, &[("client_secret", SECRET)]).await;
    assert_eq!(two.error(), "invalid_request", "two ways at once");
    let other = ask(&bench, &signer.assertion(|_| {}), &[("client_id", "confidential")]).await;
    assert_eq!(other.error(), "invalid_client", "another name beside it");
    for form in [
        vec![credentials],
        vec![credentials, ("client_id", "signer")],
        vec![credentials, ("client_id", "signer"), ("client_secret", "x")],
        vec![credentials, ("client_id", "confidential")],
        vec![credentials, ("client_id", "confidential"), ("client_secret", "")],
        vec![credentials, ("client_id", "confidential"), ("client_secret", "wrong")],
        vec![credentials, ("client_id", "public"), ("client_secret", "x")],
        vec![credentials, ("client_id", "nobody"), ("client_secret", SECRET)],
    ] {
        assert_eq!(bench.post("/token", None, &form).await.status, 401, "{form:?}");
    }
    let public = [credentials, ("client_id", "public")];
    assert_eq!(bench.post("/token", None, &public).await.error(), "unauthorized_client");
    let right = [credentials, ("client_id", "confidential"), ("client_secret", SECRET)];
    assert_eq!(bench.post("/token", None, &right).await.status, 200);
}
