mod wycheproof;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri, header};
use jsonwebtoken::{EncodingKey, Header, get_current_timestamp, jwk::Jwk};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::ClaimPath;

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "https://gate.example.com/mcp";

/// An issuer whose key set is a file, and a verifier that trusts it.
struct Issuer {
    home: TempDir,
    key: EncodingKey,
    jwk: Value,
}

impl Issuer {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        let jwk = serde_json::to_value(jwk).unwrap();
        let issuer = Self { home: tempfile::tempdir().unwrap(), key, jwk };
        issuer.publish(std::slice::from_ref(&issuer.jwk));
        issuer
    }

    fn publish(&self, keys: &[Value]) {
        let set = json!({ "keys": keys }).to_string();
        std::fs::write(self.home.path().join("jwks.json"), set).unwrap();
    }

    fn config(&self, change: impl FnOnce(&mut TokenRules)) -> IssuerConfig {
        let mut config = IssuerConfig::usual(ISSUER, self.home.path().join("jwks.json"));
        change(&mut config.rules);
        config
    }

    async fn verifier(&self, change: impl FnOnce(&mut TokenRules)) -> TokenVerifier {
        let verifier = TokenVerifier::new(
            &[self.config(change)],
            &ResourceConfig::at(AUDIENCE).unwrap(),
            Revocations::load(None).unwrap(),
        )
        .unwrap();
        for keys in verifier.key_sets() {
            keys.fetch_first().await.unwrap().unwrap();
        }
        verifier
    }

    fn token(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

fn header(typ: Option<&str>) -> Header {
    let mut header = Header::new(Algorithm::RS256);
    header.typ = typ.map(str::to_owned);
    header.kid = Some("k".to_owned());
    header
}

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "c", "scope": "a:read b",
        "iat": now, "exp": now + 300, "jti": "1",
    })
}

async fn outcome(verifier: &TokenVerifier, token: &[u8]) -> Result<Arc<Claims>, &'static str> {
    let mut headers = HeaderMap::new();
    let value = [b"Bearer ", token].concat();
    let value = HeaderValue::from_bytes(&value).map_err(|_| "not-a-header")?;
    headers.append(header::AUTHORIZATION, value);
    let token = BearerToken::from_request(&Uri::from_static("/mcp"), &headers);
    let (head, ()) = http::Request::new(()).into_parts();
    match token {
        Ok(token) => verifier.verify(token, &head).await.map_err(|rejection| rejection.reason()),
        Err(rejection) => Err(rejection.reason()),
    }
}

#[tokio::test]
async fn a_good_token_with_any_one_bit_changed_is_refused() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier(|_| ()).await;
    let good = issuer.token(&header(Some("at+jwt")), &claims()).into_bytes();
    assert!(outcome(&verifier, &good).await.is_ok());
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[position] ^= 1 << bit;
            let refused = outcome(&verifier, &changed).await.is_err();
            assert!(refused, "bit {bit} of byte {position}: {}", changed.escape_ascii());
        }
    }
    assert!(outcome(&verifier, &good).await.is_ok(), "and it is still good");
}

#[tokio::test]
async fn a_good_token_with_any_one_claim_changed_under_the_same_signature_is_refused() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier(|_| ()).await;
    let good = issuer.token(&header(Some("at+jwt")), &claims());
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let swap = |claims: &Value| {
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("{head}.{payload}.{signature}")
    };
    assert!(outcome(&verifier, swap(&claims).as_bytes()).await.is_ok());
    for name in claims.as_object().unwrap().keys() {
        for value in [json!("x"), json!(1), json!([]), json!({}), json!(null), json!(true)] {
            let mut changed = claims.clone();
            changed[name] = value.clone();
            assert!(outcome(&verifier, swap(&changed).as_bytes()).await.is_err(), "{name} {value}");
        }
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(outcome(&verifier, swap(&without).as_bytes()).await.is_err(), "without {name}");
    }
    let mut more = claims.clone();
    more["admin"] = json!(true);
    assert!(outcome(&verifier, swap(&more).as_bytes()).await.is_err());
}

#[tokio::test]
async fn issuers_that_know_no_better_type_are_held_to_their_claims() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier(|rules| rules.token_type = TokenType::Jwt).await;
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt")] {
        let token = issuer.token(&header(typ), &claims());
        assert!(outcome(&verifier, token.as_bytes()).await.is_ok(), "{typ:?}");
    }
    for typ in ["id_token", "logout+jwt", "oauth-id-jag+jwt", "dpop+jwt", "secevent+jwt", ""] {
        let token = issuer.token(&header(Some(typ)), &claims());
        assert_eq!(
            outcome(&verifier, token.as_bytes()).await.err(),
            Some("wrong-token-type"),
            "{typ}"
        );
    }
    for (name, value) in [
        ("nonce", json!("n")),
        ("at_hash", json!("h")),
        ("c_hash", json!("h")),
        ("events", json!({})),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Offline")),
        ("typ", json!(1)),
        ("token_use", json!("id")),
        ("type", json!("refresh_token")),
        ("scope", Value::Null),
    ] {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        let token = issuer.token(&header(Some("JWT")), &claims);
        let told = outcome(&verifier, token.as_bytes()).await.err();
        assert_eq!(told, Some("wrong-token-type"), "{name} {:?}", claims.get(name));
    }
    // For the client itself and without a scope: a login. With one: client and API are the same.
    let mut of_a_login = claims();
    of_a_login["aud"] = json!([AUDIENCE, "c"]);
    let token = issuer.token(&header(Some("JWT")), &of_a_login);
    assert!(outcome(&verifier, token.as_bytes()).await.is_ok());
    of_a_login["roles"] = json!(["reader"]);
    of_a_login.as_object_mut().unwrap().remove("scope");
    let token = issuer.token(&header(Some("JWT")), &of_a_login);
    assert_eq!(outcome(&verifier, token.as_bytes()).await.err(), Some("wrong-token-type"));
    for (name, value) in [
        ("typ", json!("Bearer")),
        ("token_use", json!("access")),
        ("token_use", json!("access_token")),
        ("exp", json!(get_current_timestamp() as f64 + 100.123_456_7)),
    ] {
        let mut claims = claims();
        claims[name] = value;
        let token = issuer.token(&header(Some("JWT")), &claims);
        assert!(outcome(&verifier, token.as_bytes()).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn claims_are_found_where_the_configuration_says() {
    let issuer = Issuer::new();
    let path = |names: &[&str]| {
        Some(ClaimPath::Names(names.iter().map(|&name| name.to_owned()).collect()))
    };
    let verifier = issuer
        .verifier(|rules| {
            let claims = &mut rules.claims;
            claims.client = path(&["cid"]);
            claims.groups = path(&["https://example.com/groups"]);
            claims.roles = path(&["realm_access", "roles"]);
            claims.tenant = path(&["tid"]);
            claims.zone = path(&["zone"]);
        })
        .await;
    let mut written = claims();
    let members = written.as_object_mut().unwrap();
    members.remove("client_id");
    members.remove("scope");
    members.insert("scp".to_owned(), json!(["a:read", "b"]));
    members.insert("cid".to_owned(), json!("from-cid"));
    members.insert("https://example.com/groups".to_owned(), json!("one"));
    members.insert("realm_access".to_owned(), json!({ "roles": ["admin", "clerk"] }));
    members.insert("tid".to_owned(), json!("acme"));
    let good = written.clone();
    let token = issuer.token(&header(Some("at+jwt")), &good);
    let read = outcome(&verifier, token.as_bytes()).await.unwrap();
    assert_eq!(read.client_id(), "from-cid");
    assert!(read.groups().iter().eq(["one"]));
    assert!(read.roles().iter().eq(["admin", "clerk"]));
    assert!(read.scopes().iter().eq(["a:read", "b"]));
    assert_eq!((read.tenant(), read.zone()), (Some("acme"), None));
    for (name, odd) in [
        ("https://example.com/groups", json!(7)),
        ("https://example.com/groups", json!(["a", 7])),
        ("https://example.com/groups", json!([""])),
        ("realm_access", json!({ "roles": { "admin": true } })),
        ("tid", json!(["acme"])),
        ("tid", json!("")),
        ("zone", json!(null)),
        ("cid", json!(null)),
        ("scp", json!({ "a:read": true })),
        ("scp", json!(["a:read b"])),
    ] {
        let mut claims = good.clone();
        claims[name] = odd.clone();
        let token = issuer.token(&header(Some("at+jwt")), &claims);
        let told = outcome(&verifier, token.as_bytes()).await.err();
        assert_eq!(told, Some("malformed-claims"), "{name} {odd}");
    }
}

#[tokio::test]
async fn rules_of_time_and_audience_are_the_issuers_own() {
    let issuer = Issuer::new();
    let verifier = issuer
        .verifier(|rules| {
            rules.leeway = Duration::from_secs(5);
            rules.max_age = Some(Duration::from_secs(60));
            rules.audiences = Some(vec!["api://gate".to_owned()]);
        })
        .await;
    let now = get_current_timestamp();
    for (name, value, told) in [
        ("aud", json!("api://gate"), None),
        ("aud", json!(["x", "api://gate"]), None),
        ("aud", json!(AUDIENCE), Some("wrong-audience")),
        ("aud", json!("api://gate/"), Some("wrong-audience")),
        ("aud", json!("API://gate"), Some("wrong-audience")),
        ("exp", json!(now - 6), Some("expired")),
        ("exp", json!(now - 2), None),
        ("exp", json!(now as f64 + 60.25), None),
        ("exp", json!(1e300), Some("malformed-claims")),
        ("nbf", json!(now + 3), None),
        ("nbf", json!(now + 20), Some("not-yet-active")),
        ("iat", json!(now + 20), Some("not-yet-active")),
        ("iat", json!(now - 70), Some("too-old")),
        ("iat", json!(now - 58), None),
    ] {
        let mut claims = claims();
        claims["aud"] = json!("api://gate");
        claims[name] = value.clone();
        let token = issuer.token(&header(Some("at+jwt")), &claims);
        assert_eq!(outcome(&verifier, token.as_bytes()).await.err(), told, "{name} {value}");
    }
}

#[tokio::test]
async fn a_key_set_of_one_needs_no_kid_and_one_of_two_does() {
    let issuer = Issuer::new();
    let mut nameless = header(Some("at+jwt"));
    nameless.kid = None;
    let token = issuer.token(&nameless, &claims());
    let verifier = issuer.verifier(|_| ()).await;
    assert!(outcome(&verifier, token.as_bytes()).await.is_ok());

    let mut other = issuer.jwk.clone();
    other["kid"] = json!("other");
    issuer.publish(&[issuer.jwk.clone(), other]);
    let verifier = issuer.verifier(|_| ()).await;
    assert_eq!(outcome(&verifier, token.as_bytes()).await.err(), Some("no-key-id"));
}

#[tokio::test]
async fn a_known_token_is_refused_once_its_key_is_withdrawn_or_it_ends() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier(|rules| rules.leeway = Duration::ZERO).await;
    let mut short = claims();
    short["exp"] = json!(get_current_timestamp() + 2);
    let short = issuer.token(&header(Some("at+jwt")), &short);
    let token = issuer.token(&header(Some("at+jwt")), &claims());
    for _ in 0..2 {
        assert!(outcome(&verifier, token.as_bytes()).await.is_ok());
        assert!(outcome(&verifier, short.as_bytes()).await.is_ok());
    }
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(outcome(&verifier, short.as_bytes()).await.err(), Some("expired"));

    // The same name, another key.
    let mut successor = Issuer::new().jwk;
    successor["kid"] = json!("k");
    issuer.publish(&[successor]);
    for keys in verifier.key_sets() {
        keys.fetch_first().await.unwrap().unwrap();
    }
    assert_eq!(outcome(&verifier, token.as_bytes()).await.err(), Some("bad-signature"));
}
