//! Typical mistakes in policies and what belongs to them, each with what `cedargate check` says: where,
//! what, and what to do.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use harness::{Program, Stack};

const GATE: &str = env!("CARGO_BIN_EXE_cedargate-under-test");

/// A permit of a tool under this condition.
fn on_tickets(condition: &str) -> String {
    format!(
        "@id(\"tickets\")\npermit (\n  principal,\n  action == Mcp::Action::\"create_support_ticket\",\n  resource\n)\nwhen {{ {condition} }};\n"
    )
}

/// What is said of a file of policies that has this text.
fn told(stack: &Stack, text: impl AsRef<[u8]>) -> String {
    let file = stack.home().join("policies/tickets.cedar");
    let before = std::fs::read(&file).unwrap();
    std::fs::write(&file, text).unwrap();
    let told = check(stack.home());
    std::fs::write(&file, before).unwrap();
    told
}

fn check(home: &Path) -> String {
    let output = Program::run(GATE, &["check", "--config", "gate.toml"], home);
    assert_eq!(output.status.code(), Some(64));
    String::from_utf8(output.stderr).unwrap().replace(&home.display().to_string(), "HOME")
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_policies_are_shown_with_their_place() {
    let stack = Stack::start().await;
    let all = [
        (
            "an unknown tool",
            on_tickets("true").replace("create_support_ticket", "create_suport_ticket"),
        ),
        ("a misspelt attribute", on_tickets("principal.scope.contains(\"ticket:create\")")),
        ("an unknown argument", on_tickets("context.input.prio == \"low\"")),
        ("the wrong type", on_tickets("context.input.priority > 3")),
        ("an optional part", on_tickets("context.peer.provider == \"x\"")),
        ("an unknown fact", on_tickets("context.facts.subject.size > 3")),
        ("an unknown group type", on_tickets("principal in Mcp::Role::\"clerks\"")),
        ("no id", on_tickets("true").replace("@id(\"tickets\")\n", "")),
        ("an id that is none", on_tickets("true").replace("\"tickets\"", "\"My Tickets\"")),
        ("an id used twice", on_tickets("true") + &on_tickets("true")),
        ("an id used elsewhere", on_tickets("true").replace("\"tickets\"", "\"customer-read\"")),
        ("an unknown annotation", format!("@owner(\"me\")\n{}", on_tickets("true"))),
        ("a malformed rate", format!("@rate_limit(\"often\")\n{}", on_tickets("true"))),
        ("an unknown mode", format!("@mode(\"dry-run\")\n{}", on_tickets("true"))),
        (
            "an obligation of a forbid",
            format!("@audit(\"full\")\n{}", on_tickets("true").replace("permit", "forbid")),
        ),
        ("a missing semicolon", on_tickets("true").replace("};", "}")),
        ("a bracket too few", on_tickets("(true")),
        ("a template", on_tickets("true").replace("principal,", "principal == ?principal,")),
        ("what can never hold", on_tickets("principal is Mcp::Client")),
        (
            "a claim that is trusted",
            on_tickets("context.peer has provider && context.peer.provider == \"x\""),
        ),
        ("brackets without end", on_tickets(&"(".repeat(80))),
    ];
    let mut report = String::new();
    for (what, text) in all {
        report.push_str(&format!("=== {what}\n{}\n", told(&stack, text).trim_end()));
    }
    report.push_str(&format!(
        "=== no UTF-8\n{}\n",
        told(&stack, b"@id(\"a\") permit\n \xff").trim_end()
    ));
    insta::assert_snapshot!("policies", report);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_what_belongs_to_policies_are_shown_too() {
    let stack = Stack::start().await;
    let policies = stack.home().join("policies");
    let mut report = String::new();
    let mut with = |what: &str, change: &dyn Fn(), back: &dyn Fn()| {
        change();
        report.push_str(&format!("=== {what}\n{}\n", check(stack.home()).trim_end()));
        back();
    };
    let (schema, lock) = (policies.join("schema.cedarschema"), policies.join("tools.lock"));
    let (schema_text, lock_text) =
        (std::fs::read_to_string(&schema).unwrap(), std::fs::read_to_string(&lock).unwrap());
    let schema_back = || std::fs::write(&schema, &schema_text).unwrap();
    let lock_back = || std::fs::write(&lock, &lock_text).unwrap();
    with("no schema", &|| std::fs::remove_file(&schema).unwrap(), &schema_back);
    with(
        "a schema that is none",
        &|| {
            std::fs::write(&schema, schema_text.replacen("entity Client =", "entitty Client =", 1))
                .unwrap()
        },
        &schema_back,
    );
    with(
        "a schema of somebody else's",
        &|| std::fs::write(&schema, "namespace Shop { entity User; }").unwrap(),
        &schema_back,
    );
    with("no lock", &|| std::fs::remove_file(&lock).unwrap(), &lock_back);
    with(
        "an edited lock",
        &|| {
            std::fs::write(
                &lock,
                lock_text.replacen("\"description\": \"", "\"description\": \"x", 1),
            )
            .unwrap()
        },
        &lock_back,
    );
    let entities = policies.join("entities.json");
    let gone = || std::fs::remove_file(&entities).unwrap();
    with("entities that are no JSON", &|| std::fs::write(&entities, "[{").unwrap(), &gone);
    with(
        "an entity that is not the operator's",
        &|| {
            let text =
                r#"[{"uid":{"type":"Mcp::Client","id":"c"},"attrs":{"id":"c"},"parents":[]}]"#;
            std::fs::write(&entities, text).unwrap();
        },
        &gone,
    );
    let file = policies.join("tickets.cedar");
    let mode =
        |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    let folder = policies.join("folder.cedar");
    // Root may read everything, so that this one shows where tests run as somebody else.
    let readable = || std::fs::File::open(&file).is_ok();
    mode(0o000);
    if !readable() {
        with("a file that cannot be read", &|| {}, &|| {});
    }
    mode(0o644);
    drop(folder);
    insta::assert_snapshot!("belongings", report);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_get_every_problem_with_line_and_column() {
    let stack = Stack::start().await;
    let text = on_tickets("context.input.prio == \"low\" && principal.scope == \"x\"");
    std::fs::write(stack.home().join("policies/tickets.cedar"), text).unwrap();
    std::fs::write(stack.home().join("policies/accounts.cedar"), "nonsense").unwrap();
    let output = Program::run(GATE, &["check", "--json", "--config", "gate.toml"], stack.home());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let places: Vec<(String, u64)> = told["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let file = problem["file"].as_str().unwrap();
            (file.rsplit('/').next().unwrap().to_owned(), problem["line"].as_u64().unwrap())
        })
        .collect();
    assert!(places.contains(&("accounts.cedar".to_owned(), 1)), "{told:#}");
    stack.finish().await;
}
