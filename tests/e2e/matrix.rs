//! Official clients list and call tools through the gate in front of official servers. Each makes
//! three calls: a permitted one, one whose arguments a policy forbids, and one of a tool that is
//! forbidden to everyone, which must not be listed either.

/// The clients, and what comes of their visits.
mod clients;
/// Programs and files for both.
mod desk;
/// The servers, and what is asked of them.
mod servers;

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt as _;
use harness::{Stack, schema_for, skip};
use sidecar::DecisionRecord;

use clients::{Answer, Client, Found, Visit};
use desk::{Desk, Kit, NEEDED};
use servers::Server;

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_use_official_servers_through_the_gate() {
    let Some(kit) = Kit::find() else {
        return skip(NEEDED);
    };
    let desk = Desk::new(&kit);
    let mut table = String::new();
    for server in Server::all(&desk) {
        table.push_str(&stand_before(&server, &desk).await);
    }
    println!("{table}");
    insta::assert_snapshot!(table, @"");
}

/// Lets all clients use one server; yields a line of the table for each.
async fn stand_before(server: &Server, desk: &Desk<'_>) -> String {
    let offered = server.tools().await;
    let stack = server.behind(Stack::with());
    let stack = stack.schema(&schema_for(&offered)).policies(&server.policies());
    let mut stack = stack.start().await;
    let offered: BTreeSet<&str> = offered.iter().map(|t| t["name"].as_str().unwrap()).collect();
    let found: Vec<(Client, Found)> = {
        let visits = Client::ALL.map(|client| {
            let token = token(&stack, client);
            Visit { client, desk, stack: &stack, server, token }.pay()
        });
        futures::stream::iter(visits).buffered(AT_ONCE).collect().await
    };
    let decisions = stack.take_decisions().await;
    stack.finish().await;
    let rows = found
        .iter()
        .map(|(client, found)| row(server, &client.name(), &offered, found, &decisions));
    rows.collect()
}

/// Asserts what holds for every client before every server, and words the rest.
fn row(
    server: &Server,
    client: &str,
    offered: &BTreeSet<&str>,
    found: &Found,
    decisions: &[Arc<DecisionRecord>],
) -> String {
    let pair = format!("{client} before {}", server.name);
    let era = era(client, decisions);
    assert!(found.protocol.as_ref().is_none_or(|version| version == era), "{pair}: {found:?}");
    let mut permitted = offered.clone();
    assert!(permitted.remove(server.hidden()), "{pair}");
    let listed: BTreeSet<&str> = found.tools.iter().map(String::as_str).collect();
    assert_eq!(listed, permitted, "{pair}");
    let [Answer::Text(answer), Answer::Refused(forbidden), Answer::Refused(hidden)] =
        &found.answers
    else {
        panic!("{pair}: {found:?}");
    };
    assert!(answer.contains(server.answer), "{pair}: {answer}");
    let (listed, of, server) = (listed.len(), offered.len(), server.name);
    format!(
        "{server:18} | {client:24} | {era} | {listed:2} of {of:2} | {forbidden:30} | {hidden}\n"
    )
}

/// A token of the client's own, by whose subject its requests are known.
fn token(stack: &Stack, client: Client) -> String {
    let mut claims = stack.claims("customer:read");
    claims["sub"] = client.name().into();
    stack.signing_key().sign(&claims).unwrap()
}

/// What the gate's records say of a client.
fn era(client: &str, decisions: &[Arc<DecisionRecord>]) -> &'static str {
    let own = decisions.iter().filter(|record| record.subject.as_deref() == Some(client));
    let methods: BTreeSet<&str> = own.filter_map(|record| record.method.as_deref()).collect();
    if methods.contains("initialize") { "2025-11-25" } else { "2026-07-28" }
}

/// Clients that run at the same time.
const AT_ONCE: usize = 3;
