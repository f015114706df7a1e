//! What comes back: held against what was asked, narrowed where it is a list, redacted where policy
//! says so, streamed where it is a stream, and never relayed when it is not an MCP answer.

mod asked_back;
mod budget;
mod credentials;
mod list;
mod outline;
mod pump;
mod redact;
mod revision;
mod sse;
mod stream;
mod tasks;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};

use crate::{
    config::Limits,
    limits::Permit,
    message::{Form, mirrored},
    rejection::Rejection,
    session::Kind,
    slots::Slot,
};
use pump::{WhenGone, pumped};
pub(crate) use revision::Revision;
use revision::{IsAnswer, Revised};
pub(crate) use sse::EventReader;
use stream::EventStream;

/// What a request holds until its answer ends.
#[derive(Debug)]
pub(crate) struct Held {
    _slot: Slot,
    _permit: Option<Permit>,
}

impl Held {
    pub(crate) fn of(slot: Slot, permit: Option<Permit>) -> Self {
        Self { _slot: slot, _permit: permit }
    }
}

/// Relays the upstream's answer as `revision` asks, holding the caller's place to its end.
///
/// What cannot be judged is not relayed.
pub(crate) async fn relay(
    upstream: Response<Body>,
    revision: Revision,
    limits: &Limits,
    held: Held,
) -> Result<Response<Body>, Rejection> {
    let (head, body) = upstream.into_parts();
    if revision.method.form != Form::Request && revision.method.form != Form::Listening {
        return acknowledged(head.status, &revision);
    }
    let session = minted_session(&head.headers, &revision)?;
    let mut response = match (head.status, media_type(&head.headers)) {
        (StatusCode::OK, Some(MediaType::EventStream)) => {
            let chunks = body.into_data_stream();
            let when_gone = when_gone(&revision);
            let events = EventStream::new(chunks, revision, limits).relayed();
            let body = pumped(events, when_gone, limits.stream_idle_timeout, held);
            answer(StatusCode::OK, Some("text/event-stream"), body)
        }
        (StatusCode::OK, Some(MediaType::Json)) if revision.answers.is_some() => {
            let bytes = whole(body, limits).await?;
            let bytes = match revision.revise(&bytes)? {
                (Revised::Changed(revised), IsAnswer(true)) => Bytes::from(revised),
                (Revised::AsItIs, IsAnswer(true)) => bytes,
                _ => return Err(Rejection::UpstreamAnswer),
            };
            answer(StatusCode::OK, Some("application/json"), at_their_pace(bytes, limits, held))
        }
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, Some(MediaType::Json))
            if revision.method.form == Form::Request =>
        {
            let bytes = whole(body, limits).await?;
            match revision.revise_error(&bytes) {
                Ok(revised) => {
                    let bytes = match revised {
                        Revised::Changed(revised) => Bytes::from(revised),
                        Revised::AsItIs | Revised::LeftOut => bytes,
                    };
                    let body = at_their_pace(bytes, limits, held);
                    answer(head.status, Some("application/json"), body)
                }
                Err(asked @ Rejection::QuestionDenied { .. }) => return Err(asked),
                Err(_) => return Err(refused(head.status, &revision)),
            }
        }
        (status, _) => return Err(refused(status, &revision)),
    };
    if let Some(session) = session {
        response.headers_mut().insert(mirrored::SESSION, session);
    }
    Ok(response)
}

/// What a notification, a response or an ended session is answered with: nothing but that it was
/// taken.
fn acknowledged(status: StatusCode, revision: &Revision) -> Result<Response<Body>, Rejection> {
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
            let ending = revision.method.form == Form::Ending;
            let status = if ending { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED };
            Ok(answer(status, None, Body::empty()))
        }
        status => Err(refused(status, revision)),
    }
}

/// An answer by HTTP status alone, in terms of ours. An upstream's 401 and 403 are about the gate's
/// credentials, not the caller's, and would send a client astray.
fn refused(status: StatusCode, revision: &Revision) -> Rejection {
    tracing::warn!(status = status.as_u16(), "the upstream's answer is not relayed");
    let in_session = revision.route.session.is_some();
    let other_era = revision.era.is_modern() || revision.method.form != Form::Request;
    match status {
        StatusCode::NOT_FOUND if in_session => Rejection::UnknownSession,
        StatusCode::METHOD_NOT_ALLOWED
            if matches!(revision.method.form, Form::Listening | Form::Ending) =>
        {
            Rejection::NotPost
        }
        _ if !other_era => Rejection::UpstreamStatus,
        // What a server of the other era says to a client that tries this one; it tries the other.
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_ACCEPTABLE
        | StatusCode::CONFLICT
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Rejection::UpstreamRefused { status },
        _ => Rejection::UpstreamStatus,
    }
}

/// A session that the upstream opens, sealed to the caller that asked for it.
fn minted_session(
    headers: &HeaderMap,
    revision: &Revision,
) -> Result<Option<HeaderValue>, Rejection> {
    if revision.method.name != "initialize" {
        return Ok(None);
    }
    let minted = mirrored::single(headers, mirrored::SESSION);
    let Some(id) = minted.map_err(|_| Rejection::UpstreamAnswer)? else { return Ok(None) };
    let sealed = revision.sealed(Kind::Session, "", &[&id])?;
    HeaderValue::try_from(sealed).map(Some).map_err(|_| Rejection::UpstreamAnswer)
}

fn when_gone(revision: &Revision) -> WhenGone {
    if revision.outlives_its_caller() { WhenGone::HearOut } else { WhenGone::Stop }
}

enum MediaType {
    Json,
    EventStream,
}

fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    // Asked for identity; anything else cannot be read.
    let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return None;
    }
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Some(MediaType::Json);
    }
    essence.eq_ignore_ascii_case("text/event-stream").then_some(MediaType::EventStream)
}

async fn whole(body: Body, limits: &Limits) -> Result<Bytes, Rejection> {
    let read = Limited::new(body, limits.max_answer_bytes).collect();
    let read = tokio::time::timeout(limits.response_timeout, read)
        .await
        .map_err(|_| Rejection::UpstreamTooSlow)?;
    Ok(read.map_err(|_| Rejection::UpstreamAnswer)?.to_bytes())
}

/// A body that is at hand. A short one needs nobody to wait for its reader.
fn at_their_pace(bytes: Bytes, limits: &Limits, held: Held) -> Body {
    if bytes.len() <= PIECE_BYTES {
        return Body::from(bytes);
    }
    let pieces = futures::stream::unfold(bytes, async |mut rest| {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        (!piece.is_empty()).then_some((piece, rest))
    });
    pumped(pieces, WhenGone::Stop, limits.stream_idle_timeout, held)
}

/// Further ahead a clock's arithmetic may fail; no stream lives that long.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// About what a connection buffers.
const PIECE_BYTES: usize = 64 * 1024;

/// A response with headers from nothing but the media type.
fn answer(status: StatusCode, media_type: Option<&'static str>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(media_type) = media_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if media_type == Some("text/event-stream") {
        // Proxies before us must not collect what we do not.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    response
}
