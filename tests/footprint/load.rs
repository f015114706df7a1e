use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, body::Body, response::IntoResponse as _, routing::any};
use bytes::Bytes;
use futures::StreamExt as _;

use super::*;

const MIB: u64 = 1024 * 1024;
const STREAMED: u64 = 1024 * MIB;
const EVENT_BYTES: usize = 256 * 1024;
const LISTENERS: usize = 500;
const MOST_KIB: u64 = 100 * 1024;

/// Streams events of a quarter of a mebibyte without end to a POST, and counts what it has sent;
/// has nothing to say to a GET.
fn talkative(sent: Arc<AtomicU64>) -> Router {
    let filling = "x".repeat(EVENT_BYTES);
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{filling}"}}}}"#
    );
    let event = Bytes::from(format!("event: message\ndata: {progress}\n\n"));
    Router::new().fallback(any(move |request: axum::extract::Request| async move {
        let body = if request.method() == http::Method::GET {
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
        } else {
            let events = futures::stream::repeat_with(move || {
                sent.fetch_add(event.len() as u64, Ordering::Relaxed);
                Ok::<_, std::io::Error>(event.clone())
            });
            Body::from_stream(events)
        };
        ([("content-type", "text/event-stream")], body).into_response()
    }))
}

async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn ask(stack: &Stack, url: &str) -> reqwest::Response {
    let request = stack.http().post(url).bearer_auth(stack.caller("").token());
    let request = request.header("content-type", "application/json");
    let response = request.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn a_gibibyte_of_events_and_five_hundred_listeners_take_little_memory() {
    let Some(gate) = release_build() else {
        return skip("a release build of cedargate, named by CEDARGATE_TEST_GATE");
    };
    let _alone = ALONE.lock().await;
    let sent = Arc::new(AtomicU64::new(0));
    let url = served(talkative(Arc::clone(&sent))).await;
    let limits = "[limits]\nmax_concurrent_requests_per_principal = 1000\n";
    let stack = Stack::with().upstream_url(&url).settings(limits).start().await;
    let beside = Beside::of(&stack, gate);
    let (running, _) = beside.start(&stack.http()).await;

    let token = stack.caller("").token().to_owned();
    // A connection each, as of five hundred clients.
    let authority = std::fs::read(stack.home().join("ca.pem")).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = reqwest::Client::builder().http1_only().tls_certs_only([authority]);
    let client = client.build().unwrap();
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let request = client.get(beside.url()).bearer_auth(&token);
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200);
        listeners.push(response);
    }
    let began = Instant::now();
    let mut chunks = ask(&stack, &beside.url()).await.bytes_stream();
    let mut received = 0;
    while received < STREAMED {
        received += chunks.next().await.unwrap().unwrap().len() as u64;
    }
    let (took, kib) = (began.elapsed(), most_resident(&running));
    println!(
        "{LISTENERS} listeners, and 1 GiB of events in {took:?}: {} MiB resident at most",
        kib / 1024
    );
    assert!(kib < MOST_KIB, "{kib} KiB");
    drop(listeners);
    stack.finish().await;
}

#[tokio::test]
async fn who_does_not_read_is_not_read_for() {
    let Some(gate) = release_build() else {
        return skip("a release build of cedargate, named by CEDARGATE_TEST_GATE");
    };
    let _alone = ALONE.lock().await;
    let sent = Arc::new(AtomicU64::new(0));
    let url = served(talkative(Arc::clone(&sent))).await;
    let patience = "[limits]\nstream_idle_timeout = \"5s\"\n";
    let stack = Stack::with().upstream_url(&url).settings(patience).start().await;
    let beside = Beside::of(&stack, gate);
    let (running, _) = beside.start(&stack.http()).await;
    let unread = ask(&stack, &beside.url()).await;
    // Until every buffer on the way is full.
    let mut once = 0;
    harness::eventually("nothing more is read", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = sent.load(Ordering::Relaxed);
        now == std::mem::replace(&mut once, now)
    })
    .await;
    let resident = most_resident(&running);
    println!("nobody read: {} KiB sent, {} MiB resident at most", once / 1024, resident / 1024);
    assert!(once > 0 && once < 32 * MIB, "{once} bytes are on their way");
    assert!(resident < MOST_KIB, "{resident} KiB");
    drop(unread);
    stack.finish().await;
}
