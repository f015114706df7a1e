//! Several issuers, each with keys, rules and claims of its own.

use harness::{Forge, Signer, Stack};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
const OTHER: &str = "https://other-issuer.example.com/tenant";

/// The usual issuer, and one that signs with P-256 and says `groups`.
async fn two_issuers(forge: &Forge, policies: Option<&str>) -> Stack {
    let settings = format!(
        r#"
        [[issuers]]
        issuer = {OTHER:?}
        jwks_file = {:?}
        algorithms = ["ES256"]
        audiences = ["api://gate"]
        claims = {{ groups = "groups", roles = ["realm_access", "roles"], tenant = "tid", zone = "zone" }}
        "#,
        forge.jwks_file()
    );
    let stack = Stack::with().settings(&settings);
    match policies {
        Some(policies) => stack.policies(policies).start().await,
        None => stack.start().await,
    }
}

fn claims(stack: &Stack) -> Value {
    let mut claims = stack.claims("customer:read");
    claims["iss"] = json!(OTHER);
    claims["aud"] = json!("api://gate");
    claims
}

fn es256(forge: &Forge, claims: &Value) -> String {
    forge.sign(Signer::Ec, r#"{"alg":"ES256","typ":"at+jwt","kid":"ec"}"#, &claims.to_string())
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_algorithms_and_audience() {
    let forge = Forge::new();
    let stack = two_issuers(&forge, None).await;
    assert_eq!(stack.caller("customer:read").post(LIST).await.status, 200);
    let good = claims(&stack);
    assert_eq!(stack.bearing(&es256(&forge, &good)).post(LIST).await.status, 200);

    let mut of_the_first = good.clone();
    of_the_first["iss"] = json!(stack.issuer());
    let mut for_the_url = good.clone();
    for_the_url["aud"] = json!(stack.resource());
    let rs256 = r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#;
    let mut first_signs = stack.claims("customer:read");
    first_signs["iss"] = json!(OTHER);
    for (token, reason) in [
        (es256(&forge, &of_the_first), "wrong-algorithm"),
        (es256(&forge, &for_the_url), "wrong-audience"),
        (forge.sign(Signer::Rsa(Algorithm::RS256), rs256, &good.to_string()), "wrong-algorithm"),
        (stack.signing_key().sign(&first_signs).unwrap(), "wrong-algorithm"),
    ] {
        let reply = stack.bearing(&token).refused(LIST).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, reason));
    }
    stack.finish().await;
}

#[tokio::test]
async fn policies_speak_of_groups_roles_tenant_and_zone() {
    let policies = r#"
        @id("lists") permit (principal, action in Mcp::Action::"list", resource);
        @id("clerks") permit (
          principal in Mcp::Group::"https://other-issuer.example.com/tenant#clerks",
          action == Mcp::Action::"get_customer_info",
          resource
        )
        when { principal.roles.contains("reader") }
        unless { principal has zone && principal.zone == Mcp::Zone::"https://other-issuer.example.com/tenant#far" };
        @id("acme") forbid (principal, action == Mcp::Action::"get_customer_info", resource)
        when { principal has tenant && principal.tenant != "acme" };
    "#;
    let forge = Forge::new();
    let stack = two_issuers(&forge, Some(policies)).await;
    let mut good = claims(&stack);
    good["groups"] = json!(["staff", "clerks"]);
    good["realm_access"] = json!({ "roles": ["reader"] });
    good["tid"] = json!("acme");
    good["zone"] = json!("near");
    let of = |claims: &Value| stack.bearing(&es256(&forge, claims)).token().to_owned();
    let who = json!({ "customer_id": "ABC123" });

    let reply = stack.bearing(&of(&good)).call("get_customer_info", who.clone()).await;
    assert!(reply.body.contains("structuredContent"), "{}", reply.body);
    for (claim, value) in [
        ("groups", json!(["staff"])),
        ("groups", json!("clerks of another kind")),
        ("realm_access", json!({ "roles": [] })),
        ("zone", json!("far")),
        ("tid", json!("initech")),
    ] {
        let mut claims = good.clone();
        claims[claim] = value.clone();
        let caller = stack.bearing(&of(&claims)).header("x-row", claim);
        let reply = caller.refused_call("get_customer_info", who.clone()).await;
        assert!(reply.body.contains("error"), "{claim} {value}: {}", reply.body);
        assert!(!caller.post(LIST).await.body.contains("get_customer_info"), "{claim} {value}");
    }
    // The other issuer may have a group of the same name; it is another group.
    let mut first = stack.claims("customer:read");
    first["groups"] = json!(["clerks"]);
    first["realm_access"] = json!({ "roles": ["reader"] });
    let token = stack.signing_key().sign(&first).unwrap();
    let reply = stack.bearing(&token).refused_call("get_customer_info", who).await;
    assert!(reply.body.contains("error"), "{}", reply.body);
    stack.finish().await;
}
