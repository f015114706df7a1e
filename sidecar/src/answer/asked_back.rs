//! What the upstream asks of a caller's client: sampling, elicitation, roots. Legacy servers send
//! requests on a stream, modern ones put them into a result (MCP 2026-07-28, MRTR). Either way
//! policy permits them or they do not reach the client.

use std::sync::Arc;

use tokio::sync::Semaphore;
use url::Url;

use super::{
    list::member,
    revision::{Revised, Revision, tree, unreadable, written},
};
use crate::{
    message::{
        Method, Origin, RequestId, RequestState, Target,
        json::{Json, Object},
    },
    rejection::Rejection,
    session::Kind,
};

/// A request on a legacy stream: relayed under a sealed id, or declined in the client's place.
pub(super) fn request(
    revision: &Revision,
    method: &str,
    id: RequestId,
    text: &[u8],
) -> Result<Revised, Rejection> {
    let mut message = tree(text)?;
    let params = member(&mut message, "params")?.and_then(|params| params.as_object());
    if !may_ask(revision, method, params) {
        tracing::warn!(method, "a request of the upstream's is declined");
        decline(revision, &id);
        return Ok(Revised::LeftOut);
    }
    let own = id.to_text();
    let session = revision.session();
    let sealed = revision.sealed(Kind::Request, session, &[&own, method])?;
    revision.gate.remembered.asked(&revision.owner, session, &own, method);
    message.set("id", Json::String(sealed));
    if let Some(Json::Object(params)) = message.get_mut("params") {
        super::tasks::relate(revision, params);
    }
    Ok(Revised::Changed(written(&message)))
}

/// Answers in the client's place. An upstream that asks faster than it takes answers gets none.
fn decline(revision: &Revision, id: &RequestId) {
    let declining = revision.declining.get_or_init(|| Arc::new(Semaphore::new(MAX_DECLINING)));
    match Arc::clone(declining).try_acquire_owned() {
        Ok(place) => revision.gate.upstream.decline(
            id,
            (&revision.route, revision.era),
            &revision.claims,
            place,
        ),
        Err(_) => tracing::warn!("the upstream asks faster than it takes answers"),
    }
}

/// The upstream takes a request back, which the client knows under its sealed id.
pub(super) fn cancelled(revision: &Revision, text: &[u8]) -> Result<Revised, Rejection> {
    let mut message = tree(text)?;
    let Some(Json::Object(params)) = message.get_mut("params") else {
        return Err(unreadable("it cancels nothing"));
    };
    let id = params.get("requestId").cloned().and_then(RequestId::from_json);
    let id = id.ok_or_else(|| unreadable("it cancels nothing"))?.to_text();
    let session = revision.session();
    let remembered = &revision.gate.remembered;
    let Some(method) = remembered.method_asked(&revision.owner, session, &id) else {
        return Ok(Revised::LeftOut);
    };
    let sealed = revision.sealed(Kind::Request, session, &[&id, &method])?;
    params.set("requestId", Json::String(sealed));
    Ok(Revised::Changed(written(&message)))
}

/// `inputRequests` and `requestState` of a result: what is asked must be permitted, and comes back
/// with the state.
pub(super) fn within(
    revision: &Revision,
    asked: &Origin,
    result: &mut Object,
) -> Result<(), Rejection> {
    let questions = permitted(revision, result)?;
    if !revision.era.is_modern() || !asked.method.may_ask_back() {
        return Ok(());
    }
    let own = match member(result, "requestState")? {
        None | Some(Json::Null) => None,
        Some(Json::String(own)) => Some(own.clone()),
        Some(_) => return Err(unreadable("its request state is no string")),
    };
    if own.is_none() && questions.is_empty() {
        return Ok(());
    }
    let state = RequestState { own, asked: questions };
    let place = (asked.method, asked.target_name());
    let sealed = state.sealed(&revision.gate.seals, &revision.owner, place);
    let sealed = sealed.ok_or_else(|| unreadable("its request state is too long"))?;
    result.set("requestState", Json::String(sealed));
    Ok(())
}

/// What is asked in `inputRequests`, each under its name; an error when policy keeps one of it from
/// the client.
pub(super) fn permitted(
    revision: &Revision,
    holder: &mut Object,
) -> Result<Vec<(String, &'static Method)>, Rejection> {
    let requests = match member(holder, "inputRequests")? {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Object(requests)) => requests,
        Some(_) => return Err(unreadable("its input requests are no object")),
    };
    if requests.iter().count() > MAX_QUESTIONS {
        return Err(unreadable("it asks too much at once"));
    }
    let mut questions = Vec::new();
    for (name, request) in requests.iter_mut() {
        let Json::Object(request) = request else { return Err(unreadable("it asks nothing")) };
        let method = member(request, "method")?.cloned();
        let method = method.as_ref().and_then(Json::as_str).unwrap_or_default();
        let params = member(request, "params")?.and_then(|params| params.as_object());
        match Method::asked_of_clients(method).filter(|_| may_ask(revision, method, params)) {
            Some(row) => questions.push((name.to_owned(), row)),
            None => return Err(denied(method)),
        }
    }
    Ok(questions)
}

/// An error that asks a person to go somewhere first (MCP 2025-11-25, -32042).
pub(super) fn in_error(revision: &Revision, text: &[u8]) -> Result<(), Rejection> {
    if revision.era.is_modern() {
        return Err(unreadable("it asks in an error, which modern servers do not"));
    }
    let mut message = tree(text)?;
    let Some(Json::Object(error)) = message.get_mut("error") else { return Ok(()) };
    let Some(Json::Object(data)) = member(error, "data")? else { return Ok(()) };
    let Some(Json::Array(asked)) = member(data, "elicitations")? else {
        return Err(unreadable("it asks nothing"));
    };
    let may = |one: &Json| {
        one.as_object().is_some_and(|one| may_ask(revision, "elicitation/create", Some(one)))
    };
    if asked.len() > MAX_QUESTIONS {
        return Err(unreadable("it asks too much at once"));
    }
    if asked.iter().all(may) { Ok(()) } else { Err(denied("elicitation/create")) }
}

fn denied(method: &str) -> Rejection {
    tracing::warn!(method, "a question of the upstream's is not relayed");
    Rejection::QuestionDenied { method: method.to_owned() }
}

/// Whether policy permits the upstream to ask this, and a person may be sent where it says.
fn may_ask(revision: &Revision, method: &str, params: Option<&Object>) -> bool {
    let Some(row) = Method::asked_of_clients(method) else { return false };
    let permitted = row.name == "ping"
        || revision.policies().permits(&revision.asker(), row.name, Target::Server);
    permitted && (row.name != "elicitation/create" || leads_where_it_may(revision, params))
}

/// An elicitation by URL leads to a configured origin; one by form leads nowhere.
fn leads_where_it_may(revision: &Revision, params: Option<&Object>) -> bool {
    let Some(params) = params else { return true };
    if ["mode", "url"].iter().any(|name| params.has_twin_of(name)) {
        return false;
    }
    let by_url = match params.get("mode") {
        None => false,
        Some(mode) => mode.as_str() != Some("form"),
    };
    match params.get("url") {
        None => !by_url,
        Some(url) => url.as_str().and_then(|url| Url::parse(url).ok()).is_some_and(|url| {
            let origin = url.origin().ascii_serialization();
            revision.gate.elicitation_origins.contains(&origin)
        }),
    }
}

/// Each takes an evaluation, and a person's attention.
const MAX_QUESTIONS: usize = 100;
/// Of one stream, at a time.
const MAX_DECLINING: usize = 8;
