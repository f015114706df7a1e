use serde_json::{Value, json};

use super::{
    fake::{bearer, encoding},
    *,
};
use crate::token::dpop::ProofKey;

type Change = fn(&mut Value, &mut jsonwebtoken::Header);

/// An issuer whose tokens are signed, and not as they should be.
async fn signing(signer: Arc<ProofKey>, change: Change) -> Fake {
    Fake::answering(move |n, asked| {
        let origin = format!("http://{}", asked.headers["host"].to_str().unwrap());
        let mut claims = json!({
            "iss": origin, "aud": format!("{origin}/mcp"), "exp": clock::system() + 300,
        });
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        change(&mut claims, &mut header);
        let token = jsonwebtoken::encode(&header, &claims, &encoding(signer.written())).unwrap();
        let mut answer = bearer(n, asked);
        answer["access_token"] = json!(token);
        (200, answer)
    })
    .await
}

#[tokio::test]
async fn a_good_token_is_verified_and_an_opaque_one_is_called_so() {
    let key = Arc::new(ProofKey::generate().unwrap());
    let fake = signing(Arc::clone(&key), |_, _| {}).await;
    fake.publish(&key);
    let tokens = source(&fake, options()).await;
    tokens.token().await.unwrap();
    assert!(tokens.inspect().token.unwrap().verified);
    let opaque = Fake::start().await;
    let tokens = source(&opaque, options()).await;
    tokens.token().await.unwrap();
    assert!(!tokens.inspect().token.unwrap().verified);
}

#[tokio::test]
async fn a_token_that_does_not_stand_up_to_the_check_never_leaves() {
    let changes: &[(&str, Change, &str)] = &[
        ("issuer", |c, _| c["iss"] = json!("https://evil.example"), "names another issuer"),
        ("audience", |c, _| c["aud"] = json!("https://other.example"), "for another resource"),
        ("expired", |c, _| c["exp"] = json!(clock::system() - 300), "has expired"),
        ("no issuer", |c, _| drop(c.as_object_mut().unwrap().remove("iss")), "it lacks `iss`"),
        ("no audience", |c, _| drop(c.as_object_mut().unwrap().remove("aud")), "it lacks `aud`"),
        ("no expiry", |c, _| drop(c.as_object_mut().unwrap().remove("exp")), "it lacks `exp`"),
        ("bound elsewhere", |c, _| c["cnf"] = json!({ "jkt": "x" }), "another key than ours"),
        ("unknown key", |_, h| h.kid = Some("other".to_owned()), "none of its issuer's keys"),
    ];
    let key = Arc::new(ProofKey::generate().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, change, complaint)) in changes.iter().enumerate() {
        let fake = signing(Arc::clone(&key), *change).await;
        fake.publish(&key);
        let cache = folder.path().join(number.to_string());
        let tokens = source(&fake, Options { cache: Some(cache.clone()), ..options() }).await;
        let url = Url::parse(&fake.mcp()).unwrap();
        let told = tokens.authorization(&Method::POST, &url).await.unwrap_err().to_string();
        assert!(told.contains(complaint), "{name}: {told}");
        assert!(!cache.exists(), "{name}: it is not cached either");
    }
    // The right claims under a wrong key, and no keys at all.
    let thief = Arc::new(ProofKey::generate().unwrap());
    let fake = signing(thief, |_, _| {}).await;
    fake.publish(&key);
    let told = source(&fake, options()).await.token().await.unwrap_err().to_string();
    assert!(told.contains("signature is not its issuer's"), "{told}");
    fake.hide("/jwks");
    let told = source(&fake, options()).await.token().await.unwrap_err().to_string();
    assert!(told.contains("there are no keys"), "{told}");
}

#[tokio::test]
async fn no_algorithm_is_no_signature() {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    for alg in ["none", "HS256", "x"] {
        let header = part(&format!(r#"{{"alg":"{alg}"}}"#));
        let fake = Fake::answering(move |n, asked| {
            let mut answer = bearer(n, asked);
            answer["access_token"] = json!(format!("{header}.{}.", part("{}")));
            (200, answer)
        })
        .await;
        fake.publish(&ProofKey::generate().unwrap());
        let failure = source(&fake, options()).await.token().await.unwrap_err();
        assert!(matches!(failure, TokenError::Unfit(_)), "{alg}: {failure}");
    }
}
