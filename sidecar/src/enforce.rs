//! What happens to every message sent to the MCP endpoint. Read this first.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::watch;

use crate::{
    answer::{self, Held, Revision},
    authz::{Asker, Authorized, Circumstances, Histories, PolicyStore},
    config::Limits,
    ledger::{Ledger, OpenOutcome, OpenRecord},
    limits::{CallLimits, Made},
    message::{Envelope, Message},
    metadata::ResourceMetadata,
    neighbours::Neighbours,
    rejection::{Manner, Rejection},
    session::{Owner, Remembered, Seals},
    slots::Slots,
    telemetry::{CallersTrace, Step, Telemetry},
    token::{BearerToken, Claims, TokenVerifier},
    upstream::Upstream,
};

/// Everything a decision needs; shared by all requests.
#[derive(Debug)]
pub(crate) struct Enforcer {
    pub(crate) neighbours: Neighbours,
    pub(crate) verifier: TokenVerifier,
    pub(crate) policies: PolicyStore,
    /// What callers did in the last minutes, for policies that look at it.
    pub(crate) histories: Arc<Histories>,
    /// How many calls policies grant, and to whom how many are left.
    pub(crate) call_limits: CallLimits,
    pub(crate) ledger: Ledger,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) seals: Arc<Seals>,
    pub(crate) remembered: Remembered,
    /// Where an elicitation by URL may lead.
    pub(crate) elicitation_origins: Arc<[String]>,
    pub(crate) metadata: ResourceMetadata,
    pub(crate) manner: Manner,
    pub(crate) limits: Arc<Limits>,
    /// Says `true` when the gate is about to stop.
    pub(crate) closing: watch::Sender<bool>,
    /// One for each verified caller's request, from then to the end of its answer.
    pub(crate) slots: Slots,
}

/// Answers one request to the MCP endpoint and leaves one decision on record.
pub(crate) async fn enforce(
    enforcer: &Arc<Enforcer>,
    request: Request<Body>,
    peer: SocketAddr,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut record = enforcer.ledger.begin(peer, CallersTrace::in_headers(&head.headers));
    let mut body = Some(body);
    let asked = (&head, peer);
    let mut response = match decide_then_forward(enforcer, asked, &mut body, &mut record).await {
        Ok(response) => response,
        Err(rejection) => {
            let rejection = record.refused(rejection).await;
            if let Some(unread) = body {
                discard(unread).await;
            }
            let (metadata, manner) = (&enforcer.metadata, enforcer.manner);
            let refused = rejection.into_response(metadata, manner, record.asked());
            record.answered(refused.status());
            refused
        }
    };
    if let Ok(id) = HeaderValue::try_from(record.request_id().to_string()) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// The questions, in the order in which an auditor asks them.
async fn decide_then_forward(
    enforcer: &Arc<Enforcer>,
    (head, peer): (&Parts, SocketAddr),
    body: &mut Option<Body>,
    record: &mut OpenRecord,
) -> Result<Response<Body>, Rejection> {
    enforcer.neighbours.require_ours(head)?;

    // Who is asking?  (RFC 6750 section 2.1, RFC 9068 section 4)
    record.enters(Step::Token);
    let token = BearerToken::from_request(&head.uri, &head.headers)?;
    let claims = enforcer.verifier.verify(token, head).await?;
    record.caller(&claims);
    let owner = Owner::of(&claims);
    let slot = enforcer.slots.take(&owner).ok_or(Rejection::Overloaded)?;

    // What do they ask?  (MCP 2026-07-28: the headers repeat the body)
    record.enters(Step::Message);
    let message = message(enforcer, head, body, record).await?;

    // Is what it names theirs?  (sessions, tasks, streams)
    let mut message = message.owned_by(&owner, &enforcer.seals)?;
    record.message(&message);
    record.trace(&mut message);

    // May they?  (Cedar: principal, action, resource, context)
    record.enters(Step::Authz);
    let policies = enforcer.policies.current();
    let principal = policies.principal_name(&claims);
    let known = (&enforcer.histories, enforcer.ledger.watch());
    let circumstances = Circumstances::of(&message, peer.ip(), known, principal.clone());
    record.asks(&principal, &message, (&policies, &circumstances));
    let tool = message.called_tool().map(str::to_owned);
    let decided =
        policies.authorize(&Asker { claims: &claims, circumstances: &circumstances }, message);
    record.decided_under(policies.summary(), &decided);
    if policies.read_history() {
        circumstances.note(decided.outcome.is_ok(), tool.as_deref());
    }
    let authorized = decided.outcome?;

    // Have they had enough?  (`@rate_limit`, `[[call_limits]]`; what is refused takes nothing)
    record.enters(Step::Limits);
    let spent = enforcer.call_limits.spend(&policies.standing(&claims), &authorized).await?;

    // Only now, and on record, can anything leave this process.
    record.permitted(&authorized, spent.states()).await?;
    let Made { permit, meter, note } = spent.made();
    let asked_by = (&claims, owner, &circumstances);
    let revision = Revision::of(enforcer, asked_by, &authorized, record.request_id());
    let revision = revision.telling(note);
    let outlives_its_caller = revision.outlives_its_caller();
    let outcome = record.outcome().counted_by(meter);
    let held = Held::of(slot, permit);
    let gate = Arc::clone(enforcer);
    let answered = answered(gate, authorized, claims, (revision, held), outcome);
    if outlives_its_caller { carried_out(answered).await } else { answered.await }
}

/// What the upstream answers, as it may be relayed, followed to its end.
async fn answered(
    gate: Arc<Enforcer>,
    authorized: Authorized<Message>,
    claims: Arc<Claims>,
    (revision, held): (Revision, Held),
    mut outcome: OpenOutcome,
) -> Result<Response<Body>, Rejection> {
    let answer = async {
        let response = gate.upstream.forward(authorized, &claims).await?;
        outcome.upstream_answered(response.status());
        answer::relay(response, revision, &gate.limits, held).await
    };
    let answer = answer.await;
    outcome.follow(answer)
}

/// The message that a request is: a body's, or a GET's or DELETE's, which need none.
async fn message(
    enforcer: &Enforcer,
    head: &Parts,
    body: &mut Option<Body>,
    record: &mut OpenRecord,
) -> Result<Message, Rejection> {
    if head.method != Method::POST {
        let message = Message::without_body(&head.method, &head.headers)?;
        record.message(&message);
        return Ok(message);
    }
    let body = body.take().unwrap_or_default();
    let body = read_body(body, &head.headers, &enforcer.limits).await?;
    record.received(body.len());
    let envelope = Envelope::read(&head.headers, &body)?;
    drop(body);
    record.envelope(&envelope);
    let message = envelope.confirmed_by(&head.headers)?;
    record.message(&message);
    Ok(message)
}

/// The answer to a legacy request, which its caller does not cancel by hanging up (MCP 2025-11-25,
/// streamable HTTP).
async fn carried_out(
    answered: impl Future<Output = Result<Response<Body>, Rejection>> + Send + 'static,
) -> Result<Response<Body>, Rejection> {
    let carried = tokio::spawn(answered).await;
    carried.unwrap_or(Err(Rejection::UpstreamUnreachable))
}

/// The whole body or a refusal; nothing is ever judged in part.
async fn read_body(body: Body, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Rejection> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n > limits.max_body_bytes) {
        return Err(Rejection::BodyTooLarge);
    }
    let read = Limited::new(body, limits.max_body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::BodyTooLarge),
        Ok(Err(_)) => Err(Rejection::BodyIncomplete),
        Err(_) => Err(Rejection::BodyTooSlow),
    }
}

/// Throws away what of a small body has arrived or is about to.
///
/// HTTP/2 resets a stream whose request was not read to its end, and after a thousand of those the
/// whole connection ends, with everybody else's requests on it.
async fn discard(mut body: Body) {
    let small = body.size_hint().lower() <= DISCARDED_BYTES;
    let unread = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, |data| data.len() as u64);
            if seen > DISCARDED_BYTES {
                return;
            }
        }
    };
    if small {
        // Whether it ended in time makes no difference to the answer.
        drop(tokio::time::timeout(DISCARD_TIMEOUT, unread).await);
    }
}

/// A message of usual size, several times over.
const DISCARDED_BYTES: u64 = 64 * 1024;
/// The rest of a body that is on its way already.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(50);
