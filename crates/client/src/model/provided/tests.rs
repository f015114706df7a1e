mod failures;
mod hostile;
mod replayed;
mod wires;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::*;
use crate::model::{
    Call,
    provider::{BaseUrl, Limits, PlainHttp, Secret},
};

const KEY: &str = "sk-test-0123456789";

/// A provider that answers as it is told, and keeps what it was asked.
struct Mock {
    base_url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: http::HeaderMap,
    body: Value,
}

impl Mock {
    /// Answers every request with what `answer` makes.
    async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                kept.lock().unwrap().push(Asked {
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                answer()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, asked }
    }

    async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move || respond(status, body)).await
    }

    /// Streams these frames, blank line and all.
    async fn streaming(frames: impl Into<String>) -> Self {
        let frames: Bytes = frames.into().into();
        Self::start(move || respond(200, frames.clone())).await
    }

    fn provider(&self, wire: Wire) -> Provider {
        let base_url = BaseUrl::parse(&self.base_url, PlainHttp::Loopback).unwrap();
        Provider::at(wire, base_url).with_key(Secret::new(KEY))
    }

    fn model(&self, wire: Wire) -> ProvidedModel {
        self.model_with(&self.provider(wire))
    }

    fn model_with(&self, provider: &Provider) -> ProvidedModel {
        ProvidedModel::new(reqwest::Client::new(), provider, "mock/small".parse().unwrap()).unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn respond(status: u16, body: impl Into<Body>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).body(body.into()).unwrap()
}

/// A body that comes in pieces and then, perhaps, never ends.
fn in_pieces(pieces: Vec<Bytes>, ends: bool) -> Body {
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    if ends {
        Body::from_stream(pieces)
    } else {
        Body::from_stream(pieces.chain(stream::pending()))
    }
}

/// Server-sent events with these payloads.
fn events(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect()
}

/// The same with each payload's `type` as the event's name.
fn named_events(payloads: &[&str]) -> String {
    let named = |payload: &&str| {
        let value: Value = serde_json::from_str(payload).unwrap();
        format!("event: {}\ndata: {payload}\n\n", value["type"].as_str().unwrap())
    };
    payloads.iter().map(named).collect()
}

async fn turn(model: &ProvidedModel) -> Result<(Turn, Vec<String>), Failure> {
    let mut conversation = Conversation::under("Be brief.");
    conversation.ask("Add one and two.");
    turn_of(model, &conversation).await
}

async fn turn_of(
    model: &ProvidedModel,
    conversation: &Conversation,
) -> Result<(Turn, Vec<String>), Failure> {
    let mut heard = Vec::new();
    let mut hear = |what: Heard<'_>| match what {
        Heard::Text(text) => heard.push(text.to_owned()),
        other => panic!("{other:?}"),
    };
    let turn = model.turn(conversation, &[add()], &mut hear).await;
    turn.map(|turn| (turn, heard)).map_err(|error| error.failure)
}

async fn failure(model: &ProvidedModel) -> Failure {
    turn(model).await.map(|(turn, _)| panic!("{turn:?}")).unwrap_err()
}

fn add() -> UniversalTool {
    let parameters = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": "number" }, "b": { "type": "number" } },
    });
    UniversalTool {
        name: "add".into(),
        offered_as: "add".into(),
        description: "Adds.".into(),
        parameters: Arc::new(parameters.as_object().unwrap().clone()),
        security: Default::default(),
    }
}

fn call(id: &str, arguments: &str) -> Call {
    Call { id: id.to_owned(), tool: "add".to_owned(), arguments: arguments.to_owned() }
}
