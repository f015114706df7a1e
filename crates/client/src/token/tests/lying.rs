use serde_json::{Value, json};

use super::*;

const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
const ISSUER: &str = "/.well-known/oauth-authorization-server";

fn changed(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

#[tokio::test]
async fn documents_that_lie_are_not_believed() {
    for (lie, tell, complaint) in LIES {
        let fake = Fake::start().await;
        tell(&fake);
        let told = discovered(&fake, options()).await.unwrap_err().to_string();
        assert!(told.contains(complaint), "{lie}: {told}");
        assert!(!told.contains('\n') && told.contains("; "), "{lie}: {told}");
        assert!(fake.asked().is_empty(), "{lie}");
    }
}

#[tokio::test]
async fn metadata_is_found_where_clients_look_for_it() {
    // At the root, where the endpoint's own is missing.
    let fake = Fake::start().await;
    fake.hide(RESOURCE);
    let root = json!({ "resource": fake.origin(), "authorization_servers": [fake.origin()] });
    fake.tell("/.well-known/oauth-protected-resource", root);
    assert_eq!(source(&fake, options()).await.inspect().resource, fake.origin());

    // Where the challenge says, and nowhere else.
    let fake = Fake::start().await;
    fake.tell(RESOURCE, json!({ "resource": "https://not.looked.at" }));
    fake.tell("/told", fake.resource_metadata());
    fake.challenge(&format!(r#"Bearer resource_metadata="{}/told""#, fake.origin()));
    let found = source(&fake, options()).await.inspect();
    assert_eq!(found.resource_metadata, format!("{}/told", fake.origin()));

    // Issuers with a path, in the three places.
    for place in [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ] {
        let fake = Fake::start().await;
        let issuer = json!(format!("{}/tenant", fake.origin()));
        let named = json!([issuer]);
        fake.tell(RESOURCE, changed(fake.resource_metadata(), "authorization_servers", named));
        fake.tell(place, changed(fake.issuer_metadata(), "issuer", issuer));
        source(&fake, options()).await.token().await.unwrap();
    }
}

#[tokio::test]
async fn a_pinned_issuer_is_the_only_one() {
    let fake = Fake::start().await;
    let several = json!(["https://first.example.com", fake.origin()]);
    fake.tell(RESOURCE, changed(fake.resource_metadata(), "authorization_servers", several));
    let pinned = Options { issuer: Some(fake.origin()), ..options() };
    assert_eq!(source(&fake, pinned).await.inspect().issuer, fake.origin());
    let other = Options { issuer: Some("https://second.example.com".to_owned()), ..options() };
    let told = discovered(&fake, other).await.unwrap_err().to_string();
    assert!(told.contains("not among its authorization servers"), "{told}");
}

#[tokio::test]
async fn a_token_endpoint_that_redirects_or_floods_gives_no_token() {
    for (status, answer, complaint) in [
        (307, json!({}), "it leads elsewhere"),
        (200, json!("x".repeat(300_000)), "larger than"),
        (200, json!({ "access_token": "told-to-nobody" }), "its answer is no token"),
        (500, json!("told-to-nobody"), "its answer is no token"),
        (400, json!({ "error": "invalid_target" }), "register the resource"),
        (200, json!({ "access_token": "x", "token_type": "mac" }), "its type is `mac`"),
        (200, json!({ "access_token": "x", "token_type": "DPoP" }), "not `bearer`"),
    ] {
        let fake = Fake::answering(move |_, _| (status, answer.clone())).await;
        let told = source(&fake, options()).await.token().await.unwrap_err().to_string();
        assert!(told.contains(complaint), "{status}: {told}");
        assert!(!told.contains("told-to-nobody"), "{told}");
    }
}

/// What is told, how, and what is said of it.
type Lie = (&'static str, fn(&Fake), &'static str);
const LIES: &[Lie] = &[
    (
        "another issuer",
        |f| f.tell(ISSUER, changed(f.issuer_metadata(), "issuer", json!("https://evil.example"))),
        "it is about `https://evil.example`",
    ),
    (
        "almost the issuer",
        |f| {
            let almost = json!(format!("{}/", f.origin()));
            f.tell(ISSUER, changed(f.issuer_metadata(), "issuer", almost));
        },
        "it is about",
    ),
    (
        "another resource",
        |f| {
            let other = json!("https://other.example.com/mcp");
            f.tell(RESOURCE, changed(f.resource_metadata(), "resource", other));
        },
        "it is about `https://other.example.com/mcp`",
    ),
    (
        "a deeper resource",
        |f| {
            let deeper = json!(format!("{}/deeper", f.mcp()));
            f.tell(RESOURCE, changed(f.resource_metadata(), "resource", deeper));
        },
        "it is about",
    ),
    (
        "nobody issues",
        |f| f.tell(RESOURCE, changed(f.resource_metadata(), "authorization_servers", json!([]))),
        "no authorization server",
    ),
    (
        "an unprotected issuer",
        |f| {
            let plain = json!(["http://issuer.example.com"]);
            f.tell(RESOURCE, changed(f.resource_metadata(), "authorization_servers", plain));
        },
        "is not https",
    ),
    (
        "an unprotected token endpoint",
        |f| {
            let plain = json!("http://issuer.example.com/token");
            f.tell(ISSUER, changed(f.issuer_metadata(), "token_endpoint", plain));
        },
        "is not https",
    ),
    (
        "unprotected keys",
        |f| {
            let plain = json!("http://issuer.example.com/keys");
            f.tell(ISSUER, changed(f.issuer_metadata(), "jwks_uri", plain));
        },
        "is not https",
    ),
    ("a redirect", |f| f.tell_text(RESOURCE, 302, "/elsewhere"), "it leads elsewhere"),
    ("a redirect of the issuer", |f| f.tell_text(ISSUER, 307, "/x"), "it leads elsewhere"),
    ("too much", |f| f.tell_text(RESOURCE, 200, &" ".repeat(300_000)), "larger than"),
    ("no JSON", |f| f.tell_text(ISSUER, 200, "<html>"), "expected value"),
    ("out of order", |f| f.tell_text(RESOURCE, 503, ""), "it answered 503"),
    ("asked too often", |f| f.tell_text(RESOURCE, 429, ""), "it answered 429"),
    ("no metadata", |f| f.hide(RESOURCE), "names no authorization server"),
    ("no issuer metadata", |f| f.hide(ISSUER), "it has no metadata"),
    (
        "told to look at an unprotected place",
        |f| f.challenge(r#"Bearer resource_metadata="http://other.example.com/x""#),
        "is not https",
    ),
    (
        "told to look at another place of this machine",
        |f| f.challenge(r#"Bearer resource_metadata="http://127.0.0.1:1/x""#),
        "is not https",
    ),
    (
        "told to look where nothing is",
        |f| f.challenge(&format!(r#"Bearer resource_metadata="{}/nothing""#, f.origin())),
        "no such document",
    ),
];
