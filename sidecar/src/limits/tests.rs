//! Who counts with whom, by rules as they are written.

use super::*;
use crate::{
    authz::{Asker, Circumstances, Histories, Policies},
    message::Envelope,
    token::{Claims, Supposed},
    watch::{Watch, WatchConfig},
};

const POLICIES: &str = r#"@id("all") permit (principal, action, resource);"#;
const HIERARCHY: &str = r#"[
    { "uid": { "type": "Mcp::Group", "id": "staff" }, "attrs": {}, "parents": [] },
    { "uid": { "type": "Mcp::Group", "id": "night-shift" }, "attrs": {},
      "parents": [{ "type": "Mcp::Group", "id": "staff" }] },
    { "uid": { "type": "Mcp::Zone", "id": "europe" }, "attrs": {}, "parents": [] },
    { "uid": { "type": "Mcp::Zone", "id": "paris" }, "attrs": {},
      "parents": [{ "type": "Mcp::Zone", "id": "europe" }] }
]"#;

/// Limits with the policies beside which they stand.
struct Gate {
    home: tempfile::TempDir,
    limits: CallLimits,
    policies: Policies,
    histories: Arc<Histories>,
}

fn gate(rules: &str) -> Gate {
    gate_of(rules, "")
}

fn gate_of(rules: &str, issuers: &str) -> Gate {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("schema.cedarschema", include_str!("../../../policies/schema.cedarschema")),
        ("tools.lock", include_str!("../../../policies/tools.lock")),
        ("entities.json", HIERARCHY),
        ("a.cedar", POLICIES),
    ] {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let config = config(home.path(), rules, issuers);
    Gate {
        limits: CallLimits::new(&config),
        policies: Policies::load(&config).unwrap(),
        histories: Arc::new(Histories::new(config.policies.history_window)),
        home,
    }
}

fn config(home: &std::path::Path, rules: &str, issuers: &str) -> Config {
    let text = format!(
        r#"
        [listener]
        address = "127.0.0.1:0"
        certificate = "c"
        key = "k"
        [resource]
        public_url = "https://gate.example.com/mcp"
        [[issuers]]
        issuer = "https://issuer.example.com"
        {issuers}
        [policies]
        directory = "."
        [upstream]
        name = "customers"
        url = "http://127.0.0.1:1/mcp"
        identity = "none"
        {rules}
        "#
    );
    let file = home.join("gate.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file).unwrap()
}

impl Gate {
    /// Nothing taken yet, by these rules.
    fn begin(&mut self, rules: &str) {
        self.limits = CallLimits::new(&config(self.home.path(), rules, ""));
    }

    /// Whether a call of the tool passes; what it took stays taken.
    async fn passes(&self, claims: &Claims, tool: &str) -> bool {
        self.spend(claims, tool).await.map(Spent::made).is_ok()
    }

    async fn spend(&self, claims: &Claims, tool: &str) -> Result<Spent, Rejection> {
        let arguments = if tool == TOOL { r#"{"customer_id":"ABC123"}"# } else { "{}" };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        );
        let json = http::HeaderValue::from_static("application/json");
        let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, json)]);
        let envelope = Envelope::read(&headers, body.as_bytes()).unwrap();
        let message = envelope.confirmed_by(&headers).unwrap();
        let peer = [192, 0, 2, 1].into();
        let name = self.policies.principal_name(claims);
        let watch = Arc::new(Watch::new(WatchConfig::default()));
        let known = (&self.histories, &watch);
        let circumstances = Circumstances::of(&message, peer, known, name);
        let asker = Asker { claims, circumstances: &circumstances };
        let authorized = self.policies.authorize(&asker, message).outcome.unwrap();
        self.limits.spend(&self.policies.standing(claims), &authorized).await
    }
}

fn somebody(change: impl FnOnce(&mut Supposed)) -> Claims {
    let mut supposed = Supposed {
        iss: "https://issuer.example.com".to_owned(),
        sub: "alice".to_owned(),
        client_id: "client".to_owned(),
        ..Supposed::default()
    };
    change(&mut supposed);
    Claims::supposed(supposed)
}

fn in_groups(sub: &str, groups: &[&str]) -> Claims {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    somebody(|claims| (claims.sub, claims.groups) = (sub.to_owned(), groups))
}

const TOOL: &str = "get_customer_info";
const OTHER_TOOL: &str = "get_recent_customers";

#[tokio::test]
async fn what_a_rule_does_not_tell_apart_counts_together() {
    let mut gate = gate("");
    let alice = somebody(|_| ());
    let through_another = somebody(|claims| "another".clone_into(&mut claims.client_id));
    let bob = somebody(|claims| "bob".clone_into(&mut claims.sub));
    let namesake = somebody(|claims| "https://other.example.com".clone_into(&mut claims.iss));
    let elsewhere = somebody(|claims| claims.zone = Some("paris".to_owned()));
    for (per, apart) in [
        (r#"["principal"]"#, [false, false, true, true, false]),
        (r#"["tool"]"#, [true, false, false, false, false]),
        (r#"["client"]"#, [false, true, false, false, false]),
        (r#"["zone"]"#, [false, false, false, false, true]),
        (r#"["server"]"#, [false; 5]),
        (r#"["group"]"#, [false; 5]),
        (r#"["principal", "tool"]"#, [true, false, true, true, false]),
        (r#"["zone", "client", "principal", "tool"]"#, [true; 5]),
    ] {
        let others = [
            (&alice, OTHER_TOOL),
            (&through_another, TOOL),
            (&bob, TOOL),
            (&namesake, TOOL),
            (&elsewhere, TOOL),
        ];
        for ((claims, tool), apart) in others.into_iter().zip(apart) {
            gate.begin(&format!("[[call_limits]]\nid = 'r'\nper = {per}\ncalls_per_day = 1"));
            assert!(gate.passes(&alice, TOOL).await);
            assert!(!gate.passes(&alice, TOOL).await);
            assert_eq!(gate.passes(claims, tool).await, apart, "{per} {claims:?} {tool}");
        }
    }
}

#[tokio::test]
async fn a_call_counts_in_every_group_of_its_caller() {
    let gate = gate("[[call_limits]]\nid = 'r'\nper = ['group']\ncalls_per_day = 2");
    let both = in_groups("alice", &["red", "blue"]);
    let red = in_groups("bob", &["red"]);
    let blue = in_groups("carol", &["blue"]);
    assert!(gate.passes(&both, TOOL).await);
    assert!(gate.passes(&red, TOOL).await);
    assert!(!gate.passes(&red, TOOL).await);
    assert!(!gate.passes(&both, TOOL).await, "one of its groups has had enough");
    assert!(gate.passes(&blue, TOOL).await, "and the other has lost nothing by it");
    assert!(!gate.passes(&blue, TOOL).await);
    let [one, other] = ["dave", "erin"].map(|name| in_groups(name, &[]));
    assert!(gate.passes(&one, TOOL).await && gate.passes(&other, TOOL).await);
    assert!(!gate.passes(&one, TOOL).await, "those in no group count together");
}

#[tokio::test]
async fn a_rule_is_about_those_whom_it_names() {
    let mut gate = gate("");
    let shift = in_groups("alice", &["night-shift"]);
    let parisian = somebody(|claims| claims.zone = Some("paris".to_owned()));
    for (only, claims, tool, concerned) in [
        ("tools = ['get_customer_info']", &shift, TOOL, true),
        ("tools = ['get_customer_info']", &shift, OTHER_TOOL, false),
        ("groups = ['night-shift']", &shift, TOOL, true),
        ("groups = ['red', 'staff']", &shift, TOOL, true),
        ("groups = ['red']", &shift, TOOL, false),
        ("zones = ['europe']", &parisian, TOOL, true),
        ("zones = ['asia']", &parisian, TOOL, false),
        ("zones = ['europe']", &shift, TOOL, false),
        ("clients = ['client']", &shift, TOOL, true),
        ("clients = ['other']", &shift, TOOL, false),
        ("clients = ['client']\ngroups = ['red']", &shift, TOOL, false),
    ] {
        gate.begin(&format!(
            "[[call_limits]]\nid = 'r'\nper = ['server']\ncalls_per_day = 1\n{only}"
        ));
        assert!(gate.passes(claims, tool).await);
        assert_eq!(gate.passes(claims, tool).await, !concerned, "{only} {claims:?}");
    }
}

#[tokio::test]
async fn a_group_that_a_rule_names_counts_all_that_are_in_it() {
    let gate =
        gate("[[call_limits]]\nid = 'r'\nper = ['group']\ngroups = ['staff']\ncalls_per_day = 2");
    let shift = in_groups("alice", &["night-shift", "red"]);
    let staff = in_groups("bob", &["staff"]);
    assert!(gate.passes(&shift, TOOL).await && gate.passes(&staff, TOOL).await);
    assert!(!gate.passes(&shift, TOOL).await && !gate.passes(&staff, TOOL).await);
}

#[tokio::test]
async fn names_are_an_issuers_own_where_there_are_several() {
    let more = "[[issuers]]\nissuer = \"https://other.example.com\"";
    let gate = gate_of(
        "[[call_limits]]\nid = 'r'\nper = ['group']\ngroups = ['https://issuer.example.com#red']\ncalls_per_day = 1",
        more,
    );
    let red = in_groups("alice", &["red"]);
    assert!(gate.passes(&red, TOOL).await);
    assert!(!gate.passes(&red, TOOL).await);
    let mut groups = std::collections::BTreeSet::new();
    groups.insert("red".to_owned());
    let other = somebody(|claims| {
        "https://other.example.com".clone_into(&mut claims.iss);
        claims.groups = groups;
    });
    assert!(gate.passes(&other, TOOL).await && gate.passes(&other, TOOL).await);
}

#[tokio::test]
async fn a_call_that_is_not_made_took_nothing() {
    let gate = gate(
        "[[call_limits]]\nid = 'r'\nper = ['server']\nrate = '2/hour'\ncalls_per_day = 2\nconcurrent = 2",
    );
    let alice = somebody(|_| ());
    for _ in 0..5 {
        assert!(gate.spend(&alice, TOOL).await.is_ok());
    }
    let one = gate.spend(&alice, TOOL).await.unwrap().made();
    let other = gate.spend(&alice, TOOL).await.unwrap().made();
    assert!(one.permit.is_some() && other.meter.is_none());
    assert!(gate.spend(&alice, TOOL).await.is_err());
}

#[tokio::test]
async fn what_is_left_is_told_and_who_refused() {
    let gate = gate(
        r#"
        [[call_limits]]
        id = "often"
        per = ["principal"]
        rate = "3/day"
        [[call_limits]]
        id = "all-day"
        per = ["principal", "tool"]
        calls_per_day = 2
        concurrent = 9
        result_bytes_per_day = "1 kB"
        "#,
    );
    let alice = somebody(|_| ());
    let spent = gate.spend(&alice, TOOL).await.unwrap();
    let told = |states: &[LimitState]| -> Vec<String> {
        states.iter().map(|s| format!("{} {:?} {}", s.rule, s.of, s.remaining)).collect()
    };
    assert_eq!(
        told(spent.states()),
        [
            "often Rate 2",
            "all-day ResultBytesPerDay 1000",
            "all-day CallsPerDay 1",
            "all-day Concurrent 8"
        ]
    );
    let note: serde_json::Value = serde_json::from_str(&spent.made().note.unwrap()).unwrap();
    assert_eq!((&note["remaining"], &note["limit"]), (&1.into(), &2.into()), "{note}");
    assert_eq!(note["resultBytesRemaining"], 1000);
    assert!(note["resetAfterMs"].as_u64().is_some_and(|reset| reset <= 86_400_000));
    assert!(gate.passes(&alice, TOOL).await);
    let Err(Rejection::RateLimited { limits, .. }) = gate.spend(&alice, TOOL).await else {
        panic!("it passed");
    };
    assert_eq!(told(&limits)[2], "all-day CallsPerDay 0");
    assert_eq!(told(&limits)[0], "often Rate 1", "{limits:?}");
}

#[test]
fn a_rule_for_a_tool_that_there_is_not_is_warned_of() {
    let gate = gate(
        "[[call_limits]]\nid = 'r'\nper = ['tool']\nconcurrent = 1\ntools = ['get_customer_info', 'get_custommer', 'call_tool']",
    );
    let warnings = gate.policies.status().warnings;
    let told = |name: &str| warnings.iter().any(|w| w.contains("`r`") && w.contains(name));
    assert!(told("`get_custommer`") && told("`call_tool`"), "{warnings:?}");
    assert!(!told("`get_customer_info`"), "{warnings:?}");
}
