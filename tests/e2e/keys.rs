use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, routing::get};
use dev_authorization_server::{keys::OldKey, signing::SigningKey};
use futures::StreamExt as _;
use harness::Stack;
use jsonwebtoken::jwk::JwkSet;
use serde_json::json;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// An issuer's key set at a URL of its own, counting how often it is asked for.
struct Published {
    keys: std::sync::Mutex<JwkSet>,
    asked: AtomicUsize,
    pause: Duration,
}

impl Published {
    async fn start(keys: JwkSet, pause: Duration) -> (Arc<Self>, String) {
        let published = Arc::new(Self { keys: keys.into(), asked: AtomicUsize::new(0), pause });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = async |State(published): State<Arc<Self>>| {
            published.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(published.pause).await;
            Json(published.keys.lock().unwrap().clone())
        };
        let router = Router::new().route("/keys", get(answer)).with_state(Arc::clone(&published));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (published, url)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_no_flood_of_fetches_and_delays_nobody() {
    let pause = Duration::from_secs(3);
    let key = Stack::shared_signing_key();
    let (published, url) = Published::start(key.jwks(), pause).await;
    let stack = Stack::with().jwks_url(&url).start().await;
    assert_eq!(published.asked(), 1, "fetched at start");
    let stranger = SigningKey::generate().unwrap();
    let claims = stack.claims("customer:read");
    let good = stack.caller("customer:read");
    let flood = async {
        for number in 0..30 {
            let token = stranger.sign_named(&format!("made-up-{number}"), &claims).unwrap();
            assert_eq!(stack.bearing(&token).post(LIST).await.reason(), "unknown-key");
        }
    };
    let honest = async {
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(good.post(LIST).await.status, 200);
            assert!(asked.elapsed() < pause, "nobody with a known key waits for a fetch");
        }
    };
    tokio::join!(flood, honest);
    assert_eq!(published.asked(), 2, "at start, and once for all of them");
    stack.finish().await;
}

#[tokio::test]
async fn ten_thousand_unknown_keys_cause_at_most_one_fetch_a_cool_down() {
    let key = Stack::shared_signing_key();
    let (published, url) = Published::start(key.jwks(), Duration::from_millis(100)).await;
    let mut stack = Stack::with().jwks_url(&url).start().await;
    let good = stack.caller("customer:read").token().to_owned();
    let rest = good.split_once('.').unwrap().1;
    let began = Instant::now();
    for wave in 0..20 {
        let flood = futures::stream::iter(0..500).map(|number| {
            let kid = format!("made-up-{wave}-{number}");
            let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}"}}"#);
            let caller = stack.bearing(&format!("{}.{rest}", harness::text(header)));
            async move { caller.post(LIST).await.reason() }
        });
        let refused = flood.buffer_unordered(100).for_each(async |reason| {
            assert!(matches!(reason.as_str(), "unknown-key" | "keys-unavailable"), "{reason}");
        });
        let honest = async { assert_eq!(stack.bearing(&good).post(LIST).await.status, 200) };
        tokio::join!(refused, honest);
        stack.latest_decision().await;
    }
    let cool_downs = usize::try_from(began.elapsed().as_secs() / 10).unwrap() + 1;
    let asked = published.asked() - 1;
    assert!(asked <= cool_downs, "{asked} fetches in {cool_downs} cool-downs");
    stack.finish().await;
}

#[tokio::test]
async fn without_keys_tokens_are_refused_with_503_and_served_once_there_are_some() {
    let key = Stack::shared_signing_key();
    let nobody = format!("http://127.0.0.1:{}/keys", harness::free_port());
    let stack = Stack::with().jwks_url(&nobody).start().await;
    let reply = stack.caller("customer:read").refused(LIST).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (503, "keys-unavailable"));
    assert!(reply.headers.contains_key("retry-after"));
    stack.finish().await;

    let (published, url) = Published::start(JwkSet { keys: Vec::new() }, Duration::ZERO).await;
    let stack = Stack::with().jwks_url(&url).start().await;
    let reply = stack.caller("customer:read").refused(LIST).await;
    assert_eq!(reply.reason(), "unknown-key", "an empty set is the issuer's word");
    assert_eq!(published.asked(), 2, "at start, and for this one");
    *published.keys.lock().unwrap() = key.jwks();
    let token = stack.caller("customer:read").token().to_owned();
    // The cool-down is ten seconds.
    let mut status = 0;
    for _ in 0..24 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        status = stack.bearing(&token).post(LIST).await.status.as_u16();
        if status == 200 {
            break;
        }
    }
    assert_eq!(status, 200, "a rotated key is found by the token that names it");
    stack.finish().await;
}

/// Callers without a pause, while the issuer rotates its keys at its own pace.
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_load_and_no_good_request_fails() {
    let stack = Stack::with().issuer_settings("refresh_every = \"10s\"").start().await;
    let done = AtomicBool::new(false);
    let caller = async |number: usize| {
        let mut served = 0;
        while !done.load(Ordering::SeqCst) {
            let mut claims = stack.claims("customer:read");
            claims["jti"] = json!(format!("{number}-{served}"));
            let token = stack.issuer_keys().current().sign(&claims).unwrap();
            let reply = stack.bearing(&token).post(LIST).await;
            assert_eq!(reply.status, 200, "caller {number}, call {served}: {}", reply.body);
            served += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    };
    let old = OldKey::StaysFor(Duration::from_secs(300));
    let rotations = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stack.issuer_keys().rotate(old).unwrap();
        // The next one comes when the gate may ask again.
        tokio::time::sleep(Duration::from_secs(11)).await;
        stack.issuer_keys().rotate(old).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        done.store(true, Ordering::SeqCst);
    };
    let callers = futures::future::join_all((0..4).map(caller));
    let (served, ()) = tokio::join!(callers, rotations);
    assert!(served.iter().sum::<i32>() > 100, "{served:?}");
    stack.finish().await;
}

#[tokio::test]
async fn a_withdrawn_key_stops_working_within_the_refresh_interval() {
    let stack = Stack::with().issuer_settings("refresh_every = \"10s\"").start().await;
    let old = stack.caller("customer:read").token().to_owned();
    assert_eq!(stack.bearing(&old).post(LIST).await.status, 200);
    stack.issuer_keys().rotate(OldKey::IsWithdrawn).unwrap();
    let withdrawn = Instant::now();
    // Nobody names the new key, so that nothing but the clock tells the gate.
    let stopped = loop {
        let reply = stack.bearing(&old).post(LIST).await;
        if reply.status != 200 {
            assert_eq!(reply.reason(), "unknown-key");
            break withdrawn.elapsed();
        }
        assert!(withdrawn.elapsed() < Duration::from_secs(12), "past the bound");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(stopped > Duration::from_secs(1), "and known tokens were not verified each time");
    stack.finish().await;
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let key = Stack::shared_signing_key();
    let jwks = serde_json::to_value(key.jwks()).unwrap();
    let router = Router::new()
        .route(
            "/.well-known/oauth-authorization-server",
            get(|| async {
                Json(json!({ "issuer": "https://other.example.com", "jwks_uri": "https://127.0.0.1:1/keys" }))
            }),
        )
        .route("/keys", get(move || std::future::ready(Json(jwks.clone()))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let stack = Stack::with().issuer(&issuer).start().await;
    let mut claims = stack.claims("customer:read");
    claims["iss"] = json!(issuer);
    let token = stack.signing_key().sign(&claims).unwrap();
    assert_eq!(stack.bearing(&token).refused(LIST).await.reason(), "keys-unavailable");
    stack.finish().await;
}
