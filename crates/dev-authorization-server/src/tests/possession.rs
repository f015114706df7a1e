use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, ThumbprintHash},
};
use serde_json::json;

use super::*;

struct Holder {
    key: EncodingKey,
    public: Jwk,
}

impl Holder {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        Self { key, public }
    }

    fn thumbprint(&self) -> String {
        self.public.thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    fn proof(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.public.clone());
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4(), "htm": "POST", "htu": format!("{ISSUER}/token"),
            "iat": jsonwebtoken::get_current_timestamp(),
        });
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

async fn asked(bench: &Bench, proofs: &[&str], form: &[(&str, &str)]) -> Reply {
    let mut request =
        Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    bench.send(request.body(encoded(form).into()).unwrap()).await
}

const OWN_NAME: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "confidential"),
    ("client_secret", SECRET),
];

#[tokio::test]
async fn a_token_is_bound_to_the_key_that_a_client_shows() {
    let (bench, holder) = (Bench::new(), Holder::new());
    let answer = asked(&bench, &[&holder.proof(|_, _| {})], &OWN_NAME).await.json();
    assert_eq!(answer["token_type"], "DPoP");
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(bench.claims(token)["cnf"], json!({ "jkt": holder.thumbprint() }));
    assert_eq!(bench.userinfo(token).await.status, 401, "it is no bearer token");
    let plain = asked(&bench, &[], &OWN_NAME).await.json();
    assert_eq!(plain["token_type"], "Bearer");
    assert!(bench.claims(plain["access_token"].as_str().unwrap()).get("cnf").is_none());
    let metadata = bench.get("/.well-known/oauth-authorization-server", None).await.json();
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["RS256", "ES256"]));
}

#[tokio::test]
async fn a_proof_of_anything_else_brings_no_token() {
    let (bench, holder, other) = (Bench::new(), Holder::new(), Holder::new());
    type Change = fn(&mut Header, &mut Value);
    let changes: &[(&str, Change)] = &[
        ("method", |_, c| c["htm"] = json!("GET")),
        ("endpoint", |_, c| c["htu"] = json!(format!("{ISSUER}/register"))),
        ("old", |_, c| c["iat"] = json!(jsonwebtoken::get_current_timestamp() - 90)),
        ("future", |_, c| c["iat"] = json!(jsonwebtoken::get_current_timestamp() + 90)),
        ("no time", |_, c| drop(c.as_object_mut().unwrap().remove("iat"))),
        ("no jti", |_, c| drop(c.as_object_mut().unwrap().remove("jti"))),
        ("type", |h, _| h.typ = Some("JWT".to_owned())),
        ("no key", |h, _| h.jwk = None),
    ];
    for (name, change) in changes {
        let reply = asked(&bench, &[&holder.proof(change)], &OWN_NAME).await;
        assert_eq!(
            (reply.status.as_u16(), reply.error().as_str()),
            (400, "invalid_dpop_proof"),
            "{name}"
        );
    }
    let stolen = holder.proof(|header, _| header.jwk = Some(other.public.clone()));
    let (one, two) = (holder.proof(|_, _| {}), holder.proof(|_, _| {}));
    for proofs in [&[stolen.as_str()][..], &[&one, &two], &["x"], &[""]] {
        assert_eq!(asked(&bench, proofs, &OWN_NAME).await.error(), "invalid_dpop_proof");
    }
    assert_eq!(asked(&bench, &[&one], &OWN_NAME).await.status, 200);
    assert_eq!(asked(&bench, &[&one], &OWN_NAME).await.error(), "invalid_dpop_proof", "replayed");
}

#[tokio::test]
async fn a_public_clients_refresh_token_is_good_with_the_same_key_alone() {
    let (bench, holder, thief) = (Bench::new(), Holder::new(), Holder::new());
    let code = bench.code(&[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "public"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let answer = asked(&bench, &[&holder.proof(|_, _| {})], &form).await.json();
    let refresh = answer["refresh_token"].as_str().unwrap();
    let form =
        [("grant_type", "refresh_token"), ("client_id", "public"), ("refresh_token", refresh)];
    let with_another = asked(&bench, &[&thief.proof(|_, _| {})], &form).await;
    assert_eq!(with_another.error(), "invalid_dpop_proof");
    assert_eq!(asked(&bench, &[], &form).await.error(), "invalid_dpop_proof");
    let next = asked(&bench, &[&holder.proof(|_, _| {})], &form).await.json();
    assert_eq!(next["token_type"], "DPoP");
    assert_ne!(next["refresh_token"], refresh);
}
