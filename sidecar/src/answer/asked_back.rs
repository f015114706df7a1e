//! What the upstream asks of a caller's client: sampling, elicitation, roots. Legacy servers send
//! requests on a stream, modern ones put them into a result (MCP 2026-07-28, MRTR). Either way
//! policy permits them or they do not reach the client.

use url::Url;

use super::revision::{Revised, Revision, tree, unreadable, written};
use crate::{
    message::{
        Method, RequestId, Target,
        json::{Json, Object},
        sealed_state,
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
    let params = message.get("params").and_then(Json::as_object);
    if !may_ask(revision, method, params) {
        tracing::warn!(method, "a request of the upstream's is declined");
        revision.upstream.decline(&id, (&revision.route, revision.era), &revision.claims);
        return Ok(Revised::LeftOut);
    }
    let own = id.to_text();
    let session = revision.session();
    let sealed = revision.seals.seal(Kind::Request, &revision.owner, session, &[&own, method]);
    revision.remembered.asked(&revision.owner, session, &own, method);
    message.set("id", Json::String(sealed));
    if let Some(Json::Object(params)) = message.get_mut("params") {
        super::tasks::relate(revision, params);
    }
    Ok(Revised::Changed(written(&message)))
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
    let Some(method) = revision.remembered.method_asked(&revision.owner, session, &id) else {
        return Ok(Revised::LeftOut);
    };
    let sealed = revision.seals.seal(Kind::Request, &revision.owner, session, &[&id, &method]);
    params.set("requestId", Json::String(sealed));
    Ok(Revised::Changed(written(&message)))
}

/// `inputRequests` and `requestState` of a result.
pub(super) fn within(
    revision: &Revision,
    method: &Method,
    result: &mut Object,
) -> Result<(), Rejection> {
    match result.get("inputRequests") {
        None => {}
        Some(Json::Object(asked)) => {
            for (_, request) in asked.iter() {
                let request = request.as_object().ok_or_else(|| unreadable("it asks nothing"))?;
                let name = request.get("method").and_then(Json::as_str).unwrap_or_default();
                let params = request.get("params").and_then(Json::as_object);
                if !may_ask(revision, name, params) {
                    tracing::warn!(method = name, "a question of the upstream's is not relayed");
                    return Err(Rejection::QuestionDenied { method: name.to_owned() });
                }
            }
        }
        Some(_) => return Err(unreadable("its input requests are no object")),
    }
    if let Some(state) = result.get_mut("requestState") {
        let own = state.as_str().ok_or_else(|| unreadable("its request state is no string"))?;
        let context = (method, revision.target.as_deref());
        *state = Json::String(sealed_state(&revision.seals, &revision.owner, context, own));
    }
    Ok(())
}

/// Whether policy permits the upstream to ask this, and a person may be sent where it says.
fn may_ask(revision: &Revision, method: &str, params: Option<&Object>) -> bool {
    let Some(row) = Method::asked_of_clients(method) else { return false };
    let permitted =
        row.name == "ping" || revision.policies.permits(&revision.claims, row.name, Target::Server);
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
            revision.elicitation_origins.contains(&origin)
        }),
    }
}
