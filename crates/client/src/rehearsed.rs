//! The rehearsed model: a local HTTP endpoint in the wire formats of OpenAI (chat completions) and
//! Anthropic (messages) whose choices are scripted. It understands nothing and is never presented
//! as a model; it lets the demo, the tests and people without a key drive the real client, the real
//! gate and the real server.
//!
//! - [`script`]: what it says, in YAML, and how it fails; [`Script::built_in`] is the demo's.
//! - `asked`, `turn`: what it is asked in neither provider's words, and the turn it gives.
//! - `openai`, `anthropic`: each wire's requests, refused where the provider would refuse them,
//!   and its answers, whole and streamed.
//! - `delivery`: an answer on its way, or what is left of it.

mod anthropic;
mod asked;
mod complaint;
mod delivery;
mod fault;
mod offered;
mod openai;
mod pieces;
pub mod script;
mod turn;
mod wire;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::{get, post},
};

pub use self::script::{Script, ScriptError};
use self::{complaint::Complaint, delivery::Answer, wire::Wire};

/// What the user says in the account scenario of the source material.
pub const ACCOUNT_PROMPT: &str = "Customer CUST67890 recently made purchases of $150, $300, $13 and $89. Calculate their total account value and tell me whether they qualify as premium (above $500).";

/// What the user says in the look-up scenario of the source material.
pub const LOOKUP_PROMPT: &str =
    "Look up the information for customer 'JOHNDOE123' and summarize their account status.";

/// Asks for a ticket, which a token for reading does not cover.
pub const TICKET_PROMPT: &str = "Customer CUST67890 counts 552.00, the invoice says 525.00. Open a support ticket with high priority.";

/// Asks for two look-ups, which are made in one turn.
pub const PARALLEL_PROMPT: &str =
    "Compare the accounts of JOHNDOE123 and CUST67890: who is premium, and who is active?";

/// Asks for the account's value; the call names the customer twice.
pub const DUPLICATE_MEMBER_PROMPT: &str =
    "Calculate the account value of CUST67890, but name the customer twice.";

/// Asks for the account's value; the call has its amounts as text.
pub const AMOUNTS_AS_TEXT_PROMPT: &str =
    "Calculate the account value of CUST67890, but write the amounts as text.";

/// Asks for the account's value; the call ends in a comma too many.
pub const TRAILING_COMMA_PROMPT: &str =
    "Calculate the account value of CUST67890, but leave a trailing comma.";

/// Asks for the same call again and again, until it is refused.
pub const AGAIN_PROMPT: &str = "List the recent customers, again and again.";

/// Asks for the same call again and again, whatever comes of it.
pub const STUBBORN_PROMPT: &str = "List the recent customers, whatever they tell you.";

/// Asks for a long text, to watch it come.
pub const LONG_PROMPT: &str = "Tell me at length what a gate is good for.";

/// The name under which it answers; requests may also say `clerk`.
pub const MODEL: &str = "rehearsed/clerk";

/// A script being played: the key it wants, and how often it was asked.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    play: Arc<Play>,
}

#[derive(Debug)]
struct Play {
    script: Script,
    key: Option<String>,
    // Shared by all requests; a test reads it when they are over.
    asked: AtomicU64,
}

/// The routes of a script that wants no key.
pub fn router(script: Script) -> Router {
    Rehearsed::new(script).router()
}

impl Rehearsed {
    /// Plays `script` for whoever asks.
    pub fn new(script: Script) -> Self {
        Self::with(script, None)
    }

    /// Plays `script` for whoever shows `key`; others get a 401.
    pub fn for_key(script: Script, key: &str) -> Self {
        Self::with(script, Some(key.to_owned()))
    }

    fn with(script: Script, key: Option<String>) -> Self {
        Self { play: Arc::new(Play { script, key, asked: AtomicU64::new(0) }) }
    }

    /// How many turns it was asked for, on both wires; those that it refused or failed count too,
    /// the list of models does not.
    pub fn requests(&self) -> u64 {
        self.play.asked.load(Ordering::Relaxed)
    }

    /// `POST /v1/chat/completions`, `POST /v1/messages`, `GET /v1/models` and each model of it.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/messages", post(message))
            .route("/v1/models", get(models))
            .route("/v1/models/{*name}", get(model))
            .with_state(Arc::clone(&self.play))
    }
}

async fn complete(State(play): State<Arc<Play>>, headers: HeaderMap, body: Body) -> Response {
    play.turn(Wire::OpenAi, &headers, body).await
}

async fn message(State(play): State<Arc<Play>>, headers: HeaderMap, body: Body) -> Response {
    play.turn(Wire::Anthropic, &headers, body).await
}

async fn models(State(play): State<Arc<Play>>, headers: HeaderMap) -> Response {
    let wire = Wire::of(&headers);
    play.list(wire, &headers, Ok(wire.models())).await
}

async fn model(
    State(play): State<Arc<Play>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let wire = Wire::of(&headers);
    let known = wire::model_is_known(&name).then(|| wire.model());
    play.list(wire, &headers, known.ok_or_else(|| wire.no_model(&name))).await
}

impl Play {
    /// Takes the key, reads the request, and plays what the script says or how it fails.
    async fn turn(&self, wire: Wire, headers: &HeaderMap, body: Body) -> Response {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let read = match self.admit(wire, headers) {
            Ok(()) => wire.read(headers, body).await,
            Err(complaint) => Err(complaint),
        };
        let asked = match read {
            Ok(asked) => asked,
            Err(complaint) => return wire.refuse(&complaint),
        };
        let manner = self.script.manner(&asked, wire);
        let turn = self.script.turn(&asked);
        let answer = match asked.stream {
            Some(_) => Answer::Streamed(wire.events(&asked, &turn)),
            None => Answer::Whole(wire.whole(&asked, &turn)),
        };
        delivery::deliver(wire, answer, manner).await
    }

    async fn list(
        &self,
        wire: Wire,
        headers: &HeaderMap,
        found: Result<String, Complaint>,
    ) -> Response {
        match self.admit(wire, headers).and(found) {
            Ok(list) => {
                let manner = self.script.manner_of_all(wire);
                delivery::deliver(wire, Answer::Whole(list), manner).await
            }
            Err(complaint) => wire.refuse(&complaint),
        }
    }

    fn admit(&self, wire: Wire, headers: &HeaderMap) -> Result<(), Complaint> {
        let Some(wanted) = &self.key else { return Ok(()) };
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let bearer = headers.get(header::AUTHORIZATION).map(text);
        let bearer = bearer.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        let api_key = headers.get("x-api-key").map(text);
        let shown = match wire {
            Wire::OpenAi => bearer,
            Wire::Anthropic => api_key.as_deref().or(bearer),
        };
        if shown == Some(wanted) { Ok(()) } else { Err(wire.unauthorized()) }
    }
}

#[cfg(test)]
mod tests;
