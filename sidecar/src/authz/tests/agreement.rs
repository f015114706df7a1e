//! Properties over generated policy sets: lists agree with calls, challenges with policies.

use proptest::prelude::*;

use super::*;
use crate::message::json::Json;

/// Conditions on the caller, known when a list is made.
fn known() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("true".to_owned()),
        prop::sample::select(ADVERTISED.to_vec())
            .prop_map(|scope| format!("principal.scopes.contains(\"{scope}\")")),
        Just("principal.id == \"alice\"".to_owned()),
        Just("resource.name == \"get_customer_info\"".to_owned()),
        Just("resource.pin == \"match\"".to_owned()),
        Just("principal.hasTag(\"department\")".to_owned()),
    ]
}

/// Conditions on the call, each on an argument of its own.
const UNKNOWN: [&str; 4] = [
    r#"context.input.customer_id == "ABC123""#,
    r#"context.input.subject == "s""#,
    r#"context.facts.description.length == 1"#,
    r#"context.input.priority == "low""#,
];

#[derive(Debug, Clone)]
struct Generated {
    permits: bool,
    negated: bool,
    joint: &'static str,
    conditions: Vec<String>,
}

/// Sets in which every condition on the call stands at most once, or (`often`) any number of times.
fn policy_set(often: bool) -> impl Strategy<Value = String> {
    let generated = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["&&", "||"]),
        prop::collection::vec(known(), 1..3),
    )
        .prop_map(|(permits, negated, joint, conditions)| Generated {
            permits,
            negated,
            joint,
            conditions,
        });
    let places = prop::collection::vec((0..4_usize, 0..8_usize), if often { 8 } else { 4 });
    (prop::collection::vec(generated, 1..5), places).prop_map(move |(mut policies, places)| {
        for (number, (argument, place)) in places.into_iter().enumerate() {
            let condition = if often { UNKNOWN[argument] } else { UNKNOWN[number] };
            if let Some(policy) = policies.get_mut(place) {
                policy.conditions.insert(place % 2, condition.to_owned());
            }
        }
        let written = policies.iter().enumerate().map(|(number, policy)| {
            let effect = if policy.permits { "permit" } else { "forbid" };
            let clause = if policy.negated { "unless" } else { "when" };
            let condition = policy.conditions.join(policy.joint);
            format!(
                "@id(\"p{number}\") {effect} (principal, \
                 action == Mcp::Action::\"create_support_ticket\", resource) \
                 {clause} {{ {condition} }};\n"
            )
        });
        written.collect()
    })
}

/// Whether the tool is listed, and whether any of the sixteen kinds of call is permitted.
fn listed_and_callable(policies: Policies, scopes: &[&str]) -> (bool, bool) {
    let policies = std::sync::Arc::new(policies);
    let claims = Claims::for_test("alice", scopes);
    let list = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let listing = Listing::of(&policies, &std::sync::Arc::new(claims), list.method()).unwrap();
    let callable = (0..16).any(|kind| {
        let changes =
            [("ABC123", "XYZ789"), ("\"s\"", "\"t\""), ("\"d\"", "\"ee\""), ("low", "high")];
        let mut arguments = TICKET.to_owned();
        for (bit, (from, to)) in changes.into_iter().enumerate() {
            if kind & (1 << bit) != 0 {
                arguments = arguments.replace(from, to);
            }
        }
        decide(&policies, scopes, call("create_support_ticket", &arguments)).is_ok()
    });
    let lock: serde_json::Value = serde_json::from_str(LOCK).unwrap();
    let definition = lock["tools"]["create_support_ticket"]["definition"].to_string();
    let Ok(Json::Object(mut item)) = Json::read(definition.as_bytes()) else { panic!() };
    (listing.shows("create_support_ticket", &mut item).unwrap(), callable)
}

fn union<'a>(held: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let others = held.iter().filter(|scope| !more.contains(scope));
    more.iter().chain(others).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// Law 7. To see through conditions on arguments that contradict each other takes a solver;
    /// where none stands twice, the list is exact.
    #[test]
    fn lists_agree_with_calls(
        text in policy_set(false),
        scopes in prop::sample::subsequence(ADVERTISED.to_vec(), 0..=4),
    ) {
        // A set whose policies can never apply does not load, and need not.
        let Ok(policies) = Home::with(&text).load() else { return Ok(()) };
        let (listed, callable) = listed_and_callable(policies, &scopes);
        prop_assert_eq!(listed, callable, "{}", text);
    }

    /// Whatever the conditions: what can be called is listed.
    #[test]
    fn nothing_callable_is_hidden(
        text in policy_set(true),
        scopes in prop::sample::subsequence(ADVERTISED.to_vec(), 0..=4),
    ) {
        let Ok(policies) = Home::with(&text).load() else { return Ok(()) };
        let (listed, callable) = listed_and_callable(policies, &scopes);
        prop_assert!(listed || !callable, "{}", text);
    }

    /// What a challenge names is enough, alone and with what the caller holds, and none that the
    /// caller lacks is too much.
    #[test]
    fn challenged_scopes_are_sufficient_and_minimal(
        text in policy_set(true),
        held in prop::sample::subsequence(ADVERTISED.to_vec(), 0..=4),
    ) {
        let Ok(policies) = Home::with(&text).load() else { return Ok(()) };
        let decided = decide(&policies, &held, call("create_support_ticket", TICKET));
        let Err(Rejection::InsufficientScope { required, .. }) = decided else { return Ok(()) };
        let permitted_with = |scopes: &[&str]| {
            decide(&policies, scopes, call("create_support_ticket", TICKET)).is_ok()
        };
        let all: Vec<&str> = required.iter().map(String::as_str).collect();
        prop_assert!(permitted_with(&all), "{:?} is not enough for {}", required, text);
        prop_assert!(permitted_with(&union(&held, &all)), "{:?} adds too little for {}", required, text);
        let lacking: Vec<&str> = all.iter().copied().filter(|scope| !held.contains(scope)).collect();
        prop_assert!(!lacking.is_empty(), "nothing to ask for: {}", text);
        for needless in lacking {
            let fewer: Vec<&str> = all.iter().copied().filter(|&scope| scope != needless).collect();
            prop_assert!(!permitted_with(&union(&held, &fewer)), "without {} too: {}", needless, text);
        }
    }
}
