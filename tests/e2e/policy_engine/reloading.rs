use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

/// Two sets that differ in every policy: a record that named policies of one and the version of the
/// other would show that a decision mixed them. One of them forbids pings, so that it can be told.
fn set(name: &str) -> String {
    let pinged = if name == "two" { "forbid" } else { "permit" };
    format!(
        r#"@id("{name}-permits") permit (principal, action, resource);
           @id("{name}-pinged") {pinged} (principal, action == Mcp::Action::"ping", resource);
           @id("{name}-shadow") @mode("shadow") forbid (principal, action == Mcp::Action::"pay", resource);"#
    )
}

async fn post(http: &reqwest::Client, stack: &Stack, token: &str, body: &'static str) -> String {
    let request = http.post(stack.resource()).bearer_auth(token);
    let request = request.header("content-type", "application/json").body(body);
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_never_mixes_two_sets() {
    let (_, stack) = gate("");
    let mut stack = stack.policies(&set("one")).start().await;
    let file = stack.home().join("policies/test.cedar");
    let done = AtomicBool::new(false);
    let calling = async {
        // Past the stack's own count: the records are looked at one by one.
        let (http, token) = (stack.http(), stack.caller("").token().to_owned());
        let pay = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amounts":[1]}}}"#;
        let call = async || post(&http, &stack, &token, pay).await;
        while !done.load(Ordering::Relaxed) {
            let calls = (0..4).map(|_| call());
            for answer in futures::future::join_all(calls).await {
                assert!(answer.contains("done"), "{answer}");
            }
            // Whoever watches decisions has to keep up.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let editing = async {
        let (http, token) = (stack.http(), stack.caller("").token().to_owned());
        for name in ["two", "one", "two"] {
            let text = set(name);
            // As a careless editor writes: empty first, then half, then all.
            std::fs::write(&file, "").unwrap();
            std::fs::write(&file, &text[..text.len() / 2]).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            std::fs::write(&file, &text).unwrap();
            let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            let in_force = async {
                while post(&http, &stack, &token, ping).await.contains("error") != (name == "two") {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(60), in_force).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(calling, editing);
    let mut sets: BTreeMap<String, String> = BTreeMap::new();
    let records = stack.take_decisions().await;
    for record in records.iter().filter(|record| record.target.is_some()) {
        let name = record.policies[0].strip_suffix("-permits").unwrap().to_owned();
        assert_eq!(record.shadow_policies, [format!("{name}-shadow")]);
        let version = record.policy_version.clone().unwrap();
        assert_eq!(sets.entry(version).or_insert_with(|| name.clone()), &name);
    }
    let mut names: Vec<&String> = sets.values().collect();
    names.dedup();
    assert_eq!(sets.len(), 2, "two versions were in force: {sets:?}");
    stack.finish().await;
}
