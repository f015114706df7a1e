//! Requests to a server that refuses in every way it can.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    session::{Era, Session, SessionError},
    token::{OAuthClient, Options, Proof},
    trust::http_client,
};

/// What came to the MCP endpoint with a token: `Authorization`, the proof's nonce, the message.
type Seen = Arc<Mutex<Vec<(String, Value, Value)>>>;
type Reply = (u16, Vec<(&'static str, String)>, Value);

struct Server {
    url: String,
    seen: Seen,
}

impl Server {
    /// A server whose endpoint answers the request of this number, token and message like this.
    async fn start(
        token_type: &'static str,
        answer: impl Fn(usize, &str, &Value) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (url, seen) = (format!("{origin}/mcp"), Seen::default());
        let (resource, kept, tokens) =
            (url.clone(), Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
        let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let reply: Response = match uri.path() {
                "/.well-known/oauth-protected-resource/mcp" => {
                    Json(json!({ "resource": resource, "authorization_servers": [origin] }))
                        .into_response()
                }
                "/.well-known/oauth-authorization-server" => Json(json!({
                    "issuer": origin, "token_endpoint": format!("{origin}/token"),
                    "dpop_signing_alg_values_supported": ["ES256"],
                }))
                .into_response(),
                "/token" => {
                    let n = tokens.fetch_add(1, Ordering::SeqCst) + 1;
                    Json(json!({ "access_token": format!("token-{n}"), "token_type": token_type }))
                        .into_response()
                }
                "/mcp" => mcp(&kept, &headers, &body, &answer),
                _ => http::StatusCode::NOT_FOUND.into_response(),
            };
            std::future::ready(reply)
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    async fn tokens(&self, proof: Proof) -> Arc<TokenSource> {
        let options = Options { proof, ..Options::new(OAuthClient::with_secret("id", "secret")) };
        let tokens = TokenSource::discover(http_client(None).unwrap(), &self.url, options).await;
        Arc::new(tokens.unwrap())
    }

    async fn asked(&self, proof: Proof) -> Result<StreamableHttpPostResponse, TransportError> {
        let http = http_client(None).unwrap();
        let authorized = AuthorizedHttp { http, tokens: self.tokens(proof).await };
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
        let message = serde_json::from_value(message).unwrap();
        let uri = self.url.as_str().into();
        authorized.post_message(uri, message, None, None, HashMap::new()).await
    }

    fn seen(&self) -> Vec<(String, Value, Value)> {
        self.seen.lock().unwrap().clone()
    }
}

fn mcp(
    seen: &Seen,
    headers: &HeaderMap,
    body: &Bytes,
    answer: &impl Fn(usize, &str, &Value) -> Reply,
) -> Response {
    use data_encoding::BASE64URL_NOPAD;
    let Some(token) = headers.get("authorization").map(|value| value.to_str().unwrap()) else {
        return http::StatusCode::UNAUTHORIZED.into_response();
    };
    let proof = headers.get("dpop").map(|proof| proof.to_str().unwrap().split('.').nth(1).unwrap());
    let proof = proof
        .map(|claims| BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap())
        .unwrap_or(b"{}".into());
    let proof: Value = serde_json::from_slice(&proof).unwrap();
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let n = {
        let mut seen = seen.lock().unwrap();
        seen.push((token.to_owned(), proof["nonce"].clone(), message.clone()));
        seen.len()
    };
    let (status, headers, body) = answer(n, token, &message);
    let mut response = Json(body).into_response();
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn good(id: &Value, result: Value) -> Reply {
    (200, vec![], json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn refusal(error: TransportError) -> Refusal {
    match error {
        StreamableHttpError::Client(HttpFailure::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_then_the_refusal_counts() {
    let server = Server::start("Bearer", |_, token, message| match token {
        "Bearer token-1" => (401, vec![], json!({})),
        _ => good(&message["id"], json!({ "tools": [] })),
    })
    .await;
    server.asked(Proof::AsAsked).await.unwrap();
    let tokens: Vec<String> = server.seen().into_iter().map(|(token, ..)| token).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);

    let server = Server::start("Bearer", |_, _, _| (401, vec![], json!({}))).await;
    assert_eq!(refusal(server.asked(Proof::AsAsked).await.unwrap_err()).status, 401);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_nonce_is_put_into_the_next_proof_and_the_token_stays() {
    let server = Server::start("DPoP", |n, _, message| match n {
        1 => {
            let challenge = "DPoP error=\"use_dpop_nonce\"".to_owned();
            let nonce = ("dpop-nonce", "n1".to_owned());
            (401, vec![("www-authenticate", challenge), nonce], json!({}))
        }
        _ => good(&message["id"], json!({ "tools": [] })),
    })
    .await;
    server.asked(Proof::Dpop).await.unwrap();
    let seen: Vec<_> = server.seen().into_iter().map(|(token, nonce, _)| (token, nonce)).collect();
    let token = "DPoP token-1".to_owned();
    assert_eq!(seen, [(token.clone(), Value::Null), (token, json!("n1"))]);

    let server = Server::start("DPoP", |_, _, _| {
        let challenge = "DPoP error=\"use_dpop_nonce\"".to_owned();
        (401, vec![("www-authenticate", challenge), ("dpop-nonce", "n".to_owned())], json!({}))
    })
    .await;
    assert_eq!(refusal(server.asked(Proof::Dpop).await.unwrap_err()).status, 401);
    assert_eq!(server.seen().len(), 2, "once more, and no more");
}

/// A reply; what is read from it: the code, the reason, the scopes, the wait.
type Read = (Reply, Option<i32>, Option<&'static str>, &'static [&'static str], Option<Duration>);

fn refusals() -> Vec<Read> {
    let error = |code: i32, data: Value| {
        let error = json!({ "code": code, "message": "in words", "data": data });
        json!({ "jsonrpc": "2.0", "id": 7, "error": error })
    };
    let told = error(429, json!({ "reason": "rate-limited", "retryAfterMs": 1500 }));
    let header = vec![("retry-after", "7".to_owned())];
    let challenge = r#"Bearer error="insufficient_scope", scope="a b""#.to_owned();
    let in_the_past = vec![("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    let seconds = Duration::from_secs;
    vec![
        (
            (429, header.clone(), told),
            Some(429),
            Some("rate-limited"),
            &[][..],
            Some(Duration::from_millis(1500)),
        ),
        ((429, header.clone(), json!("x")), None, None, &[], Some(seconds(7))),
        (
            (503, header, error(503, json!({ "reason": "ledger" }))),
            Some(503),
            Some("ledger"),
            &[],
            Some(seconds(7)),
        ),
        ((502, in_the_past, json!({})), None, None, &[], Some(seconds(0))),
        (
            (
                403,
                vec![("www-authenticate", challenge)],
                error(403, json!({ "reason": "insufficient-scope" })),
            ),
            Some(403),
            Some("insufficient-scope"),
            &["a", "b"],
            None,
        ),
        (
            (403, vec![], error(403, json!({ "reason": "denied" }))),
            Some(403),
            Some("denied"),
            &[],
            None,
        ),
    ]
}

#[tokio::test]
async fn a_refusal_keeps_what_it_says() {
    for (reply, code, reason, scopes, wait) in refusals() {
        let status = reply.0;
        let server = Server::start("Bearer", move |_, _, _| reply.clone()).await;
        let refusal = refusal(server.asked(Proof::AsAsked).await.unwrap_err());
        assert_eq!((refusal.status, refusal.code), (status, code));
        assert_eq!(refusal.reason.as_deref(), reason);
        assert_eq!(refusal.required_scopes, scopes);
        assert_eq!(refusal.retry_after, wait);
        assert_eq!(refusal.message == "in words", code.is_some());
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let server =
        Server::start("Bearer", |_, _, _| (200, vec![], json!("x".repeat(17 * 1024 * 1024)))).await;
    let error = server.asked(Proof::AsAsked).await.unwrap_err();
    assert!(matches!(error, StreamableHttpError::ResponseBodyTooLarge { .. }), "{error}");
}

/// An older server that wants one scope for every call, whatever the token has.
fn never_content(_: usize, _: &str, message: &Value) -> Reply {
    match message["method"].as_str() {
        Some("initialize") => good(
            &message["id"],
            json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "x", "version": "1" },
            }),
        ),
        Some("tools/call") => {
            let challenge = r#"Bearer error="insufficient_scope", scope="a""#.to_owned();
            (403, vec![("www-authenticate", challenge)], json!({}))
        }
        _ => (202, vec![], json!({})),
    }
}

#[tokio::test]
async fn a_second_refusal_after_a_step_up_is_told_as_such() {
    let server = Server::start("Bearer", never_content).await;
    let tokens = server.tokens(Proof::AsAsked).await;
    let http = http_client(None).unwrap();
    let session = Session::open(http, &server.url, Arc::clone(&tokens), Era::Legacy).await.unwrap();
    for _ in 0..2 {
        let outcome = session.call("tool", serde_json::Map::new()).await;
        let Err(SessionError::StepUp { required }) = outcome else { panic!("{outcome:?}") };
        session.step_up(&required).await.unwrap();
    }
    let calls = server.seen().into_iter().filter(|(.., m)| m["method"] == "tools/call");
    let tokens: Vec<String> = calls.map(|(token, ..)| token).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"], "two calls, the second stepped up");
}
