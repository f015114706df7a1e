//! What comes back: narrowed where it is a list, streamed where it is not, and never relayed when
//! it is not an MCP answer.

mod list;
mod sse;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    authz::{Listing, Policies},
    config::Limits,
    message::{Message, RequestId},
    rejection::Rejection,
    token::Claims,
};

/// What an answer must be held against, taken from what was asked and from nothing that the
/// upstream says.
pub(crate) struct Revision {
    /// The request that is to be answered; a notification has none.
    id: Option<RequestId>,
    /// The narrowing of a list.
    listing: Option<Listing>,
    /// No answer goes on after the token it was given for.
    token_ends: Instant,
}

impl Revision {
    pub(crate) fn of(policies: &Arc<Policies>, claims: &Arc<Claims>, message: &Message) -> Self {
        Self {
            id: message.id().cloned(),
            listing: Listing::of(policies, claims, message),
            token_ends: Instant::now() + claims.time_left().min(FOREVER),
        }
    }
}

/// Relays the upstream's answer as `revision` asks, holding the caller's slot to its end.
///
/// A list in any form is narrowed or not relayed.
pub(crate) async fn relay(
    upstream: Response<Incoming>,
    revision: Revision,
    limits: &Limits,
    slot: OwnedSemaphorePermit,
) -> Result<Response<Body>, Rejection> {
    let (head, body) = upstream.into_parts();
    let media_type = media_type(&head.headers);
    let (status, media_type, body) = match (head.status, media_type) {
        (StatusCode::ACCEPTED | StatusCode::NO_CONTENT, _) if revision.id.is_none() => {
            (StatusCode::ACCEPTED, None, Body::empty())
        }
        (status, Some(MediaType::Json)) if is_relayed(status) => {
            let body = match &revision.listing {
                Some(listing) => Body::from(narrowed_json(body, listing, limits).await?),
                None => Body::from_stream(with_time_limits(
                    body.into_data_stream().map_err(axum::Error::new),
                    limits.stream_idle_timeout,
                    revision.token_ends,
                )),
            };
            (status, Some("application/json"), body)
        }
        (StatusCode::OK, Some(MediaType::EventStream)) => {
            let chunks = body.into_data_stream().map_err(axum::Error::new);
            let chunks = with_time_limits(chunks, limits.stream_idle_timeout, revision.token_ends);
            let events = sse::relayed(chunks, revision, limits.max_answer_bytes);
            (StatusCode::OK, Some("text/event-stream"), Body::from_stream(events))
        }
        (status, _) => {
            tracing::warn!(status = status.as_u16(), "the upstream's answer is not relayed");
            return Err(Rejection::UpstreamStatus);
        }
    };
    Ok(answer(status, media_type, Body::new(Held { body, _slot: slot })))
}

/// A body that holds its caller's slot until it has been sent or given up.
struct Held {
    body: Body,
    _slot: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Success, and the statuses with which MCP servers send a JSON-RPC error. An upstream's 401 and
/// 403 are about the gate's credentials, not the caller's, and would send a client astray.
fn is_relayed(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
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

async fn narrowed_json(
    body: Incoming,
    listing: &Listing,
    limits: &Limits,
) -> Result<Bytes, Rejection> {
    let read = Limited::new(body, limits.max_answer_bytes).collect();
    let read = tokio::time::timeout(limits.response_timeout, read)
        .await
        .map_err(|_| Rejection::UpstreamTooSlow)?;
    let bytes = read.map_err(|_| Rejection::UpstreamAnswer)?.to_bytes();
    list::narrowed(&bytes, listing).map(Bytes::from)
}

/// Ends a stream that has been silent for too long, or whose token has ended.
fn with_time_limits(
    chunks: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
    idle: Duration,
    token_ends: Instant,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    let chunks = Box::pin(chunks);
    futures::stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        let now = Instant::now();
        // A stream that always has something would be polled before any timeout is.
        if now >= token_ends {
            return Some((Err(axum::Error::new(TokenEnded)), None));
        }
        let until = token_ends.min(now + idle);
        match tokio::time::timeout_at(until, chunks.next()).await {
            Ok(Some(chunk)) => Some((chunk, Some(chunks))),
            Ok(None) => None,
            Err(silent) => Some((Err(axum::Error::new(silent)), None)),
        }
    })
}

/// Why an answer was cut off.
#[derive(Debug, thiserror::Error)]
#[error("the access token has ended")]
struct TokenEnded;

/// Further ahead a clock's arithmetic may fail; no stream lives that long.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_always_has_something_ends_with_its_token() {
        let chunks = futures::stream::repeat_with(|| Ok(Bytes::from_static(b"x")));
        let ends = Instant::now() + Duration::from_millis(50);
        let limited = with_time_limits(chunks, Duration::from_secs(60), ends);
        let last = tokio::time::timeout(
            Duration::from_secs(5),
            limited.fold(0, async |_, chunk| {
                tokio::task::yield_now().await;
                i32::from(chunk.is_err())
            }),
        );
        assert_eq!(last.await, Ok(1), "its end is an error");
    }
}
