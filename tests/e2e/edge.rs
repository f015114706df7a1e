use std::net::TcpStream;

use harness::{Stack, eventually};

#[tokio::test]
async fn pages_of_other_origins_and_other_hosts_are_refused() {
    let stack = Stack::with().start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let page = stack.caller("").header("origin", "https://evil.example.com");
    assert_eq!(page.refused(body).await.status, 403);
    // Over HTTP/2 beside the right authority, over HTTP/1.1 in its place.
    let rebound = stack.caller("").header("host", "evil.example.com");
    assert_eq!(rebound.refused(body).await.reason(), "wrong-host");
    let reply = rebound.over_http1().refused(body).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (421, "wrong-host"));
    assert_eq!(stack.caller("").over_http1().post(body).await.status, 200);
    stack.finish().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_and_places_come_free() {
    let stack = Stack::with().settings("[limits]\nmax_connections = 2\n").start().await;
    let held = [(); 2].map(|()| TcpStream::connect(stack.gate()).unwrap());
    let metadata = format!("https://{}/.well-known/oauth-protected-resource", stack.gate());
    let reached = async || stack.http().get(&metadata).send().await.is_ok();
    eventually("both places are taken", async || !reached().await).await;
    assert!(!reached().await);
    drop(held);
    eventually("a place is free again", reached).await;
    stack.finish().await;
}
