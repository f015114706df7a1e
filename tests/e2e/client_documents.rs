use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use harness::{Browser, RegisteredClient, Stack, location, parameter};
use serde_json::{Value, json};

/// A web server with a document of each kind, counting what is asked of it.
struct Host {
    url: String,
    asked: AtomicUsize,
}

impl Host {
    async fn start(stack: &Stack) -> Arc<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let host = Arc::new(Self { url, asked: AtomicUsize::new(0) });
        let router = Router::new().route("/{kind}", get(document)).with_state(Arc::clone(&host));
        stack.serve(listener, router).await;
        host
    }

    fn good(&self, kind: &str) -> Value {
        json!({
            "client_id": format!("{}/{kind}", self.url),
            "client_name": "A client with a document",
            "redirect_uris": [RegisteredClient::CALLBACK],
        })
    }
}

async fn document(State(host): State<Arc<Host>>, Path(kind): Path<String>) -> Response {
    host.asked.fetch_add(1, Ordering::SeqCst);
    let mut document = host.good(&kind);
    match kind.as_str() {
        "redirected" => {
            let to = format!("{}/good", host.url);
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        "missing" => return (StatusCode::NOT_FOUND, Json(document)).into_response(),
        "html" => {
            return ([(header::CONTENT_TYPE, "text/html")], document.to_string()).into_response();
        }
        "endless" => document["client_uri"] = json!("x".repeat(6 * 1024)),
        "slow" => tokio::time::sleep(Duration::from_secs(7)).await,
        "other" => document["client_id"] = json!(format!("{}/good", host.url)),
        "nameless" => drop(document.as_object_mut().unwrap().remove("client_id")),
        "secret" => document["token_endpoint_auth_method"] = json!("client_secret_post"),
        "script" => document["redirect_uris"] = json!(["javascript:alert(1)"]),
        _ => {}
    }
    Json(document).into_response()
}

#[tokio::test]
async fn a_client_is_what_its_document_says_and_is_asked_for_it_once() {
    let stack = Stack::start().await;
    let host = Host::start(&stack).await;
    let mut client = RegisteredClient::register(&stack, "unused").await;
    client.id = format!("{}/good", host.url);
    let url = client.authorization_url(&[]);
    let mut browser = Browser::new(&stack);
    let consent = browser.sign_in(&url, "demo_user").await;
    assert!(consent.body.contains("A client with a document"), "{}", consent.body);
    assert!(consent.body.contains(&client.id), "whose it is can be seen");
    assert!(consent.body.contains("nobody here has vouched for it"));
    let reply = browser.submit(&consent, &url, &[("decision", "allow")]).await;
    let answer = client.exchange(&location(&url, &reply), &[]).await.json();
    assert_eq!(answer["scope"], "customer:read", "{answer}");
    assert_eq!(host.asked.load(Ordering::SeqCst), 1, "remembered");

    let elsewhere = client.authorization_url(&[("redirect_uri", "http://127.0.0.1:1/other")]);
    assert_eq!(browser.get(&elsewhere).await.status, 400, "the document's addresses alone");
    let alone = [("grant_type", "client_credentials"), ("client_id", client.id.as_str())];
    assert_eq!(client.token_endpoint(&alone).await.json()["error"], "unauthorized_client");
    stack.finish().await;
}

#[tokio::test]
async fn a_document_that_is_wrong_in_one_way_makes_no_client() {
    let stack = Stack::start().await;
    let host = Host::start(&stack).await;
    let mut client = RegisteredClient::register(&stack, "unused").await;
    let mut pages = Vec::new();
    for kind in [
        "redirected",
        "missing",
        "html",
        "endless",
        "slow",
        "other",
        "nameless",
        "secret",
        "script",
    ] {
        client.id = format!("{}/{kind}", host.url);
        let url = client.authorization_url(&[]);
        let page = Browser::new(&stack).get(&url).await;
        assert_eq!(page.status, 400, "{kind}: {}", page.body);
        assert!(!page.headers.contains_key("location"), "{kind}");
        pages.push(page.body);
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "whoever asks learns nothing about the host");
    assert_eq!(host.asked.load(Ordering::SeqCst), 9, "no redirect was followed");
    let url =
        client.authorization_url(&[("client_id", &format!("{}/good", host.url)), ("scope", "x")]);
    let returned = location(&url, &Browser::new(&stack).get(&url).await);
    assert_eq!(
        parameter(&returned, "error").as_deref(),
        Some("invalid_scope"),
        "a good one is one"
    );
    stack.finish().await;
}
