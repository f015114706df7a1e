//! What is made of each message that comes back: held against what was asked, narrowed, its ids
//! sealed to the caller, or left out.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{asked_back, list, tasks};
use crate::{
    authz::{Listing, Policies},
    enforce::Enforcer,
    message::{
        Era, Form, Message, Method, Origin, RequestId, Route, Target,
        json::{Json, Object},
    },
    rejection::Rejection,
    session::{Kind, Owner, Remembered, Seals},
    token::Claims,
    upstream::Upstream,
};

/// What answers must be held against, taken from what was asked and from nothing that the upstream
/// says.
pub(crate) struct Revision {
    pub(super) policies: Arc<Policies>,
    pub(super) claims: Arc<Claims>,
    pub(super) owner: Owner,
    pub(super) seals: Arc<Seals>,
    pub(super) remembered: Remembered,
    pub(super) upstream: Arc<Upstream>,
    pub(super) elicitation_origins: Arc<[String]>,
    /// The request that is to be answered; a notification has none, nor has a fresh GET.
    pub(super) answers: Option<Origin>,
    pub(super) target: Option<String>,
    pub(super) method: &'static Method,
    pub(super) era: Era,
    pub(super) route: Route,
    pub(super) request_id: Uuid,
    pub(super) closing: watch::Receiver<bool>,
    /// No answer goes on after the token it was given for.
    pub(super) token_ends: Instant,
}

/// What is left of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Revised {
    AsItIs,
    Changed(Vec<u8>),
    LeftOut,
}

/// Whether a message is the answer for which the caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IsAnswer(pub(super) bool);

/// The outer members of a message; a member that stands twice is an error.
#[derive(Deserialize)]
pub(super) struct Outline<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
}

/// The members of a result that ask for a closer look.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultOutline<'a> {
    #[serde(borrow)]
    result_type: Option<Cow<'a, str>>,
    cache_scope: Option<IgnoredAny>,
    input_requests: Option<IgnoredAny>,
    request_state: Option<IgnoredAny>,
    task: Option<IgnoredAny>,
    task_id: Option<IgnoredAny>,
}

impl<'a> Outline<'a> {
    fn read(text: &'a [u8]) -> Result<Self, Rejection> {
        object(text)
    }
}

/// An object's members; serde would take an array's items for them.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Rejection> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable("it is no object"));
    }
    serde_json::from_slice(text).map_err(unreadable)
}

impl ResultOutline<'_> {
    fn is_plain(&self) -> bool {
        self.result_type.as_ref().is_none_or(|kind| kind == "complete")
            && self.cache_scope.is_none()
            && self.input_requests.is_none()
            && self.request_state.is_none()
            && self.task.is_none()
            && self.task_id.is_none()
    }
}

impl Revision {
    pub(crate) fn of(
        enforcer: &Enforcer,
        (policies, claims, owner): (&Arc<Policies>, &Arc<Claims>, Owner),
        message: &Message,
        request_id: Uuid,
    ) -> Self {
        let own = message.id().filter(|_| message.method().form == Form::Request);
        let origin = own.map(|id| Origin {
            id: id.clone(),
            method: message.method(),
            tool: message.target().tool().map(str::to_owned),
        });
        Self {
            policies: Arc::clone(policies),
            claims: Arc::clone(claims),
            owner,
            seals: Arc::clone(&enforcer.seals),
            remembered: enforcer.remembered.clone(),
            upstream: Arc::clone(&enforcer.upstream),
            elicitation_origins: Arc::clone(&enforcer.elicitation_origins),
            answers: origin.or_else(|| message.route().origin.clone()),
            target: message.target_name().map(str::to_owned),
            method: message.method(),
            era: message.era(),
            route: message.route().clone(),
            request_id,
            closing: enforcer.closing.subscribe(),
            token_ends: Instant::now() + claims.time_left().min(super::FOREVER),
        }
    }

    /// Whether the caller's leaving cancels nothing.
    pub(crate) fn outlives_its_caller(&self) -> bool {
        !self.era.is_modern() && self.method.form == Form::Request
    }

    pub(super) fn session(&self) -> &str {
        self.route.session.as_deref().unwrap_or_default()
    }

    /// A message of the upstream's, as it may reach the caller, and whether it is the answer for
    /// which the caller waits.
    pub(super) fn revise(&self, text: &[u8]) -> Result<(Revised, IsAnswer), Rejection> {
        let outline = Outline::read(text)?;
        let other = |revised| Ok((revised?, IsAnswer(false)));
        match (&outline.method, outline.result, outline.error) {
            (Some(method), None, None) if outline.id.is_none() => {
                other(self.notification(method, text))
            }
            (Some(method), None, None) => other(self.question(method, &outline, text)),
            (None, Some(result), None) if self.is_answered_by(outline.id) => {
                Ok((self.result(result, text)?, IsAnswer(true)))
            }
            (None, None, Some(_)) if self.is_answered_by(outline.id) => {
                Ok((Revised::AsItIs, IsAnswer(true)))
            }
            _ => Err(unreadable("it answers nothing that was asked here")),
        }
    }

    /// An HTTP error's body: a JSON-RPC error, which may be about no request in particular.
    pub(super) fn require_error(&self, text: &[u8]) -> Result<(), Rejection> {
        let outline = Outline::read(text)?;
        let ours = outline.id.is_none() || self.is_answered_by(outline.id);
        let is_error =
            outline.error.is_some() && outline.result.is_none() && outline.method.is_none();
        if ours && is_error { Ok(()) } else { Err(unreadable("it is no JSON-RPC error")) }
    }

    fn is_answered_by(&self, id: Option<&RawValue>) -> bool {
        let asked = self.answers.as_ref();
        asked.is_some_and(|asked| id.is_some_and(|id| asked.id.is(id.get())))
    }

    fn notification(&self, method: &str, text: &[u8]) -> Result<Revised, Rejection> {
        let about = match method {
            "notifications/progress" | "notifications/message" => return self.related(text),
            "notifications/elicitation/complete" => return Ok(Revised::AsItIs),
            "notifications/tools/list_changed" => "tools/list",
            "notifications/prompts/list_changed" => "prompts/list",
            "notifications/resources/list_changed" => "resources/list",
            "notifications/resources/updated" => return self.updated(text),
            "notifications/cancelled" => return asked_back::cancelled(self, text),
            "notifications/tasks/status" | "notifications/tasks" => {
                return tasks::status(self, text);
            }
            "notifications/subscriptions/acknowledged" => return tasks::acknowledged(self, text),
            _ => {
                tracing::warn!(method, "a notification of the upstream's is not relayed");
                return Ok(Revised::LeftOut);
            }
        };
        let told = self.policies.permits(&self.claims, about, Target::Server);
        Ok(if told { Revised::AsItIs } else { Revised::LeftOut })
    }

    /// A notification that may say of which task it is.
    fn related(&self, text: &[u8]) -> Result<Revised, Rejection> {
        let says = text.windows(RELATED.len()).any(|window| window == RELATED);
        if says { tasks::related(self, text) } else { Ok(Revised::AsItIs) }
    }

    fn updated(&self, text: &[u8]) -> Result<Revised, Rejection> {
        let message = tree(text)?;
        let uri = message.get("params").and_then(Json::as_object).and_then(|p| p.get("uri"));
        let uri = uri.and_then(Json::as_str).ok_or_else(|| unreadable("it names no resource"))?;
        let target = Target::Resource(uri);
        let shown = self.policies.shows(&self.claims, "resources/read", target)?;
        Ok(if shown { Revised::AsItIs } else { Revised::LeftOut })
    }

    fn question(
        &self,
        method: &str,
        outline: &Outline<'_>,
        text: &[u8],
    ) -> Result<Revised, Rejection> {
        let id = outline.id.and_then(|id| RequestId::from_text(id.get()));
        let id = id.ok_or_else(|| unreadable("a request of its has no usable id"))?;
        // Modern servers ask in results (MCP 2026-07-28, MRTR).
        if self.era.is_modern() {
            tracing::warn!(method, "a request of the upstream's is not relayed: wrong era");
            return Ok(Revised::LeftOut);
        }
        asked_back::request(self, method, id, text)
    }

    fn result(&self, result: &RawValue, text: &[u8]) -> Result<Revised, Rejection> {
        let result: ResultOutline<'_> = object(result.get().as_bytes())?;
        let Some(asked) = &self.answers else { return Err(unreadable("nothing was asked")) };
        let listing = Listing::of(&self.policies, &self.claims, asked.method);
        let modern = self.era.is_modern();
        let private = modern && asked.method.is_cacheable();
        let of_tasks = asked.method.name.starts_with("tasks/");
        if listing.is_none() && !private && !of_tasks && result.is_plain() {
            return Ok(Revised::AsItIs);
        }
        let mut message = tree(text)?;
        let Some(Json::Object(result)) = list::member(&mut message, "result")? else {
            return Err(unreadable("its result is no object"));
        };
        self.require_known_type(asked.method, result)?;
        if let Some(listing) = &listing {
            list::narrow(result, listing)?;
        }
        // A shared cache must not serve one caller's answer to another (MCP 2026-07-28, caching).
        if private || result.get("cacheScope").is_some() {
            result.set("cacheScope", Json::from("private"));
        }
        asked_back::within(self, asked.method, result)?;
        tasks::in_result(self, asked, result)?;
        Ok(Revised::Changed(written(&message)))
    }

    /// `resultType` says how to read a result (MCP 2026-07-28); an unknown one cannot be judged.
    fn require_known_type(&self, method: &Method, result: &Object) -> Result<(), Rejection> {
        let known = match result.get("resultType") {
            None => true,
            Some(Json::String(kind)) => match kind.as_str() {
                "complete" => true,
                "input_required" => self.era.is_modern() && method.may_ask_back(),
                "task" => self.era.is_modern() && method.calls_a_tool(),
                _ => false,
            },
            Some(_) => false,
        };
        if known { Ok(()) } else { Err(unreadable("its result is of no known type")) }
    }

    /// The id of an event, as the caller may present it to take the stream up again.
    pub(super) fn sealed_event(&self, id: &str) -> String {
        let (request, method, tool) = match &self.answers {
            Some(asked) => {
                (asked.id.to_text(), asked.method.name, asked.tool.as_deref().unwrap_or_default())
            }
            None => (String::new(), "", ""),
        };
        let parts = [id, &request, method, tool];
        self.seals.seal(Kind::Event, &self.owner, self.session(), &parts)
    }
}

/// The whole of a message, strictly.
pub(super) fn tree(text: &[u8]) -> Result<Object, Rejection> {
    match Json::read_answer(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(unreadable("it is no object")),
        Err(fault) => Err(unreadable(format!("{fault:?}"))),
    }
}

pub(super) fn written(message: &Object) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    message.write(&mut out);
    out
}

/// Says in the log why a message of the upstream's goes no further.
pub(super) fn unreadable(why: impl ToString) -> Rejection {
    tracing::warn!(why = why.to_string(), "a message of the upstream's cannot be relayed");
    Rejection::UpstreamAnswer
}

const RELATED: &[u8] = b"related-task";
