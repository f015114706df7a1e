//! A receiver that is there, is not, or does not take everything.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::HeaderMap;

use super::*;
use crate::watch::{About, Detector};

/// 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Place(tempfile::TempDir);

impl Place {
    fn with(secret: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("secret"), secret).unwrap();
        place
    }

    fn webhook(&self, url: &str) -> Result<Webhook, UnusableWebhook> {
        let url = url.parse().unwrap();
        let secret_file = self.0.path().join("secret");
        let (timeout, min_severity) = (Duration::from_secs(5), Severity::Medium);
        let config = WebhookConfig { url, secret_file, ca: None, timeout, min_severity };
        Webhook::new(&config)
    }
}

fn finding(severity: Severity) -> Finding {
    let at = Timestamp::from_second(1_790_812_800).unwrap();
    Finding {
        id: Uuid::now_v7(),
        detector: Detector::RefusalBurst,
        severity,
        about: About::Principal("alice".to_owned()),
        explanation: "policy refused 8 requests".to_owned(),
        evidence: vec![Uuid::now_v7()],
        at,
        expires: at,
    }
}

type Received = mpsc::UnboundedSender<(HeaderMap, Bytes)>;

/// Answers the first so many messages with this status, all others with 204.
async fn receiver(
    unwilling: usize,
    status: StatusCode,
) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (sender, received) = mpsc::unbounded_channel();
    let left = Arc::new(AtomicU64::new(unwilling as u64));
    let take = async move |State(sender): State<Received>, headers: HeaderMap, body: Bytes| {
        sender.send((headers, body)).unwrap();
        let is_unwilling = left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        let status = if is_unwilling { status } else { StatusCode::NO_CONTENT };
        (status, [(header::LOCATION, "http://127.0.0.1:1/")])
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/findings", listener.local_addr().unwrap());
    let router = Router::new().route("/findings", post(take)).with_state(sender);
    let server = axum_server::from_tcp(listener.into_std().unwrap()).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    (url, received)
}

#[test]
fn the_specifications_own_example_is_signed_as_it_says() {
    let webhook = Place::with(SECRET).webhook("https://example.com/").unwrap();
    let signature =
        webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_told() {
    for secret in
        ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_c2hvcnQ=", "whsec_!"]
    {
        let told = Place::with(secret).webhook("https://example.com/").unwrap_err().to_string();
        assert!(told.contains("watch.webhook.secret_file"), "{told}");
        assert!(secret.is_empty() || !told.contains(secret), "{told}");
    }
    assert!(!format!("{:?}", Place::with(SECRET).webhook("https://x/").unwrap()).contains("MfKQ"));
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_under_the_same_id() {
    for unwilling in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TEMPORARY_REDIRECT] {
        let (url, mut received) = receiver(2, unwilling).await;
        let mut webhook = Place::with(SECRET).webhook(&url).unwrap();
        webhook.first_pause = Duration::from_millis(1);
        let raised = finding(Severity::High);
        webhook.post(&raised).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let (headers, body) = received.try_recv().unwrap();
            let text = |name: &str| headers[name].to_str().unwrap().to_owned();
            let timestamp = text("webhook-timestamp").parse().unwrap();
            let body = std::str::from_utf8(&body).unwrap();
            let signature = webhook.signature(&text("webhook-id"), timestamp, body);
            assert_eq!(text("webhook-signature"), signature);
            let told: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(told["data"], serde_json::to_value(&raised).unwrap());
            ids.push(text("webhook-id"));
        }
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert!(received.try_recv().is_err(), "once it is taken, no more");
        assert_eq!(webhook.undelivered(), Undelivered { dropped: 0, given_up: 0 });
    }
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_and_counted() {
    let (url, mut received) = receiver(99, StatusCode::BAD_GATEWAY).await;
    let mut webhook = Place::with(SECRET).webhook(&url).unwrap();
    webhook.first_pause = Duration::from_millis(1);
    webhook.post(&finding(Severity::High)).await;
    let attempts = std::iter::from_fn(|| received.try_recv().ok()).count();
    assert_eq!(attempts, ATTEMPTS as usize);
    assert_eq!(webhook.undelivered(), Undelivered { dropped: 0, given_up: 1 });
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_holds_nobody_up() {
    let webhook = Place::with(SECRET).webhook("http://127.0.0.1:1/").unwrap();
    for _ in 0..QUEUE + 3 {
        webhook.offer(&finding(Severity::Low));
        webhook.offer(&finding(Severity::Medium));
    }
    assert_eq!(webhook.undelivered(), Undelivered { dropped: 3, given_up: 0 });
}

#[test]
fn pauses_grow_and_differ() {
    let webhook = Place::with(SECRET).webhook("http://127.0.0.1:1/").unwrap();
    for (attempt, least) in [(1, 1), (2, 4), (3, 16), (4, 64)] {
        let pause = webhook.pause_after(attempt);
        let least = Duration::from_secs(least);
        assert!((least..least * 3 / 2).contains(&pause), "{attempt}: {pause:?}");
    }
}
