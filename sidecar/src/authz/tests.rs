//! Decisions over small policy sets.

mod agreement;
mod chosen_tools;
mod risk;

use std::path::Path;

use super::*;
use crate::{
    config::Config,
    message::{Envelope, TargetKind},
};

const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");
const LOCK: &str = include_str!("../../../policies/tools.lock");
const ADVERTISED: [&str; 4] =
    ["customer:read", "ticket:create", "account:calculate", "security:read"];

struct Home(tempfile::TempDir);

impl Home {
    fn with(policies: &str) -> Self {
        Self::of(SCHEMA, LOCK, policies)
    }

    fn of(schema: &str, lock: &str, policies: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.path().join("schema.cedarschema"), schema).unwrap();
        std::fs::write(home.path().join("tools.lock"), lock).unwrap();
        home.write(policies);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, policies: &str) {
        std::fs::write(self.path().join("a.cedar"), policies).unwrap();
    }

    fn config(&self) -> Config {
        let text = format!(
            r#"
            [listener]
            address = "127.0.0.1:0"
            certificate = "c"
            key = "k"
            [resource]
            public_url = "https://gate.example.com/mcp"
            scopes_supported = {ADVERTISED:?}
            [[issuers]]
            issuer = "https://issuer.example.com"
            [policies]
            directory = "."
            [upstream]
            name = "customers"
            url = "http://127.0.0.1:1/mcp"
            identity = "none"
            "#
        );
        let file = self.path().join("gate.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    fn load(&self) -> Result<Policies, String> {
        Policies::load(&self.config()).map_err(|error| error.to_string())
    }
}

fn policies(text: &str) -> Policies {
    Home::with(text).load().unwrap()
}

fn call(tool: &str, arguments: &str) -> Message {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    );
    message(&body)
}

fn message(body: &str) -> Message {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    let envelope = Envelope::read(&headers, body.as_bytes()).unwrap();
    envelope.confirmed_by(&headers).unwrap()
}

fn decide(
    policies: &Policies,
    scopes: &[&str],
    message: Message,
) -> Result<Vec<String>, Rejection> {
    let claims = Claims::for_test("alice", scopes);
    let asker = Asker { claims: &claims, circumstances: &Circumstances::none() };
    policies.authorize(&asker, message).outcome.map(|a| a.determining_policies().to_vec())
}

fn shipped() -> Policies {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies"));
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "cedar") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    policies(&text)
}

const INFO: &str = r#"{"customer_id":"ABC123"}"#;
const TICKET: &str = r#"{"customer_id":"ABC123","subject":"s","description":"d","priority":"low"}"#;

#[test]
fn a_held_scope_permits_and_names_its_policy() {
    let decided = decide(&shipped(), &["customer:read"], call("get_customer_info", INFO));
    assert_eq!(decided, Ok(vec!["customer-read".to_owned()]));
}

#[test]
fn a_missing_scope_is_named_exactly() {
    let decided = decide(&shipped(), &["customer:read"], call("create_support_ticket", TICKET));
    let required = vec!["ticket:create".to_owned()];
    assert_eq!(decided, Err(Rejection::InsufficientScope { required, policies: Vec::new() }));
}

#[test]
fn a_scope_is_an_exact_word() {
    for near in ["customer:readonly", "customer:rea", "CUSTOMER:READ", "customer:read,x"] {
        let decided = decide(&shipped(), &[near], call("get_customer_info", INFO));
        assert_eq!(decided.unwrap_err().reason(), "insufficient-scope", "{near}");
    }
}

#[test]
fn several_missing_scopes_come_in_one_set_and_no_more_than_needed() {
    let policies = policies(
        r#"@id("a") permit (principal, action, resource is Mcp::Tool)
           when { principal.scopes.contains("customer:read") && principal.scopes.contains("ticket:create") };
           @id("b") permit (principal, action, resource is Mcp::Tool)
           when { principal.scopes.containsAll(["account:calculate", "security:read", "ticket:create"]) };"#,
    );
    let required =
        |scopes: &[&str]| match decide(&policies, scopes, call("get_customer_info", INFO)) {
            Err(Rejection::InsufficientScope { required, .. }) => required,
            other => panic!("{other:?}"),
        };
    assert_eq!(required(&[]).len(), 2, "the smaller of two ways, or either when equal");
    assert_eq!(required(&["customer:read"]), ["customer:read", "ticket:create"]);
    assert_eq!(
        required(&["account:calculate", "security:read"]),
        ["account:calculate", "security:read", "ticket:create"],
        "what is held is built upon"
    );
}

#[test]
fn what_no_scope_permits_is_as_if_it_were_absent() {
    let policies = policies(
        r#"@id("a") permit (principal, action == Mcp::Action::"get_customer_info", resource);
           @id("no-tickets") forbid (principal, action == Mcp::Action::"create_support_ticket", resource);"#,
    );
    let hidden = |policies: &[&str]| {
        Err(Rejection::HiddenTarget {
            kind: TargetKind::Tool,
            name: "create_support_ticket".to_owned(),
            policies: policies.iter().map(|&id| id.to_owned()).collect(),
        })
    };
    let ticket = |arguments| decide(&policies, &[], call("create_support_ticket", arguments));
    assert_eq!(ticket(TICKET), hidden(&["no-tickets"]), "the record knows why");
    assert_eq!(ticket(r#"{"x":1}"#), hidden(&[]), "its arguments are hidden too");
    let absent = Rejection::UnknownTarget(TargetKind::Tool, "no_such_tool".to_owned());
    assert_eq!(decide(&policies, &[], call("no_such_tool", "{}")), Err(absent));
}

#[test]
fn a_tool_that_is_hidden_by_a_failing_policy_does_not_show_itself() {
    let policies = policies(
        r#"@id("all") permit (principal, action, resource);
           @id("overflows") forbid (principal, action == Mcp::Action::"get_recent_customers", resource)
           when { 9223372036854775807 + 1 > 0 };"#,
    );
    let decided = decide(&policies, &[], call("get_recent_customers", "{}"));
    assert_eq!(decided.unwrap_err().reason(), "hidden");
}

#[test]
fn what_other_arguments_would_permit_is_denied_openly() {
    let policies = policies(
        r#"@id("no-urgent") permit (principal, action == Mcp::Action::"create_support_ticket", resource)
           when { context.input.priority != "urgent" };
           @id("not-for-12345") forbid (principal, action == Mcp::Action::"create_support_ticket", resource)
           when { context.input.customer_id == "12345" };"#,
    );
    let ticket = |customer: &str, priority: &str| {
        let arguments = TICKET.replace("ABC123", customer).replace("low", priority);
        decide(&policies, &[], call("create_support_ticket", &arguments))
    };
    assert_eq!(ticket("ABC123", "low"), Ok(vec!["no-urgent".to_owned()]));
    assert_eq!(ticket("ABC123", "urgent"), Err(Rejection::Denied { policies: vec![] }));
    assert_eq!(
        ticket("12345", "low"),
        Err(Rejection::Denied { policies: vec!["not-for-12345".to_owned()] })
    );
}

#[test]
fn arguments_that_do_not_fit_are_named_to_whom_may_see_the_tool() {
    let decided = decide(&shipped(), &[], call("get_customer_info", r#"{"customer_id":7}"#));
    let Err(Rejection::InvalidArguments { path, .. }) = decided else { panic!("{decided:?}") };
    assert_eq!(path, "customer_id");
}

#[test]
fn a_policy_that_fails_to_evaluate_refuses_even_if_another_permits() {
    let policies = policies(
        r#"@id("all") permit (principal, action, resource);
           @id("overflows") forbid (principal, action == Mcp::Action::"get_recent_customers", resource)
           when { context.input has limit && context.input.limit * 922337203685477580 < 0 };"#,
    );
    let recent = |limit: &str| {
        decide(&policies, &[], call("get_recent_customers", &format!(r#"{{"limit":{limit}}}"#)))
    };
    assert_eq!(recent("10"), Ok(vec!["all".to_owned()]));
    assert_eq!(recent("100").unwrap_err().reason(), "evaluation-failed");
}

#[test]
fn the_handshake_is_for_everyone_who_has_a_token() {
    let policies = policies(r#"@id("none") forbid (principal, action, resource);"#);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{
        "io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    let envelope = Envelope::read(&headers, body.as_bytes()).unwrap();
    let discover = envelope.confirmed_by(&headers).unwrap();
    assert_eq!(decide(&policies, &[], discover), Ok(vec!["built-in:server-discover".to_owned()]));
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{
        "protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    for (body, by) in [(initialize, "built-in:initialize"), (initialized, "built-in:initialized")] {
        assert_eq!(decide(&policies, &[], message(body)), Ok(vec![by.to_owned()]));
    }
    let list = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert_eq!(
        decide(&policies, &[], list),
        Err(Rejection::Denied { policies: vec!["none".to_owned()] })
    );
}

#[test]
fn a_set_that_cannot_mean_what_it_says_is_refused() {
    for (text, part) in [
        (
            r#"@id("a") permit (principal, action == Mcp::Action::"drop_tables", resource);"#,
            "drop_tables",
        ),
        (
            r#"@id("a") permit (principal, action == Mcp::Action::"get_customer_info", resource)
               when { context.input.customer_idd == "x" };"#,
            "customer_idd",
        ),
        (
            r#"@id("a") permit (principal, action == Mcp::Action::"get_customer_info", resource)
               when { context.input.customer_id > 3 };"#,
            "a.cedar:2",
        ),
        (
            r#"@id("a") permit (principal is Mcp::Server, action == Mcp::Action::"get_customer_info", resource);"#,
            "a.cedar:1",
        ),
    ] {
        let told = Home::with(text).load().map(drop).unwrap_err();
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_schema_that_asks_for_what_nobody_supplies_is_refused() {
    let home = Home::with(r#"@id("a") permit (principal, action, resource);"#);
    for (from, to, part) in [
        ("iss: String,", "iss: String,\n    department: String,", "department"),
        (
            "\"limit\"?: Long,\n        },",
            "\"limit\"?: Long,\n        }, mood: String",
            "context.mood",
        ),
        ("type System = { now: datetime };", "type System = { now: Long };", "context.system"),
        ("namespace Mcp {", "namespace Other {", "namespace Mcp"),
    ] {
        assert!(SCHEMA.contains(from), "{from}");
        std::fs::write(home.path().join("schema.cedarschema"), SCHEMA.replace(from, to)).unwrap();
        let told = home.load().map(drop).unwrap_err();
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_tool_named_as_a_group_or_method_gets_an_action_of_its_own() {
    for (tool, action) in [
        ("get_customer_info", "get_customer_info"),
        ("ping", "tool:ping"),
        ("list", "tool:list"),
        ("tools/list", "tool:tools/list"),
        ("a/b", "a/b"),
        ("tool:ping", "tool:tool:ping"),
    ] {
        assert_eq!(vocabulary::tool_action(tool), action);
    }
}

#[test]
fn a_policy_too_deep_for_a_requests_stack_is_refused_at_load() {
    let policy = |condition: &str| {
        format!(
            r#"@id("a") permit (principal, action, resource is Mcp::Tool) when {{ {condition} }};"#
        )
    };
    let room = 16 * 1024 - policy("").len();
    let chain = |link: &str, joint: &str| vec![link; room / (link.len() + joint.len())].join(joint);
    let step = r#"if principal.id=="a" then true else "#;
    for condition in [
        chain(r#"principal.id=="a""#, "||"),
        chain(r#"principal.id!="a""#, "&&"),
        format!("{}false", step.repeat((room - 5) / step.len())),
        format!(r#"principal.id=="a"||0<{}1"#, "1+".repeat((room - 30) / 2)),
    ] {
        let told = Home::with(&policy(&condition)).load().map(drop).unwrap_err();
        assert!(told.contains("cannot be decided"), "{told}");
    }
    let many_words = vec![r#""a""#; 3_000].join(",");
    assert!(Home::with(&policy(&format!("[{many_words}].contains(principal.id)"))).load().is_ok());
}

#[tokio::test]
async fn sets_follow_their_files_and_a_broken_one_changes_nothing() {
    let permit =
        |id: &str| format!(r#"@id("{id}") permit (principal, action, resource is Mcp::Tool);"#);
    let parent = tempfile::tempdir().unwrap();
    let home = Home::with(&permit("first"));
    let store = std::sync::Arc::new(PolicyStore::load(&home.config()).unwrap());
    let now = || decide(&store.current(), &[], call("get_customer_info", INFO));
    let following = std::sync::Arc::clone(&store);
    let follower = tokio::spawn(async move { following.follow_files().await });
    let is = |id: &str| now() == Ok(vec![id.to_owned()]);
    assert!(is("first"));

    home.write(&permit("second"));
    until(|| is("second")).await;

    home.write("permit (principal, action, resource);");
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(is("second"), "the last good set stays in force");

    home.write(&permit("third"));
    until(|| is("third")).await;

    // As a deployment does it: away with the folder, and another in its place.
    let away = parent.path().join("away");
    std::fs::rename(home.path(), &away).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(is("third"));
    std::fs::create_dir(home.path()).unwrap();
    for file in ["schema.cedarschema", "tools.lock"] {
        std::fs::copy(away.join(file), home.path().join(file)).unwrap();
    }
    home.write(&permit("fourth"));
    until(|| is("fourth")).await;
    home.write(&permit("fifth"));
    until(|| is("fifth")).await;
    follower.abort();
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..100 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it did not come to pass in five seconds");
}
