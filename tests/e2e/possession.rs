//! Is it their token? Tokens that are bound to a DPoP key (RFC 9449) or to a client certificate
//! (RFC 8705) count for nobody else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use harness::{Forge, Reply, Signer, Stack, text};
use jsonwebtoken::Algorithm;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    text(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref()))
}

/// RFC 7638 section 3, written down once more.
fn thumbprint(jwk: &Value) -> String {
    let of = |name: &str| jwk[name].as_str().unwrap();
    match of("kty") {
        "EC" => sha256(format!(
            r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
            of("crv"),
            of("x"),
            of("y")
        )),
        "OKP" => sha256(format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, of("crv"), of("x"))),
        _ => sha256(format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, of("e"), of("n"))),
    }
}

/// A client with a key, and a token that is bound to it.
struct Holder<'a> {
    stack: &'a Stack,
    forge: &'a Forge,
    token: String,
}

impl<'a> Holder<'a> {
    fn of(stack: &'a Stack, forge: &'a Forge, kid: &str) -> Self {
        let token = bound(stack, json!({ "jkt": thumbprint(&forge.public(kid)) }));
        Self { stack, forge, token }
    }

    fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": self.forge.public("ec") })
    }

    fn claims(&self) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "jti": format!("{now}-{:p}-{}", self, next()), "htm": "POST", "htu": self.stack.resource(),
            "iat": now, "ath": sha256(&self.token),
        })
    }

    fn proof(&self, header: &Value, claims: &Value) -> String {
        self.forge.sign(Signer::Ec, &header.to_string(), &claims.to_string())
    }

    async fn with(&self, proofs: &[String]) -> Reply {
        let mut caller =
            self.stack.stranger().header("authorization", &format!("DPoP {}", self.token));
        for proof in proofs {
            caller = caller.header("dpop", proof);
        }
        caller.post(LIST).await
    }
}

/// A number that no test has had.
fn next() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn bound(stack: &Stack, cnf: Value) -> String {
    let mut claims = stack.claims("customer:read");
    claims["cnf"] = cnf;
    stack.signing_key().sign(&claims).unwrap()
}

#[tokio::test]
async fn a_bound_token_passes_with_a_fresh_proof_by_its_key() {
    let forge = Forge::new();
    let stack = Stack::start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    let proof = holder.proof(&holder.header(), &holder.claims());
    assert_eq!(holder.with(&[proof]).await.status, 200);
    let mut with_query = holder.claims();
    with_query["htu"] = json!(format!("{}?x=1#y", stack.resource()));
    let proof = holder.proof(&holder.header(), &with_query);
    assert_eq!(holder.with(&[proof]).await.status, 200);

    for (signer, alg, kid) in
        [(Signer::Ed, "EdDSA", "ed"), (Signer::Rsa(Algorithm::PS256), "PS256", "rsa")]
    {
        let holder = Holder::of(&stack, &forge, kid);
        let header = json!({ "alg": alg, "typ": "dpop+jwt", "jwk": forge.public(kid) });
        let proof = forge.sign(signer, &header.to_string(), &holder.claims().to_string());
        assert_eq!(holder.with(&[proof]).await.status, 200, "{alg}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_proof_about_anything_else_is_refused() {
    let forge = Forge::new();
    let stack = Stack::start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    let now = jsonwebtoken::get_current_timestamp();
    let before = stack.spy().mark();
    let claims = [
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htu", json!("https://other.example.com/mcp")),
        ("htu", json!(format!("{}/", stack.resource()))),
        ("htu", json!(stack.resource().replace("https", "http"))),
        ("iat", json!(now - 400)),
        ("iat", json!(now + 400)),
        ("iat", json!(now.to_string())),
        ("ath", json!(sha256("another token"))),
        ("ath", json!("")),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", Value::Null),
        ("htm", Value::Null),
        ("htu", Value::Null),
        ("iat", Value::Null),
        ("ath", Value::Null),
    ];
    for (name, value) in claims {
        let mut claims = holder.claims();
        match &value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
        let reply = holder.with(&[holder.proof(&holder.header(), &claims)]).await;
        assert_eq!(reply.reason(), "invalid-proof", "{name} {value}");
        let challenge = reply.challenge().unwrap();
        assert!(challenge.starts_with(r#"DPoP error="invalid_dpop_proof", algs="#), "{challenge}");
    }
    let mut private = forge.public("ec");
    private["d"] = json!("AAAA");
    let headers = [
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("jwk", forge.public("ed")),
        ("jwk", forge.public("rsa")),
        ("jwk", private),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("jwk", json!("AAAA")),
        ("crit", json!(["jwk"])),
    ];
    for (name, value) in headers {
        let mut header = holder.header();
        header[name] = value.clone();
        let reply = holder.with(&[holder.proof(&header, &holder.claims())]).await;
        assert_eq!(reply.reason(), "invalid-proof", "{name} {value}");
    }
    let good = holder.proof(&holder.header(), &holder.claims());
    let other = holder.proof(&holder.header(), &holder.claims());
    assert_eq!(holder.with(&[good, other]).await.reason(), "invalid-proof", "two proofs");
    assert_eq!(holder.with(&["x".to_owned()]).await.reason(), "invalid-proof");
    assert_eq!(holder.with(&[]).await.reason(), "no-proof");
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

#[tokio::test]
async fn a_proof_counts_once_and_a_stolen_token_not_at_all() {
    let forge = Forge::new();
    let stack = Stack::start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    let proof = holder.proof(&holder.header(), &holder.claims());
    assert_eq!(holder.with(std::slice::from_ref(&proof)).await.status, 200);
    let before = stack.spy().mark();
    assert_eq!(holder.with(&[proof]).await.reason(), "replayed-proof");

    // The thief has the token and a key of its own, or no proof at all.
    let thief = Forge::new();
    let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": thief.public("ec") });
    let proof = thief.sign(Signer::Ec, &header.to_string(), &holder.claims().to_string());
    assert_eq!(holder.with(&[proof]).await.reason(), "invalid-proof");
    assert_eq!(stack.bearing(&holder.token).refused(LIST).await.reason(), "no-proof");
    // And a token that is bound to nothing is not presented with a proof.
    let plain = Holder { token: stack.caller("customer:read").token().to_owned(), ..holder };
    let proof = plain.proof(&plain.header(), &plain.claims());
    assert_eq!(plain.with(&[proof]).await.reason(), "invalid-proof");
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

#[tokio::test]
async fn of_one_proof_sent_twenty_times_at_once_one_counts() {
    let forge = Forge::new();
    let stack = Stack::start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    for _ in 0..5 {
        let proof = [holder.proof(&holder.header(), &holder.claims())];
        let replies = futures::future::join_all((0..20).map(|_| holder.with(&proof))).await;
        let passed = replies.iter().filter(|reply| reply.status == 200).count();
        let replayed = replies.iter().filter(|reply| reply.status != 200);
        assert_eq!(passed, 1);
        replayed.for_each(|reply| assert_eq!(reply.reason(), "replayed-proof"));
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_proof_that_is_oversized_or_says_a_thing_twice_is_none() {
    let forge = Forge::new();
    let stack = Stack::start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    let before = stack.spy().mark();
    let mut padded = holder.claims();
    padded["padding"] = json!("x".repeat(8 * 1024));
    let oversized = holder.proof(&holder.header(), &padded);
    let twice = |text: String, name: &str, value: &str| {
        text.replacen('{', &format!("{{{name:?}:{value:?},"), 1)
    };
    let (header, claims) = (holder.header().to_string(), holder.claims().to_string());
    let doubled_claim = twice(claims.clone(), "htm", "GET");
    let doubled_header = twice(header.clone(), "alg", "none");
    for proof in [
        oversized,
        forge.sign(Signer::Ec, &header, &doubled_claim),
        forge.sign(Signer::Ec, &doubled_header, &claims),
    ] {
        let reply = holder.with(&[proof]).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, "invalid-proof"));
    }
    assert_eq!(stack.spy().mark(), before, "the upstream saw something");
    stack.finish().await;
}

#[tokio::test]
async fn bindings_that_nobody_can_check_refuse_the_token() {
    let stack = Stack::start().await;
    for cnf in [
        json!({}),
        json!("x"),
        json!(null),
        json!({ "jkt": "short" }),
        json!({ "jkt": 7 }),
        json!({ "kid": "A".repeat(43) }),
        json!({ "jwk": {} }),
        json!({ "jkt": "A".repeat(43), "jwe": "A".repeat(43) }),
    ] {
        let reply = stack.bearing(&bound(&stack, cnf.clone())).refused(LIST).await;
        assert_eq!(reply.reason(), "malformed-claims", "{cnf}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn nonces_are_handed_out_and_then_demanded() {
    let forge = Forge::new();
    let stack = Stack::with().resource_settings("dpop_nonces = true").start().await;
    let holder = Holder::of(&stack, &forge, "ec");
    let reply = holder.with(&[holder.proof(&holder.header(), &holder.claims())]).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, "use-nonce"));
    assert!(reply.challenge().unwrap().starts_with(r#"DPoP error="use_dpop_nonce""#));
    let nonce = reply.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let mut claims = holder.claims();
    claims["nonce"] = json!(nonce);
    assert_eq!(holder.with(&[holder.proof(&holder.header(), &claims)]).await.status, 200);
    claims["nonce"] = json!("a nonce of another kind");
    assert_eq!(holder.with(&[holder.proof(&holder.header(), &claims)]).await.reason(), "use-nonce");
    stack.finish().await;
}

#[tokio::test]
async fn a_token_bound_to_a_certificate_counts_on_its_connection_alone() {
    let stack = Stack::with().listener_settings("client_ca = \"ca.pem\"").start().await;
    let pem = std::fs::read(stack.home().join("upstream.pem")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    let token = bound(&stack, json!({ "x5t#S256": sha256(&certificate) }));
    assert_eq!(stack.bearing(&token).showing("upstream").post(LIST).await.status, 200);
    for caller in [stack.bearing(&token), stack.bearing(&token).showing("gate")] {
        assert_eq!(caller.refused(LIST).await.reason(), "wrong-certificate");
    }
    // A header that tells of a certificate is as good as none.
    let told = STANDARD.encode(&certificate);
    let told = stack.bearing(&token).header("client-cert", &format!(":{told}:"));
    assert_eq!(told.refused(LIST).await.reason(), "wrong-certificate");
    let plain = stack.caller("customer:read");
    assert_eq!(plain.post(LIST).await.status, 200, "others need no certificate");
    stack.finish().await;
}

#[tokio::test]
async fn an_issuer_can_be_held_to_bound_tokens() {
    let stack = Stack::with().issuer_settings("proof = \"dpop\"").start().await;
    assert_eq!(stack.caller("customer:read").refused(LIST).await.reason(), "no-proof");
    stack.finish().await;
    let stack = Stack::with()
        .listener_settings("client_ca = \"ca.pem\"")
        .issuer_settings("proof = \"certificate\"")
        .start()
        .await;
    let plain = stack.caller("customer:read").showing("gate");
    assert_eq!(plain.refused(LIST).await.reason(), "wrong-certificate");
    stack.finish().await;
}
