//! What the watch has open about a caller, in decisions and lists.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::{
    message::json::Json,
    watch::{About, CredentialKind, SeenIn, Watch, WatchConfig},
};

const GUARDED: &str = r#"
    @id("reads") permit (principal, action == Mcp::Action::"get_customer_info", resource);
    @id("no-tickets") permit (principal, action == Mcp::Action::"create_support_ticket", resource)
      when { principal.scopes.contains("ticket:create") };
    @id("not-while-suspected") forbid (principal, action in Mcp::Action::"call_tool", resource)
      when { context.risk.high > 0 || context.risk.critical > 0 };"#;

/// A watch that saw a private key in one of alice's calls so many minutes ago.
fn watch(minutes_ago: i64) -> Arc<Watch> {
    let watch = Watch::new(WatchConfig::default());
    let at = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
    let (kind, seen_in) = (CredentialKind::PrivateKey, SeenIn::Arguments);
    let alice = About::Principal("alice".to_owned());
    watch.credential_seen(alice, Uuid::now_v7(), (kind, seen_in), at).unwrap();
    Arc::new(watch)
}

fn decide_of(policies: &Policies, watch: &Arc<Watch>, who: &str, call: Message) -> Decided {
    let claims = Claims::for_test(who, &[]);
    let circumstances = Circumstances::watched(watch, who);
    policies.authorize(&Asker { claims: &claims, circumstances: &circumstances }, call)
}

fn reason(decided: &Decided) -> &'static str {
    decided.outcome.as_ref().map_or_else(Rejection::reason, |_| "permitted")
}

#[test]
fn who_is_suspected_is_refused_until_the_finding_is_over_and_nobody_else_is() {
    let policies = policies(GUARDED);
    let info = || call("get_customer_info", INFO);
    let decided = decide_of(&policies, &watch(59), "alice", info());
    assert!(decided.for_risk);
    let refused = decided.outcome.unwrap_err();
    let by = vec!["not-while-suspected".to_owned()];
    assert_eq!(refused, Rejection::Denied { policies: by }, "told, and no scope is asked for");
    for (minutes_ago, who) in [(61, "alice"), (59, "bob")] {
        let decided = decide_of(&policies, &watch(minutes_ago), who, info());
        assert_eq!(reason(&decided), "permitted", "{minutes_ago} {who}");
    }
}

#[test]
fn no_scope_is_a_way_around_a_finding() {
    let policies = policies(GUARDED);
    let ticket = || call("create_support_ticket", TICKET);
    assert_eq!(reason(&decide_of(&policies, &watch(59), "alice", ticket())), "denied");
    let decided = decide_of(&policies, &watch(61), "alice", ticket());
    assert_eq!((reason(&decided), decided.for_risk), ("insufficient-scope", false));
}

/// As with the time of day: what is shown can be called at some time.
#[test]
fn a_list_does_not_change_with_findings_and_says_that_calls_are_conditional() {
    let policies = Arc::new(policies(GUARDED));
    let claims = Arc::new(Claims::for_test("alice", &[]));
    let list = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let listing = Listing::of(&policies, &claims, list.method()).unwrap();
    let lock: serde_json::Value = serde_json::from_str(LOCK).unwrap();
    let definition = lock["tools"]["get_customer_info"]["definition"].to_string();
    let Ok(Json::Object(mut item)) = Json::read(definition.as_bytes()) else { panic!() };
    assert!(listing.shows("get_customer_info", &mut item).unwrap());
    let shown = item.to_value();
    assert_eq!(shown["_meta"]["cedargate/security"]["conditional"], true, "{shown}");
}

#[test]
fn single_detectors_and_severities_can_be_asked_for() {
    for (condition, permits) in [
        (r#"context.risk.detectors.contains("credential-seen")"#, true),
        (r#"context.risk.detectors.contains("provider-shopping")"#, false),
        ("context.risk.open == 1 && context.risk.critical == 1", true),
        ("context.risk.low + context.risk.medium + context.risk.high == 1", false),
        ("context.risk.detectors.isEmpty()", false),
    ] {
        let text = format!(
            r#"@id("p") permit (principal, action, resource is Mcp::Tool) when {{ {condition} }};"#
        );
        let decided =
            decide_of(&policies(&text), &watch(1), "alice", call("get_customer_info", INFO));
        assert_eq!(decided.outcome.is_ok(), permits, "{condition}");
    }
}

#[test]
fn the_guides_policies_are_valid() {
    let guide = include_str!("../../../../docs/watch.md");
    let written: String =
        guide.split("```cedar").skip(1).filter_map(|text| text.split("```").next()).collect();
    assert_eq!(written.matches("forbid").count(), 3);
    let permit = r#"@id("p") permit (principal, action, resource is Mcp::Tool);"#;
    let policies = policies(&format!("{written}{permit}"));
    let decided = decide_of(&policies, &watch(1), "alice", call("get_customer_info", INFO));
    assert_eq!(reason(&decided), "denied");
}

#[test]
fn a_set_of_anything_but_codes_of_detectors_is_refused() {
    let schema = SCHEMA.replace("detectors: Set<String>", "detectors: Set<Long>");
    let told = Home::of(&schema, LOCK, GUARDED).load().unwrap_err();
    assert!(told.contains("detectors: Set<Long>"), "{told}");
}
