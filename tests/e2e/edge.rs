/// Certificates of the gate and of its callers.
mod certificates;
/// Requests whose end two readers could see in different places.
mod framing;

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

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_read_why_they_were_refused() {
    let app = "https://app.example.com";
    let stack =
        Stack::with().resource_settings(&format!("allowed_origins = [{app:?}]")).start().await;
    let preflight = |url: String, origin: &'static str| {
        let request = stack.http().request(reqwest::Method::OPTIONS, url);
        let request = request.header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,mcp-method").send()
    };
    let answer = preflight(stack.resource(), app).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], app);
    let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
    assert!(allowed.contains("authorization") && allowed.contains("mcp-method"), "{allowed}");
    let other = preflight(stack.resource(), "https://evil.example.com").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));

    let refused = stack.stranger().header("origin", app).refused("{}").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["access-control-allow-origin"], app);
    let told = refused.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(told.contains("www-authenticate"), "{told}");
    let evil = stack.caller("").header("origin", "https://evil.example.com").refused("{}").await;
    assert_eq!(evil.reason(), "foreign-origin");
    assert!(!evil.headers.contains_key("access-control-allow-origin"));

    let metadata = format!("https://{}/.well-known/oauth-protected-resource", stack.gate());
    let answer = preflight(metadata, "https://anywhere.example.com").await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    stack.finish().await;
}

#[tokio::test]
async fn without_allowed_origins_nothing_is_told_to_pages() {
    let stack = Stack::start().await;
    let caller = stack.caller("").header("origin", "https://app.example.com");
    let reply = caller.send(reqwest::Method::OPTIONS, None).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (403, "foreign-origin"));
    assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    stack.finish().await;
}
