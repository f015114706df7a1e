//! What the upstream offers, asked by the gate itself and for nobody: for the operator who writes
//! policies. The same way upstream as for callers, in whichever protocol era the server speaks.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Map, Value, json};

use super::{UnusableUpstream, Upstream};
use crate::{
    answer::EventReader,
    authz::{
        Authorized,
        offer::{Offer, UnusableOffer},
    },
    config::Config,
    message::{Envelope, Message, json::Json, mirrored},
    rejection::Rejection,
    token::Claims,
};

/// Why nobody knows what the upstream offers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SurveyFailed {
    #[error(transparent)]
    Unusable(#[from] UnusableUpstream),
    /// It answers in neither era.
    #[error(
        "the upstream answers `{method}` with {what}; see that it runs where `upstream` of the configuration says, and that it lets this gate ask"
    )]
    NoAnswer { method: &'static str, what: String },
    #[error("the upstream's lists cannot be used: {0}")]
    Offer(#[from] UnusableOffer),
}

/// Asks for all lists that the upstream says it has.
pub(crate) async fn survey(config: &Config) -> Result<Offer, SurveyFailed> {
    let upstream = Upstream::new(config)?;
    upstream.start();
    let surveyor = Surveyor { claims: Claims::of_gate(config.resource.identifier()), upstream };
    let offer = match surveyor.modern().await {
        Ok(offer) => Ok(offer),
        Err(_) => surveyor.legacy().await,
    };
    surveyor.upstream.stop().await;
    offer
}

struct Surveyor {
    upstream: Upstream,
    claims: Claims,
}

/// In which era to ask, and in which session.
#[derive(Clone, Copy)]
enum Manner<'a> {
    Modern,
    Legacy(Option<&'a HeaderValue>),
}

impl Surveyor {
    async fn modern(&self) -> Result<Offer, SurveyFailed> {
        let discovered = self.ask("server/discover", json!({}), Manner::Modern).await?;
        self.lists(&discovered.0, Manner::Modern).await
    }

    async fn legacy(&self) -> Result<Offer, SurveyFailed> {
        let client = json!({ "name": "cedargate", "version": env!("CARGO_PKG_VERSION") });
        let params = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client });
        let (greeting, session) = self.ask("initialize", params, Manner::Legacy(None)).await?;
        let manner = Manner::Legacy(session.as_ref());
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.send("notifications/initialized", &initialized, manner).await?;
        self.lists(&greeting, manner).await
    }

    /// Every list that goes with a capability that the server declares.
    async fn lists(&self, greeting: &Value, manner: Manner<'_>) -> Result<Offer, SurveyFailed> {
        let mut offered = Map::from_iter([("tools".to_owned(), json!([]))]);
        for (capability, method, member) in LISTS {
            if greeting.pointer(&format!("/capabilities/{capability}")).is_none() {
                continue;
            }
            match self.pages(method, member, manner).await {
                Ok(items) => drop(offered.insert(member.to_owned(), Value::Array(items))),
                // Some declare what they do not have.
                Err(error) if member != "tools" => {
                    tracing::debug!(%error, method, "declared, but not to be had");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Offer::read(&Value::Object(offered))?)
    }

    async fn pages(
        &self,
        method: &'static str,
        member: &str,
        manner: Manner<'_>,
    ) -> Result<Vec<Value>, SurveyFailed> {
        let mut items = Vec::new();
        let mut params = json!({});
        for _ in 0..MAX_PAGES {
            let (mut page, _) = self.ask(method, params, manner).await?;
            if let Some(Value::Array(some)) = page.get_mut(member).map(Value::take) {
                items.extend(some);
            }
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return Ok(items),
            }
        }
        Err(SurveyFailed::NoAnswer { method, what: "pages without end".to_owned() })
    }

    /// The result of one request, and the session that it opened.
    async fn ask(
        &self,
        method: &'static str,
        mut params: Value,
        manner: Manner<'_>,
    ) -> Result<(Value, Option<HeaderValue>), SurveyFailed> {
        if let (Manner::Modern, Some(params)) = (manner, params.as_object_mut()) {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".to_owned(), meta);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.send(method, &body, manner).await?;
        let session = response.headers().get(mirrored::SESSION).cloned();
        let failed = |what: String| SurveyFailed::NoAnswer { method, what };
        let status = response.status();
        let answer = answer(response).await.map_err(|what| {
            failed(if status.is_success() { what } else { format!("status {status}") })
        })?;
        match answer.get("result") {
            Some(result) => Ok((result.clone(), session)),
            None => {
                let told = answer.pointer("/error/message").and_then(Value::as_str);
                Err(failed(format!("the error `{}`", told.unwrap_or("without a message"))))
            }
        }
    }

    async fn send(
        &self,
        method: &'static str,
        body: &Value,
        manner: Manner<'_>,
    ) -> Result<Response<Body>, SurveyFailed> {
        let failed = |rejection: Rejection| {
            let what = format!("nothing to be used (`{}`)", rejection.reason());
            SurveyFailed::NoAnswer { method, what }
        };
        let message = message(method, body, manner).map_err(failed)?;
        let authorized = Authorized::of_the_gates_own(message).map_err(failed)?;
        self.upstream.forward(authorized, &self.claims).await.map_err(failed)
    }
}

/// A message of the gate's own, read as any caller's.
fn message(method: &'static str, body: &Value, manner: Manner<'_>) -> Result<Message, Rejection> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match manner {
        Manner::Modern => {
            headers.insert(mirrored::PROTOCOL_VERSION, HeaderValue::from_static(MODERN));
            headers.insert(mirrored::METHOD, HeaderValue::from_static(method));
        }
        Manner::Legacy(session) => {
            if method != "initialize" {
                headers.insert(mirrored::PROTOCOL_VERSION, HeaderValue::from_static(LEGACY));
            }
            if let Some(session) = session {
                headers.insert(mirrored::SESSION, session.clone());
            }
        }
    }
    Envelope::read(&headers, body.to_string().as_bytes())?.confirmed_by(&headers)
}

/// The one message that answers, out of a body or of a stream of events.
async fn answer(response: Response<Body>) -> Result<Value, String> {
    let streams = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if !streams {
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        return read(&body).ok_or_else(|| "what is no JSON".to_owned());
    }
    let mut body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    let mut reader = EventReader::new(MAX_ANSWER_BYTES);
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        let events = reader.read(&chunk).map_err(|error| error.to_string())?;
        let messages = events.iter().filter_map(|event| read(event.data.as_deref()?.as_bytes()));
        let is_answer = |message: &Value| message.get("id") == Some(&Value::from(1));
        if let Some(answer) = messages.into_iter().find(is_answer) {
            return Ok(answer);
        }
    }
    Err("a stream that ends before its answer".to_owned())
}

/// As strictly as callers get it.
fn read(text: &[u8]) -> Option<Value> {
    Json::read_answer(text).ok().map(|json| json.to_value())
}

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
/// Capability, method, and the member of the result.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools", "tools/list", "tools"),
    ("prompts", "prompts/list", "prompts"),
    ("resources", "resources/list", "resources"),
    ("resources", "resources/templates/list", "resourceTemplates"),
];
const MAX_PAGES: usize = 1_000;
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
