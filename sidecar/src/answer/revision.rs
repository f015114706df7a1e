//! What is made of each message that comes back: held against what was asked, narrowed, redacted,
//! its ids sealed to the caller, or left out.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{asked_back, budget::Budget, list, outline::Outline, redact::Redactions, tasks};
use crate::{
    authz::{Asker, Authorized, Circumstances, Listing, Policies},
    enforce::Enforcer,
    message::{
        Era, Form, META_RELATED_TASK, Message, Method, Origin, RequestId, Route, Target,
        json::{Json, Object},
    },
    rejection::Rejection,
    session::{Kind, Owner},
    token::Claims,
};

/// What answers must be held against, taken from what was asked and from nothing that the upstream
/// says.
pub(crate) struct Revision {
    pub(super) gate: Arc<Enforcer>,
    pub(super) claims: Arc<Claims>,
    circumstances: Circumstances,
    pub(super) owner: Owner,
    /// The request that is to be answered; a notification has none, nor has a fresh GET.
    pub(super) answers: Option<Origin>,
    pub(super) method: &'static Method,
    pub(super) era: Era,
    pub(super) route: Route,
    /// What the permits keep back that decided.
    redactions: Redactions,
    /// What the caller is told of its limits.
    budget: Option<Budget>,
    pub(super) request_id: Uuid,
    pub(super) closing: watch::Receiver<bool>,
    /// Questions that are being declined in the client's place.
    pub(super) declining: OnceLock<Arc<Semaphore>>,
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

impl Revision {
    pub(crate) fn of(
        gate: &Arc<Enforcer>,
        (claims, owner, circumstances): (&Arc<Claims>, Owner, &Circumstances),
        authorized: &Authorized<Message>,
        request_id: Uuid,
    ) -> Self {
        let message = authorized.get();
        Self {
            gate: Arc::clone(gate),
            claims: Arc::clone(claims),
            circumstances: circumstances.clone(),
            owner,
            answers: message.origin().or_else(|| message.route().origin.clone()),
            method: message.method(),
            era: message.era(),
            route: message.route().clone(),
            redactions: Redactions::of(authorized.obligations().redact.clone()),
            budget: None,
            request_id,
            closing: gate.closing.subscribe(),
            declining: OnceLock::new(),
            token_ends: Instant::now() + claims.time_left().min(super::FOREVER),
        }
    }

    /// Tells the caller with its answer what limits leave, as JSON.
    pub(crate) fn telling(self, left: Option<String>) -> Self {
        Self { budget: left.map(Budget::of), ..self }
    }

    /// For whom policies are asked once more.
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { claims: &self.claims, circumstances: &self.circumstances }
    }

    /// Those in force now: a stream may be older than the latest edit.
    pub(super) fn policies(&self) -> Arc<Policies> {
        self.gate.policies.current()
    }

    /// Refuses to go on for a token that has been revoked meanwhile.
    pub(super) fn require_not_revoked(&self) -> Result<(), Rejection> {
        let revoked = self.gate.verifier.revocations().name(&self.claims);
        if revoked { Err(Rejection::Revoked) } else { Ok(()) }
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
        let (revised, is_answer) = self.revised(text)?;
        self.look_for_credentials(&revised, text);
        Ok((revised, is_answer))
    }

    fn revised(&self, text: &[u8]) -> Result<(Revised, IsAnswer), Rejection> {
        let outline = Outline::read(text)?;
        let (id, method) = (outline.get("id")?, outline.text("method")?);
        let (result, error) = (outline.get("result")?, outline.get("error")?);
        let other = |revised| Ok((revised?, IsAnswer(false)));
        match (method, result, error) {
            (Some(method), None, None) => match id {
                None => other(self.notification(&method, &outline, text)),
                Some(id) => other(self.question(&method, id, text)),
            },
            (None, Some(result), None) if self.is_answered_by(id) => {
                Ok((self.result(result, text)?, IsAnswer(true)))
            }
            (None, None, Some(error)) if self.is_answered_by(id) => {
                Ok((self.error(error, text)?, IsAnswer(true)))
            }
            _ => Err(unreadable("it answers nothing that was asked here")),
        }
    }

    /// An HTTP error's body: a JSON-RPC error, which may be about no request in particular.
    pub(super) fn revise_error(&self, text: &[u8]) -> Result<Revised, Rejection> {
        let outline = Outline::read(text)?;
        let id = outline.get("id")?;
        let nothing_else = outline.get("result")?.is_none() && outline.get("method")?.is_none();
        match outline.get("error")? {
            Some(error) if nothing_else && (id.is_none() || self.is_answered_by(id)) => {
                let revised = self.error(error, text)?;
                self.look_for_credentials(&revised, text);
                Ok(revised)
            }
            _ => Err(unreadable("it is no JSON-RPC error")),
        }
    }

    fn error(&self, error: &RawValue, text: &[u8]) -> Result<Revised, Rejection> {
        self.require_harmless(error, text)?;
        let redactions = self.redactions()?;
        if redactions.is_empty() {
            return Ok(Revised::AsItIs);
        }
        let mut message = tree(text)?;
        redactions.in_answer(&mut message)?;
        Ok(Revised::Changed(written(&message)))
    }

    /// What is kept back of the answer: what the permits say that decided on a call. What comes of
    /// it later is held to every permit on the tool as it is then, since the call's arguments are
    /// not known any more.
    fn redactions(&self) -> Result<Redactions, Rejection> {
        match self.answers.as_ref().map(Origin::target) {
            Some(Target::Tool(_)) if self.method.calls_a_tool() => Ok(self.redactions.clone()),
            Some(Target::Tool(tool)) => self.redactions_of(tool),
            _ => Ok(Redactions::default()),
        }
    }

    /// What any permit on a tool keeps back.
    pub(super) fn redactions_of(&self, tool: &str) -> Result<Redactions, Rejection> {
        let redactions = self.policies().redactions_of(tool).map(Redactions::of);
        redactions.ok_or_else(|| unreadable("it comes of a tool that is not in the schema"))
    }

    /// An error can ask for an elicitation, too (MCP 2025-11-25, `URLElicitationRequiredError`).
    fn require_harmless(&self, error: &RawValue, text: &[u8]) -> Result<(), Rejection> {
        let error = Outline::read(error.get().as_bytes())?;
        let data = error.object("data")?;
        let asks = data.is_some_and(|data| !matches!(data.get("elicitations"), Ok(None)));
        if asks { asked_back::in_error(self, text) } else { Ok(()) }
    }

    fn is_answered_by(&self, id: Option<&RawValue>) -> bool {
        let asked = self.answers.as_ref();
        asked.is_some_and(|asked| id.is_some_and(|id| asked.id.is(id.get())))
    }

    fn notification(
        &self,
        method: &str,
        outline: &Outline<'_>,
        text: &[u8],
    ) -> Result<Revised, Rejection> {
        let params = outline.object("params")?;
        let about = match method {
            "notifications/progress" | "notifications/message" => {
                let related = params.map(|params| is_related(&params)).transpose()?;
                return if related == Some(true) {
                    tasks::related(self, text)
                } else {
                    Ok(Revised::AsItIs)
                };
            }
            "notifications/elicitation/complete" => return Ok(Revised::AsItIs),
            "notifications/tools/list_changed" => "tools/list",
            "notifications/prompts/list_changed" => "prompts/list",
            "notifications/resources/list_changed" => "resources/list",
            "notifications/resources/updated" => {
                let uri = params.map(|params| params.text("uri")).transpose()?.flatten();
                return self.updated(&uri.ok_or_else(|| unreadable("it names no resource"))?);
            }
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
        let told = self.policies().permits(&self.asker(), about, Target::Server);
        Ok(if told { Revised::AsItIs } else { Revised::LeftOut })
    }

    fn updated(&self, uri: &str) -> Result<Revised, Rejection> {
        let target = Target::Resource(uri);
        let shown = self.policies().shows(&self.claims, "resources/read", target)?;
        Ok(if shown { Revised::AsItIs } else { Revised::LeftOut })
    }

    fn question(&self, method: &str, id: &RawValue, text: &[u8]) -> Result<Revised, Rejection> {
        let id = RequestId::from_upstream(id.get());
        let id = id.ok_or_else(|| unreadable("a request of its has no usable id"))?;
        // Modern servers ask in results (MCP 2026-07-28, MRTR).
        if self.era.is_modern() {
            tracing::warn!(method, "a request of the upstream's is not relayed: wrong era");
            return Ok(Revised::LeftOut);
        }
        asked_back::request(self, method, id, text)
    }

    fn result(&self, raw: &RawValue, text: &[u8]) -> Result<Revised, Rejection> {
        let result = Outline::read(raw.get().as_bytes())?;
        let Some(asked) = &self.answers else { return Err(unreadable("nothing was asked")) };
        let listing = Listing::of(&self.policies(), &self.claims, asked.method);
        let modern = self.era.is_modern();
        let private = modern && asked.method.is_cacheable();
        let of_tasks = asked.method.name.starts_with("tasks/");
        let redactions = self.redactions()?;
        let whole = listing.is_none() && !private && redactions.is_empty();
        if whole && !of_tasks && is_plain(&result)? {
            match &self.budget {
                None => return Ok(Revised::AsItIs),
                Some(budget) => {
                    if let Some(told) = budget.told_in(text, raw, &result)? {
                        return Ok(Revised::Changed(told));
                    }
                }
            }
        }
        let mut message = tree(text)?;
        redactions.in_answer(&mut message)?;
        let Some(Json::Object(result)) = list::member(&mut message, "result")? else {
            return Err(unreadable("its result is no object"));
        };
        let seals_state = modern && asked.method.may_ask_back();
        if !redactions.is_empty() && !seals_state {
            result.remove("requestState");
        }
        let kind = list::member(result, "resultType")?.cloned();
        self.require_known_type(asked.method, kind.as_ref())?;
        if let Some(listing) = &listing {
            list::narrow(result, listing)?;
            for tool in self.policies().changed_tools().iter() {
                self.gate.ledger.definition_changed(tool, self.request_id);
            }
        }
        // A shared cache must not serve one caller's answer to another (MCP 2026-07-28, caching).
        if private || list::member(result, "cacheScope")?.is_some() {
            result.set("cacheScope", Json::from("private"));
        }
        asked_back::within(self, asked, result)?;
        tasks::in_result(self, asked, result)?;
        if let Some(budget) = &self.budget {
            budget.tell(result)?;
        }
        Ok(Revised::Changed(written(&message)))
    }

    /// `resultType` says how to read a result (MCP 2026-07-28); an unknown one cannot be judged.
    fn require_known_type(&self, method: &Method, kind: Option<&Json>) -> Result<(), Rejection> {
        let known = match kind {
            None | Some(Json::Null) => true,
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
    pub(super) fn sealed_event(&self, id: &str) -> Result<String, Rejection> {
        let Some(asked) = &self.answers else {
            return self.sealed(Kind::Event, self.session(), &[id, "", "", "", ""]);
        };
        let (kind, target) = match &asked.target {
            Some((kind, name)) => (kind.name(), name.as_str()),
            None => ("", ""),
        };
        let parts = [id, &asked.id.to_text(), asked.method.name, kind, target];
        self.sealed(Kind::Event, self.session(), &parts)
    }

    /// Seals what the upstream calls something for the caller, if it calls it by no endless name.
    pub(super) fn sealed(
        &self,
        kind: Kind,
        within: &str,
        parts: &[&str],
    ) -> Result<String, Rejection> {
        let sealed = self.gate.seals.seal(kind, &self.owner, within, parts);
        sealed.ok_or_else(|| unreadable("an id of its is too long"))
    }
}

/// Whether a result needs no closer look.
fn is_plain(result: &Outline<'_>) -> Result<bool, Rejection> {
    let complete = result.text("resultType")?.is_none_or(|kind| kind == "complete");
    let mut noted = false;
    for name in ["cacheScope", "inputRequests", "requestState", "task", "taskId"] {
        noted |= result.get(name)?.is_some();
    }
    Ok(complete && !noted && !is_related(result)?)
}

/// Whether `_meta` says of which task something is.
fn is_related(holder: &Outline<'_>) -> Result<bool, Rejection> {
    let meta = holder.object("_meta")?;
    let related = meta.map(|meta| meta.get(META_RELATED_TASK).map(|found| found.is_some()));
    Ok(related.transpose()? == Some(true))
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
