use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

/// Two sets that differ in every policy: a record that named policies of one and the version of the
/// other would show that a decision mixed them.
fn set(name: &str) -> String {
    format!(
        r#"@id("{name}-permits") permit (principal, action, resource);
           @id("{name}-shadow") @mode("shadow") forbid (principal, action == Mcp::Action::"pay", resource);"#
    )
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
        let call = async || {
            let request = http.post(stack.resource()).bearer_auth(&token);
            let request = request.header("content-type", "application/json").body(pay);
            request.send().await.unwrap().text().await.unwrap()
        };
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
        for round in 0..3 {
            let text = set(if round % 2 == 0 { "two" } else { "one" });
            // As a careless editor writes: empty first, then half, then all.
            std::fs::write(&file, "").unwrap();
            std::fs::write(&file, &text[..text.len() / 2]).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            std::fs::write(&file, &text).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(calling, editing);
    let mut sets: BTreeMap<String, String> = BTreeMap::new();
    for record in stack.take_decisions().await {
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
